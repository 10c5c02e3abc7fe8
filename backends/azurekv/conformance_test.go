package azurekv_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"net"
	"net/http"
	"os"
	"os/exec"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/mlsecrets/secretstore"
	"github.com/mlsecrets/secretstore/backends/azurekv"
	"github.com/mlsecrets/secretstore/backends/azurekv/azurekvtest"
	"github.com/mlsecrets/secretstore/conformance"
	"github.com/mlsecrets/secretstore/internal/figures"
)

// lab has the server of each store that the suite has opened.
type lab struct {
	options azurekvtest.Options
	handler func(http.Handler) http.Handler

	mu      sync.Mutex
	servers map[secretstore.StoreCloser]*azurekvtest.Server
	all     []*azurekvtest.Server
}

func (l *lab) server(s secretstore.StoreCloser) *azurekvtest.Server {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.servers[s]
}

func (l *lab) open(ctx context.Context, server *azurekvtest.Server) (secretstore.StoreCloser, error) {
	s, err := azurekv.Open(ctx, server.Config())
	if err == nil {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.servers[s] = server
	}
	return s, err
}

func (l *lab) close() {
	for _, server := range l.all {
		server.Close()
	}
}

// labHarness is the harness over the double: one handle, two handles, two
// processes, and every fault.
func labHarness(t *testing.T, o azurekvtest.Options, handler func(http.Handler) http.Handler) conformance.Harness {
	t.Helper()
	l := &lab{options: o, handler: handler, servers: make(map[secretstore.StoreCloser]*azurekvtest.Server)}
	t.Cleanup(l.close)
	return conformance.Harness{
		Open: func(ctx context.Context) (secretstore.StoreCloser, error) {
			vault := azurekvtest.NewVault(l.options)
			server := vault.ServeHandler(l.handler(vault))
			l.mu.Lock()
			l.all = append(l.all, server)
			l.mu.Unlock()
			return l.open(ctx, server)
		},
		Second: func(ctx context.Context, s secretstore.StoreCloser) (secretstore.StoreCloser, error) {
			return l.open(ctx, l.server(s))
		},
		Child: func(ctx context.Context, s secretstore.StoreCloser) (*exec.Cmd, error) {
			server := l.server(s)
			token, err := server.Credential().GetToken(ctx, policy.TokenRequestOptions{
				Scopes: []string{"https://vault.azure.net/.default"}, TenantID: azurekvtest.Tenant})
			if err != nil {
				return nil, err
			}
			cmd := exec.CommandContext(ctx, os.Args[0], "-test.run=^TestConformanceChild$")
			cmd.Env = append(os.Environ(), "CONFORMANCE_ADDR="+server.Addr().String(), "CONFORMANCE_TOKEN="+token.Token,
				"CONFORMANCE_CA="+base64.StdEncoding.EncodeToString(server.CertificatePEM()))
			cmd.Stderr = os.Stderr
			return cmd, nil
		},
		Requests: func(s secretstore.StoreCloser) int { return len(l.server(s).Requests()) },
		Inject: func(s secretstore.StoreCloser, f conformance.Fault, name string) (func(), error) {
			server := l.server(s)
			kind := map[conformance.Fault]azurekvtest.FaultKind{
				conformance.Throttle: azurekvtest.Throttle, conformance.Hang: azurekvtest.Hang, conformance.Echo: azurekvtest.Echo,
				conformance.Outage: []azurekvtest.FaultKind{azurekvtest.HTMLPage, azurekvtest.Unavailable, azurekvtest.Reset}[outages.Add(1)%3],
			}[f]
			switch {
			case kind != 0:
				server.Inject(azurekvtest.Fault{Kind: kind, Name: name})
				return server.Heal, nil
			case f == conformance.Deny && name == "":
				server.Deny(azurekvtest.Get, azurekvtest.List, azurekvtest.Set, azurekvtest.Delete, azurekvtest.Recover)
				return server.Allow, nil
			case f == conformance.Deny:
				server.DenyName(name)
				return server.Allow, nil
			case f == conformance.Disable && name != "":
				server.Disable(name)
				return func() { server.Enable(name) }, nil
			case f == conformance.Expire:
				server.ExpireTokens()
				return func() {}, nil
			}
			return nil, errors.ErrUnsupported
		},
	}
}

var outages atomic.Int64 // which of the ways to be out of order comes next

func TestConformance(t *testing.T) {
	t.Parallel()
	figures.Suite(t, "azurekv, on azurekvtest", conformance.Test(t, labHarness(t, azurekvtest.Options{Lag: 20 * time.Millisecond},
		func(h http.Handler) http.Handler { return h })))
}

// The same over a server that throttles, whose listings have empty pages, and on
// which every fiftieth request fails in passing.
func TestConformanceOnABadDay(t *testing.T) {
	t.Parallel()
	h := labHarness(t, azurekvtest.Options{
		Lag: 50 * time.Millisecond, Latency: 200 * time.Microsecond, EmptyPages: 1,
		Transactions: azurekvtest.Limit{Requests: 400, Per: 200 * time.Millisecond},
		Creations:    azurekvtest.Limit{Requests: 60, Per: 200 * time.Millisecond},
	}, func(h http.Handler) http.Handler {
		var requests atomic.Int64
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			switch n := requests.Add(1); {
			case n%150 == 0:
				panic(http.ErrAbortHandler)
			case n%150 == 50:
				w.WriteHeader(http.StatusServiceUnavailable)
			case n%150 == 100:
				w.Header().Set("Content-Type", "application/json")
				w.WriteHeader(http.StatusTooManyRequests)
				w.Write([]byte(`{"error":{"code":"Throttled"}}`))
			default:
				h.ServeHTTP(w, r)
			}
		})
	})
	h.Slow = true
	conformance.Test(t, h)
}

// TestConformanceChild is the other process of the suite. Started as a test of its
// own it has nothing to do.
func TestConformanceChild(t *testing.T) {
	addr := os.Getenv("CONFORMANCE_ADDR")
	if addr == "" {
		return
	}
	ca, err := base64.StdEncoding.DecodeString(os.Getenv("CONFORMANCE_CA"))
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(ca)
	s, err := azurekv.Open(t.Context(), azurekv.Config{
		VaultURL:   "https://lab.vault.azure.net",
		Credential: fixed(os.Getenv("CONFORMANCE_TOKEN")),
		ClientOptions: azcore.ClientOptions{Transport: &http.Client{Transport: &http.Transport{
			ForceAttemptHTTP2: true,
			TLSClientConfig:   &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12},
			DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
				return new(net.Dialer).DialContext(ctx, network, addr)
			},
		}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := conformance.ServeChild(t.Context(), s, os.Stdin, os.Stdout); err != nil {
		t.Fatal(err)
	}
	os.Exit(0) // without the lines that a test prints
}

// fixed is a token that was got elsewhere.
type fixed string

func (f fixed) GetToken(context.Context, policy.TokenRequestOptions) (azcore.AccessToken, error) {
	return azcore.AccessToken{Token: string(f), ExpiresOn: time.Now().Add(time.Hour)}, nil
}
