package secretstore_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mlsecrets/secretstore"
)

// TestNewClosed: after Close no method reaches the driver, and each says so,
// whatever else is wrong with the call.
func TestNewClosed(t *testing.T) {
	t.Parallel()
	driver := closer{deleter{fake: &fake{}}, func() error { return nil }}
	s := secretstore.New(driver)
	wantNil(t, s.Close())
	for _, ctx := range []context.Context{t.Context(), ended(t)} {
		for _, name := range []string{"a", "a_b"} {
			for _, op := range singles(name) {
				e := wantError(t, op.do(ctx, s), secretstore.ErrClosed)
				if e.Op != op.op || e.Backend != "fake" {
					t.Errorf("%s: %#v", op.op, e)
				}
			}
		}
		for _, names := range [][]string{nil, {"a"}, {"a_b"}} {
			values, err := s.GetBatch(ctx, names)
			wantError(t, err, secretstore.ErrClosed)
			if values == nil || len(values) != 0 {
				t.Errorf("GetBatch(%q) = %v, want an empty map", names, values)
			}
		}
		for _, values := range []map[string]secretstore.Value{nil, {"a": {}}, {"a_b": {}}} {
			wantError(t, s.SetBatch(ctx, values), secretstore.ErrClosed)
		}
		wantError(t, s.(secretstore.Deleter).Delete(ctx), secretstore.ErrClosed)
		wantError(t, s.(secretstore.Deleter).Delete(ctx, "a", "b"), secretstore.ErrClosed)
	}
	wantNil(t, s.Close())
	if got, want := driver.called(), []string{"close"}; !slices.Equal(got, want) {
		t.Errorf("the driver saw %v, want %v", got, want)
	}
}

// TestNewCloseError: the first Close says what went wrong, the second nothing.
func TestNewCloseError(t *testing.T) {
	t.Parallel()
	driver := closer{deleter{fake: &fake{}}, func() error { return &secretstore.Error{Kind: secretstore.ErrCorrupt, Detail: "lost"} }}
	s := secretstore.New(driver)
	if e := wantError(t, s.Close(), secretstore.ErrCorrupt); e.Op != "close" || e.Backend != "fake" || e.Detail != "lost" {
		t.Errorf("Close: %#v", e)
	}
	wantNil(t, s.Close())
	if got := driver.called(); len(got) != 1 {
		t.Errorf("the driver saw %v", got)
	}
	wantNil(t, secretstore.New(&fake{}).Close())
}

// TestNewCloseWaits: Close lets the calls under way finish, starts none, and
// closes the driver after the last of them.
func TestNewCloseWaits(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		under := 0
		var mu sync.Mutex
		work := func() {
			mu.Lock()
			under++
			mu.Unlock()
			time.Sleep(time.Minute)
			mu.Lock()
			under--
			mu.Unlock()
		}
		var closed atomic.Bool
		driver := closer{deleter{&fake{
			get: func(context.Context, string) (secretstore.Value, error) {
				work()
				return secret("v"), nil
			},
			set:  func(context.Context, string, secretstore.Value) error { work(); return nil },
			list: func(context.Context) ([]string, error) { work(); return nil, nil },
		}, func(context.Context, string) error { work(); return nil }}, func() error {
			mu.Lock()
			defer mu.Unlock()
			if under != 0 {
				t.Errorf("the driver was closed under %d calls", under)
			}
			closed.Store(true)
			return nil
		}}
		s := secretstore.New(driver)
		var wg sync.WaitGroup
		for _, op := range singles("a") {
			wg.Go(func() {
				if err := op.do(t.Context(), s); err != nil {
					t.Errorf("%s under way: %v", op.op, err)
				}
			})
		}
		wg.Go(func() {
			got, err := s.GetBatch(t.Context(), []string{"a", "b", "c"})
			if err != nil || len(got) != 3 {
				t.Errorf("GetBatch under way: %d values, %v", len(got), err)
			}
		})
		synctest.Wait()
		start := time.Now()
		wg.Go(func() {
			if err := s.Close(); err != nil {
				t.Errorf("Close: %v", err)
			}
		})
		synctest.Wait()
		if closed.Load() {
			t.Fatal("the driver was closed under the calls")
		}
		// Refused calls while Close waits must not end its waiting early.
		for range 5 {
			_, err := s.Get(t.Context(), "a")
			wantError(t, err, secretstore.ErrClosed)
		}
		synctest.Wait()
		if closed.Load() {
			t.Fatal("a refused call let Close go on")
		}
		wg.Wait()
		if got := time.Since(start); got != time.Minute {
			t.Errorf("Close took %v, want the minute of the calls under way", got)
		}
	})
}

// TestNewCloseTogether: of several Closes at once one closes the driver, and
// none returns before that is done.
func TestNewCloseTogether(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	var closes atomic.Int32
	s := secretstore.New(closer{deleter{fake: &fake{}}, func() error {
		<-release
		closes.Add(1)
		return nil
	}})
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			if err := s.Close(); err != nil {
				t.Errorf("Close: %v", err)
			}
			if got := closes.Load(); got != 1 {
				t.Errorf("a Close returned when the driver had been closed %d times", got)
			}
		})
	}
	close(release)
	wg.Wait()
}

// TestNewCloseRace closes under load: a call has its answer or ErrClosed, and
// the driver sees none once it is closed.
func TestNewCloseRace(t *testing.T) {
	t.Parallel()
	for range 200 {
		var mu sync.RWMutex
		closed := false
		check := func() {
			mu.RLock()
			defer mu.RUnlock()
			if closed {
				t.Error("the driver was called after Close")
			}
		}
		s := secretstore.New(closer{deleter{&fake{
			get: func(context.Context, string) (secretstore.Value, error) { check(); return secret("v"), nil },
		}, nil}, func() error {
			mu.Lock()
			defer mu.Unlock()
			closed = true
			return nil
		}})
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() {
				for range 10 {
					v, err := s.Get(t.Context(), "a")
					if err == nil && v.Len() == 1 {
						continue
					}
					if !errors.Is(err, secretstore.ErrClosed) {
						t.Errorf("Get: %v", err)
					}
				}
			})
		}
		for range 2 {
			wg.Go(func() {
				if err := s.Close(); err != nil {
					t.Errorf("Close: %v", err)
				}
			})
		}
		wg.Wait()
	}
}

// TestNewPanic: a driver that panics doesn't keep Close waiting for ever.
func TestNewPanic(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := secretstore.New(&fake{get: func(context.Context, string) (secretstore.Value, error) { panic("bad driver") }})
		func() {
			defer func() {
				if recover() == nil {
					t.Error("the panic was swallowed")
				}
			}()
			s.Get(t.Context(), "a")
		}()
		wantNil(t, s.Close())
	})
}
