package conformance

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/mlsecrets/secretstore"
)

// inject makes a fault, or leaves the rule out if the harness can't.
func (e *env) inject(s secretstore.StoreCloser, f Fault, name string) (undo func(), err error) {
	undo, err = e.h.Inject(s, f, name)
	if errors.Is(err, errors.ErrUnsupported) {
		return nil, errLeftOut(NeedsFault + Need(f))
	}
	return undo, err
}

// faultRule is the rule that a fault of the whole service gives one kind of error,
// never ErrNotFound, and leaves what is stored as it is.
func faultRule(f Fault, kind error, sentence string) Rule {
	return Rule{ID: "fault/" + string(f), Sentence: sentence, Needs: NeedsFault + Need(f),
		check: func(ctx context.Context, e *env) error {
			s, err := e.open(ctx)
			if err != nil {
				return err
			}
			name := e.name("ctx")
			if err := s.Set(ctx, name, text("old")); err != nil {
				return err
			}
			undo, err := e.inject(s, f, "")
			if err != nil {
				return err
			}
			canary := newCanary()
			calls := e.methods(s)
			calls["Set"] = func(ctx context.Context) error { return s.Set(ctx, name, secretstore.NewValue(canary)) }
			err = func() error {
				defer undo()
				for method, call := range calls {
					short, cancel := context.WithTimeout(ctx, 2*time.Second)
					err := call(short)
					cancel()
					if err == nil {
						return fmt.Errorf("%s: got no error", method)
					}
					if errors.Is(err, secretstore.ErrNotFound) {
						return fmt.Errorf("%s: got ErrNotFound, and the secret is there: %w", method, err)
					}
					if kind != nil {
						if err := expectKind(method, err, kind); err != nil {
							return err
						}
					}
					if err := errors.Join(wellFormed(err), leaks(err, canary)); err != nil {
						return fmt.Errorf("%s: %w", method, err)
					}
				}
				return nil
			}()
			if err != nil {
				return err
			}
			return expect(ctx, s, name, text("old"))
		}}
}

// nameFaultRule is the rule that a fault of one name never costs the others.
func nameFaultRule(f Fault, sentence string) Rule {
	return Rule{ID: "fault/" + string(f) + "-one", Sentence: sentence, Needs: NeedsFault + Need(f),
		check: func(ctx context.Context, e *env) error {
			s, err := e.open(ctx)
			if err != nil {
				return err
			}
			names := e.names(10)
			if err := s.SetBatch(ctx, batch(names, "v ")); err != nil {
				return err
			}
			undo, err := e.inject(s, f, names[4])
			if err != nil {
				return err
			}
			defer undo()
			_, err = s.Get(ctx, names[4])
			if err := errors.Join(expectKind("Get", err, secretstore.ErrDenied)); err != nil {
				return err
			}
			got, err := s.GetBatch(ctx, names)
			want := batch(names, "v ")
			delete(want, names[4])
			if !sameValues(got, want) {
				return fmt.Errorf("GetBatch: got %d values, want the %d others (%v)", len(got), len(want), err)
			}
			failed, ferr := failedNames(err)
			if ferr != nil {
				return ferr
			}
			if len(failed) != 1 || failed[0] != names[4] {
				return fmt.Errorf("GetBatch: got causes for %q, want for %q", failed, names[4])
			}
			return expectKind("GetBatch", err, secretstore.ErrDenied)
		}}
}

var faultRules = []Rule{
	faultRule(Outage, secretstore.ErrUnavailable, "An outage is ErrUnavailable, never ErrNotFound."),
	faultRule(Deny, secretstore.ErrDenied, "A refusal is ErrDenied, never ErrNotFound."),
	faultRule(Throttle, secretstore.ErrThrottled, "A service that throttles for longer than the context is ErrThrottled."),
	faultRule(Echo, nil, "What a service repeats of a request is in no error."),
	nameFaultRule(Deny, "One denied name never costs the others."),
	nameFaultRule(Disable, "One disabled name never costs the others."),
	{ID: "fault/expire", Sentence: "A login that has run out is renewed or is ErrDenied, never ErrNotFound.", Needs: NeedsFault + Need(Expire),
		check: func(ctx context.Context, e *env) error {
			s, err := e.open(ctx)
			if err != nil {
				return err
			}
			names := e.names(20)
			if err := s.SetBatch(ctx, batch(names, "v ")); err != nil {
				return err
			}
			undo, err := e.inject(s, Expire, "")
			if err != nil {
				return err
			}
			defer undo()
			got, err := s.GetBatch(ctx, names)
			if err == nil {
				if !sameValues(got, batch(names, "v ")) {
					return fmt.Errorf("GetBatch: got %d values and no error", len(got))
				}
				return nil
			}
			if errors.Is(err, secretstore.ErrNotFound) {
				return fmt.Errorf("GetBatch: got ErrNotFound: %w", err)
			}
			return expectKind("GetBatch", err, secretstore.ErrDenied)
		}},
}
