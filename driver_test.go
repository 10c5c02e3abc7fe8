package secretstore_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"

	"github.com/mlsecrets/secretstore"
)

// kinds is the closed set of errors.
var kinds = []error{
	secretstore.ErrNotFound, secretstore.ErrInvalidName, secretstore.ErrTooLarge,
	secretstore.ErrDenied, secretstore.ErrConflict, secretstore.ErrThrottled,
	secretstore.ErrUnavailable, secretstore.ErrWrongKey, secretstore.ErrCorrupt,
	secretstore.ErrLocked, secretstore.ErrClosed, secretstore.ErrInvalidConfig,
	errors.ErrUnsupported, context.Canceled, context.DeadlineExceeded,
}

// kindsOf returns every kind that err is.
func kindsOf(err error) []error {
	var is []error
	for _, kind := range kinds {
		if errors.Is(err, kind) {
			is = append(is, kind)
		}
	}
	return is
}

// wantError returns the *Error that err is, and fails the test unless err is a
// plain *Error, not wrapped, of exactly the given kinds.
func wantError(t *testing.T, err error, want ...error) *secretstore.Error {
	t.Helper()
	e, ok := err.(*secretstore.Error)
	if !ok || e == nil {
		t.Fatalf("got error %v (%T), want an *Error of kind %v", err, err, want)
	}
	if got := kindsOf(err); !slices.Equal(got, want) {
		t.Fatalf("got error %q of kinds %v, want %v", err, got, want)
	}
	if !slices.Contains(kinds, e.Kind) {
		t.Fatalf("error %q has Kind %v (%T), which is no member of the closed set", err, e.Kind, e.Kind)
	}
	return e
}

// cause is what a batch says of one name.
type cause struct {
	name string
	kind error
}

// wantBatch returns the *BatchError that err is, and fails the test unless it
// has exactly the given causes in that order.
func wantBatch(t *testing.T, err error, want ...cause) *secretstore.BatchError {
	t.Helper()
	b, ok := err.(*secretstore.BatchError)
	if !ok || b == nil {
		t.Fatalf("got error %v (%T), want a *BatchError", err, err)
	}
	var got []cause
	for _, e := range b.Errs {
		got = append(got, cause{e.Name, e.Kind})
	}
	if !slices.Equal(got, want) {
		t.Fatalf("got causes %v, want %v", got, want)
	}
	return b
}

func wantNil(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatalf("got error %v (%T), want nil", err, err)
	}
}

func secret(s string) secretstore.Value { return secretstore.NewValue([]byte(s)) }

// fake is a driver that does what its functions say and records each call as
// "get a". It has no optional interface; the types below add them.
type fake struct {
	get  func(ctx context.Context, name string) (secretstore.Value, error)
	set  func(ctx context.Context, name string, value secretstore.Value) error
	list func(ctx context.Context) ([]string, error)

	mu    sync.Mutex
	calls []string
}

func (f *fake) record(call string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.calls = append(f.calls, call)
}

// called returns the calls so far, sorted: a fan-out has no order.
func (f *fake) called() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Sorted(slices.Values(f.calls))
}

func (f *fake) Backend() string { return "fake" }

func (f *fake) Get(ctx context.Context, name string) (secretstore.Value, error) {
	f.record("get " + name)
	if f.get == nil {
		return secret("value of " + name), nil
	}
	return f.get(ctx, name)
}

func (f *fake) Set(ctx context.Context, name string, value secretstore.Value) error {
	f.record("set " + name)
	if f.set == nil {
		return nil
	}
	return f.set(ctx, name, value)
}

func (f *fake) List(ctx context.Context) ([]string, error) {
	f.record("list")
	if f.list == nil {
		return nil, nil
	}
	return f.list(ctx)
}

type getBatcher struct {
	*fake
	getBatch func(ctx context.Context, names []string) (map[string]secretstore.Value, error)
}

func (d getBatcher) GetBatch(ctx context.Context, names []string) (map[string]secretstore.Value, error) {
	d.record("get batch")
	return d.getBatch(ctx, names)
}

type setBatcher struct {
	*fake
	setBatch func(ctx context.Context, values map[string]secretstore.Value) error
}

func (d setBatcher) SetBatch(ctx context.Context, values map[string]secretstore.Value) error {
	d.record("set batch")
	return d.setBatch(ctx, values)
}

type deleter struct {
	*fake
	delete func(ctx context.Context, name string) error
}

func (d deleter) Delete(ctx context.Context, name string) error {
	d.record("delete " + name)
	if d.delete == nil {
		return nil
	}
	return d.delete(ctx, name)
}

type batchDeleter struct {
	deleter
	deleteBatch func(ctx context.Context, names []string) error
}

func (d batchDeleter) DeleteBatch(ctx context.Context, names []string) error {
	d.record("delete batch")
	return d.deleteBatch(ctx, names)
}

type fanned struct {
	deleter
	gets, sets int
}

func (d fanned) Fanout() (int, int) { return d.gets, d.sets }

type closer struct {
	deleter
	close func() error
}

func (d closer) Close() error {
	d.record("close")
	return d.close()
}
