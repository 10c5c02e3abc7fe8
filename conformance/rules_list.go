package conformance

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/mlsecrets/secretstore"
)

var listRules = []Rule{
	{ID: "list/exact", Sentence: "List returns the names that there are, sorted and without repetition.",
		check: func(ctx context.Context, e *env) error {
			s, err := e.open(ctx)
			if err != nil {
				return err
			}
			// The edges of pages of 25, and a few pages.
			names := e.names(300)
			done := 0
			for _, n := range []int{0, 1, 24, 25, 26, 50, 51, 300} {
				added := slices.Clone(names[done:n])
				slices.Reverse(added)
				if err := s.SetBatch(ctx, batch(added, "v ")); err != nil {
					return err
				}
				done = n
				if err := e.expectList(ctx, s, names[:n]); err != nil {
					return fmt.Errorf("of %d: %w", n, err)
				}
			}
			return nil
		}},
	{ID: "list/order", Sentence: "List is sorted by bytes.", Needs: NeedsOwn,
		check: func(ctx context.Context, e *env) error {
			s, err := e.open(ctx)
			if err != nil {
				return err
			}
			names := []string{"b", "a", "a-", "a-b", "aa", "a0", "0", "10", "9", "-", "--", "z", "b-0", "b0"}
			if err := s.SetBatch(ctx, batch(names, "v ")); err != nil {
				return err
			}
			slices.Sort(names)
			return e.expectList(ctx, s, names)
		}},
	{ID: "list/empty", Sentence: "List of no secrets is an empty slice.", Needs: NeedsOwn,
		check: func(ctx context.Context, e *env) error {
			s, err := e.open(ctx)
			if err != nil {
				return err
			}
			if got, err := s.List(ctx); err != nil || got == nil || len(got) != 0 {
				return fmt.Errorf("got %q (nil: %v), %v", got, got == nil, err)
			}
			return nil
		}},
	{ID: "list/while-writing", Sentence: "List shows what is there all the time, also while others write.",
		check: func(ctx context.Context, e *env) error {
			s, err := e.open(ctx)
			if err != nil {
				return err
			}
			fixed := e.names(60)
			if err := s.SetBatch(ctx, batch(fixed, "v ")); err != nil {
				return err
			}
			return while(ctx, func(ctx context.Context) error {
				d, _ := s.(secretstore.Deleter)
				for i := 0; ; i++ {
					// Between the fixed ones, so that pages and shards move.
					name := e.name(fmt.Sprintf("n-%03d-x", i%60))
					if err := s.Set(ctx, name, text("v")); err != nil {
						return err
					}
					if d != nil {
						if err := d.Delete(ctx, name); err != nil {
							return err
						}
					}
				}
			}, func() error {
				for range e.count(100) {
					got, err := e.list(ctx, s)
					if err != nil {
						return err
					}
					if !slices.IsSorted(got) || len(slices.Compact(slices.Clone(got))) != len(got) {
						return fmt.Errorf("got a list that is not sorted, or repeats")
					}
					for _, name := range fixed {
						if _, there := slices.BinarySearch(got, name[len(e.prefix):]); !there {
							return fmt.Errorf("%q is missing from the list", name)
						}
					}
				}
				return nil
			})
		}},
}

// while runs body while background runs, and then ends the background's context.
// Errors of the background count unless its context's end is the cause.
func while(ctx context.Context, background func(ctx context.Context) error, body func() error) error {
	bctx, cancel := context.WithCancel(ctx)
	done := make(chan error, 1)
	go func() { done <- background(bctx) }()
	err := body()
	cancel()
	berr := <-done
	if errors.Is(berr, context.Canceled) {
		berr = nil
	}
	return errors.Join(err, berr)
}

var deleteRules = []Rule{
	{ID: "delete/gone", Sentence: "After Delete, Get is ErrNotFound, and GetBatch and List are without the name.", Needs: NeedsDelete,
		check: func(ctx context.Context, e *env) error {
			s, d, err := e.openDeleter(ctx)
			if err != nil {
				return err
			}
			names := e.names(30)
			if err := s.SetBatch(ctx, batch(names, "v ")); err != nil {
				return err
			}
			if err := d.Delete(ctx, names[3]); err != nil {
				return err
			}
			if err := d.Delete(ctx, names[10:20]...); err != nil {
				return err
			}
			gone := append([]string{names[3]}, names[10:20]...)
			got, _ := s.GetBatch(ctx, names)
			for _, name := range gone {
				if err := expectAbsent(ctx, s, name); err != nil {
					return err
				}
				if _, there := got[name]; there {
					return fmt.Errorf("GetBatch still has %q", name)
				}
			}
			return e.expectList(ctx, s, slices.Concat(names[:3], names[4:10], names[20:]))
		}},
	{ID: "delete/others-stay", Sentence: "Delete changes no other secret.", Needs: NeedsDelete,
		check: func(ctx context.Context, e *env) error {
			s, d, err := e.openDeleter(ctx)
			if err != nil {
				return err
			}
			names := []string{e.name("a"), e.name("a-"), e.name("a-b"), e.name("aa"), e.name("b")}
			if err := s.SetBatch(ctx, batch(names, "v ")); err != nil {
				return err
			}
			if err := d.Delete(ctx, e.name("a")); err != nil {
				return err
			}
			for _, name := range names[1:] {
				if err := expect(ctx, s, name, text("v "+name)); err != nil {
					return err
				}
			}
			return e.expectList(ctx, s, names[1:])
		}},
	{ID: "delete/absent", Sentence: "Delete of an absent name, or of none, is no error.", Needs: NeedsDelete,
		check: func(ctx context.Context, e *env) error {
			s, d, err := e.openDeleter(ctx)
			if err != nil {
				return err
			}
			if err := s.Set(ctx, e.name("there"), text("v")); err != nil {
				return err
			}
			if err := errors.Join(d.Delete(ctx), d.Delete(ctx, e.name("absent")),
				d.Delete(ctx, e.name("absent"), e.name("there"), e.name("there")), d.Delete(ctx, e.name("there"))); err != nil {
				return err
			}
			return expectAbsent(ctx, s, e.name("there"))
		}},
	{ID: "delete/set-again", Sentence: "After Delete, Set works again.", Needs: NeedsDelete,
		check: func(ctx context.Context, e *env) error {
			s, d, err := e.openDeleter(ctx)
			if err != nil {
				return err
			}
			name := e.name("again")
			for i := range e.count(40) {
				want := text(fmt.Sprint("life ", i))
				if err := s.Set(ctx, name, want); err != nil {
					return fmt.Errorf("Set, round %d: %w", i, err)
				}
				if err := expect(ctx, s, name, want); err != nil {
					return err
				}
				if err := d.Delete(ctx, name); err != nil {
					return err
				}
				if err := expectAbsent(ctx, s, name); err != nil {
					return err
				}
			}
			if err := s.SetBatch(ctx, batch([]string{name}, "batch ")); err != nil {
				return err
			}
			return expect(ctx, s, name, text("batch "+name))
		}},
	{ID: "delete/case", Sentence: "Delete takes a name in any case.", Needs: NeedsDelete,
		check: func(ctx context.Context, e *env) error {
			s, d, err := e.openDeleter(ctx)
			if err != nil {
				return err
			}
			if err := s.Set(ctx, e.name("token"), text("v")); err != nil {
				return err
			}
			if err := d.Delete(ctx, e.name("TOKEN"), e.name("Token")); err != nil {
				return err
			}
			return expectAbsent(ctx, s, e.name("token"))
		}},
	{ID: "delete/refused-whole", Sentence: "Delete checks all names before it deletes any.", Needs: NeedsDelete,
		check: func(ctx context.Context, e *env) error {
			s, d, err := e.openDeleter(ctx)
			if err != nil {
				return err
			}
			if err := s.SetBatch(ctx, batch([]string{e.name("a"), e.name("b")}, "v ")); err != nil {
				return err
			}
			if err := expectKind("Delete", d.Delete(ctx, e.name("a"), "not valid", e.name("b")), secretstore.ErrInvalidName); err != nil {
				return err
			}
			return e.expectList(ctx, s, []string{e.name("a"), e.name("b")})
		}},
}

func (e *env) openDeleter(ctx context.Context) (secretstore.StoreCloser, secretstore.Deleter, error) {
	s, err := e.open(ctx)
	if err != nil {
		return nil, nil, err
	}
	d, err := deleter(s)
	return s, d, err
}
