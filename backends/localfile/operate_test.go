package localfile_test

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/mlsecrets/secretstore"
	"github.com/mlsecrets/secretstore/backends/localfile"
)

// site is the folder of a store under test, with the keys that may open it.
type site string

func (d site) path() string         { return filepath.Join(string(d), "store", "store.db") }
func (d site) keyFile(k int) string { return filepath.Join(string(d), "keys", fmt.Sprint("key", k)) }

// ownKey is where the worker's environment has the user's own key file.
func (d site) ownKey() string { return filepath.Join(string(d), "config", "secretstore", "key") }

// config opens the store with a key; with key -1, with the user's own, from the
// environment.
func (d site) config(key int) localfile.Config {
	c := localfile.Config{Path: d.path()}
	if key >= 0 {
		c.Key = localfile.KeyFile(d.keyFile(key))
	}
	return c
}

// emptySite is a folder for a store. Its path has no symbolic links.
func emptySite(tb testing.TB) site {
	tb.Helper()
	dir, err := filepath.EvalSymlinks(tb.TempDir())
	if err != nil {
		tb.Fatal(err)
	}
	return site(dir)
}

// memorySite is an empty site in memory, if there is a place for it. Where it only
// matters what calls a process has made, syncing them takes most of the time.
func memorySite(tb testing.TB) site {
	tb.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "secretstore-test-")
	if err != nil {
		return emptySite(tb)
	}
	tb.Cleanup(func() { os.RemoveAll(dir) })
	return site(dir)
}

// newSite makes the keys, and a store that key 0 opens and that holds the values.
func newSite(tb testing.TB, values int) (site, state) {
	tb.Helper()
	d := emptySite(tb)
	for k := range modelKeys {
		if err := localfile.NewKeyFile(d.keyFile(k)); err != nil {
			tb.Fatal(err)
		}
	}
	s := state{map[string]uint64{}, map[int]int{1: 0}}
	if err := localfile.Create(tb.Context(), d.config(0)); err != nil {
		tb.Fatal(err)
	}
	fill := operation{Kind: "batch", Serial: 1}
	for i := range values {
		fill.Names = append(fill.Names, modelName(i))
	}
	if err := fill.do(tb.Context(), d, s); err != nil {
		tb.Fatal(err)
	}
	return d, fill.after(s)
}

// do carries the operation out on the store, which is in the state, with handles
// of its own.
func (op operation) do(ctx context.Context, d site, s state) (err error) {
	c := d.config(s.keys()[0])
	switch op.Kind {
	case "add":
		_, err = localfile.AddSlot(ctx, c, d.config(op.Keys[0]).Key)
		return err
	case "remove":
		return localfile.RemoveSlot(ctx, c, op.Slot)
	case "rotate":
		var keys []localfile.KeySource
		for _, k := range op.Keys {
			keys = append(keys, d.config(k).Key)
		}
		return localfile.Rotate(ctx, c, keys...)
	}
	store, err := localfile.Open(ctx, c)
	if err != nil {
		return err
	}
	defer store.Close()
	return op.write(ctx, store)
}

// write does an operation on secrets.
func (op operation) write(ctx context.Context, store secretstore.Store) error {
	switch op.Kind {
	case "set":
		return store.Set(ctx, op.Names[0], valueOf(op.Names[0], op.Serial))
	case "batch":
		values := make(map[string]secretstore.Value, len(op.Names))
		for _, name := range op.Names {
			values[name] = valueOf(name, op.Serial)
		}
		return store.SetBatch(ctx, values)
	case "delete":
		return store.(secretstore.Deleter).Delete(ctx, op.Names...)
	}
	return fmt.Errorf("no operation %q on secrets", op.Kind)
}

// operateTask is the task of a process that changes a store: the operations, or
// without any, those that the seed gives, without end.
type operateTask struct {
	Site       site
	State      state
	Operations []operation
	Seed       uint64
	Batches    bool // what the seed gives is nothing but SetBatch of 50
	First      bool // instead of all this: the user's first Set
}

// operations returns the operation of each number.
func (task operateTask) operations() func(s state, i int) (op operation, ok bool) {
	if len(task.Operations) > 0 {
		return func(_ state, i int) (operation, bool) {
			if i == len(task.Operations) {
				return operation{}, false
			}
			return task.Operations[i], true
		}
	}
	r := rand.New(rand.NewPCG(task.Seed, 0))
	return func(s state, i int) (operation, bool) {
		serial := task.Seed<<20 + uint64(i)
		if task.Batches {
			return nextBatch(r, serial), true
		}
		return nextOperation(r, s, serial), true
	}
}

// operateWorker does the operations, and writes a line to its standard output when
// one has returned.
func operateWorker(text []byte) error {
	var task operateTask
	if err := json.Unmarshal(text, &task); err != nil {
		return err
	}
	ctx := context.Background()
	d, s := task.Site, task.State
	if task.First {
		return firstSet(ctx, d.config(-1))
	}
	next := task.operations()
	var held secretstore.StoreCloser // open from one operation to the next, while its key opens the store
	heldKey := -1
	for i := 0; ; i++ {
		op, ok := next(s, i)
		if !ok {
			return nil
		}
		var err error
		if key := s.keys()[0]; op.Names == nil {
			err = op.do(ctx, d, s)
		} else {
			if heldKey != key {
				if held != nil {
					held.Close()
				}
				if held, err = localfile.Open(ctx, d.config(key)); err != nil {
					return err
				}
				heldKey = key
			}
			err = op.write(ctx, held)
		}
		if err != nil {
			return fmt.Errorf("operation %d, %s: %w", i, op.Kind, err)
		}
		s = op.after(s)
		acknowledge()
	}
}

// firstSet sets a secret where there may be no store yet.
func firstSet(ctx context.Context, c localfile.Config) error {
	store, err := localfile.Open(ctx, c)
	if err != nil {
		return err
	}
	defer store.Close()
	if err := store.Set(ctx, "first", valueOf("first", 1)); err != nil {
		return err
	}
	acknowledge()
	return nil
}

const acknowledgement = "done\n"

func acknowledge() { os.Stdout.WriteString(acknowledgement) }
