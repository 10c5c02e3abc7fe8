package azurekv_test

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mlsecrets/secretstore"
	"github.com/mlsecrets/secretstore/backends/azurekv"
	"github.com/mlsecrets/secretstore/backends/azurekv/azurekvtest"
)

// What goes wrong is one kind of error each, says what to do, and never looks like
// an absent secret. None of these helps to try again, or does within the tries.
func TestFaults(t *testing.T) {
	t.Parallel()
	tests := []struct {
		kind   azurekvtest.FaultKind
		name   string
		want   error
		status int
		detail string
	}{
		{azurekvtest.Firewall, "firewall", secretstore.ErrDenied, 403, "firewall"},
		{azurekvtest.AccessDenied, "access policy", secretstore.ErrDenied, 403, "access policy"},
		{azurekvtest.HTMLPage, "HTML 200", secretstore.ErrUnavailable, 0, "proxy or a login page"},
		{azurekvtest.HTMLNotFound, "HTML 404", secretstore.ErrUnavailable, 404, "proxy or a login page"},
		{azurekvtest.EmptyOK, "empty 200", secretstore.ErrUnavailable, 0, "proxy or a login page"},
		{azurekvtest.Truncated, "truncated", secretstore.ErrUnavailable, 0, "connection broke"},
		{azurekvtest.Reset, "reset", secretstore.ErrUnavailable, 0, "connection broke"},
		{azurekvtest.Unavailable, "503", secretstore.ErrUnavailable, 503, "error of its own"},
		{azurekvtest.ServerError, "500", secretstore.ErrUnavailable, 500, "error of its own"},
		{azurekvtest.Echo, "400", secretstore.ErrUnavailable, 400, "form of the request"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			server, store := serve(t, azurekvtest.Options{})
			server.Put("name", "value")
			wantValue(t, store, "name", "value")
			server.Inject(azurekvtest.Fault{Kind: test.kind})
			for what, err := range allAtOnce(map[string]func() error{
				"Get":    func() error { _, err := store.Get(t.Context(), "name"); return err },
				"List":   func() error { _, err := store.List(t.Context()); return err },
				"Set":    func() error { return store.Set(t.Context(), "name", text("new")) },
				"Delete": func() error { return store.(secretstore.Deleter).Delete(t.Context(), "name") },
			}) {
				e := wantError(t, err, test.want)
				if e.Status != test.status || !strings.Contains(e.Detail, test.detail) {
					t.Errorf("%s: %v, want status %d and %q", what, err, test.status, test.detail)
				}
			}
			server.Heal()
			wantValue(t, store, "name", "value")
		})
	}
}

// allAtOnce calls them side by side, since some take seconds to give up.
func allAtOnce(calls map[string]func() error) map[string]error {
	var mu sync.Mutex
	var wg sync.WaitGroup
	errs := make(map[string]error)
	for name, call := range calls {
		wg.Go(func() {
			err := call()
			mu.Lock()
			defer mu.Unlock()
			errs[name] = err
		})
	}
	wg.Wait()
	return errs
}

func TestPassingFaultsAreOutlasted(t *testing.T) {
	t.Parallel()
	for _, kind := range []azurekvtest.FaultKind{
		azurekvtest.Unavailable, azurekvtest.ServerError, azurekvtest.Reset, azurekvtest.Truncated, azurekvtest.Throttle,
	} {
		t.Run("", func(t *testing.T) {
			t.Parallel()
			server, store := serve(t, azurekvtest.Options{})
			server.Put("name", "value")
			server.Inject(azurekvtest.Fault{Kind: kind, Times: 2})
			wantValue(t, store, "name", "value")
		})
	}
}

// Whether a write whose answer was lost has happened is not known; it is written
// again.
func TestLostAnswerToSet(t *testing.T) {
	t.Parallel()
	server, store := serve(t, azurekvtest.Options{})
	wantError(t, func() error { _, err := store.Get(t.Context(), "name"); return err }(), secretstore.ErrNotFound)
	server.Inject(azurekvtest.Fault{Kind: azurekvtest.Truncated, Method: http.MethodPut, Times: 1})
	mustSet(t, store, "name", "value")
	wantValue(t, store, "name", "value")
}

func TestNoServer(t *testing.T) {
	t.Parallel()
	server := azurekvtest.NewServer(azurekvtest.Options{})
	c := server.Config()
	store := open(t, c)
	server.Close()
	_, err := store.Get(t.Context(), "name")
	if e := wantError(t, err, secretstore.ErrUnavailable); !strings.Contains(e.Detail, "no connection") {
		t.Errorf("the error is %v", e)
	}
}

func TestUnknownHost(t *testing.T) {
	t.Parallel()
	server := azurekvtest.NewServer(azurekvtest.Options{})
	t.Cleanup(server.Close)
	c := server.Config()
	c.ClientOptions.Transport = &http.Client{Transport: &http.Transport{
		DialContext: func(_ context.Context, _, _ string) (net.Conn, error) {
			return nil, &net.OpError{Op: "dial", Err: &net.DNSError{Err: "no such host", Name: server.URL(), IsNotFound: true}}
		},
	}}
	start := time.Now()
	_, err := open(t, c).Get(t.Context(), "name")
	if e := wantError(t, err, secretstore.ErrUnavailable); !strings.Contains(e.Detail, "no such host") {
		t.Errorf("the error is %v", e)
	}
	if took := time.Since(start); took > 5*time.Second {
		t.Errorf("took %v, though trying again is of no use", took)
	}
}

func TestUntrustedCertificate(t *testing.T) {
	t.Parallel()
	server := azurekvtest.NewServer(azurekvtest.Options{})
	t.Cleanup(server.Close)
	transport := server.Client().Transport.(*http.Transport).Clone()
	transport.TLSClientConfig = &tls.Config{MinVersion: tls.VersionTLS12}
	c := server.Config()
	c.ClientOptions.Transport = &http.Client{Transport: transport}
	_, err := open(t, c).Get(t.Context(), "name")
	if e := wantError(t, err, secretstore.ErrUnavailable); !strings.Contains(e.Detail, "certificate") {
		t.Errorf("the error is %v", e)
	}
	if n := server.TokenCalls(); n != 0 {
		t.Errorf("%d tokens were asked for", n)
	}
}

// A challenge that names no tenant makes the client's own reader panic.
func TestBrokenChallenge(t *testing.T) {
	t.Parallel()
	for _, challenge := range []string{
		"", `Bearer`, `Basic realm="proxy"`,
		`Bearer authorization="https://login.microsoftonline.com", resource="https://vault.azure.net"`,
		`Bearer authorization="https://login.microsoftonline.com/t", resource="https://elsewhere.example"`,
	} {
		vault := azurekvtest.NewVault(azurekvtest.Options{})
		server := vault.ServeHandler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("WWW-Authenticate", challenge)
			http.Error(w, "Unauthorized", http.StatusUnauthorized)
		}))
		t.Cleanup(server.Close)
		store := open(t, server.Config())
		_, err := store.Get(t.Context(), "name")
		wantError(t, err, secretstore.ErrUnavailable)
		err = store.Set(t.Context(), "name", text("value"))
		wantError(t, err, secretstore.ErrUnavailable)
		if n := vault.TokenCalls(); n != 0 {
			t.Errorf("%q: %d tokens were asked for", challenge, n)
		}
	}
}

func TestRefusedIdentities(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		change func(c *azurekv.Config, server *azurekvtest.Server)
		want   error
		detail string
	}{
		{"another tenant", func(c *azurekv.Config, s *azurekvtest.Server) {
			c.Credential = s.Credential().WithTenant("11111111-2222-4333-8444-555555555555")
		}, secretstore.ErrDenied, "another tenant"},
		{"expired for good", func(c *azurekv.Config, s *azurekvtest.Server) {
			c.Credential = s.Credential().WithLife(-time.Minute)
		}, secretstore.ErrDenied, "expired"},
		{"no login", func(c *azurekv.Config, s *azurekvtest.Server) {
			c.Credential = s.Credential().WithError(errors.New("az: hunter2 is no password"))
		}, secretstore.ErrDenied, "az login"},
		{"an error of our own", func(c *azurekv.Config, s *azurekvtest.Server) {
			c.Credential = s.Credential().WithError(&secretstore.Error{Kind: secretstore.ErrUnavailable, Detail: "no login service"})
		}, secretstore.ErrUnavailable, "no login service"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			server := azurekvtest.NewServer(azurekvtest.Options{})
			t.Cleanup(server.Close)
			fill(server.Vault, names(100))
			c := server.Config()
			test.change(&c, server)
			store := open(t, c)
			got, err := store.GetBatch(t.Context(), names(100))
			b, ok := errors.AsType[*secretstore.BatchError](err)
			if !ok || len(b.Errs) != 100 || len(got) != 0 {
				t.Fatalf("%d values and %v", len(got), err)
			}
			for _, e := range b.Errs {
				if e.Kind != test.want || !strings.Contains(e.Detail, test.detail) || strings.Contains(e.Error(), "hunter2") {
					t.Fatalf("%v, want %q", e, test.detail)
				}
			}
		})
	}
}

// A credential that takes long to fail is not asked once a name.
func TestFailingCredentialIsAskedOnce(t *testing.T) {
	t.Parallel()
	server := azurekvtest.NewServer(azurekvtest.Options{})
	t.Cleanup(server.Close)
	c := server.Config()
	c.Credential = server.Credential().WithDelay(50 * time.Millisecond).WithError(errors.New("no login"))
	_, err := open(t, c).GetBatch(t.Context(), names(500))
	wantError(t, err, secretstore.ErrDenied)
	if n := server.TokenCalls(); n > 2 {
		t.Errorf("the credential was asked %d times", n)
	}
}
