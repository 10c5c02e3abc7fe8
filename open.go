package secretstore

import (
	"context"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"
)

// Opener opens the store that a URL names. The URL has been through [ParseURL].
// An Opener must refuse parameters that it doesn't know (see [Params]), and its
// errors must not repeat the URL's text.
type Opener func(ctx context.Context, u *url.URL) (StoreCloser, error)

// Openers maps the scheme of a URL to the opener of a backend. It is a plain
// map: what stands in it is what a program links. Package runctx has the one
// with every bundled backend.
type Openers map[string]Opener

// Open opens the store that the URL names. A URL that is malformed, that carries
// a credential, or whose scheme is not in the map is [ErrInvalidConfig].
func (o Openers) Open(ctx context.Context, rawURL string) (StoreCloser, error) {
	u, err := ParseURL(rawURL)
	if err != nil {
		return nil, openError(ctx, "", err)
	}
	open, ok := o[u.Scheme]
	if !ok {
		linked := "none"
		if len(o) > 0 {
			linked = strings.Join(slices.Sorted(maps.Keys(o)), ", ")
		}
		return nil, openError(ctx, "", &Error{Kind: ErrInvalidConfig,
			Detail: fmt.Sprintf("no store has the URL scheme %q; this program has %s", u.Scheme, linked)})
	}
	store, err := open(ctx, u)
	if err != nil {
		return nil, openError(ctx, u.Scheme, err)
	}
	return store, nil
}

func openError(ctx context.Context, scheme string, err error) error {
	out := classify(ctx, err)
	out.Op, out.Name = "open", ""
	if out.Backend == "" {
		out.Backend = scheme
	}
	return out
}

// ParseURL parses the URL of a store, which names a store and never a
// credential. The error does not repeat the text: what was pasted in by mistake
// stays out of logs.
func ParseURL(rawURL string) (*url.URL, error) {
	bad := func(detail string) (*url.URL, error) {
		return nil, &Error{Op: "open", Kind: ErrInvalidConfig, Detail: detail}
	}
	u, err := url.Parse(rawURL)
	switch {
	case err != nil:
		return bad("the store's URL can't be parsed")
	case u.Scheme == "":
		return bad("the store's URL has no scheme; it looks like file:///path/to/store.db or vault://host/mount/prefix")
	case u.User != nil:
		return bad("the store's URL has a user or password in it; a URL names a store, and credentials come from the environment")
	case u.Fragment != "":
		return bad("the store's URL has a fragment (#…)")
	case u.Opaque != "":
		// What stands before the colon may be a user's name or a token.
		return bad("the store's URL needs slashes after its scheme, as in file:///path/to/store.db or vault://host/mount/prefix")
	}
	return u, nil
}

// Params returns the parameters of the URL. One that is not among the known, or
// that stands there twice, is [ErrInvalidConfig]; the error does not repeat it.
func Params(u *url.URL, known ...string) (url.Values, error) {
	bad := func(detail string) (url.Values, error) {
		return nil, &Error{Op: "open", Backend: u.Scheme, Kind: ErrInvalidConfig, Detail: detail}
	}
	params, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return bad("the parameters of the store's URL can't be parsed")
	}
	for name, values := range params {
		if !slices.Contains(known, name) {
			if len(known) == 0 {
				return bad("the store's URL has a parameter, and takes none")
			}
			return bad("the store's URL has an unknown parameter; it takes " + strings.Join(known, ", "))
		}
		if len(values) > 1 {
			return bad(fmt.Sprintf("the store's URL has the parameter %s twice", name))
		}
	}
	return params, nil
}
