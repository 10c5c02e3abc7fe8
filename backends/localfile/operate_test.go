package localfile_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
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

// survivor returns which of the states the store is in. It must be in one of them
// in every respect: what each key opens, what the methods say, what Verify says.
// Then a writer must be able to go on. The folder may hold nothing else.
func survivor(ctx context.Context, d site, candidates ...state) (state, error) {
	errs := make([]error, len(candidates))
	found := -1
	for i, s := range candidates {
		if errs[i] = inState(ctx, d, s); errs[i] == nil {
			found = i
			break
		}
	}
	if found < 0 {
		return state{}, fmt.Errorf("the store is in none of the states: %w", errors.Join(errs...))
	}
	s := candidates[found]
	if slots := candidates[len(candidates)-1].Slots; !maps.Equal(s.Slots, slots) && slices.Equal(s.keys(), candidates[len(candidates)-1].keys()) {
		// The same keys open both, and which has which slot doesn't show: a
		// rotation gives the slots anew.
		anew := operation{Kind: "rotate", Keys: s.keys()}
		if err := anew.do(ctx, d, s); err != nil {
			return state{}, fmt.Errorf("can't rotate: %w", err)
		}
		s = anew.after(s)
	}
	last := operation{Kind: "set", Names: []string{"survivor"}, Serial: s.Values["survivor"] + 1}
	if err := last.do(ctx, d, s); err != nil {
		return state{}, fmt.Errorf("can't go on writing: %w", err)
	}
	s = last.after(s)
	if err := inState(ctx, d, s); err != nil {
		return state{}, fmt.Errorf("after going on: %w", err)
	}
	return s, onlyStore(d)
}

// inState returns what in the store is not of the state.
func inState(ctx context.Context, d site, s state) error {
	for k := range modelKeys {
		store, err := localfile.Open(ctx, d.config(k))
		switch opens := slices.Contains(s.keys(), k); {
		case opens && err != nil:
			return fmt.Errorf("key %d doesn't open the store: %w", k, err)
		case !opens && err == nil:
			store.Close()
			return fmt.Errorf("key %d opens the store", k)
		case !opens && !errors.Is(err, secretstore.ErrWrongKey):
			return fmt.Errorf("key %d: got %w, want ErrWrongKey", k, err)
		case opens:
			err := holds(ctx, store, s.Values)
			store.Close()
			if err != nil {
				return err
			}
		}
	}
	report, err := localfile.Verify(ctx, d.config(s.keys()[0]))
	if err != nil {
		return fmt.Errorf("%w: %s", err, strings.Join(report.Damaged, ", "))
	}
	if report.Secrets != len(s.Values) {
		return fmt.Errorf("Verify counts %d secrets, want %d", report.Secrets, len(s.Values))
	}
	return nil
}

// holds returns how the store differs from the serial numbers.
func holds(ctx context.Context, store secretstore.Store, want map[string]uint64) error {
	names, err := store.List(ctx)
	if err != nil {
		return err
	}
	got, err := store.GetBatch(ctx, names)
	if err != nil {
		return err
	}
	if len(names) != len(want) {
		return fmt.Errorf("List has %d names, want %d", len(names), len(want))
	}
	for _, name := range names {
		serial, err := serialOf(name, got[name])
		if err != nil {
			return err
		}
		if w, ok := want[name]; !ok || w != serial {
			return fmt.Errorf("%s is of write %d, want %d (%v)", name, serial, w, ok)
		}
	}
	for i := range modelNames {
		if _, ok := want[modelName(i)]; ok {
			continue
		}
		if _, err := store.Get(ctx, modelName(i)); !errors.Is(err, secretstore.ErrNotFound) {
			return fmt.Errorf("%s: got %v, want ErrNotFound", modelName(i), err)
		}
	}
	return nil
}

// onlyStore returns an error if there is another file beside the store, or
// anything in clear in the store.
func onlyStore(d site) error {
	entries, err := os.ReadDir(filepath.Dir(d.path()))
	if err != nil {
		return err
	}
	for _, e := range entries {
		if e.Name() != filepath.Base(d.path()) {
			return fmt.Errorf("%s is left behind", e.Name())
		}
	}
	return inClear(d.path())
}

// inClear returns an error if the file shows a value or a name.
func inClear(path string) error {
	b, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	for _, text := range []string{canary, "secret-", "survivor", "secretstore-key-1"} {
		if strings.Contains(string(b), text) {
			return fmt.Errorf("%q stands in clear in %s", text, filepath.Base(path))
		}
	}
	return nil
}
