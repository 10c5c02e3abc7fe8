package vault

import (
	"context"
	"net/http"
	"net/url"

	"github.com/mlsecrets/secretstore"
)

// pathDriver keeps each secret in a Vault secret of its own.
type pathDriver struct {
	*client
	field          string
	data, metadata string // the paths before a name, with a slash at the end
}

func (d *pathDriver) Get(ctx context.Context, name string) (secretstore.Value, error) {
	v, err := d.read(ctx, d.data+name)
	if err != nil {
		return secretstore.Value{}, err
	}
	return v.take(d.field)
}

func (d *pathDriver) Set(ctx context.Context, name string, value secretstore.Value) error {
	fields := map[string]any{}
	put(fields, d.field, value, false)
	a, err := d.write(ctx, http.MethodPost, d.data+name, map[string]any{"data": fields})
	for range casTries {
		if err != nil {
			return err
		}
		if a.status == http.StatusOK {
			return nil
		}
		if !casRequired(a) && !casMismatch(a) {
			return failure(a)
		}
		// The engine takes no write without check-and-set (cas_required).
		v, err := d.read(ctx, d.data+name)
		if err != nil {
			return err
		}
		if a, err = d.writeIf(ctx, d.data+name, fields, v.number); err != nil {
			return err
		}
		if casMismatch(a) {
			if err := pauseForOthers(ctx); err != nil {
				return err
			}
		}
	}
	return errBeaten
}

// List leaves out folders, which end in a slash, and names in capitals: Vault tells
// them from the canonical name, which Get asks for.
func (d *pathDriver) List(ctx context.Context) ([]string, error) {
	a, err := d.call(ctx, request{method: http.MethodGet, path: d.metadata, query: url.Values{"list": {"true"}}})
	if err != nil {
		return nil, err
	}
	switch a.status {
	case http.StatusOK:
	case http.StatusNotFound:
		_, err := absent(a)
		return nil, err
	default:
		return nil, failure(a)
	}
	var r struct {
		Data struct {
			Keys []string `json:"keys"`
		} `json:"data"`
	}
	if err := parse(a, &r); err != nil {
		return nil, err
	}
	if r.Data.Keys == nil {
		return nil, unavailable(a, "the answer has no list of keys")
	}
	names := r.Data.Keys[:0]
	for _, key := range r.Data.Keys {
		if canonical(key) {
			names = append(names, key)
		}
	}
	return names, nil
}

// Delete removes all versions and the metadata, so that the name is free again.
func (d *pathDriver) Delete(ctx context.Context, name string) error {
	a, err := d.call(ctx, request{method: http.MethodDelete, path: d.metadata + name})
	if err != nil {
		return err
	}
	if a.status != http.StatusNoContent {
		return failure(a)
	}
	return nil
}

func canonical(name string) bool {
	c, err := secretstore.CanonicalName(name)
	return err == nil && c == name
}
