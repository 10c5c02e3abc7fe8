package vault_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mlsecrets/secretstore"
	"github.com/mlsecrets/secretstore/backends/vault"
	"github.com/mlsecrets/secretstore/backends/vault/vaulttest"
)

// logins counts the logins that go through it.
type logins struct {
	http.RoundTripper
	n atomic.Int64
}

func (l *logins) RoundTrip(r *http.Request) (*http.Response, error) {
	if strings.HasSuffix(r.URL.Path, "/login") {
		l.n.Add(1)
	}
	return l.RoundTripper.RoundTrip(r)
}

func TestTokenSources(t *testing.T) {
	s := startServer(t)
	write := func(t *testing.T, name, token string) string {
		file := filepath.Join(t.TempDir(), name)
		if err := os.WriteFile(file, []byte(token+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		return file
	}
	for _, tc := range []struct {
		name  string
		setUp func(t *testing.T, config *vault.Config)
		says  string // "": it opens
	}{
		{"VAULT_TOKEN", func(t *testing.T, c *vault.Config) { t.Setenv("VAULT_TOKEN", s.root) }, ""},
		{"VAULT_TOKEN before a file", func(t *testing.T, c *vault.Config) {
			t.Setenv("VAULT_TOKEN", s.root)
			t.Setenv("VAULT_TOKEN_FILE", filepath.Join(t.TempDir(), "absent"))
		}, ""},
		{"VAULT_TOKEN_FILE", func(t *testing.T, c *vault.Config) { t.Setenv("VAULT_TOKEN_FILE", write(t, "sink", s.root)) }, ""},
		{"the helper's file", func(t *testing.T, c *vault.Config) {
			t.Setenv("HOME", filepath.Dir(write(t, ".vault-token", s.root)))
		}, ""},
		{"Config.File", func(t *testing.T, c *vault.Config) { c.Auth = vault.Token{File: write(t, "t", s.root)} }, ""},
		{"no token", func(t *testing.T, c *vault.Config) { t.Setenv("HOME", t.TempDir()) }, "there is no token"},
		{"empty file", func(t *testing.T, c *vault.Config) { c.Auth = vault.Token{File: write(t, "t", "")} }, "is empty"},
		{"a token in place of its file", func(t *testing.T, c *vault.Config) { t.Setenv("VAULT_TOKEN_FILE", canary) }, "name it by a path"},
		{"odd characters", func(t *testing.T, c *vault.Config) { c.Auth = vault.Token{Token: text("hvs.a\x00b")} }, "doesn't print"},
		{"two", func(t *testing.T, c *vault.Config) { c.Auth = vault.Token{Token: text("a"), File: "b"} }, "a token and a token file"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			config := s.rooted(vault.Paths)
			config.Auth = nil
			tc.setUp(t, &config)
			store, err := vault.Open(t.Context(), config)
			if tc.says != "" {
				if wantError(t, err, secretstore.ErrInvalidConfig, tc.says); strings.Contains(err.Error(), canary) {
					t.Errorf("the error %v repeats the token", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			defer store.Close()
			if err := store.Set(t.Context(), "a", text("v")); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestTokenFileIsReadAgain revokes a token whose file an agent has replaced.
func TestTokenFileIsReadAgain(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	config := s.config(t, vault.Paths, "write")
	first := string(config.Auth.(vault.Token).Token.Reveal())
	second := s.token(t, policyText(t, "write-paths", config.Prefix), time.Hour)
	file := filepath.Join(t.TempDir(), "sink")
	if err := os.WriteFile(file, []byte(first), 0o600); err != nil {
		t.Fatal(err)
	}
	config.Auth = vault.Token{File: file}
	store := open(t, config)
	if err := store.Set(t.Context(), "a", text("v")); err != nil {
		t.Fatal(err)
	}
	s.do(t, "POST", "auth/token/revoke", map[string]any{"token": first})
	_, err := store.Get(t.Context(), "a")
	wantError(t, err, secretstore.ErrDenied, "has no other")
	if err := os.WriteFile(file, []byte(second), 0o600); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		v, err := store.Get(t.Context(), "a")
		if err == nil && v.Equal(text("v")) {
			return
		}
		if !errors.Is(err, secretstore.ErrDenied) || time.Now().After(deadline) {
			t.Fatalf("Get with the new token in the file: %v", err)
		}
	}
}

// TestShortTokens reads for longer than a token of 2 s lives: one that can be renewed
// up to 3 s, so that there are renewals and new logins.
func TestShortTokens(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	for _, layout := range layouts {
		for _, most := range []time.Duration{2 * time.Second, 3 * time.Second, time.Hour} {
			t.Run(string(layout)+"/"+most.String(), func(t *testing.T) {
				t.Parallel()
				config := s.rooted(layout)
				auth, _ := s.appRole(t, policyText(t, "write-"+string(layout), config.Prefix), 2*time.Second, most)
				count := &logins{RoundTripper: s.http.Transport}
				config.Auth, config.HTTPClient = auth, &http.Client{Transport: count}
				store := open(t, config)
				names := []string{"a", "b", "c"}
				if err := store.SetBatch(t.Context(), map[string]secretstore.Value{"a": text("v"), "b": text("v"), "c": text("v")}); err != nil {
					t.Fatal(err)
				}
				for end := time.Now().Add(7 * time.Second); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
					if got, err := store.GetBatch(t.Context(), names); err != nil || len(got) != 3 {
						t.Fatalf("GetBatch: %d values, %v", len(got), err)
					}
				}
				n := count.n.Load()
				if most == time.Hour && n != 1 || most != time.Hour && (n < 2 || n > 8) {
					t.Errorf("%d logins in 7 s with a token of 2 s that can live for %v", n, most)
				}
			})
		}
	}
}

// TestOneLoginForAll takes the token away in the middle of batches.
func TestOneLoginForAll(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	config := s.rooted(vault.Paths)
	auth, _ := s.appRole(t, policyText(t, "write-paths", config.Prefix), time.Hour, time.Hour)
	count := &logins{RoundTripper: s.http.Transport}
	config.Auth, config.HTTPClient = auth, &http.Client{Transport: count}
	store := open(t, config)
	values := map[string]secretstore.Value{}
	var names []string
	for range 200 {
		name := unique()
		names, values[name] = append(names, name), text("v")
	}
	if err := store.SetBatch(t.Context(), values); err != nil {
		t.Fatal(err)
	}
	for round := range 3 {
		before := count.n.Load()
		done := make(chan error, 4)
		for range cap(done) {
			go func() {
				got, err := store.GetBatch(t.Context(), names)
				if err == nil && len(got) != len(names) {
					err = errors.New("values are missing")
				}
				done <- err
			}()
		}
		s.do(t, "PUT", "sys/leases/revoke-prefix/auth/approle/login", map[string]any{"sync": true})
		for range cap(done) {
			if err := <-done; err != nil {
				t.Errorf("round %d: %v", round, err)
			}
		}
		if n := count.n.Load() - before; n > 1 {
			t.Errorf("round %d: %d logins, want one for 4 batches of 200 names", round, n)
		}
	}
}

// TestRefusedLoginIsSharedToo ends tokens and the role: the names of a batch don't try
// to log in one by one.
func TestRefusedLoginIsSharedToo(t *testing.T) {
	t.Parallel()
	s := vaulttest.NewServer()
	t.Cleanup(s.Close)
	s.AddAppRole("role", "id", 0)
	count := &logins{RoundTripper: s.Client().Transport}
	store := open(t, vault.Config{Address: s.URL, Mount: "secret", Auth: vault.AppRole{RoleID: "role", SecretID: text("id")},
		HTTPClient: &http.Client{Transport: count}})
	s.ExpireTokens()
	s.AddAppRole("role", "another id", 0)
	var names []string
	for range 200 {
		names = append(names, unique())
	}
	_, err := store.GetBatch(t.Context(), names)
	wantError(t, err, secretstore.ErrDenied, "200 of 200")
	if n := count.n.Load(); n > 3 {
		t.Errorf("%d logins, want the first and one more a second", n)
	}
}

// TestKubernetes logs in to the real server, which asks an API server made for the
// test whether the service account's token is good.
func TestKubernetes(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	// A token is looked at for its form before the API server is asked. Header and
	// claims are those of a service account; nobody checks the signature.
	jwt := encode(t, map[string]any{"alg": "RS256", "typ": "JWT"}) + "." + encode(t, map[string]any{
		"iss": "kubernetes/serviceaccount", "aud": []string{"vault"}, "sub": "system:serviceaccount:ml:trainer",
		"iat": time.Now().Unix(), "nbf": time.Now().Unix(), "exp": time.Now().Add(time.Hour).Unix(),
		"kubernetes.io": map[string]any{"namespace": "ml", "serviceaccount": map[string]any{"name": "trainer", "uid": "u-1"}},
	}) + ".c2lnbmF0dXJl"
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var review struct {
			Spec struct{ Token string }
		}
		json.NewDecoder(r.Body).Decode(&review)
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusCreated)
		json.NewEncoder(w).Encode(map[string]any{"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview",
			"status": map[string]any{"authenticated": review.Spec.Token == jwt, "audiences": []string{"vault"},
				"user": map[string]any{"username": "system:serviceaccount:ml:trainer", "uid": "u-1"}}})
	}))
	t.Cleanup(api.Close)
	s.do(t, "POST", "sys/auth/k8s/prod", map[string]any{"type": "kubernetes"})
	s.do(t, "POST", "auth/k8s/prod/config", map[string]any{"kubernetes_host": api.URL, "token_reviewer_jwt": jwt,
		"disable_local_ca_jwt": true})
	config := s.rooted(vault.Paths)
	policy := unique()
	s.policy(t, policy, policyText(t, "write-paths", config.Prefix))
	s.do(t, "POST", "auth/k8s/prod/role/trainer", map[string]any{"bound_service_account_names": "trainer",
		"bound_service_account_namespaces": "ml", "audience": "vault", "token_policies": policy, "token_ttl": "1h"})
	file := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(file, []byte(jwt), 0o600); err != nil {
		t.Fatal(err)
	}
	config.Auth = vault.Kubernetes{Role: "trainer", Mount: "k8s/prod", TokenFile: file}
	store := open(t, config)
	if err := store.Set(t.Context(), "a", text("v")); err != nil {
		t.Error(err)
	}
	for what, auth := range map[string]vault.Kubernetes{
		"a wrong role":  {Role: "nobody", Mount: "k8s/prod", TokenFile: file},
		"a wrong mount": {Role: "trainer", TokenFile: file},
	} {
		config.Auth = auth
		_, err := vault.Open(t.Context(), config)
		if wantError(t, err, secretstore.ErrDenied, "the Kubernetes login was refused"); t.Failed() {
			t.Log(what)
		}
	}
	config.Auth = vault.Kubernetes{Role: "trainer", TokenFile: file + "-absent"}
	_, err := vault.Open(t.Context(), config)
	wantError(t, err, secretstore.ErrInvalidConfig, "is not there")
}

// TestJWT checks the login's request: the server for tests has no JWT method, which
// would bring Google's SDK.
func TestJWT(t *testing.T) {
	t.Parallel()
	double := vaulttest.NewServer()
	t.Cleanup(double.Close)
	var asked map[string]string
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/v1/auth/ci/login" && r.Method == http.MethodPost && r.Header.Get("X-Vault-Token") == "" {
			json.NewDecoder(r.Body).Decode(&asked)
			json.NewEncoder(w).Encode(map[string]any{"auth": map[string]any{"client_token": double.Token(), "lease_duration": 3600}})
			return
		}
		http.Redirect(w, r, double.URL+r.URL.Path, http.StatusTemporaryRedirect) // as a standby does
	}))
	t.Cleanup(front.Close)
	store := open(t, vault.Config{Address: front.URL, Mount: "secret", Prefix: "app",
		Auth: vault.JWT{Role: "trainer", Token: text("e.y.J"), Mount: "ci"}})
	if err := store.Set(t.Context(), "a", text("v")); err != nil {
		t.Error(err)
	}
	if v, err := store.Get(t.Context(), "a"); err != nil || !v.Equal(text("v")) {
		t.Errorf("Get through a redirect: %v", err)
	}
	if asked["jwt"] != "e.y.J" || asked["role"] != "trainer" {
		t.Error("the login did not ask with the role and the token")
	}
}

// TestCloseEndsRenewal looks for goroutines after Close.
func TestCloseEndsRenewal(t *testing.T) {
	s := vaulttest.NewServer()
	defer s.Close()
	s.AddAppRole("role", "id", time.Second)
	before := runtime.NumGoroutine()
	for range 20 {
		store, err := vault.Open(t.Context(), vault.Config{Address: s.URL, Mount: "secret", Auth: vault.AppRole{RoleID: "role", SecretID: text("id")}})
		if err != nil {
			t.Fatal(err)
		}
		if err := store.Close(); err != nil {
			t.Fatal(err)
		}
	}
	for range 100 {
		if runtime.NumGoroutine() <= before+2 {
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
	t.Errorf("%d goroutines more after 20 stores were closed", runtime.NumGoroutine()-before)
}

// TestWaiterLeaves cancels the one call that waits for a login that hangs.
func TestWaiterLeaves(t *testing.T) {
	t.Parallel()
	s := vaulttest.NewServer()
	t.Cleanup(s.Close)
	s.AddAppRole("role", "id", 0)
	store := open(t, vault.Config{Address: s.URL, Mount: "secret", Auth: vault.AppRole{RoleID: "role", SecretID: text("id")}, HTTPClient: s.Client()})
	if err := store.Set(t.Context(), "a", text("v")); err != nil {
		t.Fatal(err)
	}
	s.ExpireTokens()
	undo := s.Inject(vaulttest.Hang, "login")
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, err := store.Get(ctx, "a")
	wantError(t, err, context.DeadlineExceeded, "a")
	undo()
	if v, err := store.Get(t.Context(), "a"); err != nil || !v.Equal(text("v")) {
		t.Errorf("Get after the login works again: %v", err)
	}
}
