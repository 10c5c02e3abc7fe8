package vault_test

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"path"
	"strings"
	"testing"

	"github.com/mlsecrets/secretstore"
	"github.com/mlsecrets/secretstore/backends/vault"
)

// answering is a transport that answers by itself.
type answering func(r *http.Request) (status int, body string)

func (f answering) RoundTrip(r *http.Request) (*http.Response, error) {
	status, body := f(r)
	return &http.Response{StatusCode: status, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Header: http.Header{},
		Body: io.NopCloser(strings.NewReader(body)), Request: r}, nil
}

// opens answers what Open asks.
func opens(r *http.Request) (body string, ok bool) {
	if mount, ok := strings.CutPrefix(r.URL.Path, "/v1/sys/internal/ui/mounts/"); ok {
		b, _ := json.Marshal(map[string]any{"data": map[string]any{"path": mount + "/", "type": "kv", "options": map[string]string{"version": "2"}}})
		return string(b), true
	}
	return `{"data":{"ttl":0}}`, r.URL.Path == "/v1/auth/token/lookup-self"
}

// FuzzPaths opens stores with any mount and prefix. Those that open ask for just the
// path that they name, and nothing above it.
func FuzzPaths(f *testing.F) {
	for _, seed := range [][2]string{{"secret", "app"}, {"kv/team", "a/b c"}, {"secret", ""}, {"secret", "../../sys/seal"}, {"..", "a"},
		{"secret", "a//b"}, {"secret", "/a"}, {"secret", "a%2F..%2Fb"}, {"secret", "a?x=y#z"}, {"secret", "é\u200b"}, {"secret", "a\xff"}, {"s;p", "+&="}} {
		f.Add(seed[0], seed[1])
	}
	f.Fuzz(func(t *testing.T, mount, prefix string) {
		var asked []string
		client := &http.Client{Transport: answering(func(r *http.Request) (int, string) {
			if body, ok := opens(r); ok {
				return 200, body
			}
			asked = append(asked, r.URL.Path)
			return 404, `{"errors":[]}`
		})}
		store, err := vault.Open(t.Context(), vault.Config{Address: "http://vault.test", Mount: mount, Prefix: prefix,
			Auth: vault.Token{Token: text("t")}, HTTPClient: client})
		if err != nil {
			if !errors.Is(err, secretstore.ErrInvalidConfig) {
				t.Errorf("Open: %v", err)
			}
			return
		}
		defer store.Close()
		if _, err := store.Get(t.Context(), "a"); !errors.Is(err, secretstore.ErrNotFound) {
			t.Errorf("Get: %v", err)
		}
		want := "/v1/" + mount + "/data/"
		if prefix != "" {
			want += prefix + "/"
		}
		if want += "a"; len(asked) != 1 || asked[0] != want || path.Clean(want) != want {
			t.Errorf("asked for %q, want %q", asked, want)
		}
	})
}

// FuzzAnswers reads any answer. It is ErrNotFound only if Vault says so.
func FuzzAnswers(f *testing.F) {
	for _, seed := range []string{`{"errors":[]}`, ``, `{}`, `null`, `[]`, `{"errors":null}`, `{"errors":[],"warnings":["w"]}`, `<html>`,
		`{"data":{"data":null,"metadata":{"version":2,"destroyed":true}}}`, `{"data":{"data":{"value":"v"},"metadata":{"version":1}}}`,
		`{"data":{"data":{"value":1},"metadata":{"version":1}}}`, `{"data":{"data":{},"metadata":{"version":0}}}`, `{"data":`} {
		f.Add(404, seed)
		f.Add(200, seed)
	}
	f.Fuzz(func(t *testing.T, status int, body string) {
		if status < 200 || status > 599 || status == 429 || status == 502 || status == 503 || status == 504 || status == 412 || status/100 == 3 {
			return // tried again, or followed
		}
		client := &http.Client{Transport: answering(func(r *http.Request) (int, string) {
			if body, ok := opens(r); ok {
				return 200, body
			}
			return status, body
		})}
		store, err := vault.Open(t.Context(), vault.Config{Address: "http://vault.test", Mount: "secret", Auth: vault.Token{Token: text("t")}, HTTPClient: client})
		if err != nil {
			t.Fatal(err)
		}
		defer store.Close()
		_, err = store.Get(t.Context(), "a")
		if err == nil && status != 200 {
			t.Errorf("status %d gave a value", status)
		}
		if errors.Is(err, secretstore.ErrNotFound) {
			var v struct {
				Errors []any
				Data   struct{ Metadata struct{ Version int } }
			}
			said := json.Unmarshal([]byte(body), &v) == nil && (status == 404 && v.Errors != nil && len(v.Errors) == 0 || v.Data.Metadata.Version != 0)
			if !said || status != 404 && status != 200 {
				t.Errorf("%d %q was taken for a missing secret", status, body)
			}
		}
		if err != nil && len(body) > 12 && strings.Contains(err.Error(), body) {
			t.Errorf("the error %v repeats the answer", err)
		}
	})
}
