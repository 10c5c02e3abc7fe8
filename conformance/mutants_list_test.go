package conformance_test

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/mlsecrets/secretstore"
)

// listMutants break the rules of lists, deleting and who owns what.
var listMutants = []mutantStore{
	// List and Delete.
	{"list/exact", "leaves out what is behind the first page", mutant(func(b *broken) {
		b.list = func(ctx context.Context) ([]string, error) {
			names, err := b.StoreCloser.List(ctx)
			return names[:min(len(names), 25)], err
		}
	})},
	{"list/exact", "repeats the name at a page's edge", mutant(func(b *broken) {
		b.list = func(ctx context.Context) ([]string, error) {
			names, err := b.StoreCloser.List(ctx)
			if len(names) > 25 {
				names = slices.Insert(names, 25, names[25])
			}
			return names, err
		}
	})},
	{"list/exact", "lists in order of writing", mutant(func(b *broken) {
		b.list = func(ctx context.Context) ([]string, error) {
			names, err := b.StoreCloser.List(ctx)
			slices.Reverse(names)
			return names, err
		}
	})},
	{"list/order", "sorts short names first", mutant(func(b *broken) {
		b.list = func(ctx context.Context) ([]string, error) {
			names, err := b.StoreCloser.List(ctx)
			slices.SortStableFunc(names, func(a, b string) int { return cmp.Compare(len(a), len(b)) })
			return names, err
		}
	})},
	{"list/empty", "returns a nil slice for no secrets", mutant(func(b *broken) {
		b.list = func(ctx context.Context) ([]string, error) {
			names, err := b.StoreCloser.List(ctx)
			return append([]string(nil), names...), err
		}
	})},
	{"list/while-writing", "misses a name while others write", mutant(func(b *broken) {
		var writes atomic.Int64
		b.set = func(ctx context.Context, name string, v value) error {
			writes.Add(1)
			return b.StoreCloser.Set(ctx, name, v)
		}
		b.list = func(ctx context.Context) ([]string, error) {
			before := writes.Load()
			time.Sleep(time.Millisecond)
			names, err := b.StoreCloser.List(ctx)
			if writes.Load() != before && len(names) > 0 {
				names = names[1:]
			}
			return names, err
		}
	})},
	{"delete/gone", "lists deleted names", mutant(func(b *broken) {
		var deleted []string
		b.del = func(ctx context.Context, names ...string) error {
			deleted = append(deleted, names...)
			return b.StoreCloser.(secretstore.Deleter).Delete(ctx, names...)
		}
		b.list = func(ctx context.Context) ([]string, error) {
			names, err := b.StoreCloser.List(ctx)
			names = append(names, deleted...)
			slices.Sort(names)
			return slices.Compact(names), err
		}
	})},
	{"delete/gone", "deletes the first name alone", mutant(func(b *broken) {
		b.del = func(ctx context.Context, names ...string) error {
			return b.StoreCloser.(secretstore.Deleter).Delete(ctx, names[:min(1, len(names))]...)
		}
	})},
	{"delete/others-stay", "deletes by the beginning of a name", mutant(func(b *broken) {
		b.del = func(ctx context.Context, names ...string) error {
			all, _ := b.StoreCloser.List(ctx)
			return b.StoreCloser.(secretstore.Deleter).Delete(ctx, slices.DeleteFunc(all, func(n string) bool { return !strings.HasPrefix(n, names[0]) })...)
		}
	})},
	{"delete/absent", "fails for an absent name", mutant(func(b *broken) {
		b.del = func(ctx context.Context, names ...string) error {
			for _, name := range names {
				if _, err := b.StoreCloser.Get(ctx, name); err != nil {
					return err
				}
			}
			return b.StoreCloser.(secretstore.Deleter).Delete(ctx, names...)
		}
	})},
	{"delete/set-again", "keeps a deleted name for itself", mutant(func(b *broken) {
		deleted := map[string]bool{}
		b.del = func(ctx context.Context, names ...string) error {
			for _, name := range names {
				deleted[name] = true
			}
			return b.StoreCloser.(secretstore.Deleter).Delete(ctx, names...)
		}
		b.set = func(ctx context.Context, name string, v value) error {
			if deleted[name] {
				return &secretstore.Error{Op: "set", Backend: "x", Name: name, Kind: secretstore.ErrConflict}
			}
			return b.StoreCloser.Set(ctx, name, v)
		}
	})},
	{"delete/case", "deletes the exact spelling alone", mutant(func(b *broken) {
		b.del = func(ctx context.Context, names ...string) error {
			return b.StoreCloser.(secretstore.Deleter).Delete(ctx, slices.DeleteFunc(slices.Clone(names), func(n string) bool { return n != strings.ToLower(n) })...)
		}
	})},
	{"delete/refused-whole", "deletes up to the bad name", mutant(func(b *broken) {
		b.del = func(ctx context.Context, names ...string) error {
			for _, name := range names {
				if err := b.StoreCloser.(secretstore.Deleter).Delete(ctx, name); err != nil {
					return err
				}
			}
			return nil
		}
	})},

	// Aliasing.
	{"alias/in", "keeps the caller's map", mutant(func(b *broken) {
		var kept batchOf
		b.setBatch = func(ctx context.Context, values batchOf) error {
			kept = values
			return b.StoreCloser.SetBatch(ctx, values)
		}
		b.get = func(ctx context.Context, name string) (value, error) {
			if v, ok := kept[name]; ok || len(kept) == 0 && kept != nil && strings.HasPrefix(name, "n-") {
				return v, nil
			}
			return b.StoreCloser.Get(ctx, name)
		}
	})},
	{"alias/in", "sorts the caller's names", mutant(func(b *broken) {
		b.getBatch = func(ctx context.Context, names []string) (map[string]value, error) {
			slices.Sort(names)
			slices.Reverse(names)
			return b.StoreCloser.GetBatch(ctx, names)
		}
	})},
	{"alias/out", "returns the list that it keeps", mutant(func(b *broken) {
		var kept []string
		b.list = func(ctx context.Context) ([]string, error) {
			if kept == nil {
				kept, _ = b.StoreCloser.List(ctx)
			}
			return kept, ctx.Err()
		}
	})},
	{"alias/out", "returns the map that it keeps", mutant(func(b *broken) {
		var kept map[string]value
		b.getBatch = func(ctx context.Context, names []string) (map[string]value, error) {
			if kept == nil {
				kept, _ = b.StoreCloser.GetBatch(ctx, names)
			}
			return kept, ctx.Err()
		}
	})},
}
