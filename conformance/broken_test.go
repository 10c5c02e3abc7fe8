package conformance_test

import (
	"context"

	"github.com/mlsecrets/secretstore"
	"github.com/mlsecrets/secretstore/backends/memory"
	"github.com/mlsecrets/secretstore/conformance"
)

// broken is a sound store of which some methods are replaced.
type broken struct {
	secretstore.StoreCloser
	set      func(ctx context.Context, name string, v secretstore.Value) error
	setBatch func(ctx context.Context, values map[string]secretstore.Value) error
	get      func(ctx context.Context, name string) (secretstore.Value, error)
	getBatch func(ctx context.Context, names []string) (map[string]secretstore.Value, error)
	list     func(ctx context.Context) ([]string, error)
	del      func(ctx context.Context, names ...string) error
	close    func() error
}

func (b *broken) Set(ctx context.Context, name string, v secretstore.Value) error {
	if b.set != nil {
		return b.set(ctx, name, v)
	}
	return b.StoreCloser.Set(ctx, name, v)
}

func (b *broken) SetBatch(ctx context.Context, values map[string]secretstore.Value) error {
	if b.setBatch != nil {
		return b.setBatch(ctx, values)
	}
	return b.StoreCloser.SetBatch(ctx, values)
}

func (b *broken) Get(ctx context.Context, name string) (secretstore.Value, error) {
	if b.get != nil {
		return b.get(ctx, name)
	}
	return b.StoreCloser.Get(ctx, name)
}

func (b *broken) GetBatch(ctx context.Context, names []string) (map[string]secretstore.Value, error) {
	if b.getBatch != nil {
		return b.getBatch(ctx, names)
	}
	return b.StoreCloser.GetBatch(ctx, names)
}

func (b *broken) List(ctx context.Context) ([]string, error) {
	if b.list != nil {
		return b.list(ctx)
	}
	return b.StoreCloser.List(ctx)
}

func (b *broken) Delete(ctx context.Context, names ...string) error {
	if b.del != nil {
		return b.del(ctx, names...)
	}
	return b.StoreCloser.(secretstore.Deleter).Delete(ctx, names...)
}

func (b *broken) Close() error {
	if b.close != nil {
		return b.close()
	}
	return b.StoreCloser.Close()
}

// mutant is a harness whose stores are broken in one way.
func mutant(breakIt func(b *broken)) conformance.Harness {
	return conformance.Harness{
		Open: func(context.Context) (secretstore.StoreCloser, error) {
			b := &broken{StoreCloser: memory.New()}
			breakIt(b)
			return b, nil
		},
		// Another handle on the same data, broken in the same way.
		Second: func(_ context.Context, s secretstore.StoreCloser) (secretstore.StoreCloser, error) {
			b := &broken{StoreCloser: s.(*broken).StoreCloser}
			breakIt(b)
			return b, nil
		},
		Facts: conformance.Facts{AtomicBatch: true},
	}
}

// mapped is a mutant that changes values on their way in.
func mapped(change func([]byte) []byte) func(*broken) {
	return func(b *broken) {
		b.set = func(ctx context.Context, name string, v secretstore.Value) error {
			return b.StoreCloser.Set(ctx, name, secretstore.NewValue(change(v.Reveal())))
		}
		b.setBatch = func(ctx context.Context, values map[string]secretstore.Value) error {
			changed := map[string]secretstore.Value{}
			for name, v := range values {
				changed[name] = secretstore.NewValue(change(v.Reveal()))
			}
			return b.StoreCloser.SetBatch(ctx, changed)
		}
	}
}

// renamed is a mutant that stores under other names.
func renamed(change func(string) string) func(*broken) {
	return func(b *broken) {
		b.set = func(ctx context.Context, name string, v secretstore.Value) error {
			return b.StoreCloser.Set(ctx, change(name), v)
		}
		b.get = func(ctx context.Context, name string) (secretstore.Value, error) {
			return b.StoreCloser.Get(ctx, change(name))
		}
		b.setBatch = func(ctx context.Context, values map[string]secretstore.Value) error {
			changed := map[string]secretstore.Value{}
			for name, v := range values {
				changed[change(name)] = v
			}
			return b.StoreCloser.SetBatch(ctx, changed)
		}
	}
}
