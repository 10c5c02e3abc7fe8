package secretstore_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mlsecrets/secretstore"
)

func missing(name string) *secretstore.Error {
	return &secretstore.Error{Name: name, Kind: secretstore.ErrNotFound}
}

func revealed(values map[string]secretstore.Value) map[string]string {
	out := make(map[string]string, len(values))
	for name, v := range values {
		out[name] = string(v.Reveal())
	}
	return out
}

func wantValues(t *testing.T, got map[string]secretstore.Value, want map[string]string) {
	t.Helper()
	if got == nil || !maps.Equal(revealed(got), want) {
		t.Errorf("got values %v, want %v", revealed(got), want)
	}
}

// TestGetBatchSpellings: the result is by the spelling asked for, the driver
// sees each canonical name once, and one bad name doesn't cost the others.
func TestGetBatchSpellings(t *testing.T) {
	t.Parallel()
	driver := &fake{get: func(_ context.Context, name string) (secretstore.Value, error) {
		if strings.HasPrefix(name, "no") {
			return secretstore.Value{}, missing("")
		}
		return secret("<" + name + ">"), nil
	}}
	names := []string{"B", "a", "No-1", "b", "a", "a_b", "", "no-1", "B", "a_b"}
	given := slices.Clone(names)
	got, err := secretstore.New(driver).GetBatch(t.Context(), names)
	wantValues(t, got, map[string]string{"B": "<b>", "b": "<b>", "a": "<a>"})
	b := wantBatch(t, err,
		cause{"No-1", secretstore.ErrNotFound}, cause{"a_b", secretstore.ErrInvalidName},
		cause{"", secretstore.ErrInvalidName}, cause{"no-1", secretstore.ErrNotFound})
	if b.Op != "get batch" || b.Backend != "fake" || b.Asked != 7 {
		t.Errorf("Op %q, Backend %q, Asked %d, want get batch, fake, 7", b.Op, b.Backend, b.Asked)
	}
	for _, e := range b.Errs {
		if e.Op != "get batch" || e.Backend != "fake" || len(kindsOf(e)) != 1 {
			t.Errorf("entry %#v", e)
		}
	}
	if got, want := driver.called(), []string{"get a", "get b", "get no-1"}; !slices.Equal(got, want) {
		t.Errorf("the driver saw %v, want %v", got, want)
	}
	if !slices.Equal(names, given) {
		t.Errorf("GetBatch changed the caller's slice to %q", names)
	}
}

// TestBatchWithoutIO: what needs no I/O makes none, and a nil error is nil.
func TestBatchWithoutIO(t *testing.T) {
	t.Parallel()
	driver := batchDeleter{deleter: deleter{fake: &fake{}}}
	s := secretstore.New(driver)
	big := secret(strings.Repeat("x", secretstore.MaxTextLen+1))
	for _, ctx := range []context.Context{t.Context(), ended(t)} {
		for _, names := range [][]string{nil, {}} {
			got, err := s.GetBatch(ctx, names)
			wantNil(t, err)
			wantValues(t, got, map[string]string{})
			wantNil(t, s.(secretstore.Deleter).Delete(ctx, names...))
		}
		for _, values := range []map[string]secretstore.Value{nil, {}} {
			wantNil(t, s.SetBatch(ctx, values))
		}
		got, err := s.GetBatch(ctx, []string{"a_b", "é"})
		wantValues(t, got, map[string]string{})
		wantBatch(t, err, cause{"a_b", secretstore.ErrInvalidName}, cause{"é", secretstore.ErrInvalidName})
		e := wantError(t, s.(secretstore.Deleter).Delete(ctx, "a", "a_b", "c"), secretstore.ErrInvalidName)
		if e.Op != "delete" || e.Name != "a_b" || !strings.HasSuffix(e.Detail, "nothing was deleted") {
			t.Errorf("Delete: %#v", e)
		}
		for what, tc := range map[string]struct {
			values map[string]secretstore.Value
			name   string
			kind   error
		}{
			"bad name":   {map[string]secretstore.Value{"a": {}, "b_": {}, "c": {}}, "b_", secretstore.ErrInvalidName},
			"empty name": {map[string]secretstore.Value{"a": {}, "": {}}, "", secretstore.ErrInvalidName},
			"same name":  {map[string]secretstore.Value{"DB": {}, "a": {}, "db": {}}, "db", secretstore.ErrInvalidName},
			"too large":  {map[string]secretstore.Value{"a": {}, "B": big}, "B", secretstore.ErrTooLarge},
		} {
			e := wantError(t, s.SetBatch(ctx, tc.values), tc.kind)
			if e.Op != "set batch" || e.Backend != "fake" || e.Name != tc.name || !strings.HasSuffix(e.Detail, "nothing was written") {
				t.Errorf("SetBatch, %s: %#v", what, e)
			}
			if what == "same name" && !strings.Contains(e.Detail, `"DB"`) {
				t.Errorf("SetBatch, %s: the error doesn't show the other spelling: %s", what, e)
			}
		}
	}
	got, err := s.GetBatch(ended(t), []string{"B", "a_b", "a"})
	wantValues(t, got, map[string]string{})
	wantBatch(t, err, cause{"B", context.Canceled}, cause{"a_b", secretstore.ErrInvalidName}, cause{"a", context.Canceled})
	wantError(t, s.SetBatch(expired(t), map[string]secretstore.Value{"a": {}}), context.DeadlineExceeded)
	wantError(t, s.(secretstore.Deleter).Delete(expired(t), "a", "b"), context.DeadlineExceeded)
	if got := driver.called(); len(got) != 0 {
		t.Errorf("the driver saw %v, want nothing", got)
	}
}

// TestFanOut observes how many calls are under way at once.
func TestFanOut(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		gets, sets         int // 0: no Fanout
		wantGets, wantSets int32
	}{{0, 0, 16, 16}, {3, 5, 3, 5}, {1, 1, 1, 1}, {-1, -7, 1, 1}, {100, 1000, 40, 40}} {
		synctest.Test(t, func(t *testing.T) {
			var now, most atomic.Int32
			work := func() {
				n := now.Add(1)
				for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
				}
				time.Sleep(time.Second)
				now.Add(-1)
			}
			base := deleter{&fake{
				get: func(context.Context, string) (secretstore.Value, error) { work(); return secret("v"), nil },
				set: func(context.Context, string, secretstore.Value) error { work(); return nil },
			}, func(context.Context, string) error { work(); return nil }}
			s := secretstore.New(base)
			if tc.gets != 0 {
				s = secretstore.New(fanned{base, tc.gets, tc.sets})
			}
			names, values := many(40)
			got, err := s.GetBatch(t.Context(), names)
			if n := most.Swap(0); err != nil || len(got) != 40 || n != tc.wantGets {
				t.Errorf("GetBatch: %d values, %v, %d calls at once, want %d", len(got), err, n, tc.wantGets)
			}
			err = s.SetBatch(t.Context(), values)
			if n := most.Swap(0); err != nil || n != tc.wantSets {
				t.Errorf("SetBatch: %v, %d calls at once, want %d", err, n, tc.wantSets)
			}
			err = s.(secretstore.Deleter).Delete(t.Context(), names...)
			if n := most.Swap(0); err != nil || n != tc.wantSets {
				t.Errorf("Delete: %v, %d calls at once, want %d", err, n, tc.wantSets)
			}
			if n := len(base.called()); n != 120 {
				t.Errorf("the driver saw %d calls, want one a name", n)
			}
		})
	}
}

func many(n int) ([]string, map[string]secretstore.Value) {
	values := make(map[string]secretstore.Value, n)
	for i := range n {
		values[fmt.Sprintf("n-%04d", i)] = secret("v")
	}
	return slices.Sorted(maps.Keys(values)), values
}

// TestFanOutStops: when the context ends, calls under way end with it, no other
// starts, and each name without an answer has the context's error.
func TestFanOutStops(t *testing.T) {
	t.Parallel()
	const done, width = 6, 3
	names, values := many(20)
	run := func(op func(context.Context, secretstore.StoreCloser) error) {
		t.Helper()
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			var calls atomic.Int32
			work := func(ctx context.Context) error {
				if calls.Add(1) <= done {
					return nil
				}
				<-ctx.Done()
				return ctx.Err()
			}
			s := secretstore.New(fanned{deleter{&fake{
				get: func(ctx context.Context, _ string) (secretstore.Value, error) { return secret("v"), work(ctx) },
				set: func(ctx context.Context, _ string, _ secretstore.Value) error { return work(ctx) },
			}, func(ctx context.Context, _ string) error { return work(ctx) }}, width, width})
			go func() {
				synctest.Wait()
				cancel()
			}()
			err := op(ctx, s)
			if n := calls.Load(); n != done+width {
				t.Errorf("%d calls, want %d: those under way and no more", n, done+width)
			}
			b, ok := err.(*secretstore.BatchError)
			if !ok || len(b.Errs) != len(names)-done || b.Asked != len(names) {
				t.Fatalf("got %v, want %d of %d failed", err, len(names)-done, len(names))
			}
			for i, e := range b.Errs {
				if e.Kind != context.Canceled || i > 0 && e.Name <= b.Errs[i-1].Name {
					t.Errorf("entry %v, want context canceled, and in order", e)
				}
			}
		})
	}
	run(func(ctx context.Context, s secretstore.StoreCloser) error {
		got, err := s.GetBatch(ctx, names)
		if len(got) != done {
			t.Errorf("GetBatch: %d values, want %d", len(got), done)
		}
		return err
	})
	run(func(ctx context.Context, s secretstore.StoreCloser) error { return s.SetBatch(ctx, values) })
	run(func(ctx context.Context, s secretstore.StoreCloser) error {
		return s.(secretstore.Deleter).Delete(ctx, names...)
	})
}

// TestGetBatchOfDriver: whatever a driver's own batch answers, each name has
// a value or one cause.
func TestGetBatchOfDriver(t *testing.T) {
	t.Parallel()
	type values = map[string]secretstore.Value
	batch := func(errs ...*secretstore.Error) error {
		return &secretstore.BatchError{Op: "x", Backend: "y", Errs: errs}
	}
	a, bb := cause{"A", secretstore.ErrUnavailable}, cause{"b", secretstore.ErrUnavailable}
	for _, tc := range []struct {
		what string
		got  values
		err  error
		want map[string]string
		errs []cause
	}{
		{"all", values{"a": secret("1"), "b": secret("2")}, nil, map[string]string{"A": "1", "b": "2"}, nil},
		{"more than asked", values{"a": secret("1"), "b": secret("2"), "c": secret("3")}, nil, map[string]string{"A": "1", "b": "2"}, nil},
		{"one left out", values{"b": secret("2")}, nil, map[string]string{"b": "2"}, []cause{a}},
		{"nil map", nil, nil, nil, []cause{a, bb}},
		{"by name", values{"b": secret("2")}, batch(missing("a")), map[string]string{"b": "2"}, []cause{{"A", secretstore.ErrNotFound}}},
		{"wrapped", values{"b": secret("2")}, fmt.Errorf("x: %w", batch(missing("a"))), map[string]string{"b": "2"}, []cause{{"A", secretstore.ErrNotFound}}},
		{"for all", values{"b": secret("2")}, secretstore.ErrDenied, map[string]string{"b": "2"}, []cause{{"A", secretstore.ErrDenied}}},
		{"foreign", nil, errors.New("s3cr3t"), nil, []cause{a, bb}},
		{"another's cause", nil, batch(missing("a")), nil, []cause{{"A", secretstore.ErrNotFound}, bb}},
		{"unknown names alone", nil, batch(missing("z"), missing("")), nil, []cause{a, bb}},
		{"no names", nil, batch(), nil, []cause{a, bb}},
		{"nil entries", nil, batch(nil, missing("a")), nil, []cause{{"A", secretstore.ErrNotFound}, bb}},
		{"nil *BatchError", nil, (*secretstore.BatchError)(nil), nil, []cause{a, bb}},
		{"nil *Error", nil, (*secretstore.Error)(nil), nil, []cause{a, bb}},
		{"a value and a cause", values{"a": {}, "b": secret("2")}, batch(missing("a")), map[string]string{"b": "2"}, []cause{{"A", secretstore.ErrNotFound}}},
		{"unknown name beside", values{"b": secret("2")}, batch(missing("z"), missing("a")), map[string]string{"b": "2"}, []cause{{"A", secretstore.ErrNotFound}}},
	} {
		driver := getBatcher{&fake{}, func(_ context.Context, names []string) (map[string]secretstore.Value, error) {
			if want := []string{"a", "b"}; !slices.Equal(names, want) {
				t.Errorf("%s: the driver was asked for %q, want %q", tc.what, names, want)
			}
			clear(names)
			return tc.got, tc.err
		}}
		asked := []string{"A", "b", "b"}
		before := len(tc.got)
		got, err := secretstore.New(driver).GetBatch(t.Context(), asked)
		wantValues(t, got, tc.want)
		if tc.errs == nil {
			wantNil(t, err)
		} else if e := wantBatch(t, err, tc.errs...); strings.Contains(e.Error(), "s3cr3t") {
			t.Errorf("%s: foreign text: %v", tc.what, e)
		}
		clear(got)
		if len(tc.got) != before {
			t.Errorf("%s: the caller has the driver's map", tc.what)
		}
		if calls := driver.called(); !slices.Equal(calls, []string{"get batch"}) {
			t.Errorf("%s: the driver saw %v, want one batch", tc.what, calls)
		}
	}
}

// writes are the two batches that change the store, over a driver's own batch
// that returns what answer returns.
func writes(answer func() error) map[string]func(context.Context) error {
	set := secretstore.New(setBatcher{&fake{}, func(_ context.Context, values map[string]secretstore.Value) error {
		if got := slices.Sorted(maps.Keys(values)); !slices.Equal(got, []string{"a", "b", "c"}) {
			panic(fmt.Sprint(got))
		}
		clear(values)
		return answer()
	}})
	del := secretstore.New(batchDeleter{deleter{fake: &fake{}}, func(_ context.Context, names []string) error {
		if !slices.Equal(names, []string{"b", "a", "c"}) {
			panic(fmt.Sprint(names))
		}
		clear(names)
		return answer()
	}})
	return map[string]func(context.Context) error{
		"set batch": func(ctx context.Context) error {
			values := map[string]secretstore.Value{"a": secret("1"), "B": secret("2"), "c": secret("3")}
			err := set.SetBatch(ctx, values)
			if len(values) != 3 {
				return errors.New("the driver has the caller's map")
			}
			return err
		},
		"delete": func(ctx context.Context) error {
			names := []string{"B", "a", "c", "b", "C"}
			err := del.(secretstore.Deleter).Delete(ctx, names...)
			if names[0] != "B" {
				return errors.New("the driver has the caller's slice")
			}
			return err
		},
	}
}

// TestWriteBatchOfDriver: the names of a driver's batch error become the
// caller's, in the caller's order; any other error stands for the whole.
func TestWriteBatchOfDriver(t *testing.T) {
	t.Parallel()
	for op, do := range writes(func() error { return nil }) {
		if err := do(t.Context()); err != nil {
			t.Errorf("%s: %v (%T), want nil", op, err, err)
		}
	}
	failed := &secretstore.BatchError{Errs: []*secretstore.Error{
		{Name: "c", Kind: secretstore.ErrThrottled}, {Name: "b", Kind: secretstore.ErrDenied, Detail: "ask", Status: 403},
	}}
	for op, do := range writes(func() error { return failed }) {
		b := wantBatch(t, do(t.Context()), cause{"B", secretstore.ErrDenied}, cause{"c", secretstore.ErrThrottled})
		if b.Op != op || b.Backend != "fake" || b.Asked != 3 {
			t.Errorf("%s: Op %q, Backend %q, Asked %d", op, b.Op, b.Backend, b.Asked)
		}
		if e := b.Errs[0]; e.Op != op || e.Backend != "fake" || e.Detail != "ask" || e.Status != 403 {
			t.Errorf("%s: entry %#v", op, e)
		}
	}
	for op, do := range writes(func() error { return fmt.Errorf("s3cr3t: %w", secretstore.ErrLocked) }) {
		e := wantError(t, do(t.Context()), secretstore.ErrLocked)
		if e.Op != op || e.Backend != "fake" || e.Name != "" || strings.Contains(e.Error(), "s3cr3t") {
			t.Errorf("%s: %#v", op, e)
		}
	}
}

// TestWriteBatchUnclear: an error of a driver's batch that doesn't tell which
// names it means is never taken for a success of any.
func TestWriteBatchUnclear(t *testing.T) {
	t.Parallel()
	unavailable := func(name string) cause { return cause{name, secretstore.ErrUnavailable} }
	denied := func(name string) *secretstore.Error {
		return &secretstore.Error{Name: name, Kind: secretstore.ErrDenied}
	}
	for _, tc := range []struct {
		what string
		errs []*secretstore.Error
		b    cause
	}{
		{"no names", nil, unavailable("B")},
		{"unknown name", []*secretstore.Error{denied("z")}, unavailable("B")},
		{"other spelling", []*secretstore.Error{denied("B")}, unavailable("B")},
		{"no name", []*secretstore.Error{denied("")}, unavailable("B")},
		{"nil entry", []*secretstore.Error{nil}, unavailable("B")},
		{"nil entry beside", []*secretstore.Error{nil, denied("b")}, cause{"B", secretstore.ErrDenied}},
		{"unknown name beside", []*secretstore.Error{denied("b"), denied("z")}, cause{"B", secretstore.ErrDenied}},
	} {
		for op, do := range writes(func() error { return &secretstore.BatchError{Errs: tc.errs} }) {
			t.Run(op+", "+tc.what, func(t *testing.T) {
				wantBatch(t, do(t.Context()), tc.b, unavailable("a"), unavailable("c"))
			})
		}
	}
	for _, err := range []error{(*secretstore.BatchError)(nil), (*secretstore.Error)(nil)} {
		for _, do := range writes(func() error { return err }) {
			if got := do(t.Context()); got == nil {
				t.Errorf("the driver's %T is taken for a success", err)
			}
		}
	}
}

// TestWriteFanOut: without a batch of the driver's, each name stands for itself.
func TestWriteFanOut(t *testing.T) {
	t.Parallel()
	denied := func(name string) error {
		if name == "b" || name == "c" {
			return &secretstore.Error{Kind: secretstore.ErrDenied, Name: "by the driver"}
		}
		return nil
	}
	stored := make(chan string, 10)
	driver := deleter{&fake{set: func(_ context.Context, name string, v secretstore.Value) error {
		stored <- name + "=" + string(v.Reveal())
		return denied(name)
	}}, func(_ context.Context, name string) error { return denied(name) }}
	s := secretstore.New(driver)
	err := s.SetBatch(t.Context(), map[string]secretstore.Value{"A": secret("1"), "b": secret("2"), "C": secret("3"), "d": {}})
	b := wantBatch(t, err, cause{"C", secretstore.ErrDenied}, cause{"b", secretstore.ErrDenied})
	if b.Op != "set batch" || b.Asked != 4 {
		t.Errorf("SetBatch: %#v", b)
	}
	close(stored)
	var got []string
	for entry := range stored {
		got = append(got, entry)
	}
	slices.Sort(got)
	if want := []string{"a=1", "b=2", "c=3", "d="}; !slices.Equal(got, want) {
		t.Errorf("the driver stored %q, want %q", got, want)
	}
	err = s.(secretstore.Deleter).Delete(t.Context(), "C", "a", "c", "b")
	if b := wantBatch(t, err, cause{"C", secretstore.ErrDenied}, cause{"b", secretstore.ErrDenied}); b.Op != "delete" || b.Asked != 3 {
		t.Errorf("Delete: %#v", b)
	}
	// Several spellings of one name are one name.
	e := wantError(t, s.(secretstore.Deleter).Delete(t.Context(), "B", "b"), secretstore.ErrDenied)
	if e.Name != "B" {
		t.Errorf("Delete: %#v", e)
	}
}
