package localfile

import (
	"context"
	"errors"
	"os"
	"runtime"
	"runtime/debug"
	"slices"
	"sync"

	"github.com/mlsecrets/secretstore"
)

// optimistic is how often a reader starts again because a commit came between,
// before it takes the lock to have the file stand still.
const optimistic = 3

// reading calls fn with the current view, as often as it takes for the file not
// to change meanwhile. The view is nil if there is no store yet. Beside an error, what
// fn has read is worth nothing.
func (d *driver) reading(ctx context.Context, fn func(v *view) error) error {
	for range optimistic {
		v, err := d.current(ctx)
		if err != nil || v == nil {
			if err == nil {
				err = fn(nil)
			}
			return err
		}
		err = protected(v, fn)
		if v.stable() {
			return err
		}
		if err := ctx.Err(); err != nil {
			return err
		}
	}
	l, err := d.lock(ctx, os.O_RDONLY)
	if err != nil {
		return err
	}
	defer l.release()
	v, err := d.current(ctx)
	if err != nil {
		return err
	}
	return protected(v, fn)
}

// protected is guard for fn, without a closure: it is on the way of every Get.
func protected(v *view, fn func(v *view) error) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if r := recover(); r != nil {
			err = fault(r)
		}
	}()
	return fn(v)
}

func (d *driver) Get(ctx context.Context, name string) (value secretstore.Value, err error) {
	err = d.reading(ctx, func(v *view) (err error) {
		value, err = v.secret(name)
		return err
	})
	if err != nil {
		return secretstore.Value{}, err
	}
	return value, nil
}

// secret returns the value of a name in this version of the file.
func (v *view) secret(name string) (secretstore.Value, error) {
	if v == nil {
		return secretstore.Value{}, &secretstore.Error{Kind: secretstore.ErrNotFound, Detail: "there is no store yet"}
	}
	key := v.secrets.recordKey(name)
	record, err := v.get(v.records, key[:])
	if err != nil {
		return secretstore.Value{}, err
	}
	if record == nil {
		if err := v.proveAbsent(key); err != nil {
			return secretstore.Value{}, err
		}
		return secretstore.Value{}, &secretstore.Error{Kind: secretstore.ErrNotFound}
	}
	if err := v.prove(key.shard()); err != nil {
		return secretstore.Value{}, err
	}
	value, err := v.secrets.openValue(key, record)
	if err != nil {
		return secretstore.Value{}, err
	}
	return secretstore.NewValue(value), nil
}

// GetBatch reads all names in one version of the file.
func (d *driver) GetBatch(ctx context.Context, names []string) (map[string]secretstore.Value, error) {
	var values map[string]secretstore.Value
	var failed secretstore.BatchError
	err := d.reading(ctx, func(v *view) error {
		values = make(map[string]secretstore.Value, len(names))
		failed.Errs = failed.Errs[:0]
		for i, name := range names {
			if i%1024 == 1023 && ctx.Err() != nil {
				return ctx.Err()
			}
			value, err := v.secret(name)
			if err != nil {
				e, _ := errors.AsType[*secretstore.Error](err)
				named := *e
				named.Name = name
				failed.Errs = append(failed.Errs, &named)
				continue
			}
			values[name] = value
		}
		return nil
	})
	if err != nil {
		return nil, err // what was read may be of several versions
	}
	if len(failed.Errs) > 0 {
		return values, &failed
	}
	return values, nil
}

// List opens the names alone. It returns them only if the set digest says that
// they are all.
func (d *driver) List(ctx context.Context) (names []string, err error) {
	err = d.reading(ctx, func(v *view) (err error) {
		names, err = v.list(ctx)
		return err
	})
	if err != nil {
		return nil, err
	}
	return names, nil
}

func (v *view) list(ctx context.Context) ([]string, error) {
	if v == nil {
		return nil, nil
	}
	// Large stores are opened in parts, at the same time.
	parts := 1
	if v.root.count > 2000 {
		parts = min(runtime.GOMAXPROCS(0), 8)
	}
	found := make([][]string, parts)
	errs := make([]error, parts)
	var wg sync.WaitGroup
	for i := range parts {
		wg.Go(func() {
			errs[i] = guard(func() (err error) {
				found[i], err = v.listShards(ctx, i*shards/parts, (i+1)*shards/parts)
				return err
			})
		})
	}
	wg.Wait()
	if i := slices.IndexFunc(errs, func(err error) bool { return err != nil }); i >= 0 {
		return nil, errs[i]
	}
	names := merge(found)
	if uint64(len(names)) != v.root.count {
		return nil, corrupt("there are %d records, and there should be %d", len(names), v.root.count)
	}
	return names, nil
}

// listShards returns the names in the shards, sorted, and proves the shards.
func (v *view) listShards(ctx context.Context, first, end int) ([]string, error) {
	names := make([]string, 0, int(v.root.count)*(end-first)/shards+16)
	sums := make([]sum, end-first)
	err := v.each(first, end, func(key recordKey, name []byte, tok token, _ []byte) error {
		i := key.shard() - first
		sums[i] = sums[i].plus(tok.sum())
		names = append(names, string(name))
		if len(names)%1024 == 0 {
			return ctx.Err()
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	for i, got := range sums {
		want, err := v.shardSum(first + i)
		if err != nil {
			return nil, err
		}
		if got != want {
			return nil, corrupt("records are missing, or of an older version")
		}
		v.setProven(first + i)
	}
	slices.Sort(names)
	return names, nil
}

// merge merges sorted lists.
func merge(lists [][]string) []string {
	for len(lists) > 1 {
		a, b := lists[0], lists[1]
		out := make([]string, 0, len(a)+len(b))
		for len(a) > 0 && len(b) > 0 {
			if a[0] < b[0] {
				out, a = append(out, a[0]), a[1:]
			} else {
				out, b = append(out, b[0]), b[1:]
			}
		}
		lists = append(lists[2:], append(append(out, a...), b...))
	}
	return lists[0]
}
