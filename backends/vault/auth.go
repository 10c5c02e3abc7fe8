package vault

import (
	"bytes"
	"cmp"
	"errors"
	"io/fs"
	"os"
	"strings"

	"github.com/hashicorp/vault/api/cliconfig"
	"github.com/mlsecrets/secretstore"
)

// Auth is a way to log in to Vault: [Token], [AppRole], [Kubernetes] or [JWT].
//
// The methods other than Token post one request to Vault each; vault/api's modules
// for them would add a dependency each for that.
type Auth interface {
	// login returns a token, or what to post to which path to get one.
	login() (token string, path string, body map[string]string, err error)
}

// Token uses a token that somebody else got. The zero Token is VAULT_TOKEN, else the
// file that VAULT_TOKEN_FILE names, else what the vault command has stored
// (~/.vault-token or its token helper).
type Token struct {
	Token secretstore.Value
	// File holds the token, if Token is empty. It is read again when the token
	// has run out, as an agent's sink is.
	File string
}

func (t Token) login() (string, string, map[string]string, error) {
	found, err := findToken(string(t.Token.Reveal()), t.File)
	return found, "", nil, err
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

// AppRole logs in as an application role.
type AppRole struct {
	Mount  string // of the method; empty is "approle"
	RoleID string // empty is VAULT_ROLE_ID
	// SecretID is the role's password. If it is empty, SecretIDFile or
	// VAULT_SECRET_ID_FILE name a file with it, or it is VAULT_SECRET_ID.
	SecretID     secretstore.Value
	SecretIDFile string
}

func (a AppRole) login() (string, string, map[string]string, error) {
	roleID := cmp.Or(a.RoleID, os.Getenv("VAULT_ROLE_ID"))
	if roleID == "" {
		return "", "", nil, denied("auth=approle needs the role's id: set VAULT_ROLE_ID")
	}
	body := map[string]string{"role_id": roleID}
	if a.SecretID.Len() > 0 {
		body["secret_id"] = string(a.SecretID.Reveal())
	} else if file := cmp.Or(a.SecretIDFile, os.Getenv("VAULT_SECRET_ID_FILE")); file != "" {
		b, err := readCredential("secret id's file", file)
		if err != nil {
			return "", "", nil, err
		}
		body["secret_id"] = string(b)
	} else if id := os.Getenv("VAULT_SECRET_ID"); id != "" {
		body["secret_id"] = id
	}
	return "", "auth/" + cmp.Or(a.Mount, "approle") + "/login", body, nil
}

// serviceAccountToken is where Kubernetes puts the token of a pod's service account.
const serviceAccountToken = "/var/run/secrets/kubernetes.io/serviceaccount/token"

// Kubernetes logs in as a pod's service account.
type Kubernetes struct {
	Mount     string // of the method; empty is "kubernetes"
	Role      string
	TokenFile string // empty is where Kubernetes puts it
}

func (k Kubernetes) login() (string, string, map[string]string, error) {
	return signedLogin("kubernetes", cmp.Or(k.Mount, "kubernetes"), k.Role, cmp.Or(k.TokenFile, serviceAccountToken))
}

// JWT logs in with a signed token of another issuer, such as a CI system's.
type JWT struct {
	Mount     string // of the method; empty is "jwt"
	Role      string
	TokenFile string // holds the signed token; empty is the file that VAULT_JWT_FILE names
}

func (j JWT) login() (string, string, map[string]string, error) {
	return signedLogin("jwt", cmp.Or(j.Mount, "jwt"), j.Role, cmp.Or(j.TokenFile, os.Getenv("VAULT_JWT_FILE")))
}

func signedLogin(method, mount, role, file string) (string, string, map[string]string, error) {
	if role == "" {
		return "", "", nil, denied("auth=" + method + " needs the URL's parameter role")
	}
	if file == "" {
		return "", "", nil, denied("auth=" + method + " needs the file with the signed token: set VAULT_JWT_FILE")
	}
	token, err := readCredential("signed token's file", file)
	return "", "auth/" + mount + "/login", map[string]string{"role": role, "jwt": string(token)}, err
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
