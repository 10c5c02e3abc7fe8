// Package memory keeps secrets in the memory of the process. It is for tests,
// and it is the reference implementation of the contract: what it does is what
// every backend must do.
package memory

import (
	"context"
	"maps"
	"net/url"
	"slices"
	"sync"

	"github.com/mlsecrets/secretstore"
)

// New returns an empty store. It is a [secretstore.Deleter], and its batches
// are atomic: SetBatch writes all or nothing, and GetBatch reads one state.
func New() secretstore.StoreCloser {
	return secretstore.New(&driver{values: make(map[string]secretstore.Value)})
}

// Open is the opener of memory:// URLs. Each call returns a new, empty store.
func Open(_ context.Context, u *url.URL) (secretstore.StoreCloser, error) {
	if _, err := secretstore.Params(u); err != nil {
		return nil, err
	}
	if u.Host != "" || (u.Path != "" && u.Path != "/") {
		return nil, &secretstore.Error{Kind: secretstore.ErrInvalidConfig,
			Detail: "memory:// takes no host and no path; each store is a new one"}
	}
	return New(), nil
}

type driver struct {
	mu     sync.RWMutex
	values map[string]secretstore.Value
}

func (d *driver) Backend() string { return "memory" }

func (d *driver) Get(_ context.Context, name string) (secretstore.Value, error) {
	d.mu.RLock()
	defer d.mu.RUnlock()
	v, ok := d.values[name]
	if !ok {
		return secretstore.Value{}, &secretstore.Error{Kind: secretstore.ErrNotFound}
	}
	return v, nil
}

// GetBatch reads all names in one state of the store.
func (d *driver) GetBatch(_ context.Context, names []string) (map[string]secretstore.Value, error) {
	d.mu.RLock()
	defer d.mu.RUnlock()
	values := make(map[string]secretstore.Value, len(names))
	var failed secretstore.BatchError
	for _, name := range names {
		if v, ok := d.values[name]; ok {
			values[name] = v
		} else {
			failed.Errs = append(failed.Errs, &secretstore.Error{Name: name, Kind: secretstore.ErrNotFound})
		}
	}
	if len(failed.Errs) > 0 {
		return values, &failed
	}
	return values, nil
}

func (d *driver) Set(_ context.Context, name string, value secretstore.Value) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.values[name] = value
	return nil
}

func (d *driver) SetBatch(_ context.Context, values map[string]secretstore.Value) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	maps.Copy(d.values, values)
	return nil
}

func (d *driver) List(context.Context) ([]string, error) {
	d.mu.RLock()
	defer d.mu.RUnlock()
	return slices.Collect(maps.Keys(d.values)), nil
}

func (d *driver) Delete(_ context.Context, name string) error {
	return d.DeleteBatch(context.Background(), []string{name})
}

func (d *driver) DeleteBatch(_ context.Context, names []string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, name := range names {
		delete(d.values, name)
	}
	return nil
}
