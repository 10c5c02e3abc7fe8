package vault_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mlsecrets/secretstore"
	"github.com/mlsecrets/secretstore/backends/vault"
	"github.com/mlsecrets/secretstore/backends/vault/vaulttest"
	"github.com/mlsecrets/secretstore/conformance"
	"github.com/mlsecrets/secretstore/internal/figures"
)

// counter is a transport that counts what goes through it.
type counter struct {
	http.RoundTripper
	n atomic.Int64
}

func (c *counter) RoundTrip(r *http.Request) (*http.Response, error) {
	c.n.Add(1)
	return c.RoundTripper.RoundTrip(r)
}

func (c *counter) CloseIdleConnections() {}

// handles knows which store came from where.
type handles[T any] struct {
	mu sync.Mutex
	m  map[secretstore.StoreCloser]T
}

func (h *handles[T]) of(s secretstore.StoreCloser) T {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.m[s]
}

func (h *handles[T]) add(s secretstore.StoreCloser, of T) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.m == nil {
		h.m = map[secretstore.StoreCloser]T{}
	}
	h.m[s] = of
}

type counted struct {
	config vault.Config
	policy string // its name
	n      *counter
}

// full says that the tests take the time they want; continuous integration sets it.
var full = os.Getenv("SECRETSTORE_TEST_FULL") != ""

// serverHarness is the harness over a real server. Each store has a prefix of its own,
// and logs in by AppRole for rights to just that.
func serverHarness(t *testing.T, s *server, layout vault.Layout) conformance.Harness {
	var opened handles[counted]
	open := func(ctx context.Context, config vault.Config, policy string) (secretstore.StoreCloser, error) {
		n := &counter{RoundTripper: s.http.Transport}
		config.HTTPClient = &http.Client{Transport: n}
		store, err := vault.Open(ctx, config)
		if err == nil {
			opened.add(store, counted{config, policy, n})
		}
		return store, err
	}
	return conformance.Harness{
		Open: func(ctx context.Context) (secretstore.StoreCloser, error) {
			prefix := unique()
			auth, policy := s.appRole(t, policyText(t, "write-"+string(layout), prefix), time.Hour, time.Hour)
			return open(ctx, vault.Config{Address: s.addr, Mount: "secret", Prefix: prefix, Layout: layout, Auth: auth}, policy)
		},
		Second: func(ctx context.Context, store secretstore.StoreCloser) (secretstore.StoreCloser, error) {
			c := opened.of(store)
			return open(ctx, c.config, c.policy)
		},
		Child: func(ctx context.Context, store secretstore.StoreCloser) (*exec.Cmd, error) {
			config := opened.of(store).config
			auth := config.Auth.(vault.AppRole)
			cmd := exec.CommandContext(ctx, os.Args[0], "-test.run=^TestConformanceChild$")
			cmd.Env = append(os.Environ(), childStore+"="+(&url.URL{Scheme: "vault", Path: "/secret/" + config.Prefix,
				RawQuery: "auth=approle&layout=" + string(layout)}).String())
			for name, v := range map[string]string{"VAULT_ADDR": s.addr, "VAULT_CACERT": s.cert, "VAULT_ROLE_ID": auth.RoleID, "VAULT_SECRET_ID": string(auth.SecretID.Reveal())} {
				cmd.Env = append(cmd.Env, childVar+name+"="+v)
			}
			cmd.Stderr = os.Stderr
			return cmd, nil
		},
		Requests: func(store secretstore.StoreCloser) int { return int(opened.of(store).n.n.Load()) },
		Inject: func(store secretstore.StoreCloser, f conformance.Fault, name string) (func(), error) {
			c := opened.of(store)
			return s.inject(t, f, name, layout, c.config.Prefix, c.policy)
		},
		Facts: conformance.Facts{AtomicBatch: layout == vault.Map},
		// The double and HTTP with the layout map always have the full counts.
		Slow: !full && (layout == vault.Paths || strings.HasPrefix(s.addr, "https")),
	}
}

// The variables of the suite's other process. TestMain takes those of Vault away, so
// that they come with a prefix.
const childStore, childVar = "CONFORMANCE_STORE", "CONFORMANCE_"

// TestConformanceChild is the other process of the suite. Started as a test of its
// own it has nothing to do.
func TestConformanceChild(t *testing.T) {
	if os.Getenv(childStore) == "" {
		return
	}
	for _, name := range []string{"VAULT_ADDR", "VAULT_CACERT", "VAULT_ROLE_ID", "VAULT_SECRET_ID"} {
		t.Setenv(name, os.Getenv(childVar+name))
	}
	s, err := secretstore.Openers{"vault": vault.OpenURL}.Open(t.Context(), os.Getenv(childStore))
	if err != nil {
		t.Fatal(err)
	}
	if err := conformance.ServeChild(t.Context(), s, os.Stdin, os.Stdout); err != nil {
		t.Fatal(err)
	}
	s.Close()
	os.Exit(0) // without the lines that a test prints
}

// inject makes the real server fail, as far as it can be brought to it.
func (s *server) inject(t *testing.T, f conformance.Fault, name string, layout vault.Layout, prefix, policy string) (undo func(), err error) {
	rights := policyText(t, "write-"+string(layout), prefix)
	switch {
	case f == conformance.Deny && name == "":
		s.policy(t, policy, `path "secret/none" { capabilities = ["read"] }`)
		return func() { s.policy(t, policy, rights) }, nil
	case f == conformance.Deny && layout == vault.Paths:
		s.policy(t, policy, rights+fmt.Sprintf("path %q { capabilities = [\"deny\"] }", "secret/data/"+prefix+"/"+name))
		return func() { s.policy(t, policy, rights) }, nil
	case f == conformance.Outage && name == "":
		s.do(t, "PUT", "sys/seal", nil)
		return func() { s.unseal(t) }, nil
	case f == conformance.Throttle && name == "":
		s.do(t, "POST", "sys/quotas/rate-limit/"+policy, map[string]any{"path": "secret/", "rate": 1, "interval": "1h"})
		s.raw(t, "GET", "secret/data/none", s.root, nil) // the one that is allowed
		return func() { s.do(t, "DELETE", "sys/quotas/rate-limit/"+policy, nil) }, nil
	case f == conformance.Expire && name == "":
		s.do(t, "PUT", "sys/leases/revoke-prefix/auth/approle/login", map[string]any{"sync": true})
		return func() {}, nil
	}
	return nil, errors.ErrUnsupported
}

func (s *server) unseal(t testing.TB) {
	s.do(t, "PUT", "sys/unseal", map[string]any{"key": s.unsealKey})
}

// TestConformance is not parallel to anything: a rule counts the goroutines of the
// process.
func TestConformance(t *testing.T) {
	for _, transport := range []string{"http", "https"} {
		for _, layout := range layouts {
			t.Run(transport+"/"+string(layout), func(t *testing.T) {
				var s *server
				if transport == "https" {
					s = startTLSServer(t)
				} else {
					s = startServer(t)
				}
				results := conformance.Test(t, serverHarness(t, s, layout))
				figures.Suite(t, fmt.Sprintf("vault, %s, layout %s, on a real server", transport, layout), results)
			})
		}
	}
}

// doubleFaults are the faults of the suite, in the double's words.
var doubleFaults = map[conformance.Fault]vaulttest.Fault{
	conformance.Deny: vaulttest.Deny, conformance.Throttle: vaulttest.Throttle, conformance.Outage: vaulttest.Outage,
	conformance.Hang: vaulttest.Hang, conformance.Echo: vaulttest.Echo,
}

// doubleHarness is the harness over the double, one for each store.
func doubleHarness(t *testing.T, layout vault.Layout) conformance.Harness {
	type double struct {
		server *vaulttest.Server
		config vault.Config
	}
	var opened handles[double]
	open := func(ctx context.Context, d double) (secretstore.StoreCloser, error) {
		store, err := vault.Open(ctx, d.config)
		if err == nil {
			opened.add(store, d)
		}
		return store, err
	}
	return conformance.Harness{
		Open: func(ctx context.Context) (secretstore.StoreCloser, error) {
			s := vaulttest.NewServer()
			t.Cleanup(s.Close)
			s.AddAppRole("role", "secret-id", 0)
			return open(ctx, double{s, vault.Config{Address: s.URL, Mount: "secret", Prefix: "app", Layout: layout,
				Auth: vault.AppRole{RoleID: "role", SecretID: text("secret-id")}, HTTPClient: s.Client()}})
		},
		Second: func(ctx context.Context, store secretstore.StoreCloser) (secretstore.StoreCloser, error) {
			return open(ctx, opened.of(store))
		},
		Requests: func(store secretstore.StoreCloser) int { return opened.of(store).server.Requests() },
		Inject: func(store secretstore.StoreCloser, f conformance.Fault, name string) (func(), error) {
			s := opened.of(store).server
			if f == conformance.Expire {
				s.ExpireTokens()
				return func() {}, nil
			}
			fault, ok := doubleFaults[f]
			if !ok || name != "" && layout == vault.Map {
				return nil, errors.ErrUnsupported
			}
			return s.Inject(fault, name), nil
		},
		Facts: conformance.Facts{AtomicBatch: layout == vault.Map},
	}
}

func TestConformanceOfDouble(t *testing.T) {
	for _, layout := range layouts {
		t.Run(string(layout), func(t *testing.T) {
			figures.Suite(t, fmt.Sprintf("vault, layout %s, on vaulttest", layout), conformance.Test(t, doubleHarness(t, layout)))
		})
	}
}
