package conformance

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/mlsecrets/secretstore"
)

// env is what a check works with.
type env struct {
	h      Harness
	prefix string // of every name, in a shared store

	operations int // of the history that was checked

	mu     sync.Mutex
	stores []secretstore.StoreCloser
}

func newEnv(h Harness) *env {
	e := &env{h: h}
	if h.Shared {
		e.prefix = "conformance-" + strings.ToLower(rand.Text()[:10]) + "-"
	}
	return e
}

// open returns a fresh store.
func (e *env) open(ctx context.Context) (secretstore.StoreCloser, error) {
	s, err := e.h.Open(ctx)
	if err != nil {
		return nil, fmt.Errorf("open a fresh store: %w", err)
	}
	e.closeLater(s)
	return s, nil
}

// second returns another handle on the data of s.
func (e *env) second(ctx context.Context, s secretstore.StoreCloser) (secretstore.StoreCloser, error) {
	t, err := e.h.Second(ctx, s)
	if err != nil {
		return nil, fmt.Errorf("open a second handle: %w", err)
	}
	e.closeLater(t)
	return t, nil
}

func (e *env) closeLater(s secretstore.StoreCloser) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.stores = append(e.stores, s)
}

// cleanUp closes what was opened, and in a shared store deletes what was made.
func (e *env) cleanUp() error {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	var errs []error
	for _, s := range slices.Backward(e.stores) {
		if d, ok := s.(secretstore.Deleter); ok && e.h.Shared {
			names, err := e.list(ctx, s)
			for i := range names {
				names[i] = e.prefix + names[i]
			}
			errs = append(errs, err, d.Delete(ctx, names...))
		}
		errs = append(errs, s.Close())
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("clean up: %w", err)
	}
	return nil
}

// name returns the name to use for one in a check.
func (e *env) name(name string) string { return e.prefix + name }

// names returns n names.
func (e *env) names(n int) []string {
	names := make([]string, n)
	for i := range names {
		names[i] = e.name(fmt.Sprintf("n-%03d", i))
	}
	return names
}

// list returns the names of this check, without the prefix.
func (e *env) list(ctx context.Context, s secretstore.Store) ([]string, error) {
	all, err := s.List(ctx)
	if err != nil || e.prefix == "" {
		return all, err
	}
	own := []string{}
	for _, name := range all {
		if short, ok := strings.CutPrefix(name, e.prefix); ok {
			own = append(own, short)
		}
	}
	return own, nil
}

// count returns a number of repetitions: fewer where a call is slow.
func (e *env) count(n int) int {
	if e.h.Slow {
		return max(n/20, 2)
	}
	return n
}

func text(s string) secretstore.Value { return secretstore.NewValue([]byte(s)) }

// batch returns a batch with a value for each name that tells it from others.
func batch(names []string, salt string) map[string]secretstore.Value {
	m := make(map[string]secretstore.Value, len(names))
	for _, name := range names {
		m[name] = text(salt + name)
	}
	return m
}

// deleter returns the store's Delete.
func deleter(s secretstore.Store) (secretstore.Deleter, error) {
	d, ok := s.(secretstore.Deleter)
	if !ok {
		return nil, errLeftOut(NeedsDelete)
	}
	return d, nil
}

// expect checks that the name holds the value, by Get.
func expect(ctx context.Context, s secretstore.Store, name string, want secretstore.Value) error {
	got, err := s.Get(ctx, name)
	if err != nil {
		return fmt.Errorf("Get(%q): %w", name, err)
	}
	if !got.Equal(want) {
		return fmt.Errorf("Get(%q): got %s, want %s", name, show(got), show(want))
	}
	return nil
}

// expectAbsent checks that there is no such name, by Get.
func expectAbsent(ctx context.Context, s secretstore.Store, name string) error {
	v, err := s.Get(ctx, name)
	if !errors.Is(err, secretstore.ErrNotFound) {
		return fmt.Errorf("Get(%q): got %s, %v; want ErrNotFound", name, show(v), err)
	}
	return nil
}

// show describes a value of the suite's own, which is no secret.
func show(v secretstore.Value) string {
	b := v.Reveal()
	if len(b) > 40 {
		return fmt.Sprintf("%q… (%d bytes)", b[:40], len(b))
	}
	return fmt.Sprintf("%q", b)
}

// expectKind checks that an error is of the kind.
func expectKind(what string, err, kind error) error {
	if !errors.Is(err, kind) {
		return fmt.Errorf("%s: got %v, want %v", what, err, kind)
	}
	return nil
}

// expectList checks the list, without the prefix.
func (e *env) expectList(ctx context.Context, s secretstore.Store, want []string) error {
	got, err := e.list(ctx, s)
	if err != nil {
		return fmt.Errorf("List: %w", err)
	}
	short := make([]string, len(want))
	for i, name := range want {
		short[i] = strings.TrimPrefix(name, e.prefix)
	}
	if !slices.Equal(got, short) {
		return fmt.Errorf("List: got %d names %.5q…, want %d names %.5q…", len(got), got, len(short), short)
	}
	return nil
}

// patterned returns n bytes that no two offsets share in a row.
func patterned(n int) []byte {
	return bytes.Repeat([]byte("0123456789abcdefghijklmnopqrstuvwxyz-"), n/37+1)[:n]
}
