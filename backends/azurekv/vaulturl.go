package azurekv

import (
	"net/url"
	"strings"

	"github.com/mlsecrets/secretstore"
)

func invalid(detail string) *secretstore.Error {
	return &secretstore.Error{Op: "open", Backend: backend, Kind: secretstore.ErrInvalidConfig, Detail: detail}
}

// vaultHost returns the host, with the port if there is one, of a vault's URL. The
// error doesn't repeat the URL.
func vaultHost(rawURL string) (string, error) {
	const looks = "; it looks like https://name.vault.azure.net"
	u, err := url.Parse(rawURL)
	switch {
	case rawURL == "":
		return "", invalid("no vault URL is given" + looks)
	case err != nil:
		return "", invalid("the vault's URL can't be parsed" + looks)
	case u.User != nil:
		return "", invalid("the vault's URL has a user or password in it; the identity is the credential's")
	case u.Scheme != "https" || u.Hostname() == "":
		return "", invalid("the vault's URL is not https://" + looks)
	case u.Path != "" && u.Path != "/" || u.RawQuery != "" || u.Fragment != "":
		return "", invalid("the vault's URL has a path, query or fragment" + looks)
	}
	host := strings.ToLower(u.Hostname())
	switch {
	case strings.Contains(host, ".managedhsm."):
		return "", invalid("the URL is a managed HSM's, which holds no secrets; name a key vault")
	case strings.Contains(host, ".privatelink."):
		return "", invalid("the URL is a private endpoint's; use the vault's own, which the private DNS zone leads there")
	}
	return u.Host, nil
}
