package vault_test

import (
	"encoding/pem"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mlsecrets/secretstore"
	"github.com/mlsecrets/secretstore/backends/vault"
	"github.com/mlsecrets/secretstore/backends/vault/vaulttest"
)

// TestConnections counts the connections of batches, with the store's own transport:
// about as many as a batch is wide over HTTP/1.1 (a request that waits for one takes
// another that becomes free, and the new one joins the pool), and a few over HTTP/2,
// which TLS brings.
func TestConnections(t *testing.T) {
	for _, tc := range []struct {
		name  string
		tls   bool
		most  int64
		proto int
	}{{"http", false, 2 * 64, 1}, {"https", true, 8, 2}} {
		t.Run(tc.name, func(t *testing.T) {
			double := vaulttest.NewServer()
			defer double.Close()
			var dials, others atomic.Int64
			front := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.ProtoMajor != tc.proto {
					others.Add(1)
				}
				double.ServeHTTP(w, r)
			}))
			front.Config.ConnState = func(_ net.Conn, state http.ConnState) {
				if state == http.StateNew {
					dials.Add(1)
				}
			}
			front.EnableHTTP2 = true
			if tc.tls {
				front.StartTLS()
				file := filepath.Join(t.TempDir(), "ca.pem")
				if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: front.Certificate().Raw}), 0o600); err != nil {
					t.Fatal(err)
				}
				t.Setenv("VAULT_CACERT", file)
			} else {
				front.Start()
			}
			defer front.Close()
			store := open(t, vault.Config{Address: front.URL, Mount: "secret", Auth: vault.Token{Token: text(double.Token())}})
			values := map[string]secretstore.Value{}
			var names []string
			for range 256 {
				name := unique()
				values[name], names = text("v"), append(names, name)
			}
			if err := store.SetBatch(t.Context(), values); err != nil {
				t.Fatal(err)
			}
			for range 5 {
				if got, err := store.GetBatch(t.Context(), slices.Clone(names)); err != nil || len(got) != len(names) {
					t.Fatalf("GetBatch: %d values, %v", len(got), err)
				}
			}
			if dials.Load() > tc.most || others.Load() > 0 {
				t.Errorf("%d connections, want at most %d; %d requests not over HTTP/%d", dials.Load(), tc.most, others.Load(), tc.proto)
			}
			t.Logf("%d connections for 6 batches of 256 names", dials.Load())
		})
	}
}

// TestRateLimit: the limit that vault/api reads from the environment holds for batches.
func TestRateLimit(t *testing.T) {
	double := vaulttest.NewServer()
	defer double.Close()
	t.Setenv("VAULT_RATE_LIMIT", "50:1") // requests a second, and how many at once
	store := open(t, vault.Config{Address: double.URL, Mount: "secret", Auth: vault.Token{Token: text(double.Token())}})
	var names []string
	for range 21 {
		names = append(names, unique())
	}
	start := time.Now()
	_, err := store.GetBatch(t.Context(), names)
	wantError(t, err, secretstore.ErrNotFound, "21 of 21")
	if took := time.Since(start); took < 300*time.Millisecond {
		t.Errorf("21 requests took %v, want about 0.4 s at 50 a second", took)
	}
}
