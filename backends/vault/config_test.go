package vault_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/hashicorp/vault/api"
	"github.com/mlsecrets/secretstore"
	"github.com/mlsecrets/secretstore/backends/vault"
)

// TestOpenURL: bad input is a distinct, helpful error before any I/O.
func TestOpenURL(t *testing.T) {
	t.Setenv("VAULT_TOKEN", "hvs.x")
	openers := secretstore.Openers{"vault": vault.OpenURL}
	for _, tt := range []struct {
		url, addr string
		want      string // in the error; "" is none
	}{
		{"vault://vault.example.com:8200/secret/team", "", ""},
		{"vault:///secret/team", "http://127.0.0.1:8200", ""},
		{"vault:///secret", "http://127.0.0.1:8200", ""},
		{"vault:///secret/team?layout=map&namespace=ns", "http://127.0.0.1:8200", ""},
		{"vault:///a/b/team?mount=a/b", "http://127.0.0.1:8200", ""},
		{"vault:///secret/team?auth=kubernetes&role=r&auth-mount=k8s", "http://127.0.0.1:8200", ""},
		{"vault:///secret/team", "127.0.0.1:8200", "scheme"},
		{"vault:///secret/team", "https://me:hunter2@v", "user or password"},
		{"vault://hunter2@v/secret", "", "user or password"},
		{"vault://v", "", "mount is missing"},
		{"vault:///secret?layout=map", "http://127.0.0.1:8200", "needs a prefix"},
		{"vault:///secret/team?layout=hunter2", "http://127.0.0.1:8200", "layout"},
		{"vault:///secret/team?token=hunter2", "http://127.0.0.1:8200", "unknown parameter"},
		{"vault:///secret/team?auth=hunter2", "http://127.0.0.1:8200", "approle"},
		{"vault:///secret/team?role=r", "http://127.0.0.1:8200", "auth=kubernetes"},
		{"vault:///secret/../sys", "http://127.0.0.1:8200", "not a path"},
		{"vault:///secret//team", "http://127.0.0.1:8200", "not a path"},
		{"vault:///secret/a%2Fb", "http://127.0.0.1:8200", "encoded slash"},
		{"vault:///secret/a%00b", "http://127.0.0.1:8200", "not a path"},
		{"vault:///secret/%2e%2e/sys", "http://127.0.0.1:8200", "not a path"},
		{"vault:///secret/team?mount=other", "http://127.0.0.1:8200", "begin with the mount"},
	} {
		t.Setenv("VAULT_ADDR", tt.addr)
		s, err := openers.Open(t.Context(), tt.url)
		if err == nil {
			s.Close()
		}
		if tt.want == "" {
			if err != nil {
				t.Errorf("%s at %s: %v", tt.url, tt.addr, err)
			}
			continue
		}
		if !errors.Is(err, secretstore.ErrInvalidConfig) || !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s at %s: got %v, want ErrInvalidConfig with %q", tt.url, tt.addr, err, tt.want)
		}
	}
}

// TestAnswers: every answer that a server or what stands before it may give is an
// error of the right kind, without its text.
func TestAnswers(t *testing.T) {
	const canary = "canary-in-the-answer"
	for _, tt := range []struct {
		name   string
		status int
		body   string
		want   error
	}{
		{"403", 403, `{"errors":["` + canary + `"]}`, secretstore.ErrDenied},
		{"405", 405, `{"errors":["` + canary + `"]}`, secretstore.ErrUnavailable},
		{"412", 412, `{"errors":["` + canary + `"]}`, secretstore.ErrUnavailable},
		{"413", 413, `{"errors":["` + canary + `"]}`, secretstore.ErrTooLarge},
		{"429", 429, `{"errors":["` + canary + `"]}`, secretstore.ErrThrottled},
		{"429 of a proxy", 429, canary, secretstore.ErrThrottled},
		{"472", 472, `{"errors":["` + canary + `"]}`, secretstore.ErrUnavailable},
		{"500", 500, `{"errors":["` + canary + `"]}`, secretstore.ErrUnavailable},
		{"502", 502, "<html>" + canary, secretstore.ErrUnavailable},
		{"503", 503, `{"errors":["` + canary + `"]}`, secretstore.ErrUnavailable},
		{"404 without a route", 404, `{"errors":["no handler for route ` + canary + `"]}`, secretstore.ErrUnavailable},
		{"404 of a proxy", 404, "<html>" + canary, secretstore.ErrUnavailable},
		{"404, empty", 404, "", secretstore.ErrUnavailable},
		{"404, other JSON", 404, `{"message":"` + canary + `"}`, secretstore.ErrUnavailable},
		{"404 of Vault", 404, `{"errors":[]}`, secretstore.ErrNotFound},
		{"404, deleted", 404, `{"data":{"data":null,"metadata":{"version":3}}}`, secretstore.ErrNotFound},
		{"200, HTML", 200, "<html>" + canary, secretstore.ErrUnavailable},
		{"200, empty", 200, "", secretstore.ErrUnavailable},
		{"200, cut short", 200, `{"data":{"data":{"value":"` + canary, secretstore.ErrUnavailable},
		{"200, KV version 1", 200, `{"data":{"value":"` + canary + `"}}`, secretstore.ErrUnavailable},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Content-Type", "application/json")
				switch {
				case strings.Contains(r.URL.Path, "/sys/internal/ui/mounts/"):
					w.Write([]byte(`{"data":{"type":"kv","path":"secret/","options":{"version":"2"}}}`))
				case strings.Contains(r.URL.Path, "/auth/token/"):
					w.Write([]byte(`{"data":{"ttl":0,"renewable":false}}`))
				default:
					w.WriteHeader(tt.status)
					w.Write([]byte(tt.body))
				}
			}))
			t.Cleanup(srv.Close)
			conf := api.DefaultConfig()
			conf.Address = srv.URL
			s := open(t, vault.Config{Mount: "secret", Prefix: "p", Client: conf, Auth: vault.Token{Token: val("hvs.token-canary")}})
			short, cancel := shortly(t)
			defer cancel()
			_, err := s.Get(short, "a")
			if !errors.Is(err, tt.want) && !errors.Is(err, short.Err()) {
				t.Errorf("got %v, want %v", err, tt.want)
			}
			if tt.want != secretstore.ErrNotFound && errors.Is(err, secretstore.ErrNotFound) {
				t.Errorf("got %v", err)
			}
			if err == nil || strings.Contains(err.Error(), canary) || strings.Contains(err.Error(), "hvs.") {
				t.Errorf("the answer's text or the token shows in %v", err)
			}
		})
	}
}

// TestUnreachable: a server that can't be reached is said to be, with what to do.
func TestUnreachable(t *testing.T) {
	plain := httptest.NewServer(http.NotFoundHandler())
	defer plain.Close()
	secure := httptest.NewTLSServer(http.NotFoundHandler())
	defer secure.Close()
	host := func(s *httptest.Server) string { u, _ := url.Parse(s.URL); return u.Host }
	for addr, want := range map[string]string{
		"https://" + host(plain):  "HTTPS",
		"https://" + host(secure): "certificate",
		"http://127.0.0.1:1":      "can't be reached",
	} {
		conf := api.DefaultConfig()
		conf.Address = addr
		s := open(t, vault.Config{Mount: "secret", Client: conf, Auth: vault.Token{Token: val("hvs.x")}})
		_, err := s.Get(t.Context(), "a")
		wantKind(t, addr, err, secretstore.ErrUnavailable, want)
	}
}
