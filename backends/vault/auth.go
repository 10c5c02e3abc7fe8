package vault

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"io/fs"
	"os"
	"strings"

	"github.com/hashicorp/vault/api/cliconfig"
	"github.com/mlsecrets/secretstore"
)

// Auth is a way to log in to Vault. Its zero value is none; the functions of this
// package make it.
//
// The methods other than TokenAuth post one request to Vault each; vault/api's modules
// for them would add a dependency each for that.
type Auth interface {
	// login returns a token, or what to post to which path to get one.
	login(ctx context.Context) (token string, path string, body map[string]string, err error)
}

type authFunc func(ctx context.Context) (string, string, map[string]string, error)

func (f authFunc) login(ctx context.Context) (string, string, map[string]string, error) {
	return f(ctx)
}

// TokenAuth uses a token that somebody else got: the given one, or that in the file,
// which is read again when the token has run out, as an agent's sink is. Without both
// it is VAULT_TOKEN, else the file that VAULT_TOKEN_FILE names, else what the vault
// command has stored (~/.vault-token or its token helper).
func TokenAuth(token, file string) Auth {
	return authFunc(func(context.Context) (string, string, map[string]string, error) {
		found, err := findToken(token, file)
		return found, "", nil, err
	})
}

func findToken(token, file string) (string, error) {
	if token == "" && file == "" {
		token, file = os.Getenv("VAULT_TOKEN"), os.Getenv("VAULT_TOKEN_FILE")
	}
	switch {
	case token != "":
	case file != "":
		b, err := readCredential("token file", file)
		if err != nil {
			return "", err
		}
		token = string(b)
	default:
		helper, err := cliconfig.DefaultTokenHelper()
		if err == nil {
			token, err = helper.Get()
		}
		if err != nil {
			return "", denied("the vault command's token helper failed; set VAULT_TOKEN")
		}
	}
	token = strings.TrimSpace(token)
	if token == "" {
		return "", denied("there is no token: set VAULT_TOKEN or VAULT_TOKEN_FILE, run vault login, or choose another way with the URL's parameter auth")
	}
	if strings.ContainsFunc(token, func(r rune) bool { return r < 0x21 || r > 0x7e }) {
		return "", denied("the token has characters that no token has; check where it comes from")
	}
	return token, nil
}

// AppRoleAuth logs in as an application role. mount is where the method is mounted,
// "approle" if empty. secretIDFile names a file with the secret id; if it is empty,
// VAULT_SECRET_ID_FILE does, or VAULT_SECRET_ID is the secret id itself.
func AppRoleAuth(mount, roleID, secretIDFile string) Auth {
	return authFunc(func(context.Context) (string, string, map[string]string, error) {
		if roleID == "" {
			return "", "", nil, denied("auth=approle needs the role's id: set VAULT_ROLE_ID")
		}
		body := map[string]string{"role_id": roleID}
		if file := cmp.Or(secretIDFile, os.Getenv("VAULT_SECRET_ID_FILE")); file != "" {
			b, err := readCredential("secret id's file", file)
			if err != nil {
				return "", "", nil, err
			}
			body["secret_id"] = string(b)
		} else if id := os.Getenv("VAULT_SECRET_ID"); id != "" {
			body["secret_id"] = id
		}
		return "", "auth/" + cmp.Or(mount, "approle") + "/login", body, nil
	})
}

// serviceAccountToken is where Kubernetes puts the token of a pod's service account.
const serviceAccountToken = "/var/run/secrets/kubernetes.io/serviceaccount/token"

// KubernetesAuth logs in as a pod's service account. mount is where the method is
// mounted, "kubernetes" if empty; tokenFile is Kubernetes' own if empty.
func KubernetesAuth(mount, role, tokenFile string) Auth {
	return jwtAuth("kubernetes", cmp.Or(mount, "kubernetes"), role, cmp.Or(tokenFile, serviceAccountToken))
}

// JWTAuth logs in with a signed token of another issuer, such as a CI system's, which
// the file holds. mount is where the method is mounted, "jwt" if empty.
func JWTAuth(mount, role, tokenFile string) Auth {
	return jwtAuth("jwt", cmp.Or(mount, "jwt"), role, tokenFile)
}

func jwtAuth(method, mount, role, file string) Auth {
	return authFunc(func(context.Context) (string, string, map[string]string, error) {
		if role == "" {
			return "", "", nil, denied("auth=" + method + " needs the URL's parameter role")
		}
		if file == "" {
			return "", "", nil, denied("auth=" + method + " needs the file with the signed token: set VAULT_JWT_FILE")
		}
		token, err := readCredential("signed token's file", file)
		return "", "auth/" + mount + "/login", map[string]string{"role": role, "jwt": string(token)}, err
	})
}

// readCredential reads a short file that holds a credential.
func readCredential(what, path string) ([]byte, error) {
	b, err := os.ReadFile(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, denied("the " + what + " " + path + " does not exist")
	case err != nil:
		return nil, denied("the " + what + " " + path + " can't be read")
	case len(bytes.TrimSpace(b)) == 0:
		return nil, denied("the " + what + " " + path + " is empty")
	}
	return bytes.TrimSpace(b), nil
}

func denied(detail string) error {
	return &secretstore.Error{Kind: secretstore.ErrDenied, Detail: detail}
}
