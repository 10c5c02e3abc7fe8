package secretstore_test

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/mlsecrets/secretstore"
	"github.com/mlsecrets/secretstore/backends/memory"
)

func TestParseURL(t *testing.T) {
	t.Parallel()
	for _, raw := range []string{
		"file:///path/to/store.db", "vault://host:8200/mount/prefix", "vault:///secret/x?namespace=a&role=b",
		"azurekv://name", "azureml://subscriptions/S/resourceGroups/G/workspaces/W", "memory://", "MEMORY://", "file:/x",
	} {
		u, err := secretstore.ParseURL(raw)
		if err != nil || u == nil || u.Scheme != strings.ToLower(raw[:strings.Index(raw, ":")]) {
			t.Errorf("ParseURL(%q) = %v, %v", raw, u, err)
		}
	}
	for _, tc := range []struct{ raw, want string }{
		{"", "has no scheme"},
		{"store.db", "has no scheme"},
		{"/path/to/store.db", "has no scheme"},
		{"//user:hunter2hunter2@host/x", "has no scheme"},
		{"hvs.hunter2hunter2", "has no scheme"},
		{"vault://user:hunter2hunter2@host/x", "user or password"},
		{"vault://hunter2hunter2@host/x", "user or password"},
		{"vault://:@host/x", "user or password"},
		{"vault://@host/x", "user or password"},
		{"vault://host/x#hunter2hunter2", "fragment"},
		{"vault:host/hunter2hunter2", "needs slashes"},
		{"hunter2hunter2:x@host", "needs slashes"},
		{`c:\stores\hunter2hunter2.db`, "needs slashes"},
		{"vault://host/%zzhunter2hunter2", "can't be parsed"},
		{"vault://host:hunter2hunter2/x", "can't be parsed"},
		{"vault://host/\x7fhunter2hunter2", "can't be parsed"},
		{":hunter2hunter2", "can't be parsed"},
		{"vau lt://hunter2hunter2", "can't be parsed"},
	} {
		u, err := secretstore.ParseURL(tc.raw)
		e := wantError(t, err, secretstore.ErrInvalidConfig)
		if u != nil || e.Op != "open" || !strings.Contains(e.Error(), tc.want) || strings.Contains(e.Error(), "hunter2") {
			t.Errorf("ParseURL(%q) = %v, %v, want an error with %q that repeats nothing", tc.raw, u, err, tc.want)
		}
	}
}

func TestParams(t *testing.T) {
	t.Parallel()
	known := []string{"role", "auth"}
	for _, tc := range []struct {
		query string
		known []string
		want  string // of the error; "" if there is none
	}{
		{"", nil, ""},
		{"", known, ""},
		{"role=a&auth=b", known, ""},
		{"role=", known, ""},
		{"role=a%20b", known, ""},
		{"hunter2hunter2=1", nil, "has a parameter, and takes none"},
		{"token=hunter2hunter2", known, "has an unknown parameter; it takes role, auth"},
		{"Role=hunter2hunter2", known, "has an unknown parameter; it takes role, auth"},
		{"role=hunter2hunter2&role=b", known, "has the parameter role twice"},
		{"role=hunter2hunter2;auth=b", known, "can't be parsed"},
		{"role=%zzhunter2hunter2", known, "can't be parsed"},
	} {
		u := &url.URL{Scheme: "vault", Host: "h", RawQuery: tc.query}
		got, err := secretstore.Params(u, tc.known...)
		if tc.want == "" {
			if err != nil || got.Encode() != u.Query().Encode() {
				t.Errorf("Params(%q) = %v, %v", tc.query, got, err)
			}
			continue
		}
		e := wantError(t, err, secretstore.ErrInvalidConfig)
		if got != nil || e.Op != "open" || e.Backend != "vault" || !strings.Contains(e.Error(), tc.want) || strings.Contains(e.Error(), "hunter2") {
			t.Errorf("Params(%q) = %v, %v, want an error with %q that repeats nothing", tc.query, got, err, tc.want)
		}
	}
}

func TestOpenersOpen(t *testing.T) {
	t.Parallel()
	linked := secretstore.Openers{"vault": memory.Open, "memory": memory.Open, "file": memory.Open}
	s, err := linked.Open(t.Context(), "memory://")
	wantNil(t, err)
	wantNil(t, s.Set(t.Context(), "a", secret("1")))
	wantNil(t, s.Close())
	for _, tc := range []struct{ raw, want string }{
		{"s3://bucket/key", `secretstore: open: invalid configuration: no store has the URL scheme "s3"; this program has file, memory, vault`},
		{"memory://host", `secretstore: open (memory): invalid configuration: memory:// takes no host and no path; each store is a new one`},
		{"memory://?a=b", `secretstore: open (memory): invalid configuration: the store's URL has a parameter, and takes none`},
		{"memory://?a=hunter2hunter2", `secretstore: open (memory): invalid configuration: the store's URL has a parameter, and takes none`},
		{"memory", `secretstore: open: invalid configuration: the store's URL has no scheme; it looks like file:///path/to/store.db or vault://host/mount/prefix`},
	} {
		s, err := linked.Open(t.Context(), tc.raw)
		wantError(t, err, secretstore.ErrInvalidConfig)
		if s != nil || err.Error() != tc.want {
			t.Errorf("Open(%q) = %v,\n     %v\nwant %s", tc.raw, s, err, tc.want)
		}
	}
}

// TestOpenersEmpty: a program that links no backend is told so.
func TestOpenersEmpty(t *testing.T) {
	t.Parallel()
	_, err := secretstore.Openers(nil).Open(t.Context(), "memory://")
	want := `secretstore: open: invalid configuration: no store has the URL scheme "memory"; this program has none`
	if wantError(t, err, secretstore.ErrInvalidConfig); err.Error() != want {
		t.Errorf("got  %v\nwant %s", err, want)
	}
}

// TestOpenWraps: an opener's error becomes one *Error, without foreign text.
func TestOpenWraps(t *testing.T) {
	t.Parallel()
	own := &secretstore.Error{Op: "read header", Backend: "localfile", Name: "", Kind: secretstore.ErrWrongKey, Detail: "it is another store's key"}
	for _, tc := range []struct {
		what    string
		err     error
		kind    error
		backend string
	}{
		{"an Error", own, secretstore.ErrWrongKey, "localfile"},
		{"a wrapped Error", fmt.Errorf("s3cr3t: %w", own), secretstore.ErrWrongKey, "localfile"},
		{"an Error without backend", &secretstore.Error{Kind: secretstore.ErrLocked}, secretstore.ErrLocked, "file"},
		{"a kind", fmt.Errorf("s3cr3t: %w", secretstore.ErrDenied), secretstore.ErrDenied, "file"},
		{"a foreign error", errors.New("s3cr3t"), secretstore.ErrUnavailable, "file"},
		{"an Error of no kind", &secretstore.Error{}, secretstore.ErrUnavailable, "file"},
		{"an Error of foreign kind", &secretstore.Error{Kind: errors.New("s3cr3t")}, secretstore.ErrUnavailable, "file"},
		{"an Error of foreign context", &secretstore.Error{Kind: secretstore.ErrLocked, Context: errors.New("s3cr3t")}, secretstore.ErrLocked, "file"},
		{"a nil *Error", (*secretstore.Error)(nil), secretstore.ErrUnavailable, "file"},
		{"a nil *BatchError", (*secretstore.BatchError)(nil), secretstore.ErrUnavailable, "file"},
	} {
		linked := secretstore.Openers{"file": func(context.Context, *url.URL) (secretstore.StoreCloser, error) { return nil, tc.err }}
		s, err := linked.Open(t.Context(), "file:///x")
		e := wantError(t, err, tc.kind)
		if s != nil || e.Op != "open" || e.Backend != tc.backend || strings.Contains(fmt.Sprintf("%v %#v", e, e), "s3cr3t") {
			t.Errorf("%s: %v, %#v", tc.what, s, e)
		}
	}
	if own.Op != "read header" {
		t.Errorf("the opener's own error was changed: %#v", own)
	}
}

// secrets are the pieces of a URL that may be a credential: what stands before
// the @ of the authority, and the values of its parameters.
var secrets = regexp.MustCompile(`//([^/?#]*)@|[?&;][^=&;#]*=([^&;#]*)`)

// FuzzParseURL: no error repeats 6 characters in a row of a credential, be the
// URL ever so broken.
func FuzzParseURL(f *testing.F) {
	for _, seed := range []string{
		"vault://user:hunter2hunter2@host/x", "vault://hunter2hunter2@host", "//user:hunter2hunter2@host",
		"vault://user:hunter2%zzhunter2@host", "vault://us er:hunter2hunter2@host", "vault://host:port:hunter2hunter2@x",
		"vault://host/x?token=hunter2hunter2", "vault://host/x?role=hunter2hunter2&role=x", "vault://h?role=%zzhunter2hunter2",
		"https://u:hunter2hunter2@h", "nobackend://h/?token=hunter2hunter2", "vault://h?role=a;token=hunter2hunter2",
		"vault:opaque?token=hunter2hunter2", "file:///x?role=hunter2hunter2#f", "\x00", "vault://[::1?role=hunter2hunter2",
	} {
		f.Add(seed)
	}
	linked := secretstore.Openers{"vault": func(_ context.Context, u *url.URL) (secretstore.StoreCloser, error) {
		if _, err := secretstore.Params(u, "role"); err != nil {
			return nil, err
		}
		return memory.New(), nil
	}}
	// Our own words may be a part of a credential by chance.
	ours := "secretstore: open (vault): invalid configuration: the store's URL can't be parsed" +
		"the store's URL has no scheme; it looks like file:///path/to/store.db or vault://host/mount/prefix" +
		"the store's URL has a user or password in it; a URL names a store, and credentials come from the environment" +
		"the store's URL has a fragment (#…)" + "secretstore: open: invalid configuration: the store's URL needs slashes after " +
		"the parameters of the store's URL can't be parsed" + "the store's URL has an unknown parameter; it takes role" +
		"the store's URL has the parameter role twice" + `invalid configuration: no store has the URL scheme "x"; this program has vault`
	f.Fuzz(func(t *testing.T, raw string) {
		s, err := linked.Open(t.Context(), raw)
		if err == nil {
			wantNil(t, s.Close())
			return
		}
		text := wantError(t, err, secretstore.ErrInvalidConfig).Error()
		// A scheme that no program has is repeated, and it is no credential.
		scheme, _, _ := strings.Cut(raw, ":")
		allowed := ours + strings.ToLower(scheme)
		for _, m := range secrets.FindAllStringSubmatch(raw, -1) {
			piece := m[1] + m[2]
			for i := 0; i+6 <= len(piece); i++ {
				if window := piece[i : i+6]; strings.Contains(text, window) && !strings.Contains(allowed, window) {
					t.Fatalf("Open(%q): the error repeats %q: %s", raw, window, text)
				}
			}
		}
	})
}

// TestOpenEndedContext: an opener that was given up says so.
func TestOpenEndedContext(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	linked := secretstore.Openers{"file": func(context.Context, *url.URL) (secretstore.StoreCloser, error) {
		cancel()
		return nil, &secretstore.Error{Kind: secretstore.ErrUnavailable}
	}}
	_, err := linked.Open(ctx, "file:///x")
	wantError(t, err, context.Canceled)
}
