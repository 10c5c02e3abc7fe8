package azurekv_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mlsecrets/secretstore"
	"github.com/mlsecrets/secretstore/backends/azurekv/azurekvtest"
)

// The service's lag after a deletion and a recovery, as recorded.
const lag = 10 * time.Second

func TestSetRecovers(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name  string
		setUp func(t *testing.T, vault *azurekvtest.Vault, store secretstore.Store)
		most  time.Duration
	}{
		{"soft-deleted long ago", func(t *testing.T, vault *azurekvtest.Vault, _ secretstore.Store) {
			vault.Put("name", "old")
			vault.SoftDelete("name")
		}, lag + 2*time.Second},
		{"right after Delete", func(t *testing.T, vault *azurekvtest.Vault, store secretstore.Store) {
			mustSet(t, store, "name", "old")
			if err := store.(secretstore.Deleter).Delete(t.Context(), "name"); err != nil {
				t.Fatal(err)
			}
			_, err := store.Get(t.Context(), "name")
			wantError(t, err, secretstore.ErrNotFound)
		}, 2*lag + 4*time.Second},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				vault, store := bubble(t, azurekvtest.Options{Lag: lag})
				test.setUp(t, vault, store)
				start := time.Now()
				mustSet(t, store, "name", "new")
				if took := time.Since(start); took > test.most {
					t.Errorf("took %v", took)
				}
				wantValue(t, store, "name", "new")
				if purged := count(vault.Requests(), func(r azurekvtest.Request) bool {
					return r.Method == http.MethodDelete && strings.HasPrefix(r.Path, "/deletedsecrets")
				}); purged != 0 {
					t.Error("something was purged")
				}
			})
		})
	}
}

func TestSetBatchRecovers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		vault, store := bubble(t, azurekvtest.Options{Lag: lag, Latency: 10 * time.Millisecond})
		values := make(map[string]secretstore.Value)
		for i, name := range names(40) {
			values[name] = text("new " + name)
			vault.Put(name, "old")
			if i%2 == 0 {
				vault.SoftDelete(name)
			}
		}
		if err := store.SetBatch(t.Context(), values); err != nil {
			t.Fatal(err)
		}
		for name := range values {
			if got, live := vault.Value(name); !live || got != "new "+name {
				t.Errorf("%s is %q, %v", name, got, live)
			}
		}
	})
}

func TestSetMayNotRecover(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		vault, store := bubble(t, azurekvtest.Options{Lag: lag})
		vault.Put("name", "old")
		vault.SoftDelete("name")
		vault.Deny(azurekvtest.Recover)
		err := store.Set(t.Context(), "name", text("new"))
		e := wantError(t, err, secretstore.ErrConflict)
		for _, want := range []string{"soft-deleted", "recover", "purged"} {
			if !strings.Contains(e.Detail, want) {
				t.Errorf("the error doesn't say %q: %v", want, e)
			}
		}
	})
}

func TestSetWithoutTimeToRecover(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		vault, store := bubble(t, azurekvtest.Options{Lag: lag})
		vault.Put("name", "old")
		vault.SoftDelete("name")
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		start := time.Now()
		e := wantError(t, store.Set(ctx, "name", text("new")), secretstore.ErrConflict)
		if !errors.Is(e, context.DeadlineExceeded) || !strings.Contains(e.Detail, "recovered") {
			t.Errorf("the error is %v", e)
		}
		if took := time.Since(start); took > 5*time.Second+250*time.Millisecond {
			t.Errorf("took %v", took)
		}
	})
}

func TestDelete(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		vault, store := bubble(t, azurekvtest.Options{Lag: lag})
		deleter := store.(secretstore.Deleter)
		if err := deleter.Delete(t.Context(), "absent"); err != nil {
			t.Errorf("an absent name: %v", err)
		}
		vault.Put("name", "value")
		for i := range 3 {
			if err := deleter.Delete(t.Context(), "name"); err != nil {
				t.Errorf("delete %d: %v", i+1, err)
			}
			_, err := store.Get(t.Context(), "name")
			wantError(t, err, secretstore.ErrNotFound)
			time.Sleep(lag)
		}
		fill(vault, names(40))
		if err := deleter.Delete(t.Context(), append(names(60), "name")...); err != nil {
			t.Errorf("a batch: %v", err)
		}
		if got, err := store.List(t.Context()); err != nil || len(got) != 0 {
			t.Errorf("List is %q, %v", got, err)
		}
	})
}

// Deleting a name that somebody recovers waits until that is done.
func TestDeleteWhileRecovering(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		vault, store := bubble(t, azurekvtest.Options{Lag: lag})
		vault.Put("name", "old")
		vault.SoftDelete("name")
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		wantError(t, store.Set(ctx, "name", text("new")), secretstore.ErrConflict) // recovers
		if err := store.(secretstore.Deleter).Delete(t.Context(), "name"); err != nil {
			t.Fatal(err)
		}
		if _, live := vault.Value("name"); live {
			t.Error("the name is live")
		}
	})
}
