package vault

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"

	"github.com/mlsecrets/secretstore"
)

// pathDriver keeps each secret at a path of its own.
type pathDriver struct{ *driver }

// The field beside the value's that marks it as base64.
const encodingSuffix = "-encoding"

func (d *pathDriver) path(name string) string { return join(d.prefix, name) }

func (d *pathDriver) Get(ctx context.Context, name string) (secretstore.Value, error) {
	s, err := d.read(ctx, d.path(name))
	if err != nil {
		return secretstore.Value{}, err
	}
	v, err := s.value(d.field, d.field+encodingSuffix)
	if e, ok := errors.AsType[*secretstore.Error](err); ok && e.Kind == secretstore.ErrNotFound && s.fields != nil {
		e.Detail = "the Vault secret has no field " + d.field
	}
	return v, err
}

func (d *pathDriver) Set(ctx context.Context, name string, value secretstore.Value) error {
	text, binary := secretstore.EncodeText(value)
	fields := map[string]any{d.field: text}
	if binary {
		fields[d.field+encodingSuffix] = markBase64
	}
	_, err := d.write(ctx, "POST", d.path(name), fields, nil)
	if e, ok := errors.AsType[*secretstore.Error](err); !ok || e.Detail != detailCAS {
		return err
	}
	// The mount or the secret wants to be told the version that is replaced.
	for {
		s, err := d.read(ctx, d.path(name))
		if err != nil {
			return err
		}
		if ok, err := d.write(ctx, "POST", d.path(name), fields, &s.version); ok || err != nil {
			return err
		}
		if err := ctx.Err(); err != nil {
			return err
		}
	}
}

func (d *pathDriver) List(ctx context.Context) ([]string, error) {
	if err := d.mount.check(ctx, d.metadata(d.prefix)); err != nil {
		return nil, err
	}
	a, err := d.session.do(ctx, request{method: "LIST", path: d.metadata(d.prefix)})
	if err != nil {
		return nil, err
	}
	if a.status == http.StatusNotFound {
		if a.hasErrors && len(a.Errors) == 0 {
			return nil, nil // Vault has no other way to say that a folder is empty
		}
		return nil, a.unavailable("there is no KV version 2 secrets engine at the mount " + d.mount.path)
	}
	var listed struct {
		Keys []string `json:"keys"`
	}
	if json.Unmarshal(a.Data, &listed) != nil || listed.Keys == nil {
		return nil, foreign()
	}
	var names []string
	for _, key := range listed.Keys {
		// Vault tells case apart, so that what others have written in upper case
		// can't be read by our names. Folders end in a slash, which is no name.
		if key == strings.ToLower(key) {
			names = append(names, key)
		}
	}
	return names, nil
}

// Delete removes all versions: after a soft deletion, the name would stay in lists.
func (d *pathDriver) Delete(ctx context.Context, name string) error {
	if err := d.mount.check(ctx, d.metadata(d.path(name))); err != nil {
		return err
	}
	a, err := d.session.do(ctx, request{method: "DELETE", path: d.metadata(d.path(name))})
	if err != nil {
		return err
	}
	if a.status != http.StatusNoContent {
		return foreign() // nobody has said that it is gone
	}
	return nil
}
