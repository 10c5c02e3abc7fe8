package vault

import (
	"context"
	"errors"
	"net/http"

	"github.com/mlsecrets/secretstore"
)

// mapDriver keeps all secrets as fields of one Vault secret. A batch is one request,
// and every write is one new version, so a batch is atomic.
type mapDriver struct {
	*client
	path string
}

func (d *mapDriver) Get(ctx context.Context, name string) (secretstore.Value, error) {
	v, err := d.read(ctx, d.path)
	if err != nil {
		return secretstore.Value{}, err
	}
	return v.take(name)
}

func (d *mapDriver) GetBatch(ctx context.Context, names []string) (map[string]secretstore.Value, error) {
	v, err := d.read(ctx, d.path)
	if err != nil {
		return nil, err
	}
	values := make(map[string]secretstore.Value, len(names))
	var failed secretstore.BatchError
	for _, name := range names {
		value, err := v.take(name)
		if err == nil {
			values[name] = value
			continue
		}
		failed.Errs = append(failed.Errs, named(name, err))
	}
	if len(failed.Errs) > 0 {
		return values, &failed
	}
	return values, nil
}

// named returns the error under a name. All that this package returns are *Error.
func named(name string, err error) *secretstore.Error {
	out := &secretstore.Error{Kind: secretstore.ErrUnavailable}
	if e, ok := errors.AsType[*secretstore.Error](err); ok {
		*out = *e
	}
	out.Name = name
	return out
}

func (d *mapDriver) List(ctx context.Context) ([]string, error) {
	v, err := d.read(ctx, d.path)
	if err != nil {
		return nil, err
	}
	names := make([]string, 0, len(v.fields))
	for name, raw := range v.fields {
		if canonical(name) && len(raw) > 0 && raw[0] == '"' {
			names = append(names, name)
		}
	}
	return names, nil
}

func (d *mapDriver) Set(ctx context.Context, name string, value secretstore.Value) error {
	fields := map[string]any{}
	put(fields, name, value, true)
	_, err := d.patch(ctx, fields)
	return err
}

func (d *mapDriver) SetBatch(ctx context.Context, values map[string]secretstore.Value) error {
	fields := make(map[string]any, 2*len(values))
	names := make([]string, 0, len(values))
	for name, value := range values {
		put(fields, name, value, true)
		names = append(names, name)
	}
	return whole(names)(d.patch(ctx, fields))
}

func (d *mapDriver) Delete(ctx context.Context, name string) error {
	_, err := d.patch(ctx, map[string]any{name: nil, markOf(name): nil})
	return err
}

func (d *mapDriver) DeleteBatch(ctx context.Context, names []string) error {
	fields := make(map[string]any, 2*len(names))
	for _, name := range names {
		fields[name], fields[markOf(name)] = nil, nil
	}
	return whole(names)(d.patch(ctx, fields))
}

// whole turns the outcome of a patch into that of a batch: where it isn't known
// whether the patch was carried out, that goes for every name.
func whole(names []string) func(unclear bool, err error) error {
	return func(unclear bool, err error) error {
		if !unclear {
			return err
		}
		failed := &secretstore.BatchError{}
		for _, name := range names {
			failed.Errs = append(failed.Errs, named(name, err))
		}
		return failed
	}
}

func isLost(err error) bool {
	_, ok := errors.AsType[*lostAnswer](err)
	return ok
}

// patch merges fields into the Vault secret; one that is nil is removed. It reports,
// beside an error, that the patch may have been carried out all the same.
//
// The server merges into the latest version under a lock, so that writers of
// different names don't undo each other's work. Where there is no version to patch, the
// first one is written with check-and-set, so that of two writers one has to patch
// after all. An engine that asks for check-and-set is given it.
func (d *mapDriver) patch(ctx context.Context, fields map[string]any) (unclear bool, err error) {
	kept := make(map[string]any, len(fields))
	for name, v := range fields {
		if v != nil {
			kept[name] = v
		}
	}
	options := map[string]any{} // of a patch
	for range casTries {
		a, err := d.write(ctx, http.MethodPatch, d.path, map[string]any{"data": fields, "options": options})
		if err != nil {
			return isLost(err), err
		}
		if a.status == http.StatusNotFound {
			// Its body says little, so that it might be anybody's.
			v, err := d.read(ctx, d.path)
			if err != nil {
				return false, err
			}
			if v.fields != nil {
				continue // somebody was faster
			}
			if len(kept) == 0 {
				return false, nil // to remove from nothing is done
			}
			if a, err = d.writeIf(ctx, d.path, kept, v.number); err != nil {
				return isLost(err), err
			}
		}
		switch {
		case a.status == http.StatusOK:
			return false, nil
		case casRequired(a) || casMismatch(a) && len(options) > 0:
			v, err := d.read(ctx, d.path)
			if err != nil {
				return false, err
			}
			options = map[string]any{"cas": v.number}
		case casMismatch(a):
		default:
			return a.status >= 500 && a.status != http.StatusServiceUnavailable, failure(a)
		}
		if err := pauseForOthers(ctx); err != nil {
			return false, err
		}
	}
	return false, errBeaten
}
