package azurekv_test

import (
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/mlsecrets/secretstore"
	"github.com/mlsecrets/secretstore/backends/azurekv/azurekvtest"
)

// everyRequest is a handler that does something after each request.
type everyRequest struct {
	http.Handler
	do func()
}

func (h *everyRequest) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h.Handler.ServeHTTP(w, r)
	h.do()
}

func wantCounts(t *testing.T, vault *azurekvtest.Vault, requests, tokens int) {
	t.Helper()
	if got := len(vault.Requests()); got != requests {
		t.Errorf("%d requests, want %d", got, requests)
	}
	if got := vault.TokenCalls(); got != tokens {
		t.Errorf("%d token calls, want %d", got, tokens)
	}
}

func TestColdGetBatch(t *testing.T) {
	t.Parallel()
	server, store := serve(t, azurekvtest.Options{})
	fill(server.Vault, names(50))
	if _, err := store.GetBatch(t.Context(), names(50)); err != nil {
		t.Fatal(err)
	}
	wantCounts(t, server.Vault, 51, 1)
	server.ResetRequests()
	if _, err := store.GetBatch(t.Context(), append(names(50), names(50)...)); err != nil {
		t.Fatal(err)
	}
	wantCounts(t, server.Vault, 50, 0)
}

func TestColdCallers(t *testing.T) {
	t.Parallel()
	server, store := serve(t, azurekvtest.Options{})
	fill(server.Vault, names(50))
	var callers sync.WaitGroup
	for _, name := range names(50) {
		callers.Go(func() {
			if _, err := store.Get(t.Context(), name); err != nil {
				t.Error(err)
			}
		})
	}
	callers.Wait()
	wantCounts(t, server.Vault, 51, 1)
}

func TestColdSetBatch(t *testing.T) {
	t.Parallel()
	server, store := serve(t, azurekvtest.Options{})
	values := make(map[string]secretstore.Value)
	for _, name := range names(50) {
		values[name] = text(name)
	}
	if err := store.SetBatch(t.Context(), values); err != nil {
		t.Fatal(err)
	}
	wantCounts(t, server.Vault, 51, 1)
	if most := server.MaxInFlight(); most > 8 {
		t.Errorf("%d writes were under way at once", most)
	}
}

func TestInvalidNameCostsNothing(t *testing.T) {
	t.Parallel()
	server, store := serve(t, azurekvtest.Options{})
	err := store.SetBatch(t.Context(), map[string]secretstore.Value{"good": text("x"), "not_good": text("y")})
	wantError(t, err, secretstore.ErrInvalidName)
	wantCounts(t, server.Vault, 0, 0)
}

func TestListReadsNoValue(t *testing.T) {
	t.Parallel()
	server, store := serve(t, azurekvtest.Options{})
	fill(server.Vault, names(1000))
	got, err := store.List(t.Context())
	if err != nil || len(got) != 1000 {
		t.Fatalf("List has %d, %v", len(got), err)
	}
	wantCounts(t, server.Vault, 41, 1) // 40 pages and the challenge
	for _, r := range server.Requests() {
		if strings.Trim(r.Path, "/") != "secrets" {
			t.Errorf("a request to %s", r.Path)
		}
	}
}

// A token that the vault no longer takes costs a challenge to each request that was
// under way, and every call succeeds.
func TestTokensExpireInBetween(t *testing.T) {
	t.Parallel()
	server, store := serve(t, azurekvtest.Options{})
	fill(server.Vault, names(100))
	wantValue(t, store, "secret-00000", "value of secret-00000")
	server.ExpireTokens()
	server.ResetRequests()
	if _, err := store.GetBatch(t.Context(), names(100)); err != nil {
		t.Fatal(err)
	}
	refused := count(server.Requests(), func(r azurekvtest.Request) bool { return r.Status == http.StatusUnauthorized })
	if refused == 0 || refused > 32 {
		t.Errorf("%d requests were refused, want 1 to 32", refused)
	}
	// The client forgets its token at each refusal, our credential only once.
	if n := server.TokenCalls(); n != 1 {
		t.Errorf("%d token calls, want 1", n)
	}
}
