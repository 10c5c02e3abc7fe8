package conformance

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/mlsecrets/secretstore"
)

var batchSizes = []int{1, 2, 25, 26, 257}

// failedNames returns the names in a *BatchError.
func failedNames(err error) ([]string, error) {
	b, ok := errors.AsType[*secretstore.BatchError](err)
	if !ok {
		return nil, fmt.Errorf("got %v (%T), want a *BatchError", err, err)
	}
	names := make([]string, len(b.Errs))
	for i, e := range b.Errs {
		names[i] = e.Name
	}
	return names, nil
}

var getBatchRules = []Rule{
	{ID: "getbatch/empty", Sentence: "GetBatch of no names is an empty map and nil.",
		check: func(ctx context.Context, e *env) error {
			s, err := e.open(ctx)
			if err != nil {
				return err
			}
			for _, names := range [][]string{nil, {}} {
				got, err := s.GetBatch(ctx, names)
				if err != nil || got == nil || len(got) != 0 {
					return fmt.Errorf("got %v (nil: %v), %v; want an empty map and nil", got, got == nil, err)
				}
			}
			return nil
		}},
	{ID: "getbatch/map", Sentence: "The map of GetBatch is never nil, also beside an error.",
		check: func(ctx context.Context, e *env) error {
			s, err := e.open(ctx)
			if err != nil {
				return err
			}
			for _, names := range [][]string{{e.name("absent")}, {"not valid"}} {
				if got, err := s.GetBatch(ctx, names); got == nil || err == nil {
					return fmt.Errorf("GetBatch(%q): got map %v, error %v; want a map and an error", names, got, err)
				}
			}
			return nil
		}},
	{ID: "getbatch/all", Sentence: "GetBatch returns every value that it could read, whatever the size of the batch.",
		check: func(ctx context.Context, e *env) error {
			s, err := e.open(ctx)
			if err != nil {
				return err
			}
			names := e.names(257)
			if err := s.SetBatch(ctx, batch(names, "v ")); err != nil {
				return err
			}
			for _, n := range batchSizes {
				got, err := s.GetBatch(ctx, names[:n])
				if err != nil {
					return fmt.Errorf("GetBatch of %d: %w", n, err)
				}
				if !sameValues(got, batch(names[:n], "v ")) {
					return fmt.Errorf("GetBatch of %d: got %d other values", n, len(got))
				}
			}
			return nil
		}},
	{ID: "getbatch/partial", Sentence: "One missing name never costs the others.",
		check: func(ctx context.Context, e *env) error {
			s, err := e.open(ctx)
			if err != nil {
				return err
			}
			names := e.names(30)
			there := slices.Concat(names[:10], names[11:29])
			if err := s.SetBatch(ctx, batch(there, "v ")); err != nil {
				return err
			}
			got, err := s.GetBatch(ctx, names)
			if !sameValues(got, batch(there, "v ")) {
				return fmt.Errorf("got %d values, want the %d that are there (error: %v)", len(got), len(there), err)
			}
			return nil
		}},
	{ID: "getbatch/causes", Sentence: "The *BatchError of GetBatch gives one cause a name, in the order asked.",
		check: func(ctx context.Context, e *env) error {
			s, err := e.open(ctx)
			if err != nil {
				return err
			}
			if err := s.SetBatch(ctx, batch([]string{e.name("a"), e.name("m")}, "v ")); err != nil {
				return err
			}
			asked := []string{e.name("z"), e.name("m"), e.name("b"), "not valid", e.name("a"), e.name("y"), e.name("c")}
			_, err = s.GetBatch(ctx, asked)
			failed, ferr := failedNames(err)
			if ferr != nil {
				return ferr
			}
			if want := []string{asked[0], asked[2], asked[3], asked[5], asked[6]}; !slices.Equal(failed, want) {
				return fmt.Errorf("got causes for %q, want for %q", failed, want)
			}
			for _, cause := range err.(*secretstore.BatchError).Errs {
				want := secretstore.ErrNotFound
				if cause.Name == "not valid" {
					want = secretstore.ErrInvalidName
				}
				if err := expectKind(cause.Name, cause, want); err != nil {
					return err
				}
			}
			return nil
		}},
	{ID: "getbatch/spelling", Sentence: "GetBatch keys its result by the spelling asked for.",
		check: func(ctx context.Context, e *env) error {
			s, err := e.open(ctx)
			if err != nil {
				return err
			}
			if err := s.Set(ctx, e.name("db-password"), text("v")); err != nil {
				return err
			}
			asked := []string{e.name("DB-Password"), e.name("db-password"), e.name("DB-PASSWORD")}
			got, err := s.GetBatch(ctx, asked)
			if err != nil {
				return err
			}
			want := map[string]secretstore.Value{}
			for _, name := range asked {
				want[name] = text("v")
			}
			if !sameValues(got, want) {
				return fmt.Errorf("got the keys %q, want %q", slices.Sorted(maps.Keys(got)), asked)
			}
			return nil
		}},
	{ID: "getbatch/duplicates", Sentence: "A name may stand in a GetBatch more than once.",
		check: func(ctx context.Context, e *env) error {
			s, err := e.open(ctx)
			if err != nil {
				return err
			}
			a, b := e.name("a"), e.name("b")
			if err := s.Set(ctx, a, text("v")); err != nil {
				return err
			}
			got, err := s.GetBatch(ctx, []string{a, a, a})
			if err != nil || !sameValues(got, map[string]secretstore.Value{a: text("v")}) {
				return fmt.Errorf("got %d values, %v", len(got), err)
			}
			got, err = s.GetBatch(ctx, []string{b, a, b, a})
			failed, ferr := failedNames(err)
			if ferr != nil {
				return ferr
			}
			if !slices.Equal(failed, []string{b}) || len(got) != 1 {
				return fmt.Errorf("got causes for %q and %d values, want one of each", failed, len(got))
			}
			return nil
		}},
	{ID: "getbatch/invalid", Sentence: "An invalid name doesn't cost the other names of a GetBatch.",
		check: func(ctx context.Context, e *env) error {
			s, err := e.open(ctx)
			if err != nil {
				return err
			}
			name := e.name("a")
			if err := s.Set(ctx, name, text("v")); err != nil {
				return err
			}
			got, err := s.GetBatch(ctx, []string{"a_b", name, ""})
			if !sameValues(got, map[string]secretstore.Value{name: text("v")}) {
				return fmt.Errorf("got %d values, want 1 (error: %v)", len(got), err)
			}
			return expectKind("GetBatch", err, secretstore.ErrInvalidName)
		}},
	{ID: "getbatch/nil", Sentence: "When every name was read, the error is nil.",
		check: func(ctx context.Context, e *env) error {
			s, err := e.open(ctx)
			if err != nil {
				return err
			}
			if err := s.Set(ctx, e.name("a"), text("v")); err != nil {
				return err
			}
			if _, err := s.GetBatch(ctx, []string{e.name("a")}); err != nil {
				return fmt.Errorf("got the error %T, which is not nil", err)
			}
			return nil
		}},
}

func sameValues(got, want map[string]secretstore.Value) bool {
	return maps.EqualFunc(got, want, secretstore.Value.Equal)
}

var setBatchRules = []Rule{
	{ID: "setbatch/all", Sentence: "SetBatch sets every name, new or not, whatever the size of the batch.",
		check: func(ctx context.Context, e *env) error {
			s, err := e.open(ctx)
			if err != nil {
				return err
			}
			names := e.names(257)
			for i, n := range batchSizes {
				salt := fmt.Sprint("round ", i, " ")
				if err := s.SetBatch(ctx, batch(names[:n], salt)); err != nil {
					return fmt.Errorf("SetBatch of %d: %w", n, err)
				}
				got, err := s.GetBatch(ctx, names[:n])
				if err != nil {
					return fmt.Errorf("after SetBatch of %d: %w", n, err)
				}
				if !sameValues(got, batch(names[:n], salt)) {
					return fmt.Errorf("after SetBatch of %d: some names hold other values", n)
				}
			}
			return e.expectList(ctx, s, names)
		}},
	{ID: "setbatch/empty", Sentence: "SetBatch of nothing is nil.",
		check: func(ctx context.Context, e *env) error {
			s, err := e.open(ctx)
			if err != nil {
				return err
			}
			if err := errors.Join(s.SetBatch(ctx, nil), s.SetBatch(ctx, map[string]secretstore.Value{})); err != nil {
				return err
			}
			return e.expectList(ctx, s, nil)
		}},
	{ID: "setbatch/refused-whole", Sentence: "One bad entry, and SetBatch writes nothing; the error is no *BatchError.",
		check: func(ctx context.Context, e *env) error {
			s, err := e.open(ctx)
			if err != nil {
				return err
			}
			old := e.name("n-000")
			if err := s.Set(ctx, old, text("old")); err != nil {
				return err
			}
			for _, bad := range []struct {
				name  string
				value secretstore.Value
				kind  error
			}{
				{"a_b", text("v"), secretstore.ErrInvalidName},
				{"zzz.", text("v"), secretstore.ErrInvalidName},
				{e.name("large"), secretstore.NewValue(patterned(secretstore.MaxTextLen + 1)), secretstore.ErrTooLarge},
			} {
				values := batch(e.names(40), "new ")
				values[bad.name] = bad.value
				err := s.SetBatch(ctx, values)
				if err := expectKind("SetBatch", err, bad.kind); err != nil {
					return err
				}
				if _, ok := errors.AsType[*secretstore.BatchError](err); ok {
					return fmt.Errorf("SetBatch refused whole: got a *BatchError, which says that some was written")
				}
				if err := expect(ctx, s, old, text("old")); err != nil {
					return err
				}
				if err := e.expectList(ctx, s, []string{old}); err != nil {
					return err
				}
			}
			return nil
		}},
	{ID: "setbatch/case", Sentence: "Two names of one SetBatch that differ only in case are ErrInvalidName.",
		check: func(ctx context.Context, e *env) error {
			s, err := e.open(ctx)
			if err != nil {
				return err
			}
			values := map[string]secretstore.Value{e.name("Key"): text("1"), e.name("kEY"): text("2"), e.name("other"): text("3")}
			if err := expectKind("SetBatch", s.SetBatch(ctx, values), secretstore.ErrInvalidName); err != nil {
				return err
			}
			return e.expectList(ctx, s, nil)
		}},
	{ID: "setbatch/cancelled", Sentence: "When SetBatch is cut short, its error agrees with the store: a *BatchError names every entry that is not known to be written, and any other error means that nothing was.",
		check: func(ctx context.Context, e *env) error {
			for k := range e.count(60) {
				if _, err := cutShort(ctx, e, k); err != nil {
					return fmt.Errorf("the context ended when it was asked the %dth time: %w", k+1, err)
				}
			}
			return nil
		}},
	{ID: "setbatch/atomic", Sentence: "An atomic SetBatch that is cut short has written all or nothing.", Needs: NeedsAtomic,
		check: func(ctx context.Context, e *env) error {
			for k := range e.count(60) {
				written, err := cutShort(ctx, e, k)
				if err != nil {
					return err
				}
				if written != 0 && written != cutSize {
					return fmt.Errorf("%d of %d entries were written", written, cutSize)
				}
			}
			return nil
		}},
}

const cutSize = 30

// cutShort sets a batch with a context that ends when it is asked for the k-th
// time, and checks that what it returns agrees with the store. It returns how many
// entries were written.
func cutShort(ctx context.Context, e *env, k int) (written int, err error) {
	s, err := e.open(ctx)
	if err != nil {
		return 0, err
	}
	names := e.names(cutSize)
	half := batch(names[:cutSize/2], "old ")
	if err := s.SetBatch(ctx, half); err != nil {
		return 0, err
	}
	cut, stop := newCountdown(ctx, k)
	err = s.SetBatch(cut, batch(names, "new "))
	stop()
	named := map[string]bool{}
	if b, ok := errors.AsType[*secretstore.BatchError](err); ok {
		for _, cause := range b.Errs {
			named[cause.Name] = true
		}
	} else if err != nil {
		for _, name := range names {
			named[name] = true // nothing was written
		}
	}
	got, _ := s.GetBatch(ctx, names)
	for _, name := range names {
		v, there := got[name]
		switch old, wasThere := half[name]; {
		case there && v.Equal(text("new "+name)):
			written++
			if _, ok := errors.AsType[*secretstore.BatchError](err); !ok && err != nil {
				return written, fmt.Errorf("SetBatch said %v, which means that nothing was written, and %q was", err, name)
			}
		case there != wasThere || there && !v.Equal(old):
			return written, fmt.Errorf("%q holds neither its old nor its new value, but %s (there: %v)", name, show(v), there)
		case !named[name]:
			return written, fmt.Errorf("%q was not written, and the error says nothing of it: %v", name, err)
		}
	}
	if err != nil && !errors.Is(err, context.Canceled) {
		return written, fmt.Errorf("got %v, want the context's error within", err)
	}
	return written, nil
}
