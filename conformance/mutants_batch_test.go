package conformance_test

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"slices"
	"strings"

	"github.com/mlsecrets/secretstore"
)

// batchMutants break the rules of batches.
var batchMutants = []mutantStore{
	// Batches.
	{"getbatch/empty", "returns a nil map for no names", mutant(func(b *broken) {
		b.getBatch = func(ctx context.Context, names []string) (map[string]value, error) {
			if len(names) == 0 {
				return nil, nil
			}
			return b.StoreCloser.GetBatch(ctx, names)
		}
	})},
	{"getbatch/map", "returns a nil map beside an error", mutant(func(b *broken) {
		b.getBatch = func(ctx context.Context, names []string) (map[string]value, error) {
			got, err := b.StoreCloser.GetBatch(ctx, names)
			if err != nil {
				got = nil
			}
			return got, err
		}
	})},
	{"getbatch/all", "reads 100 names at the most", mutant(func(b *broken) {
		b.getBatch = func(ctx context.Context, names []string) (map[string]value, error) {
			return b.StoreCloser.GetBatch(ctx, names[:min(len(names), 100)])
		}
	})},
	{"getbatch/partial", "stops at the first missing name", mutant(func(b *broken) {
		b.getBatch = func(ctx context.Context, names []string) (map[string]value, error) {
			got := map[string]value{}
			for _, name := range names {
				v, err := b.StoreCloser.Get(ctx, name)
				if err != nil {
					return got, err
				}
				got[name] = v
			}
			return got, nil
		}
	})},
	{"getbatch/causes", "gives the causes in another order", mutant(func(b *broken) {
		b.getBatch = func(ctx context.Context, names []string) (map[string]value, error) {
			got, err := b.StoreCloser.GetBatch(ctx, names)
			if e, ok := errors.AsType[*secretstore.BatchError](err); ok {
				slices.SortFunc(e.Errs, func(a, b *secretstore.Error) int { return cmp.Compare(a.Name, b.Name) })
			}
			return got, err
		}
	})},
	{"getbatch/causes", "joins the causes without their names", mutant(func(b *broken) {
		b.getBatch = func(ctx context.Context, names []string) (map[string]value, error) {
			got, err := b.StoreCloser.GetBatch(ctx, names)
			if err != nil {
				err = errors.Join(err.(*secretstore.BatchError).Unwrap()...)
			}
			return got, err
		}
	})},
	{"getbatch/spelling", "keys the result by canonical names", mutant(func(b *broken) {
		b.getBatch = func(ctx context.Context, names []string) (map[string]value, error) {
			got, err := b.StoreCloser.GetBatch(ctx, names)
			out := map[string]value{}
			for name, v := range got {
				out[strings.ToLower(name)] = v
			}
			return out, err
		}
	})},
	{"getbatch/duplicates", "gives a cause for every mention", mutant(func(b *broken) {
		b.getBatch = func(ctx context.Context, names []string) (map[string]value, error) {
			got, err := b.StoreCloser.GetBatch(ctx, names)
			if e, ok := errors.AsType[*secretstore.BatchError](err); ok {
				e.Errs = append(e.Errs, e.Errs...)
			}
			return got, err
		}
	})},
	{"getbatch/invalid", "refuses the batch for one invalid name", mutant(func(b *broken) {
		b.getBatch = func(ctx context.Context, names []string) (map[string]value, error) {
			for _, name := range names {
				if _, err := secretstore.CanonicalName(name); err != nil {
					return map[string]value{}, err
				}
			}
			return b.StoreCloser.GetBatch(ctx, names)
		}
	})},
	{"getbatch/nil", "returns a nil *BatchError as an error", mutant(func(b *broken) {
		b.getBatch = func(ctx context.Context, names []string) (map[string]value, error) {
			got, err := b.StoreCloser.GetBatch(ctx, names)
			e, _ := errors.AsType[*secretstore.BatchError](err)
			return got, e
		}
	})},
	{"setbatch/all", "drops the last entry", mutant(func(b *broken) {
		b.setBatch = func(ctx context.Context, values batchOf) error {
			return b.StoreCloser.SetBatch(ctx, first(values, len(values)-1))
		}
	})},
	{"setbatch/all", "doesn't update what exists", mutant(func(b *broken) {
		b.setBatch = func(ctx context.Context, values batchOf) error {
			fresh := maps.Clone(values)
			maps.DeleteFunc(fresh, func(name string, _ value) bool { _, err := b.StoreCloser.Get(ctx, name); return err == nil })
			return b.StoreCloser.SetBatch(ctx, fresh)
		}
	})},
	{"setbatch/empty", "refuses an empty batch", mutant(func(b *broken) {
		b.setBatch = func(ctx context.Context, values batchOf) error {
			if len(values) == 0 {
				return &secretstore.Error{Op: "set batch", Backend: "x", Kind: secretstore.ErrInvalidName}
			}
			return b.StoreCloser.SetBatch(ctx, values)
		}
	})},
	{"setbatch/refused-whole", "writes the good entries beside a bad one", mutant(oneByOne)},
	{"setbatch/case", "lets the last of two spellings win", mutant(func(b *broken) {
		b.setBatch = func(ctx context.Context, values batchOf) error {
			for _, name := range slices.Sorted(maps.Keys(values)) {
				if err := b.StoreCloser.Set(ctx, name, values[name]); err != nil {
					return err
				}
			}
			return nil
		}
	})},
	{"setbatch/cancelled", "writes a part and says that nothing was written", mutant(oneByOne)},
	{"setbatch/cancelled", "is cut short and returns nil", mutant(func(b *broken) {
		b.setBatch = func(ctx context.Context, values batchOf) error {
			for name, v := range values {
				if ctx.Err() != nil {
					return nil
				}
				b.StoreCloser.Set(context.WithoutCancel(ctx), name, v)
			}
			return nil
		}
	})},
	{"setbatch/atomic", "claims atomic batches and writes one by one", mutant(func(b *broken) {
		b.setBatch = func(ctx context.Context, values batchOf) error {
			failed := &secretstore.BatchError{Op: "set batch", Backend: "x"}
			for _, name := range slices.Sorted(maps.Keys(values)) {
				if err := b.StoreCloser.Set(ctx, name, values[name]); err != nil {
					failed.Errs = append(failed.Errs, err.(*secretstore.Error))
				}
			}
			if len(failed.Errs) > 0 {
				return failed
			}
			return nil
		}
	})},
}
