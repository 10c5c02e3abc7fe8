package vault

import (
	"cmp"
	"context"
	"errors"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/mlsecrets/secretstore"
)

// Auth is a way to log in: [Token], [AppRole], [Kubernetes] or [JWT]. The logins are
// one request each, so the modules vault/api/auth/* are not used.
type Auth interface {
	// check refuses settings that can't work, without I/O.
	check() error
	// login returns a new token.
	login(ctx context.Context, c *client) (lease, error)
	// anew reports whether a further login may bring another token.
	anew() bool
}

// Token is a token that somebody else got. It is looked for again when it is refused,
// so an agent may replace its file.
//
// With both fields empty it is VAULT_TOKEN, or what stands in the file that
// VAULT_TOKEN_FILE names (the sink of a Vault Agent), or in ~/.vault-token, where
// "vault login" puts it. External token helpers are not run.
type Token struct {
	Token secretstore.Value // the token itself
	File  string            // or the file that holds it
}

func (t Token) check() error {
	if t.Token.Len() > 0 && t.File != "" {
		return badConfig("a token and a token file are given")
	}
	return nil
}

// fixed returns the token if it is one that can't change while the process runs.
func (t Token) fixed() string {
	if t.Token.Len() > 0 || t.File != "" {
		return string(t.Token.Reveal())
	}
	return os.Getenv("VAULT_TOKEN")
}

func (t Token) anew() bool { return t.fixed() == "" }

// find returns the token, or "" if there is none.
func (t Token) find() (string, error) {
	if token := t.fixed(); token != "" {
		return token, nil
	}
	if file := cmp.Or(t.File, os.Getenv("VAULT_TOKEN_FILE")); file != "" {
		return readCredential("token", file)
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return "", nil
	}
	token, err := os.ReadFile(filepath.Join(home, ".vault-token"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", badConfig("the file ~/.vault-token can't be read; set VAULT_TOKEN")
	}
	return strings.TrimSpace(string(token)), nil
}

func (t Token) login(ctx context.Context, c *client) (lease, error) {
	token, err := t.find()
	if err != nil {
		return lease{}, err
	}
	if token == "" {
		return lease{}, badConfig("there is no token; set VAULT_TOKEN, log in with \"vault login\", or choose another way with ?auth=")
	}
	if why := notPlain(token); why != "" {
		return lease{}, badConfig("the token has %s", why)
	}
	// Not every token may look at itself. Then nothing is known of its life.
	issued := time.Now()
	a, err := c.send(ctx, request{method: http.MethodGet, path: "auth/token/lookup-self"}, token)
	if err != nil {
		return lease{}, err
	}
	switch {
	case a.status == http.StatusOK:
	case a.status != http.StatusForbidden:
		return lease{}, failure(a)
	case saysInvalidToken(a):
		return lease{}, &secretstore.Error{Kind: secretstore.ErrDenied, Status: a.status, RequestID: a.requestID(),
			Detail: "the token has expired or was revoked, and its source (VAULT_TOKEN or a file) has no other; log in anew"}
	default:
		return lease{token: token, issued: issued}, nil
	}
	var self struct {
		Data struct {
			TTL       int  `json:"ttl"`
			Renewable bool `json:"renewable"`
		} `json:"data"`
	}
	if err := parse(a, &self); err != nil {
		return lease{}, err
	}
	return lease{token: token, renewable: self.Data.Renewable, issued: issued, ttl: time.Duration(self.Data.TTL) * time.Second}, nil
}

// AppRole logs in with a role id and a secret id.
type AppRole struct {
	// RoleID is VAULT_ROLE_ID if empty.
	RoleID string
	// SecretID is VAULT_SECRET_ID if empty, or else what stands in SecretIDFile, or
	// in the file that VAULT_SECRET_ID_FILE names. A role may need none.
	SecretID     secretstore.Value
	SecretIDFile string
	// Mount is the path of the auth method. Empty is "approle".
	Mount string
}

func (r AppRole) anew() bool { return true }

func (r AppRole) check() error {
	if cmp.Or(r.RoleID, os.Getenv("VAULT_ROLE_ID")) == "" {
		return badConfig("there is no role id for AppRole; set VAULT_ROLE_ID")
	}
	return checkPath("auth mount", r.Mount)
}

func (r AppRole) login(ctx context.Context, c *client) (lease, error) {
	secret := cmp.Or(string(r.SecretID.Reveal()), os.Getenv("VAULT_SECRET_ID"))
	if file := cmp.Or(r.SecretIDFile, os.Getenv("VAULT_SECRET_ID_FILE")); secret == "" && file != "" {
		var err error
		if secret, err = readCredential("secret id", file); err != nil {
			return lease{}, err
		}
	}
	body := map[string]string{"role_id": cmp.Or(r.RoleID, os.Getenv("VAULT_ROLE_ID"))}
	if secret != "" {
		body["secret_id"] = secret
	}
	return c.login(ctx, "AppRole", cmp.Or(r.Mount, "approle"), body)
}

// Kubernetes logs in with the service account of the pod.
type Kubernetes struct {
	// Role is the role of the auth method. It is required.
	Role string
	// TokenFile holds the service account's token. Empty is where Kubernetes puts it.
	TokenFile string
	// Mount is the path of the auth method. Empty is "kubernetes".
	Mount string
}

// serviceAccount is where Kubernetes mounts the token of a pod's service account.
const serviceAccount = "/var/run/secrets/kubernetes.io/serviceaccount/token"

func (k Kubernetes) anew() bool { return true }

func (k Kubernetes) check() error {
	if k.Role == "" {
		return badConfig("there is no role for the Kubernetes login; name it with ?role=")
	}
	return checkPath("auth mount", k.Mount)
}

func (k Kubernetes) login(ctx context.Context, c *client) (lease, error) {
	jwt, err := readCredential("service account's token", cmp.Or(k.TokenFile, serviceAccount))
	if err != nil {
		return lease{}, err
	}
	return c.login(ctx, "Kubernetes", cmp.Or(k.Mount, "kubernetes"), map[string]string{"role": k.Role, "jwt": jwt})
}

// JWT logs in with a JSON web token, such as a CI system's.
type JWT struct {
	// Role is the role of the auth method. Empty is the method's default role.
	Role string
	// Token is VAULT_JWT if empty, or else what stands in TokenFile, or in the file
	// that VAULT_JWT_FILE names.
	Token     secretstore.Value
	TokenFile string
	// Mount is the path of the auth method. Empty is "jwt".
	Mount string
}

func (j JWT) anew() bool { return true }

func (j JWT) check() error {
	if cmp.Or(string(j.Token.Reveal()), os.Getenv("VAULT_JWT"), j.TokenFile, os.Getenv("VAULT_JWT_FILE")) == "" {
		return badConfig("there is no token for the JWT login; set VAULT_JWT_FILE or VAULT_JWT")
	}
	return checkPath("auth mount", j.Mount)
}

func (j JWT) login(ctx context.Context, c *client) (lease, error) {
	jwt := cmp.Or(string(j.Token.Reveal()), os.Getenv("VAULT_JWT"))
	if jwt == "" {
		var err error
		if jwt, err = readCredential("JWT", cmp.Or(j.TokenFile, os.Getenv("VAULT_JWT_FILE"))); err != nil {
			return lease{}, err
		}
	}
	body := map[string]string{"jwt": jwt}
	if j.Role != "" {
		body["role"] = j.Role
	}
	return c.login(ctx, "JWT", cmp.Or(j.Mount, "jwt"), body)
}

// login makes the request of a login, without a token.
func (c *client) login(ctx context.Context, method, mount string, body map[string]string) (lease, error) {
	issued := time.Now()
	a, err := c.send(ctx, request{method: http.MethodPost, path: "auth/" + mount + "/login", body: body}, "")
	if err != nil {
		return lease{}, err
	}
	switch a.status {
	case http.StatusOK:
	case http.StatusBadRequest, http.StatusForbidden, http.StatusNotFound:
		return lease{}, &secretstore.Error{Kind: secretstore.ErrDenied, Status: a.status, RequestID: a.requestID(),
			Detail: "the " + method + " login was refused; is the role right, the credential still good, and the auth method mounted there?"}
	default:
		return lease{}, failure(a)
	}
	var g grant
	if err := parse(a, &g); err != nil {
		return lease{}, err
	}
	return g.lease(issued), nil
}

// readCredential reads a file that holds a credential and nothing else.
func readCredential(what, file string) (string, error) {
	text, err := os.ReadFile(file)
	switch {
	case err != nil && !strings.ContainsRune(file, filepath.Separator):
		// It may be the credential itself, put where its file belongs.
		return "", badConfig("the file of the %s can't be read; name it by a path, such as ./name", what)
	case errors.Is(err, fs.ErrNotExist):
		return "", badConfig("the file of the %s is not there: %s", what, file)
	case errors.Is(err, fs.ErrPermission):
		return "", badConfig("the file of the %s can't be read: %s", what, file)
	case err != nil:
		return "", badConfig("the file of the %s can't be read", what)
	}
	if token := strings.TrimSpace(string(text)); token != "" {
		return token, nil
	}
	return "", badConfig("the file of the %s is empty: %s", what, file)
}
