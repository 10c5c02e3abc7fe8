package conformance_test

import (
	"context"
	"maps"
	"strings"
	"sync"
	"time"

	"github.com/mlsecrets/secretstore"
)

// concurrentMutants break the rules of concurrent calls, and any sequence.
var concurrentMutants = []mutantStore{
	// Concurrency.
	{"concurrent/linearizable", "reads an old value now and then", mutant(staleReads)},
	{"concurrent/linearizable-handles", "reads old values through the second handle", withSecond(snapshotOf)},
	{"concurrent/linearizable-processes", "shares nothing between processes", apart()},
	{"concurrent/whole", "writes values in two steps", mutant(torn)},
	{"concurrent/whole-handles", "writes values in two steps", mutant(torn)},
	{"concurrent/whole-processes", "shares nothing between processes", apart()},
	{"concurrent/atomic", "claims atomic batches and writes one by one", mutant(slowly)},
	{"concurrent/atomic-handles", "claims atomic batches and writes one by one", mutant(slowly)},
	{"concurrent/set-batch-delete", "fails while another call is under way", mutant(func(b *broken) {
		var mu sync.Mutex
		b.list = func(ctx context.Context) ([]string, error) {
			if !mu.TryLock() {
				return nil, &secretstore.Error{Op: "list", Backend: "x", Kind: secretstore.ErrLocked}
			}
			defer mu.Unlock()
			time.Sleep(time.Millisecond)
			return b.StoreCloser.List(ctx)
		}
	})},
	{"model", "loses a name when it is deleted and set in a batch", mutant(func(b *broken) {
		deleted := map[string]bool{}
		b.del = func(ctx context.Context, names ...string) error {
			for _, name := range names {
				deleted[strings.ToLower(name)] = true
			}
			return b.StoreCloser.(secretstore.Deleter).Delete(ctx, names...)
		}
		b.setBatch = func(ctx context.Context, values batchOf) error {
			values = maps.Clone(values)
			maps.DeleteFunc(values, func(name string, _ value) bool { return len(values) > 1 && deleted[strings.ToLower(name)] })
			return b.StoreCloser.SetBatch(ctx, values)
		}
	})},
}
