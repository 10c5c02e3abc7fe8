package localfile_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/mlsecrets/secretstore"
	"github.com/mlsecrets/secretstore/backends/localfile"
)

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
