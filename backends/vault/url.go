package vault

import (
	"context"
	"net/url"
	"strings"

	"github.com/mlsecrets/secretstore"
)

// OpenURL is the opener of vault:// URLs. vault://host:port/mount/prefix is a server
// with HTTPS; vault:///mount/prefix is the one of VAULT_ADDR, which may have http://
// for a server on the same machine. The parameters, all optional:
//
//	layout=map        all secrets are fields of the Vault secret mount/prefix
//	field=password    the field that holds the value, instead of "value"
//	mount=kv/team     where the mount ends, if its path has slashes
//	namespace=a/b     a namespace of Vault Enterprise
//	auth=approle      the way to log in: token (the default), approle, kubernetes, jwt
//	role=trainer      the role for kubernetes and jwt
//	auth-mount=k8s     the path of the auth method, if it isn't its name
//
// Credentials come from where [Token], [AppRole], [Kubernetes] and [JWT] look.
func OpenURL(ctx context.Context, u *url.URL) (secretstore.StoreCloser, error) {
	config, err := configOf(u)
	if err != nil {
		return nil, opening(ctx, err)
	}
	return Open(ctx, config)
}

func configOf(u *url.URL) (Config, error) {
	params, err := secretstore.Params(u, "layout", "field", "mount", "namespace", "auth", "role", "auth-mount")
	if err != nil {
		return Config{}, err
	}
	for name := range params {
		if params.Get(name) == "" {
			return Config{}, badConfig("the parameter %s of the store's URL is empty", name)
		}
	}
	c := Config{Layout: Layout(params.Get("layout")), Field: params.Get("field"), Namespace: params.Get("namespace")}
	if u.Host != "" {
		c.Address = "https://" + u.Host
	}
	if strings.Contains(strings.ToLower(u.EscapedPath()), "%2f") {
		return Config{}, badConfig("the path of the store's URL has an encoded slash")
	}
	path := strings.TrimPrefix(u.Path, "/")
	if mount := params.Get("mount"); mount != "" {
		rest, ok := strings.CutPrefix(path+"/", mount+"/")
		if !ok {
			return Config{}, badConfig("the path of the store's URL doesn't begin with the mount that ?mount= names")
		}
		c.Mount, c.Prefix = mount, strings.TrimSuffix(rest, "/")
	} else {
		var found bool
		c.Mount, c.Prefix, found = strings.Cut(path, "/")
		if found && c.Prefix == "" {
			return Config{}, badConfig("the path of the store's URL ends in a slash")
		}
	}
	role, mount := params.Get("role"), params.Get("auth-mount")
	switch params.Get("auth") {
	case "", "token":
		if role != "" || mount != "" {
			return Config{}, badConfig("the store's URL has ?role= or ?auth-mount=, and a token needs none; ?auth= chooses the login")
		}
		c.Auth = Token{}
	case "approle":
		if role != "" {
			return Config{}, badConfig("?auth=approle takes the role's id from VAULT_ROLE_ID, and not from the store's URL")
		}
		c.Auth = AppRole{Mount: mount}
	case "kubernetes":
		c.Auth = Kubernetes{Role: role, Mount: mount}
	case "jwt":
		c.Auth = JWT{Role: role, Mount: mount}
	default:
		return Config{}, badConfig("the store's URL has an unknown ?auth=; the ways to log in are token, approle, kubernetes and jwt")
	}
	return c, nil
}
