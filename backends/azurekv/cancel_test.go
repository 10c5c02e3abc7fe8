package azurekv_test

import (
	"context"
	"errors"
	"runtime"
	"testing"
	"time"

	"github.com/mlsecrets/secretstore"
	"github.com/mlsecrets/secretstore/backends/azurekv/azurekvtest"
)

// promptly calls do with a context that ends in the middle, and checks that it
// returns within the contract's 250 ms with an error that says so.
func promptly(t *testing.T, do func(ctx context.Context) error) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan time.Time, 1)
	timer := time.AfterFunc(300*time.Millisecond, func() {
		ended <- time.Now()
		cancel()
	})
	defer timer.Stop()
	err := do(ctx)
	returned := time.Now()
	select {
	case at := <-ended:
		if late := returned.Sub(at); late > 250*time.Millisecond {
			t.Errorf("returned %v after the context's end", late)
		}
	default:
		t.Fatalf("returned before the context's end, with %v", err)
	}
	if !errors.Is(err, context.Canceled) {
		t.Errorf("the error is %v", err)
	}
	if errors.Is(err, secretstore.ErrNotFound) {
		t.Error("a cancelled call says that a secret is absent")
	}
}

func TestCancel(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		o    azurekvtest.Options
		set  func(server *azurekvtest.Server)
		do   func(ctx context.Context, store secretstore.Store) error
	}{
		{"while the server hangs", azurekvtest.Options{}, func(s *azurekvtest.Server) {
			s.Inject(azurekvtest.Fault{Kind: azurekvtest.Hang})
		}, get},
		{"in a retry's sleep", azurekvtest.Options{}, func(s *azurekvtest.Server) {
			s.Inject(azurekvtest.Fault{Kind: azurekvtest.Unavailable, RetryAfter: 30 * time.Second})
		}, get},
		{"while throttled", azurekvtest.Options{}, func(s *azurekvtest.Server) {
			s.Inject(azurekvtest.Fault{Kind: azurekvtest.Throttle})
		}, get},
		{"while throttled for long", azurekvtest.Options{}, func(s *azurekvtest.Server) {
			s.Inject(azurekvtest.Fault{Kind: azurekvtest.Throttle, RetryAfter: 30 * time.Second})
		}, get},
		{"in a throttled batch", azurekvtest.Options{Transactions: azurekvtest.Limit{Requests: 20, Per: time.Minute}}, nil,
			func(ctx context.Context, store secretstore.Store) error {
				got, err := store.GetBatch(ctx, names(200))
				if len(got) != 20 {
					return errors.New("not the 20 that the limit lets through")
				}
				return err
			}},
		{"while a deleted name is recovered", azurekvtest.Options{Lag: time.Minute}, func(s *azurekvtest.Server) {
			s.SoftDelete("secret-00000")
		}, set},
		{"in a listing", azurekvtest.Options{Latency: 50 * time.Millisecond}, nil, list},
		{"in a listing that hangs", azurekvtest.Options{}, func(s *azurekvtest.Server) {
			s.Inject(azurekvtest.Fault{Kind: azurekvtest.Hang})
		}, list},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			server, store := serve(t, test.o)
			fill(server.Vault, names(200))
			if test.set != nil {
				test.set(server)
			}
			promptly(t, func(ctx context.Context) error { return test.do(ctx, store) })
		})
	}
}

func get(ctx context.Context, store secretstore.Store) error {
	_, err := store.Get(ctx, "secret-00000")
	return err
}

func set(ctx context.Context, store secretstore.Store) error {
	return store.Set(ctx, "secret-00000", text("new"))
}

func list(ctx context.Context, store secretstore.Store) error {
	for { // a listing may be done before the end
		if _, err := store.List(ctx); err != nil {
			return err
		}
	}
}

// The one that asks for a token, and those that wait for it, leave each by their
// own contexts, and a call that is given up spoils nothing for the others.
func TestCancelWhileTheCredentialTakesLong(t *testing.T) {
	t.Parallel()
	server := azurekvtest.NewServer(azurekvtest.Options{})
	t.Cleanup(server.Close)
	server.Put("secret-00000", "value")
	c := server.Config()
	c.Credential = server.Credential().WithDelay(2 * time.Second)
	store := open(t, c)

	patient := make(chan error, 2)
	first, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	go func() { patient <- get(first, store) }()
	time.Sleep(50 * time.Millisecond) // so that the first is ahead
	go func() { patient <- get(t.Context(), store) }()
	promptly(t, func(ctx context.Context) error { return get(ctx, store) })
	if err := <-patient; !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("the first: %v", err)
	}
	if err := <-patient; err != nil {
		t.Errorf("the patient one: %v", err)
	}
}

// A batch that is cut short names what is not known to be written, and what it
// doesn't name is written.
func TestCancelledSetBatchAgreesWithTheServer(t *testing.T) {
	t.Parallel()
	server, store := serve(t, azurekvtest.Options{
		Creations: azurekvtest.Limit{Requests: 37, Per: time.Minute}, Latency: 5 * time.Millisecond})
	values := make(map[string]secretstore.Value)
	for _, name := range names(100) {
		values[name] = text("new")
	}
	ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
	defer cancel()
	err := store.SetBatch(ctx, values)
	b, ok := errors.AsType[*secretstore.BatchError](err)
	if !ok || !errors.Is(err, context.DeadlineExceeded) || !errors.Is(err, secretstore.ErrThrottled) {
		t.Fatalf("the error is %v", err)
	}
	failed := make(map[string]bool)
	for _, e := range b.Errs {
		failed[e.Name] = true
	}
	for name := range values {
		if got, _ := server.Value(name); (got == "new") == failed[name] {
			t.Errorf("%s is %q on the server, and in the report %v", name, got, failed[name])
		}
	}
	if len(failed) != 63 {
		t.Errorf("%d failed, want 63", len(failed))
	}
}

func TestNothingIsLeftBehind(t *testing.T) {
	server := azurekvtest.NewServer(azurekvtest.Options{Latency: 20 * time.Millisecond})
	fill(server.Vault, names(100))
	store := open(t, server.Config())
	if err := get(t.Context(), store); err != nil {
		t.Fatal(err)
	}
	before := runtime.NumGoroutine()
	for range 100 {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
		if _, err := store.GetBatch(ctx, names(100)); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("the error is %v", err)
		}
		cancel()
	}
	for deadline := time.Now().Add(5 * time.Second); runtime.NumGoroutine() > before+10; time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			stack := make([]byte, 1<<16)
			t.Fatalf("%d goroutines, %d before\n%s", runtime.NumGoroutine(), before, stack[:runtime.Stack(stack, true)])
		}
	}
	server.Close()
}
