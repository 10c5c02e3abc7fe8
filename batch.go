package secretstore

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
)

func (s *store) GetBatch(ctx context.Context, names []string) (map[string]Value, error) {
	if err := s.enter(); err != nil {
		return map[string]Value{}, s.stamp(err, opGetBatch, "")
	}
	defer s.leave()
	out := make(map[string]Value, len(names))
	if len(names) == 0 {
		return out, nil
	}

	// asked holds each spelling once, in order; wanted each canonical name.
	asked := make([]string, 0, len(names))
	canonical := make(map[string]string, len(names))
	failed := make(map[string]*Error) // by spelling
	var wanted []string
	known := make(map[string]bool, len(names))
	for _, name := range names {
		if _, ok := canonical[name]; ok {
			continue
		}
		asked = append(asked, name)
		c, err := CanonicalName(name)
		canonical[name] = c
		if err != nil {
			failed[name] = s.wrap(ctx, opGetBatch, name, err)
			continue
		}
		if !known[c] {
			known[c] = true
			wanted = append(wanted, c)
		}
	}

	values, causes := s.getAll(ctx, wanted)
	for _, name := range asked {
		if failed[name] != nil {
			continue
		}
		c := canonical[name]
		if cause := causes[c]; cause != nil {
			failed[name] = s.wrap(ctx, opGetBatch, name, cause)
		} else {
			out[name] = values[c]
		}
	}
	return out, s.batchError(opGetBatch, asked, failed)
}

// getAll reads distinct canonical names. Each that has no cause has a value.
func (s *store) getAll(ctx context.Context, names []string) (map[string]Value, map[string]error) {
	if len(names) == 0 {
		return nil, nil
	}
	if err := ctx.Err(); err != nil {
		return nil, forAll(names, err)
	}
	if s.batchGetter == nil {
		values := make([]Value, len(names))
		causes := fanOut(ctx, s.gets, names, func(i int) (err error) {
			values[i], err = s.driver.Get(ctx, names[i])
			return err
		})
		got := make(map[string]Value, len(names))
		for i, name := range names {
			if _, ok := causes[name]; !ok {
				got[name] = values[i]
			}
		}
		return got, causes
	}
	got, err := s.batchGetter.GetBatch(ctx, slices.Clone(names))
	causes := make(map[string]error)
	named := entries(err)
	for _, name := range names {
		_, ok := got[name]
		switch cause := named[name]; {
		case cause != nil:
			causes[name] = cause
		case ok:
		case err != nil && named == nil:
			causes[name] = err
		default:
			// The cause of another name says nothing of this one.
			causes[name] = &Error{Kind: ErrUnavailable, Detail: "the backend left the name out of its answer"}
		}
	}
	return got, causes
}

func (s *store) SetBatch(ctx context.Context, values map[string]Value) error {
	if err := s.enter(); err != nil {
		return s.stamp(err, opSetBatch, "")
	}
	defer s.leave()
	if len(values) == 0 {
		return nil
	}
	entries, refused := s.checkAll(values)
	if refused != nil {
		return refused
	}
	if err := ctx.Err(); err != nil {
		return s.wrap(ctx, opSetBatch, "", err)
	}
	if s.batchSetter != nil {
		err := s.batchSetter.SetBatch(ctx, entries)
		if err == nil {
			return nil
		}
		asked, spelling := spellings(values)
		return s.whole(ctx, opSetBatch, asked, spelling, err)
	}
	names := slices.Sorted(maps.Keys(entries))
	causes := fanOut(ctx, s.sets, names, func(i int) error {
		return s.driver.Set(ctx, names[i], entries[names[i]])
	})
	if len(causes) == 0 {
		return nil
	}
	asked, spelling := spellings(values)
	return s.perName(ctx, opSetBatch, asked, spelling, causes)
}

// checkAll returns the entries of a batch under their canonical names, in a map of
// their own, or the error that refuses it.
func (s *store) checkAll(values map[string]Value) (map[string]Value, *Error) {
	// Most batches are in order, and then a copy will do.
	entries := maps.Clone(values)
	plain := true
	for name, value := range entries {
		c, err := CanonicalName(name)
		if err != nil || c != name || checkSize(name, value) != nil {
			plain = false
			break
		}
	}
	if plain {
		return entries, nil
	}
	spelling := make(map[string]string, len(values))
	entries = make(map[string]Value, len(values))
	for _, name := range slices.Sorted(maps.Keys(values)) { // sorted, so that errors don't vary
		c, err := CanonicalName(name)
		if err != nil {
			return nil, s.refuse(opSetBatch, name, err)
		}
		if other, ok := spelling[c]; ok {
			return nil, s.refuse(opSetBatch, name, invalidName(name,
				fmt.Sprintf("it is the same name as %q; case does not distinguish", other)))
		}
		if err := checkSize(name, values[name]); err != nil {
			return nil, s.refuse(opSetBatch, name, err)
		}
		spelling[c], entries[c] = name, values[name]
	}
	return entries, nil
}

// spellings returns the names of a batch that was found good, sorted, and each by
// its canonical form.
func spellings(values map[string]Value) (asked []string, spelling map[string]string) {
	asked = slices.Sorted(maps.Keys(values))
	spelling = make(map[string]string, len(asked))
	for _, name := range asked {
		if c, err := CanonicalName(name); err == nil {
			spelling[c] = name
		}
	}
	return asked, spelling
}

// deletingStore is a store whose driver can delete.
type deletingStore struct{ *store }

func (s deletingStore) Delete(ctx context.Context, names ...string) error {
	if err := s.enter(); err != nil {
		return s.stamp(err, opDelete, "")
	}
	defer s.leave()
	if len(names) == 0 {
		return nil
	}
	var asked, wanted []string
	spelling := make(map[string]string, len(names))
	for _, name := range names {
		c, err := CanonicalName(name)
		if err != nil {
			return s.refuse(opDelete, name, err)
		}
		if _, ok := spelling[c]; !ok {
			spelling[c] = name
			asked, wanted = append(asked, name), append(wanted, c)
		}
	}
	if err := ctx.Err(); err != nil {
		return s.wrap(ctx, opDelete, "", err)
	}
	switch {
	case len(wanted) == 1:
		if err := s.deleter.Delete(ctx, wanted[0]); err != nil {
			return s.wrap(ctx, opDelete, asked[0], err)
		}
		return nil
	case s.batchDeleter != nil:
		return s.whole(ctx, opDelete, asked, spelling, s.batchDeleter.DeleteBatch(ctx, slices.Clone(wanted)))
	}
	causes := fanOut(ctx, s.sets, wanted, func(i int) error { return s.deleter.Delete(ctx, wanted[i]) })
	return s.perName(ctx, opDelete, asked, spelling, causes)
}

// refuse is the error of a batch with a bad entry, before any I/O.
func (s *store) refuse(op, name string, err error) *Error {
	done := "written"
	if op == opDelete {
		done = "deleted"
	}
	out := s.wrap(context.Background(), op, name, err)
	out.Detail += "; nothing was " + done
	return out
}

// whole turns the error of a driver's own batch into the store's: a *BatchError
// by the caller's spellings, or one *Error that stands for the whole.
func (s *store) whole(ctx context.Context, op string, asked []string, spelling map[string]string, err error) error {
	if err == nil {
		return nil
	}
	named := entries(err)
	if named == nil {
		return s.wrap(ctx, op, "", err)
	}
	// An error that names no entry of the batch, or another than its entries,
	// doesn't tell which were done, so none but the named is known to be.
	unclear := len(named) == 0
	for c := range named {
		_, ok := spelling[c]
		unclear = unclear || !ok
	}
	if unclear {
		for c := range spelling {
			if named[c] == nil {
				named[c] = &Error{Kind: ErrUnavailable, Detail: "the backend's error doesn't say which names failed"}
			}
		}
	}
	return s.perName(ctx, op, asked, spelling, named)
}

// perName turns causes by canonical name into a *BatchError, or nil if there are
// none.
func (s *store) perName(ctx context.Context, op string, asked []string, spelling map[string]string, causes map[string]error) error {
	failed := make(map[string]*Error, len(causes))
	for c, cause := range causes {
		if name, ok := spelling[c]; ok {
			failed[name] = s.wrap(ctx, op, name, cause)
		}
	}
	return s.batchError(op, asked, failed)
}

// batchError returns the error of a batch in which the given names failed, or
// an untyped nil.
func (s *store) batchError(op string, asked []string, failed map[string]*Error) error {
	if len(failed) == 0 {
		return nil
	}
	b := &BatchError{Op: op, Backend: s.backend, Asked: len(asked)}
	for _, name := range asked {
		if err := failed[name]; err != nil {
			b.Errs = append(b.Errs, err)
		}
	}
	return b
}

// entries returns the causes in a *BatchError by name, or nil if err is none. A
// nil entry stands under "", which is no name.
func entries(err error) map[string]error {
	b, ok := errors.AsType[*BatchError](err)
	if !ok {
		return nil
	}
	causes := make(map[string]error)
	if b == nil {
		return causes
	}
	for _, e := range b.Errs {
		if e == nil {
			causes[""] = ErrUnavailable
		} else {
			causes[e.Name] = e
		}
	}
	return causes
}

func forAll(names []string, err error) map[string]error {
	causes := make(map[string]error, len(names))
	for _, name := range names {
		causes[name] = err
	}
	return causes
}

// fanOut calls do for every index of names, at most width at a time, and returns
// the errors by name. When the context ends it starts no further call; the names
// left over have the context's error.
func fanOut(ctx context.Context, width int, names []string, do func(i int) error) map[string]error {
	errs := make([]error, len(names))
	var next atomic.Int64
	var workers sync.WaitGroup
	for range min(width, len(names)) {
		workers.Go(func() {
			for i := int(next.Add(1)) - 1; i < len(names); i = int(next.Add(1)) - 1 {
				if errs[i] = ctx.Err(); errs[i] == nil {
					errs[i] = do(i)
				}
			}
		})
	}
	workers.Wait()
	causes := make(map[string]error)
	for i, err := range errs {
		if err != nil {
			causes[names[i]] = err
		}
	}
	return causes
}
