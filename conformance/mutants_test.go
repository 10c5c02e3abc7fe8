package conformance_test

import (
	"context"
	"encoding/json"
	"maps"
	"os"
	"os/exec"
	"slices"
	"sync"
	"time"

	"github.com/mlsecrets/secretstore"
	"github.com/mlsecrets/secretstore/conformance"
)

type (
	value   = secretstore.Value
	batchOf = map[string]secretstore.Value
)

func val(s string) value { return secretstore.NewValue([]byte(s)) }

// mutantStore is a store that breaks one rule.
type mutantStore struct {
	rule, what string // the rule's id, and what is broken
	harness    conformance.Harness
}

// mutants are all of them, rule by rule.
var mutants = slices.Concat(valueMutants, batchMutants, listMutants, contextMutants, faultMutants, concurrentMutants)

func reformat(b []byte) []byte {
	var v any
	if json.Unmarshal(b, &v) != nil {
		return b
	}
	out, _ := json.Marshal(v)
	return out
}

// first returns n entries of a batch, in order of their names.
func first(values batchOf, n int) batchOf {
	out := batchOf{}
	for _, name := range slices.Sorted(maps.Keys(values))[:max(n, 0)] {
		out[name] = values[name]
	}
	return out
}

// cached reads every name once.
func cached(b *broken) {
	cache := map[string]value{}
	b.get = func(ctx context.Context, name string) (value, error) {
		if v, ok := cache[name]; ok {
			return v, nil
		}
		v, err := b.StoreCloser.Get(ctx, name)
		if err == nil {
			cache[name] = v
		}
		return v, err
	}
}

// oneByOne is a SetBatch that stops at the first error.
func oneByOne(b *broken) {
	b.setBatch = func(ctx context.Context, values batchOf) error {
		for _, name := range slices.Sorted(maps.Keys(values)) {
			if err := b.StoreCloser.Set(ctx, name, values[name]); err != nil {
				return err
			}
		}
		return nil
	}
}

// slowly is a SetBatch whose parts can be seen.
func slowly(b *broken) {
	b.setBatch = func(ctx context.Context, values batchOf) error {
		for _, name := range slices.Sorted(maps.Keys(values)) {
			if err := b.StoreCloser.Set(ctx, name, values[name]); err != nil {
				return err
			}
			time.Sleep(10 * time.Microsecond)
		}
		return nil
	}
}

// staleReads returns the value before the last one at every fifth read.
func staleReads(b *broken) {
	var mu sync.Mutex
	var reads int
	var before, now value
	b.set = func(ctx context.Context, name string, v value) error {
		mu.Lock()
		defer mu.Unlock()
		before, now = now, v
		return b.StoreCloser.Set(ctx, name, v)
	}
	b.get = func(ctx context.Context, name string) (value, error) {
		mu.Lock()
		defer mu.Unlock()
		if reads++; reads%5 == 0 {
			return before, nil
		}
		return b.StoreCloser.Get(ctx, name)
	}
}

// torn sets half of a value before the whole of it.
func torn(b *broken) {
	b.set = func(ctx context.Context, name string, v value) error {
		raw := v.Reveal()
		if err := b.StoreCloser.Set(ctx, name, secretstore.NewValue(raw[:len(raw)/2])); err != nil {
			return err
		}
		time.Sleep(time.Millisecond)
		return b.StoreCloser.Set(ctx, name, v)
	}
}

func withSecond(second func(*handle) secretstore.Driver) conformance.Harness {
	return harness(func(s *service) { s.second = second })
}

// snapshotOf is a second handle that never looks at the first's data again.
func snapshotOf(h *handle) secretstore.Driver {
	copied := newService()
	copied.values = maps.Clone(h.s.values)
	return handle{copied}
}

func kindFor(f conformance.Fault, kind error) conformance.Harness {
	return harness(func(s *service) { s.kind = map[conformance.Fault]error{f: kind} })
}

// apart is a harness whose child process has a store of its own.
func apart() conformance.Harness {
	h := harness(nil)
	h.Child = func(ctx context.Context, _ secretstore.StoreCloser) (*exec.Cmd, error) {
		cmd := exec.CommandContext(ctx, os.Args[0], "-test.run=^TestChildApart$")
		cmd.Env = append(os.Environ(), "CONFORMANCE_APART=1")
		return cmd, nil
	}
	return h
}
