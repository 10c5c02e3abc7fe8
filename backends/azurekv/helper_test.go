package azurekv_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/mlsecrets/secretstore"
	"github.com/mlsecrets/secretstore/backends/azurekv"
	"github.com/mlsecrets/secretstore/backends/azurekv/azurekvtest"
)

func text(s string) secretstore.Value { return secretstore.NewValue([]byte(s)) }

// serve starts a server, and opens a store on it over HTTPS and HTTP/2 with every
// check on.
func serve(t testing.TB, o azurekvtest.Options) (*azurekvtest.Server, secretstore.StoreCloser) {
	t.Helper()
	server := azurekvtest.NewServer(o)
	t.Cleanup(server.Close)
	return server, open(t, server.Config())
}

func open(t testing.TB, c azurekv.Config) secretstore.StoreCloser {
	t.Helper()
	store, err := azurekv.Open(context.Background(), c)
	if err != nil {
		t.Fatalf("Open: %v", err)
	}
	t.Cleanup(func() {
		if err := store.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return store
}

// bubble opens a store on a vault without a network in between, for use in a bubble
// of testing/synctest.
func bubble(t testing.TB, o azurekvtest.Options) (*azurekvtest.Vault, secretstore.StoreCloser) {
	t.Helper()
	vault := azurekvtest.NewVault(o)
	return vault, open(t, azurekv.Config{
		VaultURL:      vault.URL(),
		Credential:    vault.Credential(),
		ClientOptions: azcore.ClientOptions{Transport: direct{vault}},
	})
}

// direct is a transport that calls a handler.
type direct struct{ handler http.Handler }

func (d direct) Do(req *http.Request) (*http.Response, error) {
	if req.Body == nil {
		req.Body = http.NoBody
	}
	rec := httptest.NewRecorder()
	done := make(chan any, 1)
	go func() {
		defer func() { done <- recover() }()
		d.handler.ServeHTTP(rec, req)
	}()
	select {
	case broken := <-done:
		if broken == http.ErrAbortHandler {
			return nil, errors.New("connection reset")
		}
		if broken != nil {
			panic(broken)
		}
		if err := req.Context().Err(); err != nil {
			return nil, err
		}
	case <-req.Context().Done():
		return nil, req.Context().Err()
	}
	resp := rec.Result()
	resp.Request = req
	return resp, nil
}

func mustSet(t testing.TB, store secretstore.Store, name, value string) {
	t.Helper()
	if err := store.Set(t.Context(), name, text(value)); err != nil {
		t.Fatalf("Set(%q): %v", name, err)
	}
}

func wantValue(t testing.TB, store secretstore.Store, name, want string) {
	t.Helper()
	got, err := store.Get(t.Context(), name)
	if err != nil {
		t.Fatalf("Get(%q): %v", name, err)
	}
	if !got.Equal(text(want)) {
		t.Errorf("Get(%q) is %d bytes, not those wanted", name, got.Len())
	}
}

// wantError checks the kind of an error, and that it has a detail, which it returns.
func wantError(t testing.TB, err, kind error) *secretstore.Error {
	t.Helper()
	e, ok := errors.AsType[*secretstore.Error](err)
	if !ok || !errors.Is(err, kind) {
		t.Fatalf("the error is %v, want one of kind %q", err, kind)
	}
	return e
}

func names(n int) []string {
	all := make([]string, n)
	for i := range all {
		all[i] = fmt.Sprintf("secret-%05d", i)
	}
	return all
}

func fill(vault *azurekvtest.Vault, all []string) {
	for _, name := range all {
		vault.Put(name, "value of "+name)
	}
}

func count(requests []azurekvtest.Request, fits func(azurekvtest.Request) bool) int {
	n := 0
	for _, r := range requests {
		if fits(r) {
			n++
		}
	}
	return n
}
