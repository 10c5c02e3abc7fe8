package conformance

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"slices"
	"strings"

	"github.com/mlsecrets/secretstore"
)

// kinds are the closed set.
var kinds = []error{
	secretstore.ErrNotFound, secretstore.ErrInvalidName, secretstore.ErrTooLarge, secretstore.ErrDenied, secretstore.ErrConflict,
	secretstore.ErrThrottled, secretstore.ErrUnavailable, secretstore.ErrWrongKey, secretstore.ErrCorrupt, secretstore.ErrLocked,
	secretstore.ErrClosed, secretstore.ErrInvalidConfig, errors.ErrUnsupported, context.Canceled, context.DeadlineExceeded,
}

// wellFormed checks that an error is an *Error, or a *BatchError of them, each of
// exactly one kind, with operation, backend and, in a batch, its name.
func wellFormed(err error) error {
	if b, ok := errors.AsType[*secretstore.BatchError](err); ok {
		if b.Op == "" || b.Backend == "" || len(b.Errs) == 0 {
			return fmt.Errorf("a *BatchError without operation, backend or entries: %v", err)
		}
		for _, e := range b.Errs {
			if e.Name == "" && !errors.Is(e, secretstore.ErrInvalidName) {
				return fmt.Errorf("an entry of a *BatchError has no name: %v", e)
			}
			if err := wellFormed(e); err != nil {
				return err
			}
		}
		return nil
	}
	e, ok := err.(*secretstore.Error)
	if !ok {
		return fmt.Errorf("got the error %v (%T), want an *Error or *BatchError", err, err)
	}
	var is []error
	for _, kind := range kinds {
		if errors.Is(err, kind) && kind != e.Context {
			is = append(is, kind)
		}
	}
	if len(is) != 1 || !slices.Contains(kinds, e.Kind) {
		return fmt.Errorf("the error %v is of the kinds %v, want exactly one", err, is)
	}
	if e.Op == "" || e.Backend == "" {
		return fmt.Errorf("the error %v has no operation or no backend", err)
	}
	if strings.Count(err.Error(), "secretstore:") != 1 {
		return fmt.Errorf("the error %q was wrapped more than once", err)
	}
	return nil
}

// provoke returns errors of every method that a sound store returns, by what
// provoked them. The canary is in every value that is given to the store.
func (e *env) provoke(ctx context.Context, s secretstore.Store, canary []byte) map[string]error {
	value := secretstore.NewValue(canary)
	large := secretstore.NewValue(slices.Concat(canary, patterned(secretstore.MaxTextLen)))
	dead, cancel := context.WithCancel(ctx)
	cancel()
	_, absent := s.Get(ctx, e.name("absent"))
	_, batchAbsent := s.GetBatch(ctx, []string{e.name("absent"), e.name("b"), "c d"})
	_, badGet := s.Get(ctx, "a b")
	_, deadGet := s.Get(dead, e.name("a"))
	_, deadBatch := s.GetBatch(dead, []string{e.name("a")})
	_, deadList := s.List(dead)
	errs := map[string]error{
		"Get, absent": absent, "GetBatch, absent": batchAbsent, "Get, bad name": badGet,
		"Set, bad name":           s.Set(ctx, "a b", value),
		"Set, too large":          s.Set(ctx, e.name("a"), large),
		"SetBatch, bad name":      s.SetBatch(ctx, map[string]secretstore.Value{"a b": value, e.name("a"): value}),
		"SetBatch, too large":     s.SetBatch(ctx, map[string]secretstore.Value{e.name("a"): large}),
		"SetBatch, case":          s.SetBatch(ctx, map[string]secretstore.Value{e.name("a"): value, e.name("A"): value}),
		"Get, cancelled":          deadGet,
		"GetBatch, cancelled":     deadBatch,
		"List, cancelled":         deadList,
		"Set, cancelled":          s.Set(dead, e.name("a"), value),
		"SetBatch, cancelled":     s.SetBatch(dead, map[string]secretstore.Value{e.name("a"): value}),
		"SetBatch, cancelled too": s.SetBatch(dead, map[string]secretstore.Value{e.name("a"): value, e.name("b"): value}),
	}
	if d, ok := s.(secretstore.Deleter); ok {
		errs["Delete, bad name"] = d.Delete(ctx, "a b")
		errs["Delete, cancelled"] = d.Delete(dead, e.name("a"))
	}
	return errs
}

// newCanary returns a value that is found wherever it shows.
func newCanary() []byte { return []byte("canary<" + rand.Text() + ">\"&\x01é") }

// leaked returns how the canary shows in the text, or "".
func leaked(text string, canary []byte) string {
	jsonText, _ := json.Marshal(string(canary))
	forms := map[string]string{
		"raw": string(canary), "quoted": strings.Trim(fmt.Sprintf("%q", canary), `"`), "JSON": strings.Trim(string(jsonText), `"`),
		"hex": hex.EncodeToString(canary), "URL": url.QueryEscape(string(canary)), "path": url.PathEscape(string(canary)),
		"bytes": strings.Trim(fmt.Sprint(canary), "[]"), "core": string(canary[7:33]),
	}
	lower := strings.ToLower(text)
	for how, form := range forms {
		if strings.Contains(lower, strings.ToLower(form)) {
			return how
		}
	}
	for shift := range 3 { // base64 of the canary inside of something longer
		coded := base64.RawStdEncoding.EncodeToString(append(make([]byte, shift), canary...))
		core := coded[4 : len(coded)-4]
		if strings.Contains(text, core) || strings.Contains(text, strings.NewReplacer("+", "-", "/", "_").Replace(core)) {
			return "base64"
		}
	}
	return ""
}

// leaks checks that an error shows the canary nowhere: not in its text, not in what
// it wraps, not in a log.
func leaks(err error, canary []byte) error {
	var texts []string
	var walk func(err error)
	walk = func(err error) {
		if err == nil {
			return
		}
		for _, format := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
			texts = append(texts, fmt.Sprintf(format, err))
		}
		var b strings.Builder
		slog.New(slog.NewJSONHandler(&b, nil)).Error("failed", "err", err)
		slog.New(slog.NewTextHandler(&b, nil)).Error("failed", "err", err)
		if j, jerr := json.Marshal(err); jerr == nil {
			b.Write(j)
		}
		texts = append(texts, b.String())
		switch u := err.(type) {
		case interface{ Unwrap() error }:
			walk(u.Unwrap())
		case interface{ Unwrap() []error }:
			for _, inner := range u.Unwrap() {
				walk(inner)
			}
		}
	}
	walk(err)
	for _, text := range texts {
		if how := leaked(text, canary); how != "" {
			return fmt.Errorf("the value shows (%s) in an error of type %T", how, err)
		}
	}
	return nil
}

var errorRules = []Rule{
	{ID: "error/form", Sentence: "Every error is an *Error, or a *BatchError of them, of exactly one kind, with operation and backend.",
		check: func(ctx context.Context, e *env) error {
			s, err := e.open(ctx)
			if err != nil {
				return err
			}
			for what, err := range e.provoke(ctx, s, newCanary()) {
				if err == nil {
					return fmt.Errorf("%s: got no error", what)
				}
				if err := wellFormed(err); err != nil {
					return fmt.Errorf("%s: %w", what, err)
				}
			}
			return nil
		}},
	{ID: "error/name", Sentence: "An error about one secret has its name as it was asked for.",
		check: func(ctx context.Context, e *env) error {
			s, err := e.open(ctx)
			if err != nil {
				return err
			}
			name := e.name("Absent-One")
			_, gerr := s.Get(ctx, name)
			_, berr := s.GetBatch(ctx, []string{name})
			serr := s.Set(ctx, name, secretstore.NewValue(patterned(30_000)))
			for what, err := range map[string]error{"Get": gerr, "GetBatch": berr, "Set": serr} {
				var named *secretstore.Error
				if !errors.As(err, &named) || named.Name != name || !strings.Contains(err.Error(), fmt.Sprintf("%q", name)) {
					return fmt.Errorf("%s: the error %v does not name %q", what, err, name)
				}
			}
			return nil
		}},
	{ID: "error/canary", Sentence: "No error shows a value.",
		check: func(ctx context.Context, e *env) error {
			s, err := e.open(ctx)
			if err != nil {
				return err
			}
			canary := newCanary()
			if err := s.Set(ctx, e.name("held"), secretstore.NewValue(canary)); err != nil {
				return err
			}
			for what, err := range e.provoke(ctx, s, canary) {
				if err := leaks(err, canary); err != nil {
					return fmt.Errorf("%s: %w", what, err)
				}
			}
			return nil
		}},
}
