package vault

import (
	"context"
	"encoding/json"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/mlsecrets/secretstore"
)

// mapDriver keeps all secrets as fields of one Vault secret.
type mapDriver struct{ *driver }

// A name has no dot, so that the field which marks a value is no secret of its own.
const markSuffix = ".encoding"

func (d *mapDriver) Get(ctx context.Context, name string) (secretstore.Value, error) {
	s, err := d.read(ctx, d.prefix)
	if err != nil {
		return secretstore.Value{}, err
	}
	return s.named(name)
}

// named returns the secret of a name, in whatever case others have written it.
func (s secretAt) named(name string) (secretstore.Value, error) {
	if _, ok := s.fields[name]; !ok {
		for field := range s.fields {
			if strings.EqualFold(field, name) && len(field) == len(name) {
				return s.value(field, field+markSuffix)
			}
		}
	}
	return s.value(name, name+markSuffix)
}

func (d *mapDriver) GetBatch(ctx context.Context, names []string) (map[string]secretstore.Value, error) {
	s, err := d.read(ctx, d.prefix)
	if err != nil {
		return nil, err
	}
	values := make(map[string]secretstore.Value, len(names))
	var failed secretstore.BatchError
	for _, name := range names {
		v, err := s.named(name)
		if err != nil {
			e := *err.(*secretstore.Error)
			e.Name = name
			failed.Errs = append(failed.Errs, &e)
			continue
		}
		values[name] = v
	}
	if len(failed.Errs) > 0 {
		return values, &failed
	}
	return values, nil
}

func (d *mapDriver) List(ctx context.Context) ([]string, error) {
	s, err := d.read(ctx, d.prefix)
	if err != nil {
		return nil, err
	}
	var names []string
	for field, raw := range s.fields {
		var text string
		if json.Unmarshal(raw, &text) == nil && string(raw) != "null" {
			names = append(names, field)
		}
	}
	return names, nil
}

func (d *mapDriver) Set(ctx context.Context, name string, value secretstore.Value) error {
	return unnamed(d.SetBatch(ctx, map[string]secretstore.Value{name: value}))
}

// unnamed returns the one cause of a batch of one.
func unnamed(err error) error {
	if b, ok := err.(*secretstore.BatchError); ok {
		return b.Errs[0]
	}
	return err
}

// SetBatch writes all values in one new version of the Vault secret.
func (d *mapDriver) SetBatch(ctx context.Context, values map[string]secretstore.Value) error {
	return d.change(ctx, func(s secretAt) map[string]any {
		fields := make(map[string]any, 2*len(values))
		for name, v := range values {
			s.forget(fields, name)
			text, binary := secretstore.EncodeText(v)
			fields[name] = text
			if binary {
				fields[name+markSuffix] = markBase64
			}
		}
		return fields
	}, values)
}

func (d *mapDriver) Delete(ctx context.Context, name string) error {
	return unnamed(d.DeleteBatch(ctx, []string{name}))
}

func (d *mapDriver) DeleteBatch(ctx context.Context, names []string) error {
	asked := make(map[string]secretstore.Value, len(names))
	for _, name := range names {
		asked[name] = secretstore.Value{}
	}
	return d.change(ctx, func(s secretAt) map[string]any {
		fields := make(map[string]any)
		for _, name := range names {
			s.forget(fields, name)
		}
		return fields
	}, asked)
}

// forget puts into a patch what removes the name, in whatever case, and its mark.
func (s secretAt) forget(patch map[string]any, name string) {
	for field := range s.fields {
		base := strings.TrimSuffix(field, markSuffix)
		if strings.EqualFold(base, name) && len(base) == len(name) {
			patch[field] = nil
		}
	}
}

// change patches the Vault secret, with check-and-set, until no other writer came
// between. fields returns the patch for a version; an empty one is no change.
func (d *mapDriver) change(ctx context.Context, fields func(secretAt) map[string]any, asked map[string]secretstore.Value) error {
	for pause := 5 * time.Millisecond; ; pause = min(2*pause, 200*time.Millisecond) {
		s, err := d.read(ctx, d.prefix)
		if err != nil {
			return err
		}
		patch := fields(s)
		if len(patch) == 0 {
			return nil
		}
		method := "PATCH"
		if s.fields == nil {
			method = "POST" // there is nothing to patch
		}
		written, err := d.write(ctx, method, d.prefix, patch, &s.version)
		if err != nil {
			return unsure(err, asked)
		}
		if written {
			return nil
		}
		if err := sleep(ctx, pause/2+rand.N(pause)); err != nil {
			return err
		}
	}
}

// unsure is the error of a write of which it is not known whether the server did it:
// the answer got lost.
func unsure(err error, asked map[string]secretstore.Value) error {
	e, ok := err.(*secretstore.Error)
	if ok && e.Status != 0 && e.Status < 500 && e.Kind != secretstore.ErrUnavailable {
		return err // refused
	}
	if !ok {
		e = &secretstore.Error{Kind: err} // the context's
	}
	b := &secretstore.BatchError{}
	for name := range asked {
		cause := *e
		cause.Name = name
		b.Errs = append(b.Errs, &cause)
	}
	return b
}
