package secretstore_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mlsecrets/secretstore"
	"github.com/mlsecrets/secretstore/backends/memory"
)

func ended(t *testing.T) context.Context {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	return ctx
}

func expired(t *testing.T) context.Context {
	ctx, cancel := context.WithDeadline(t.Context(), time.Unix(1, 0))
	t.Cleanup(cancel)
	return ctx
}

// single is an operation on one name, or on the store.
type single struct {
	op, name string
	do       func(ctx context.Context, s secretstore.StoreCloser) error
}

// singles are the operations whose error is one *Error, on the given name.
func singles(name string) []single {
	return []single{
		{"get", name, func(ctx context.Context, s secretstore.StoreCloser) error {
			v, err := s.Get(ctx, name)
			if err != nil && v.Len() != 0 {
				return errors.New("Get returned a value beside an error")
			}
			return err
		}},
		{"set", name, func(ctx context.Context, s secretstore.StoreCloser) error { return s.Set(ctx, name, secret("v")) }},
		{"delete", name, func(ctx context.Context, s secretstore.StoreCloser) error {
			return s.(secretstore.Deleter).Delete(ctx, name)
		}},
		{"list", "", func(ctx context.Context, s secretstore.StoreCloser) error {
			names, err := s.List(ctx)
			if err != nil && names != nil {
				return errors.New("List returned names beside an error")
			}
			return err
		}},
	}
}

// failing is a driver whose every call returns err.
func failing(err error) secretstore.Driver {
	return deleter{&fake{
		get:  func(context.Context, string) (secretstore.Value, error) { return secret("not to be seen"), err },
		set:  func(context.Context, string, secretstore.Value) error { return err },
		list: func(context.Context) ([]string, error) { return []string{"a"}, err },
	}, func(context.Context, string) error { return err }}
}

// TestNewRefusesBeforeIO: what is wrong with the call itself never reaches the
// driver, and neither does a call whose context has ended.
func TestNewRefusesBeforeIO(t *testing.T) {
	t.Parallel()
	text, binary := strings.Repeat("x", secretstore.MaxTextLen), strings.Repeat("\xff", secretstore.MaxBinaryLen)
	live := t.Context()
	for _, tc := range []struct {
		what string
		ctx  context.Context
		op   func(context.Context, secretstore.StoreCloser) error
		want error
	}{
		{"get, bad name", live, singles("a_b")[0].do, secretstore.ErrInvalidName},
		{"set, bad name", live, singles("a_b")[1].do, secretstore.ErrInvalidName},
		{"delete, bad name", live, singles("a_b")[2].do, secretstore.ErrInvalidName},
		{"get, ended", ended(t), singles("a")[0].do, context.Canceled},
		{"set, ended", ended(t), singles("a")[1].do, context.Canceled},
		{"delete, ended", ended(t), singles("a")[2].do, context.Canceled},
		{"list, ended", ended(t), singles("a")[3].do, context.Canceled},
		{"get, expired", expired(t), singles("a")[0].do, context.DeadlineExceeded},
		{"set, expired", expired(t), singles("a")[1].do, context.DeadlineExceeded},
		{"delete, expired", expired(t), singles("a")[2].do, context.DeadlineExceeded},
		{"list, expired", expired(t), singles("a")[3].do, context.DeadlineExceeded},
		{"get, bad name and ended", ended(t), singles("a_b")[0].do, secretstore.ErrInvalidName},
		{"text, one byte over", live, func(ctx context.Context, s secretstore.StoreCloser) error {
			return s.Set(ctx, "a", secret(text+"x"))
		}, secretstore.ErrTooLarge},
		{"binary, one byte over", live, func(ctx context.Context, s secretstore.StoreCloser) error {
			return s.Set(ctx, "a", secret(binary+"\xff"))
		}, secretstore.ErrTooLarge},
		{"text that ends within a character", live, func(ctx context.Context, s secretstore.StoreCloser) error {
			return s.Set(ctx, "a", secret(text[1:]+"\xc3"))
		}, secretstore.ErrTooLarge},
	} {
		driver := deleter{fake: &fake{}}
		s := secretstore.New(driver)
		err := tc.op(tc.ctx, s)
		e := wantError(t, err, tc.want)
		if e.Backend != "fake" || e.Op == "" {
			t.Errorf("%s: error %#v lacks its operation or backend", tc.what, e)
		}
		if calls := driver.called(); len(calls) != 0 {
			t.Errorf("%s: the driver saw %v", tc.what, calls)
		}
	}
	for what, value := range map[string]string{"text": text, "binary": binary, "nothing": ""} {
		driver := deleter{fake: &fake{}}
		if err := secretstore.New(driver).Set(live, "a", secret(value)); err != nil || len(driver.called()) != 1 {
			t.Errorf("%s at the limit: %v, the driver saw %v", what, err, driver.called())
		}
	}
}

// TestNewFoldsCase: the driver sees the canonical name, the caller the own
// spelling.
func TestNewFoldsCase(t *testing.T) {
	t.Parallel()
	driver := failing(&secretstore.Error{Kind: secretstore.ErrNotFound, Name: "db-password"}).(deleter)
	s := secretstore.New(driver)
	for _, op := range singles("DB-Password")[:3] {
		e := wantError(t, op.do(t.Context(), s), secretstore.ErrNotFound)
		if e.Name != "DB-Password" {
			t.Errorf("%s: the error names %q, want the caller's spelling", op.op, e.Name)
		}
	}
	if got, want := driver.called(), []string{"delete db-password", "get db-password", "set db-password"}; !slices.Equal(got, want) {
		t.Errorf("the driver saw %v, want %v", got, want)
	}
}

// foreign is an error of a kind that no *Error has, with text that must not be
// repeated. It is not comparable, as some SDKs' errors are not.
type foreign struct {
	text []string
	err  error
}

func (f foreign) Error() string { return strings.Join(f.text, " ") }
func (f foreign) Unwrap() error { return f.err }

// TestNewWraps: whatever a driver returns becomes one *Error of one kind that
// has the operation, the backend and the name, and nothing of foreign text.
func TestNewWraps(t *testing.T) {
	t.Parallel()
	canary := "s3cr3t-" + string(canary())
	alien := func(err error) error { return foreign{[]string{"body:", canary}, err} }
	shared := &secretstore.Error{Op: "fetch", Backend: "sdk", Name: "other", Kind: secretstore.ErrDenied, Detail: "ask for read", Status: 403, RequestID: "r-1"}
	unknown := "the backend returned an error of no known kind"
	for _, tc := range []struct {
		what   string
		err    error
		kind   error
		detail string // the head of the wanted detail
	}{
		{"an Error", shared, secretstore.ErrDenied, "ask for read"},
		{"a wrapped Error", fmt.Errorf("%s: %w", canary, shared), secretstore.ErrDenied, "ask for read"},
		{"a joined Error", errors.Join(errors.New(canary), shared), secretstore.ErrDenied, "ask for read"},
		{"a kind", secretstore.ErrConflict, secretstore.ErrConflict, ""},
		{"a wrapped kind", alien(secretstore.ErrWrongKey), secretstore.ErrWrongKey, ""},
		{"unsupported", alien(errors.ErrUnsupported), errors.ErrUnsupported, ""},
		{"a foreign error", alien(nil), secretstore.ErrUnavailable, unknown},
		{"io.EOF", io.EOF, secretstore.ErrUnavailable, unknown},
		{"an Error of no kind", &secretstore.Error{}, secretstore.ErrUnavailable, unknown},
		{"an Error of foreign kind", &secretstore.Error{Kind: alien(nil)}, secretstore.ErrUnavailable, unknown},
		{"an Error of a wrapped kind", &secretstore.Error{Kind: alien(secretstore.ErrCorrupt), Detail: "page 3"}, secretstore.ErrCorrupt, "page 3"},
		{"an Error of foreign context", &secretstore.Error{Kind: secretstore.ErrLocked, Context: alien(nil)}, secretstore.ErrLocked, ""},
		{"an Error of a context of its own", &secretstore.Error{Kind: secretstore.ErrLocked, Context: context.DeadlineExceeded}, secretstore.ErrLocked, ""},
		{"a time limit of its own", context.DeadlineExceeded, secretstore.ErrUnavailable, "the backend gave up"},
		{"an Error of its own time limit", &secretstore.Error{Kind: context.DeadlineExceeded}, secretstore.ErrUnavailable, "the backend gave up"},
		{"an Error of its own cancellation", &secretstore.Error{Kind: context.Canceled, Detail: "so"}, secretstore.ErrUnavailable, "so"},
		{"a nil *Error", (*secretstore.Error)(nil), secretstore.ErrUnavailable, unknown},
		{"a nil *BatchError", (*secretstore.BatchError)(nil), secretstore.ErrUnavailable, unknown},
		{"an empty BatchError", &secretstore.BatchError{}, secretstore.ErrUnavailable, unknown},
		{"a BatchError of nil", &secretstore.BatchError{Errs: []*secretstore.Error{nil}}, secretstore.ErrUnavailable, unknown},
	} {
		s := secretstore.New(failing(tc.err))
		for _, op := range singles("a") {
			e := wantError(t, op.do(t.Context(), s), tc.kind)
			if e.Op != op.op || e.Backend != "fake" || e.Name != op.name {
				t.Errorf("%s, %s: Op %q, Backend %q, Name %q", tc.what, op.op, e.Op, e.Backend, e.Name)
			}
			if !strings.HasPrefix(e.Detail, tc.detail) || tc.detail == "" && e.Detail != "" {
				t.Errorf("%s, %s: Detail %q, want %q", tc.what, op.op, e.Detail, tc.detail)
			}
			if strings.Count(e.Error(), "secretstore: ") != 1 {
				t.Errorf("%s, %s: wrapped more than once: %s", tc.what, op.op, e)
			}
			if _, ok := errors.AsType[foreign](e); ok {
				t.Errorf("%s, %s: the foreign error can be reached", tc.what, op.op)
			}
			if text := fmt.Sprintf("%v %+v %#v %q", e, e, e, e); strings.Contains(text, "s3cr3t") {
				t.Errorf("%s, %s: foreign text: %s", tc.what, op.op, text)
			}
		}
	}
	if shared.Op != "fetch" || shared.Backend != "sdk" || shared.Name != "other" {
		t.Errorf("the driver's own error was changed: %#v", shared)
	}
	s := secretstore.New(failing(shared))
	_, err := s.Get(t.Context(), "a")
	if e := wantError(t, err, secretstore.ErrDenied); e.Status != 403 || e.RequestID != "r-1" {
		t.Errorf("Status %d, RequestID %q, want those of the driver", e.Status, e.RequestID)
	}
}

// layer is a Driver over a Store: what a backend that wraps another one is.
type layer struct{ secretstore.StoreCloser }

func (layer) Backend() string { return "outer" }

func (l layer) Delete(ctx context.Context, name string) error {
	return l.StoreCloser.(secretstore.Deleter).Delete(ctx, name)
}

// TestNewWrapsLayers: an error through two layers of New is wrapped once, with
// what the outer layer knows.
func TestNewWrapsLayers(t *testing.T) {
	t.Parallel()
	inner := secretstore.New(failing(&secretstore.Error{Kind: secretstore.ErrDenied, Detail: "ask for read", Status: 403}))
	s := secretstore.New(layer{inner})
	for _, op := range singles("A-b") {
		e := wantError(t, op.do(t.Context(), s), secretstore.ErrDenied)
		if e.Backend != "outer" || e.Op != op.op || e.Name != op.name || e.Detail != "ask for read" || e.Status != 403 {
			t.Errorf("%s: %#v", op.op, e)
		}
		if text := e.Error(); strings.Count(text, "secretstore") != 1 || strings.Contains(text, "fake") {
			t.Errorf("%s: %s", op.op, text)
		}
	}
	_, err := s.GetBatch(t.Context(), []string{"B", "a"})
	b := wantBatch(t, err, cause{"B", secretstore.ErrDenied}, cause{"a", secretstore.ErrDenied})
	if b.Backend != "outer" || b.Errs[0].Backend != "outer" || b.Errs[0].Detail != "ask for read" {
		t.Errorf("GetBatch: %#v, %#v", b, b.Errs[0])
	}
	wantNil(t, s.Close())
	_, err = inner.Get(t.Context(), "a")
	wantError(t, err, secretstore.ErrClosed)
}

// TestNewEndedContext: once the context has ended, an outage is its end; a wait
// that it cut short keeps its kind and has the context's error beside it; what
// the service answered stands.
func TestNewEndedContext(t *testing.T) {
	t.Parallel()
	both := func(kind error) []error { return []error{kind, context.Canceled} }
	for _, tc := range []struct {
		kind error
		want []error
	}{
		{secretstore.ErrUnavailable, []error{context.Canceled}},
		{context.Canceled, []error{context.Canceled}},
		{context.DeadlineExceeded, []error{context.Canceled}}, // the context's own error counts
		{io.ErrUnexpectedEOF, []error{context.Canceled}},
		{secretstore.ErrThrottled, both(secretstore.ErrThrottled)},
		{secretstore.ErrLocked, both(secretstore.ErrLocked)},
		{secretstore.ErrConflict, both(secretstore.ErrConflict)},
		{secretstore.ErrNotFound, []error{secretstore.ErrNotFound}},
		{secretstore.ErrDenied, []error{secretstore.ErrDenied}},
		{secretstore.ErrCorrupt, []error{secretstore.ErrCorrupt}},
	} {
		for i := range singles("a") {
			ctx, cancel := context.WithCancel(t.Context())
			err := error(&secretstore.Error{Kind: tc.kind, Detail: "so"})
			driver := deleter{&fake{
				get:  func(context.Context, string) (secretstore.Value, error) { cancel(); return secretstore.Value{}, err },
				set:  func(context.Context, string, secretstore.Value) error { cancel(); return err },
				list: func(context.Context) ([]string, error) { cancel(); return nil, err },
			}, func(context.Context, string) error { cancel(); return err }}
			wantError(t, singles("a")[i].do(ctx, secretstore.New(driver)), tc.want...)
		}
	}
}

// late is a context at its deadline whose timer has not fired yet: a dialer's
// may be first.
type late struct{ context.Context }

func (late) Deadline() (time.Time, bool) { return time.Now().Add(-time.Nanosecond), true }

func TestNewContextAtItsDeadline(t *testing.T) {
	t.Parallel()
	for _, err := range []error{secretstore.ErrUnavailable, context.DeadlineExceeded} {
		s := secretstore.New(failing(&secretstore.Error{Kind: err}))
		for _, op := range singles("a") {
			wantError(t, op.do(late{t.Context()}, s), context.DeadlineExceeded)
		}
	}
}

func TestNewListNormalizes(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("n", secretstore.MaxNameLen)
	for _, tc := range []struct{ listed, want []string }{
		{nil, []string{}},
		{[]string{}, []string{}},
		{[]string{"a_b", "", "é"}, []string{}},
		{[]string{"a", "b", "c"}, []string{"a", "b", "c"}},
		{[]string{"c", "a", "b"}, []string{"a", "b", "c"}},
		{[]string{"a", "a", "b"}, []string{"a", "b"}},
		{[]string{"DB", "db", "Db", "a"}, []string{"a", "db"}},
		{[]string{"a", "B", "C", "b"}, []string{"a", "b", "c"}},
		{[]string{"a-b", "a0", "A", "x/y", long + "n", long}, []string{"a", "a-b", "a0", long}},
	} {
		given := slices.Clone(tc.listed)
		s := secretstore.New(&fake{list: func(context.Context) ([]string, error) { return tc.listed, nil }})
		got, err := s.List(t.Context())
		wantNil(t, err)
		if got == nil || !slices.Equal(got, tc.want) {
			t.Errorf("of %q List made %#v, want %q", given, got, tc.want)
		}
		if !slices.Equal(tc.listed, given) {
			t.Errorf("List changed the driver's slice %q to %q", given, tc.listed)
		}
		if len(got) > 0 {
			got[0] = "changed"
			if again, _ := s.List(t.Context()); again[0] == "changed" {
				t.Error("List returns a slice of the driver's")
			}
		}
	}
}

// TestNewDeleter: the Store can delete if and only if the driver can.
func TestNewDeleter(t *testing.T) {
	t.Parallel()
	base := &fake{}
	for what, tc := range map[string]struct {
		driver secretstore.Driver
		want   bool
	}{
		"plain":         {base, false},
		"get batch":     {getBatcher{fake: base}, false},
		"set batch":     {setBatcher{fake: base}, false},
		"deleter":       {deleter{fake: base}, true},
		"batch deleter": {batchDeleter{deleter: deleter{fake: base}}, true},
		"layer":         {layer{memory.New()}, true},
	} {
		if _, got := secretstore.New(tc.driver).(secretstore.Deleter); got != tc.want {
			t.Errorf("%s: the store is a Deleter: %t, want %t", what, got, tc.want)
		}
	}
}
