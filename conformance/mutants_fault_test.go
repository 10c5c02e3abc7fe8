package conformance_test

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/mlsecrets/secretstore"
	"github.com/mlsecrets/secretstore/conformance"
)

// faultMutants break the rules of errors and faults.
var faultMutants = []mutantStore{
	// Errors and faults.
	{"error/form", "returns an error of its own", mutant(func(b *broken) {
		b.get = func(ctx context.Context, name string) (value, error) {
			v, err := b.StoreCloser.Get(ctx, name)
			if err != nil {
				err = fmt.Errorf("get %s: %w", name, err)
			}
			return v, err
		}
	})},
	{"error/form", "returns an error of two kinds", mutant(func(b *broken) {
		b.get = func(ctx context.Context, name string) (value, error) {
			v, err := b.StoreCloser.Get(ctx, name)
			if e, ok := err.(*secretstore.Error); ok {
				e.Kind = errors.Join(secretstore.ErrNotFound, secretstore.ErrUnavailable)
			}
			return v, err
		}
	})},
	{"error/name", "names the canonical name", mutant(func(b *broken) {
		b.get = func(ctx context.Context, name string) (value, error) {
			return b.StoreCloser.Get(ctx, strings.ToLower(name))
		}
	})},
	{"error/canary", "shows the value in an error", mutant(func(b *broken) {
		b.set = func(ctx context.Context, name string, v value) error {
			err := b.StoreCloser.Set(ctx, name, v)
			if e, ok := err.(*secretstore.Error); ok {
				e.Detail += fmt.Sprintf(": %x", v.Reveal())
			}
			return err
		}
	})},
	{"error/canary", "shows another secret in an error", mutant(func(b *broken) {
		b.get = func(ctx context.Context, name string) (value, error) {
			v, err := b.StoreCloser.Get(ctx, name)
			if held, herr := b.StoreCloser.Get(ctx, "held"); err != nil && herr == nil {
				err = fmt.Errorf("have only %q: %w", held.Reveal(), err)
			}
			return v, err
		}
	})},
	{"fault/outage", "says not found on an outage", kindFor(conformance.Outage, secretstore.ErrNotFound)},
	{"fault/deny", "says not found when it is refused", kindFor(conformance.Deny, secretstore.ErrNotFound)},
	{"fault/throttle", "calls throttling an outage", kindFor(conformance.Throttle, secretstore.ErrDenied)},
	{"fault/echo", "passes on what the service says", harness(func(s *service) { s.echoes = true })},
	{"fault/deny-one", "fails the batch for one denied name", harness(func(s *service) { s.costsOthers = true })},
	{"fault/disable-one", "says not found of a disabled name", kindFor(conformance.Disable, secretstore.ErrNotFound)},
	{"fault/expire", "says not found when the login has run out", kindFor(conformance.Expire, secretstore.ErrNotFound)},
}
