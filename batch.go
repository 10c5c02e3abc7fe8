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
		c := canonical[name]
		if v, ok := values[c]; ok && failed[name] == nil {
			out[name] = v
		} else if failed[name] == nil {
			failed[name] = s.wrap(ctx, opGetBatch, name, causes[c])
		}
	}
	return out, s.batchError(opGetBatch, asked, failed)
}

// getAll reads distinct canonical names. Each is in exactly one of the maps.
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
	named := causesOf(err)
	for _, name := range names {
		if _, ok := got[name]; ok {
			continue
		}
		switch cause := named[name]; {
		case cause != nil:
			causes[name] = cause
		case err != nil:
			causes[name] = err
		default:
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
	entries, spelling, err := s.checkAll(values)
	if err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return s.wrap(ctx, opSetBatch, "", err)
	}
	var causes map[string]error
	if s.batchSetter != nil {
		err := s.batchSetter.SetBatch(ctx, entries)
		if err == nil {
			return nil
		}
		if causes = causesOf(err); causes == nil {
			return s.wrap(ctx, opSetBatch, "", err)
		}
	} else {
		names := slices.Sorted(maps.Keys(entries))
		causes = fanOut(ctx, s.sets, names, func(i int) error {
			return s.driver.Set(ctx, names[i], entries[names[i]])
		})
	}
	if len(causes) == 0 {
		return nil
	}
	return s.perName(ctx, opSetBatch, slices.Sorted(maps.Keys(entries)), spelling, causes)
}

// checkAll returns the entries of a batch under their canonical names, in a map of
// their own, and the caller's spelling of those that are spelled otherwise.
func (s *store) checkAll(values map[string]Value) (entries map[string]Value, spelling map[string]string, _ error) {
	// Most batches are in order, and then a copy will do.
	entries = maps.Clone(values)
	plain := true
	for name, value := range entries {
		c, err := CanonicalName(name)
		if err != nil || c != name || checkSize(name, value) != nil {
			plain = false
			break
		}
	}
	if plain {
		return entries, nil, nil
	}
	values, entries, spelling = entries, make(map[string]Value, len(entries)), make(map[string]string)
	for _, name := range slices.Sorted(maps.Keys(values)) { // sorted, so that errors don't vary
		c, err := CanonicalName(name)
		if err != nil {
			return nil, nil, s.refuse(opSetBatch, name, err)
		}
		if other, ok := spelling[c]; ok {
			return nil, nil, s.refuse(opSetBatch, name, invalidName(name,
				fmt.Sprintf("it is the same name as %q; case does not distinguish", other)))
		}
		if err := checkSize(name, values[name]); err != nil {
			return nil, nil, s.refuse(opSetBatch, name, err)
		}
		spelling[c], entries[c] = name, values[name]
	}
	return entries, spelling, nil
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
	if len(wanted) == 1 {
		if err := s.deleter.Delete(ctx, wanted[0]); err != nil {
			return s.wrap(ctx, opDelete, asked[0], err)
		}
		return nil
	}
	var causes map[string]error
	if s.batchDeleter != nil {
		err := s.batchDeleter.DeleteBatch(ctx, slices.Clone(wanted))
		if err == nil {
			return nil
		}
		if causes = causesOf(err); causes == nil {
			return s.wrap(ctx, opDelete, "", err)
		}
	} else {
		causes = fanOut(ctx, s.sets, wanted, func(i int) error { return s.deleter.Delete(ctx, wanted[i]) })
	}
	return s.perName(ctx, opDelete, wanted, spelling, causes)
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

// perName turns causes by canonical name into a *BatchError with the caller's
// spelling of the names, or nil if there are none.
func (s *store) perName(ctx context.Context, op string, names []string, spelling map[string]string, causes map[string]error) error {
	asked := make([]string, len(names))
	failed := make(map[string]*Error, len(causes))
	for i, c := range names {
		name, ok := spelling[c]
		if !ok {
			name = c
		}
		asked[i] = name
		if cause := causes[c]; cause != nil {
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

// causesOf returns the causes in a *BatchError by name, or nil if err is none.
func causesOf(err error) map[string]error {
	b, ok := errors.AsType[*BatchError](err)
	if !ok {
		return nil
	}
	causes := make(map[string]error, len(b.Errs))
	for _, e := range b.Errs {
		causes[e.Name] = e
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
