package vault

import (
	"context"
	"net/url"
	"os"
	"regexp"
	"strings"

	"github.com/mlsecrets/secretstore"
)

// OpenURL opens the store that a URL names:
//
//	vault://host:port/mount/prefix   over HTTPS
//	vault:///mount/prefix            at VAULT_ADDR, which may be http for a dev server
//
// Parameters: mount, if the mount has slashes; layout=map; field; namespace; auth, one
// of token, approle, kubernetes and jwt; role; auth-mount, if the method is mounted
// elsewhere. A URL never holds a credential: see [Auth] for where they come from.
func OpenURL(ctx context.Context, u *url.URL) (secretstore.StoreCloser, error) {
	params, err := secretstore.Params(u, "mount", "layout", "field", "namespace", "auth", "role", "auth-mount")
	if err != nil {
		return nil, err
	}
	c := Config{Layout: Layout(params.Get("layout")), Field: params.Get("field"), Namespace: params.Get("namespace")}
	if u.Host != "" {
		c.Address = "https://" + u.Host
	}
	if strings.Contains(strings.ToLower(u.EscapedPath()), "%2f") {
		return nil, invalid("the path of the URL has an encoded slash")
	}
	c.Mount, c.Prefix, err = splitPath(strings.TrimPrefix(u.Path, "/"), params.Get("mount"))
	if err != nil {
		return nil, err
	}
	role, at := params.Get("role"), params.Get("auth-mount")
	if at, err = cleanPath("auth-mount", at); err != nil {
		return nil, err
	}
	switch params.Get("auth") {
	case "", "token":
		if role != "" || at != "" {
			return nil, invalid("role and auth-mount go with auth=kubernetes, auth=jwt or auth=approle")
		}
		c.Auth = Token{}
	case "approle":
		if role != "" {
			return nil, invalid("auth=approle takes its role from VAULT_ROLE_ID, not from the URL")
		}
		c.Auth = AppRole{Mount: at}
	case "kubernetes":
		c.Auth = Kubernetes{Mount: at, Role: role}
	case "jwt":
		c.Auth = JWT{Mount: at, Role: role}
	default:
		return nil, invalid("auth is token, approle, kubernetes or jwt")
	}
	return Open(ctx, c)
}

// splitPath divides the path of a URL into mount and prefix.
func splitPath(path, mount string) (string, string, error) {
	path = strings.TrimSuffix(path, "/")
	if mount == "" {
		mount, prefix, _ := strings.Cut(path, "/")
		return mount, prefix, nil
	}
	mount = strings.Trim(mount, "/")
	prefix, ok := strings.CutPrefix(path+"/", mount+"/")
	if !ok {
		return "", "", invalid("the path of the URL does not begin with the mount that the parameter names")
	}
	return mount, strings.TrimSuffix(prefix, "/"), nil
}

var badInPath = regexp.MustCompile(`[\x00-\x1f\x7f?#%\\*]|[^\x20-\x7e]`)

// cleanPath checks a path that others are built from. vault/api joins paths as a file
// system does, so that "a/../../sys" would lead out of the mount.
func cleanPath(what, path string) (string, error) {
	if path == "" {
		return "", nil
	}
	for segment := range strings.SplitSeq(path, "/") {
		if segment == "" || segment == "." || segment == ".." || strings.TrimSpace(segment) != segment || badInPath.MatchString(segment) {
			return "", invalid("the %s is not a path: its parts are not empty, . or .., and are printable ASCII without ? # %% \\ *", what)
		}
	}
	return path, nil
}

// checkAddress returns an error that doesn't repeat the address, which may hold a
// credential.
func checkAddress(address string) error {
	if path, ok := strings.CutPrefix(address, "unix://"); ok && path != "" {
		return nil
	}
	u, err := url.Parse(address)
	switch {
	case err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https":
		return invalid("the address of Vault is not a URL with a scheme: it looks like https://vault.example.com:8200")
	case u.User != nil:
		return invalid("the address of Vault has a user or password in it; Vault takes a token, from VAULT_TOKEN or a login")
	case u.RawQuery != "" || u.Fragment != "":
		return invalid("the address of Vault has parameters; it is the server's URL alone")
	}
	return nil
}

// Environ returns the variables, as "NAME=value", that lead a child process to the
// same server: its address, namespace and certificates, where they are set. It holds no
// token and no client key.
func Environ() []string {
	var environ []string
	for _, name := range []string{"VAULT_ADDR", "VAULT_NAMESPACE", "VAULT_CACERT", "VAULT_CACERT_BYTES", "VAULT_CAPATH", "VAULT_TLS_SERVER_NAME"} {
		value := os.Getenv(name)
		if value == "" || name == "VAULT_ADDR" && checkAddress(value) != nil {
			continue
		}
		environ = append(environ, name+"="+value)
	}
	return environ
}
