package azurekv_test

import (
	"context"
	"errors"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mlsecrets/secretstore"
	"github.com/mlsecrets/secretstore/backends/azurekv/azurekvtest"
)

// The service's published limits.
var (
	transactions = azurekvtest.Limit{Requests: 4000, Per: 10 * time.Second}
	creations    = azurekvtest.Limit{Requests: 300, Per: 10 * time.Second}
)

// dictated is the time that a limit makes n requests take if nothing else is lost:
// whole windows, and what the last one holds at full width.
func dictated(n int, l azurekvtest.Limit, width int, latency time.Duration) time.Duration {
	windows := (n - 1) / l.Requests
	rest := n - windows*l.Requests
	return time.Duration(windows)*l.Per + time.Duration((rest+width-1)/width)*latency
}

// In a bubble the clock stands still while anything can run, so that the ratios
// below don't depend on the machine.

func TestGetBatchOutlastsThrottling(t *testing.T) {
	t.Parallel()
	const n = 20_000
	for _, test := range []struct {
		name       string
		latency    time.Duration
		retryAfter time.Duration
	}{
		{"no Retry-After, 5 ms", 5 * time.Millisecond, 0},
		{"no Retry-After, 50 ms", 50 * time.Millisecond, 0},
		{"Retry-After, 5 ms", 5 * time.Millisecond, time.Second},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				vault, store := bubble(t, azurekvtest.Options{
					Transactions: transactions, Latency: test.latency, RetryAfter: test.retryAfter})
				all := names(n)
				fill(vault, all)
				start := time.Now()
				got, err := store.GetBatch(t.Context(), all)
				took := time.Since(start)
				if err != nil || len(got) != n {
					t.Fatalf("%d of %d values, and %v", len(got), n, err)
				}
				for _, name := range all {
					if !got[name].Equal(text("value of " + name)) {
						t.Fatalf("%s has another's value", name)
					}
				}
				ratio := took.Seconds() / dictated(n, transactions, 32, test.latency).Seconds()
				refused := count(vault.Requests(), func(r azurekvtest.Request) bool { return r.Status == http.StatusTooManyRequests })
				t.Logf("%v, %.3f of what the limit dictates; %d requests were throttled, at most %d under way", took, ratio, refused, vault.MaxInFlight())
				if ratio > 1.2 {
					t.Errorf("took %v, %.2f of what the limit dictates, want at most 1.2", took, ratio)
				}
				if refused == 0 {
					t.Error("nothing was throttled, so nothing was shown")
				}
				if most := vault.MaxInFlight(); most > 32 {
					t.Errorf("%d requests were under way at once, want at most 32", most)
				}
			})
		})
	}
}

func TestSetBatchOutlastsThrottling(t *testing.T) {
	t.Parallel()
	const n = 1000
	for _, latency := range []time.Duration{5 * time.Millisecond, 50 * time.Millisecond} {
		t.Run(latency.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				vault, store := bubble(t, azurekvtest.Options{
					Transactions: transactions, Creations: creations, Latency: latency})
				values := make(map[string]secretstore.Value, n)
				for _, name := range names(n) {
					values[name] = text("value of " + name)
				}
				start := time.Now()
				if err := store.SetBatch(t.Context(), values); err != nil {
					t.Fatal(err)
				}
				took := time.Since(start)
				for name := range values {
					if got, live := vault.Value(name); !live || got != "value of "+name {
						t.Fatalf("%s was not written", name)
					}
				}
				ratio := took.Seconds() / dictated(n, creations, 8, latency).Seconds()
				t.Logf("%v, %.3f of what the limit dictates; at most %d under way", took, ratio, vault.MaxInFlight())
				if ratio > 1.2 {
					t.Errorf("took %v, %.2f of what the limit dictates, want at most 1.2", took, ratio)
				}
				if most := vault.MaxInFlight(); most > 8 {
					t.Errorf("%d requests were under way at once, want at most 8", most)
				}
			})
		})
	}
}

func TestThrottledForLongerThanTheContext(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		vault, store := bubble(t, azurekvtest.Options{})
		fill(vault, names(3))
		vault.Inject(azurekvtest.Fault{Kind: azurekvtest.Throttle})
		ctx, cancel := context.WithTimeout(t.Context(), 15*time.Second)
		defer cancel()
		start := time.Now()
		_, err := store.Get(ctx, "secret-00000")
		e := wantError(t, err, secretstore.ErrThrottled)
		if e.Context != context.DeadlineExceeded || e.Status != http.StatusTooManyRequests {
			t.Errorf("the error is %v, with the context %v", e, e.Context)
		}
		if took := time.Since(start); took < 15*time.Second || took > 15*time.Second+250*time.Millisecond {
			t.Errorf("took %v of the context's 15 s", took)
		}

		// Healed, the first probe opens it for all.
		vault.Heal()
		start = time.Now()
		if _, err := store.GetBatch(t.Context(), names(3)); err != nil {
			t.Error(err)
		}
		if took := time.Since(start); took > 2*time.Second {
			t.Errorf("took %v after the throttling had ended", took)
		}
	})
}

func TestThrottledForEver(t *testing.T) {
	t.Parallel()
	for _, retryAfter := range []time.Duration{0, 10 * time.Second, time.Hour} {
		t.Run(retryAfter.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				vault, store := bubble(t, azurekvtest.Options{})
				vault.Inject(azurekvtest.Fault{Kind: azurekvtest.Throttle, RetryAfter: retryAfter})
				start := time.Now()
				got, err := store.GetBatch(t.Context(), names(40)) // no deadline
				if len(got) != 0 {
					t.Errorf("%d values", len(got))
				}
				b, ok := errors.AsType[*secretstore.BatchError](err)
				if !ok || len(b.Errs) != 40 {
					t.Fatalf("the error is %v, want all 40 named", err)
				}
				for _, e := range b.Errs {
					if e.Kind != secretstore.ErrThrottled {
						t.Fatalf("%v", e)
					}
				}
				if took := time.Since(start); took > 4*time.Minute {
					t.Errorf("took %v", took)
				}
			})
		})
	}
}

func TestRetryAfterIsHonoured(t *testing.T) {
	t.Parallel()
	for _, kind := range []azurekvtest.FaultKind{azurekvtest.Throttle, azurekvtest.Unavailable} {
		synctest.Test(t, func(t *testing.T) {
			vault, store := bubble(t, azurekvtest.Options{})
			vault.Put("name", "value")
			wantValue(t, store, "name", "value")
			vault.Inject(azurekvtest.Fault{Kind: kind, Times: 1, RetryAfter: 7 * time.Second})
			start := time.Now()
			wantValue(t, store, "name", "value")
			if took := time.Since(start); took < 7*time.Second || took > 8*time.Second {
				t.Errorf("took %v, want the 7 s that the vault said", took)
			}
		})
	}
}

func TestWidth(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		vault, store := bubble(t, azurekvtest.Options{Latency: 50 * time.Millisecond})
		fill(vault, names(2000))
		read := func(n int) (most int) {
			vault.ResetRequests()
			if _, err := store.GetBatch(t.Context(), names(n)); err != nil {
				t.Fatal(err)
			}
			return vault.MaxInFlight()
		}
		if most := read(100); most != 32 {
			t.Errorf("%d reads were under way at once at the start, want 32", most)
		}
		vault.Inject(azurekvtest.Fault{Kind: azurekvtest.Throttle, Times: 1})
		read(1)
		if most := read(40); most < 16 || most > 20 {
			t.Errorf("%d reads were under way at once after one was throttled, want half of 32 and a little", most)
		}
		read(2000)
		if most := read(100); most != 32 {
			t.Errorf("%d reads were under way at once long after, want 32 again", most)
		}
	})
}
