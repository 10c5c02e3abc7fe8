package conformance

import (
	"context"
	"fmt"
	"slices"

	"github.com/mlsecrets/secretstore"
)

var singleRules = []Rule{
	{ID: "set/read-own-write", Sentence: "When Set returns nil, the next Get of this store returns the value.",
		check: func(ctx context.Context, e *env) error {
			s, err := e.open(ctx)
			if err != nil {
				return err
			}
			name := e.name("counter")
			for i := range e.count(60) {
				want := text(fmt.Sprint("value ", i))
				if err := s.Set(ctx, name, want); err != nil {
					return err
				}
				if err := expect(ctx, s, name, want); err != nil {
					return err
				}
				got, err := s.GetBatch(ctx, []string{name})
				if err != nil || !got[name].Equal(want) {
					return fmt.Errorf("GetBatch: got %s, %v; want %s", show(got[name]), err, show(want))
				}
			}
			return nil
		}},
	{ID: "set/overwrite", Sentence: "Set makes the name hold the value, whether or not it exists.",
		check: func(ctx context.Context, e *env) error {
			s, err := e.open(ctx)
			if err != nil {
				return err
			}
			name := e.name("k")
			for _, v := range []string{"first", "second, and longer", "", "3"} {
				if err := s.Set(ctx, name, text(v)); err != nil {
					return err
				}
				if err := expect(ctx, s, name, text(v)); err != nil {
					return err
				}
			}
			return e.expectList(ctx, s, []string{name})
		}},
	{ID: "set/others-stay", Sentence: "Set changes no other secret.",
		check: func(ctx context.Context, e *env) error {
			s, err := e.open(ctx)
			if err != nil {
				return err
			}
			names := e.names(30)
			if err := s.SetBatch(ctx, batch(names, "old ")); err != nil {
				return err
			}
			if err := s.Set(ctx, names[7], text("new")); err != nil {
				return err
			}
			for i, name := range names {
				want := text("old " + name)
				if i == 7 {
					want = text("new")
				}
				if err := expect(ctx, s, name, want); err != nil {
					return err
				}
			}
			return e.expectList(ctx, s, names)
		}},
	{ID: "get/absent", Sentence: "Get of an absent name is ErrNotFound.",
		check: func(ctx context.Context, e *env) error {
			s, err := e.open(ctx)
			if err != nil {
				return err
			}
			if err := expectAbsent(ctx, s, e.name("absent")); err != nil {
				return err
			}
			if err := s.Set(ctx, e.name("there"), text("v")); err != nil {
				return err
			}
			for _, name := range []string{"absent", "ther", "there-", "there1"} {
				if err := expectAbsent(ctx, s, e.name(name)); err != nil {
					return err
				}
			}
			return nil
		}},
	{ID: "methods-agree", Sentence: "Get, GetBatch and List agree with one another.",
		check: func(ctx context.Context, e *env) error {
			s, err := e.open(ctx)
			if err != nil {
				return err
			}
			names := e.names(40)
			for i, name := range names {
				if i%3 == 0 {
					if err := s.Set(ctx, name, text("v "+name)); err != nil {
						return err
					}
				}
			}
			listed, err := s.List(ctx)
			if err != nil {
				return err
			}
			got, _ := s.GetBatch(ctx, names)
			for i, name := range names {
				v, err := s.Get(ctx, name)
				b, inBatch := got[name]
				there := i%3 == 0
				if (err == nil) != there || inBatch != there || slices.Contains(listed, name) != there {
					return fmt.Errorf("%q: Get says %v, GetBatch %v, List %v; want %v",
						name, err == nil, inBatch, slices.Contains(listed, name), there)
				}
				if there && (!v.Equal(text("v "+name)) || !b.Equal(v)) {
					return fmt.Errorf("%q: Get says %s, GetBatch %s", name, show(v), show(b))
				}
			}
			return nil
		}},
}

var aliasRules = []Rule{
	{ID: "alias/in", Sentence: "No method retains or aliases a slice or map of the caller.",
		check: func(ctx context.Context, e *env) error {
			s, err := e.open(ctx)
			if err != nil {
				return err
			}
			names := e.names(20)
			values := batch(names, "v ")
			if err := s.SetBatch(ctx, values); err != nil {
				return err
			}
			for name := range values {
				values[name] = text("changed by the caller")
			}
			clear(values)
			raw := []byte("bytes")
			if err := s.Set(ctx, e.name("raw"), secretstore.NewValue(raw)); err != nil {
				return err
			}
			copy(raw, "XXXXX")
			asked := slices.Clone(names)
			if _, err := s.GetBatch(ctx, asked); err != nil {
				return err
			}
			if !slices.Equal(asked, names) {
				return fmt.Errorf("GetBatch changed the names that it was given")
			}
			for _, name := range names {
				if err := expect(ctx, s, name, text("v "+name)); err != nil {
					return err
				}
			}
			return expect(ctx, s, e.name("raw"), text("bytes"))
		}},
	{ID: "alias/out", Sentence: "What a method returns is the caller's own.",
		check: func(ctx context.Context, e *env) error {
			s, err := e.open(ctx)
			if err != nil {
				return err
			}
			names := e.names(5)
			if err := s.SetBatch(ctx, batch(names, "v ")); err != nil {
				return err
			}
			got, err := s.GetBatch(ctx, names)
			if err != nil {
				return err
			}
			clear(got)
			got[names[0]] = text("changed")
			listed, err := s.List(ctx)
			if err != nil {
				return err
			}
			for i := range listed {
				listed[i] = "changed"
			}
			v, err := s.Get(ctx, names[1])
			if err != nil {
				return err
			}
			for b, i := v.Reveal(), 0; i < len(b); i++ {
				b[i] = 'X'
			}
			got, err = s.GetBatch(ctx, names)
			if err != nil || len(got) != len(names) {
				return fmt.Errorf("GetBatch: got %d values, %v", len(got), err)
			}
			for _, name := range names {
				if !got[name].Equal(text("v " + name)) {
					return fmt.Errorf("GetBatch: %q became %s", name, show(got[name]))
				}
				if err := expect(ctx, s, name, text("v "+name)); err != nil {
					return err
				}
			}
			return e.expectList(ctx, s, names)
		}},
}
