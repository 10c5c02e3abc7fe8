package runctx

import (
	"net/url"
	"slices"
	"strings"
)

// shown are the parameters of the bundled stores' URLs. None holds a credential.
var shown = []string{
	"create",                                                              // file
	"mount", "layout", "field", "namespace", "auth", "role", "auth-mount", // vault
	"api-version", "ca-file", "cloud", // azurekv and azureml
}

// display returns the URL without what may be a credential: no opener takes a
// parameter that it doesn't know, but choosing and explaining come before opening.
func display(raw string) string {
	base, query, ok := strings.Cut(raw, "?")
	if !ok {
		return raw
	}
	if _, err := url.ParseQuery(query); err != nil {
		return base + "?…"
	}
	pairs := strings.Split(query, "&")
	for i, pair := range pairs {
		if name, _, _ := strings.Cut(pair, "="); !slices.Contains(shown, name) {
			pairs[i] = "…"
		}
	}
	return base + "?" + strings.Join(pairs, "&")
}

// sameStore reports whether a store that was chosen is also the one that the finding
// names.
func sameStore(env Env, chosen string, f finding) bool {
	a, b := identity(env, chosen), identity(env, f.url)
	if f.serverOnly {
		return a.Scheme == b.Scheme && a.Host == b.Host && a.Opaque == b.Opaque
	}
	return a == b
}

// identity returns what in the URL tells one store from another, in one spelling.
func identity(env Env, raw string) url.URL {
	u, err := url.Parse(raw)
	if err != nil {
		return url.URL{Opaque: raw}
	}
	id := url.URL{Scheme: u.Scheme, Host: strings.ToLower(u.Host), Path: strings.TrimSuffix(u.Path, "/")}
	query := u.Query()
	var ignored []string // how to reach it, or to log in
	switch u.Scheme {
	case "vault":
		ignored = []string{"auth", "role", "auth-mount"}
		if id.Host == "" {
			if addr, err := parseVaultAddr(env.Getenv(envVaultAddr)); err == nil {
				id.Host = strings.ToLower(addr.Host)
				if addr.Scheme != "https" {
					id.Opaque = addr.Scheme + ":" + addr.Path // a URL with a host is HTTPS
				}
			}
		}
	case "azurekv":
		ignored = []string{"api-version", "ca-file"}
		if !strings.ContainsAny(id.Host, ".:") {
			id.Host += ".vault.azure.net"
		}
	}
	id.Host = strings.TrimSuffix(id.Host, ":443")
	for _, name := range ignored {
		query.Del(name)
	}
	id.RawQuery = query.Encode()
	return id
}
