package localfile_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/mlsecrets/secretstore"
	"github.com/mlsecrets/secretstore/backends/localfile"
)

// failWorker does one operation, acknowledges it if it returns nil, and looks at
// what it left if it fails.
func failWorker(text []byte) error {
	var task operateTask
	if err := json.Unmarshal(text, &task); err != nil {
		return err
	}
	ctx, d := context.Background(), task.Site
	if task.First {
		return ofDisk(firstSet(ctx, d.config(-1)))
	}
	op, before := task.Operations[0], task.State
	if op.Names == nil {
		err := op.do(ctx, d, before)
		if err == nil {
			acknowledge()
		}
		return ofDisk(err)
	}
	store, err := localfile.Open(ctx, d.config(before.keys()[0]))
	if err != nil {
		return err
	}
	defer store.Close()
	if err = op.write(ctx, store); err == nil {
		acknowledge()
		return nil
	}
	if err := ofDisk(err); err != nil {
		return err
	}
	unchanged := holds(ctx, store, before.Values)
	_, maybe := errors.AsType[*secretstore.BatchError](err)
	if unchanged != nil && len(op.Names) > 1 && !maybe {
		return fmt.Errorf("%w, which says that nothing was written, and %w", err, unchanged)
	}
	if changed := holds(ctx, store, op.after(before).Values); unchanged != nil && changed != nil {
		return fmt.Errorf("neither before nor after: %w, %w", unchanged, changed)
	}
	// The fault has passed.
	if err := store.Set(ctx, "again", valueOf("again", 1)); err != nil {
		return fmt.Errorf("can't go on: %w", err)
	}
	return store.(secretstore.Deleter).Delete(ctx, "again")
}

// ofDisk returns nil for an error that tells of a disk, and what else it is.
func ofDisk(err error) error {
	if err == nil || errors.Is(err, secretstore.ErrUnavailable) {
		return nil
	}
	return fmt.Errorf("want ErrUnavailable, got %w", err)
}
