package secretstore_test

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/assert"

	"github.com/mlsecrets/secretstore"
)

// renderings are the ways in which a program shows an error.
func renderings(err error) map[string]string {
	out := map[string]string{
		"text": err.Error(),
		"fmt":  fmt.Sprintf("%v %+v %#v %s %q %x %X %d", err, err, err, err, err, err, err, err),
		"wrap": fmt.Sprintf("%+v %#v", fmt.Errorf("a: %w", err), errors.Join(err, err)),
	}
	js, jerr := json.Marshal(err)
	out["JSON"] = fmt.Sprint(string(js), jerr)
	for name, handler := range map[string]func(*bytes.Buffer) slog.Handler{
		"slog text": func(w *bytes.Buffer) slog.Handler { return slog.NewTextHandler(w, nil) },
		"slog JSON": func(w *bytes.Buffer) slog.Handler { return slog.NewJSONHandler(w, nil) },
	} {
		var buf bytes.Buffer
		slog.New(handler(&buf)).Error("failed", "err", err, "in", struct{ Err error }{err})
		out[name] = buf.String()
	}
	var r recorder
	assert.NoError(&r, err)
	assert.Equal(&r, nil, err)
	assert.ErrorIs(&r, err, errors.ErrUnsupported)
	out["testify"] = r.out.String()
	var diff string
	perr := attempt(func() error { diff = cmp.Diff(error(nil), err); return nil })
	out["go-cmp"] = fmt.Sprint(diff, perr)
	for e := err; e != nil; e = errors.Unwrap(e) {
		out["chain"] += e.Error()
	}
	if multi, ok := err.(interface{ Unwrap() []error }); ok {
		for _, e := range multi.Unwrap() {
			out["chain"] += fmt.Sprintf("%v %#v", e, e)
		}
	}
	return out
}

// TestErrorsShowNoValue drives every operation into every error, with a value
// that the driver's own errors repeat in all their parts, as an SDK's do.
func TestErrorsShowNoValue(t *testing.T) {
	t.Parallel()
	b := canary()
	forms := forms(b)
	value := secretstore.NewValue(b)
	large := secretstore.NewValue(append(bytes.Repeat([]byte{0xff}, secretstore.MaxTextLen), b...))
	text := string(b) + url.QueryEscape(string(b)) + hex.EncodeToString(b)
	body := foreign{[]string{text}, nil}
	byName := func(err error) error {
		return fmt.Errorf("%s: %w", text, &secretstore.BatchError{Errs: []*secretstore.Error{{Name: "a", Kind: err, Context: err}}})
	}
	for what, err := range map[string]error{
		"foreign":              body,
		"foreign that is":      foreign{[]string{text}, secretstore.ErrDenied},
		"wrapped":              fmt.Errorf("%s: %w", text, &secretstore.Error{Kind: secretstore.ErrThrottled}),
		"foreign kind":         &secretstore.Error{Kind: body},
		"foreign kind that is": &secretstore.Error{Kind: foreign{[]string{text}, secretstore.ErrCorrupt}},
		"foreign context":      &secretstore.Error{Kind: secretstore.ErrLocked, Context: body},
		"operation and name":   &secretstore.Error{Kind: secretstore.ErrNotFound, Op: text, Name: text},
		"URL":                  &url.Error{Op: "Put", URL: "https://u:" + text + "@h", Err: body},
		"batch":                byName(body),
		"joined":               errors.Join(body, secretstore.ErrConflict, body),
	} {
		for _, ctx := range []context.Context{t.Context(), late{t.Context()}} {
			base := &fake{
				get:  func(context.Context, string) (secretstore.Value, error) { return value, err },
				set:  func(context.Context, string, secretstore.Value) error { return err },
				list: func(context.Context) ([]string, error) { return []string{text}, err },
			}
			del := deleter{base, func(context.Context, string) error { return err }}
			var errs []error
			add := func(err error) {
				if err == nil {
					t.Errorf("%s: no error", what)
					return
				}
				errs = append(errs, err)
			}
			for _, driver := range []secretstore.Driver{
				closer{del, func() error { return err }},
				batchDeleter{del, func(context.Context, []string) error { return err }},
				getBatcher{base, func(context.Context, []string) (map[string]secretstore.Value, error) { return nil, err }},
				setBatcher{base, func(context.Context, map[string]secretstore.Value) error { return err }},
			} {
				s := secretstore.New(driver)
				_, gerr := s.Get(ctx, "a")
				add(gerr)
				add(s.Set(ctx, "a", value))
				add(s.Set(ctx, "a_b", value))
				add(s.Set(ctx, "a", large))
				_, lerr := s.List(ctx)
				add(lerr)
				_, berr := s.GetBatch(ctx, []string{"a", "b", "a_b"})
				add(berr)
				for _, other := range []string{"b", "A", "a_b"} {
					add(s.SetBatch(ctx, map[string]secretstore.Value{"a": value, other: value}))
				}
				add(s.SetBatch(ctx, map[string]secretstore.Value{"a": value, "b": large}))
				if d, ok := s.(secretstore.Deleter); ok {
					add(d.Delete(ctx, "a"))
					add(d.Delete(ctx, "a", "b"))
				}
				if cerr := s.Close(); cerr != nil {
					add(cerr)
				}
				add(s.Set(ctx, "a", value))
			}
			linked := secretstore.Openers{"x": func(context.Context, *url.URL) (secretstore.StoreCloser, error) { return nil, err }}
			_, oerr := linked.Open(ctx, "x://h")
			add(oerr)
			_, derr := secretstore.DecodeText(text, true)
			add(derr)
			for _, err := range errs {
				for how, output := range renderings(err) {
					noLeak(t, what+" as "+how, strings.ToValidUTF8(output, "")+output, forms)
				}
			}
		}
	}
}
