package secretstore_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/mlsecrets/secretstore"
)

func TestErrorText(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		err  secretstore.Error
		want string
	}{
		{
			secretstore.Error{Op: "get", Backend: "vault", Name: "db-password", Kind: secretstore.ErrNotFound},
			`secretstore: get "db-password" (vault): not found`,
		}, {
			secretstore.Error{Op: "get", Backend: "vault", Name: "db-password", Kind: secretstore.ErrDenied, Status: 403, RequestID: "5d"},
			`secretstore: get "db-password" (vault): permission denied (status 403, request 5d)`,
		}, {
			secretstore.Error{Op: "list", Backend: "vault", Kind: secretstore.ErrUnavailable, Detail: "the vault is sealed; unseal it", Status: 503},
			`secretstore: list (vault): unavailable: the vault is sealed; unseal it (status 503)`,
		}, {
			secretstore.Error{Op: "list", Backend: "azurekv", Kind: secretstore.ErrUnavailable, RequestID: "r-1"},
			`secretstore: list (azurekv): unavailable (request r-1)`,
		}, {
			secretstore.Error{Op: "set", Backend: "localfile", Name: "a", Kind: secretstore.ErrLocked, Detail: "process 7 has it", Context: context.DeadlineExceeded},
			`secretstore: set "a" (localfile): locked: process 7 has it: context deadline exceeded`,
		}, {
			secretstore.Error{Op: "open", Kind: secretstore.ErrInvalidConfig, Detail: "no scheme"},
			`secretstore: open: invalid configuration: no scheme`,
		},
		{secretstore.Error{Name: "a", Kind: secretstore.ErrTooLarge}, `secretstore: "a": value too large`},
		{secretstore.Error{Backend: "memory", Kind: secretstore.ErrClosed}, `secretstore: (memory): closed`},
		{secretstore.Error{Name: "a", Backend: "memory", Kind: secretstore.ErrConflict}, `secretstore: "a" (memory): conflict`},
		{secretstore.Error{Kind: secretstore.ErrThrottled}, `secretstore: throttled`},
		{secretstore.Error{Op: "get"}, `secretstore: get: unknown error`},
		{secretstore.Error{}, `secretstore: unknown error`},
	} {
		if got := tc.err.Error(); got != tc.want {
			t.Errorf("got  %s\nwant %s", got, tc.want)
		}
	}
}

// TestErrorCutsName: what stands where a name should be may be anything, also a
// value, so only what is a name is shown whole.
func TestErrorCutsName(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ name, want string }{
		{strings.Repeat("a", 127), `"` + strings.Repeat("a", 127) + `"`},
		{strings.Repeat("a", 128), `"` + strings.Repeat("a", 24) + `"…`},
		{strings.Repeat("_", 25), `"` + strings.Repeat("_", 24) + `"…`},
		{strings.Repeat("_", 24), `"` + strings.Repeat("_", 24) + `"`},
		{"a\nb\x1b[2J", `"a\nb\x1b[2J"`},
		{strings.Repeat("a", 23) + "é!", `"` + strings.Repeat("a", 23) + `\xc3"…`},
	} {
		err := &secretstore.Error{Op: "get", Name: tc.name, Kind: secretstore.ErrInvalidName}
		if got, want := err.Error(), "secretstore: get "+tc.want+": invalid name"; got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
		batch := &secretstore.BatchError{Op: "get batch", Backend: "fake", Asked: 1, Errs: []*secretstore.Error{err}}
		if got, want := batch.Error(), "secretstore: get batch (fake): 1 of 1 failed: "+tc.want+": invalid name"; got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	}
}

func TestBatchErrorText(t *testing.T) {
	t.Parallel()
	var errs []*secretstore.Error
	for i, kind := range []error{secretstore.ErrNotFound, secretstore.ErrDenied, secretstore.ErrInvalidName, secretstore.ErrThrottled, secretstore.ErrLocked} {
		errs = append(errs, &secretstore.Error{Op: "get batch", Backend: "vault", Name: string(rune('a' + i)), Kind: kind})
	}
	errs[1].Detail, errs[1].Status = "ask for read", 403
	for n, want := range map[int]string{
		1: `secretstore: get batch (vault): 1 of 9 failed: "a": not found`,
		2: `secretstore: get batch (vault): 2 of 9 failed: "a": not found; "b": permission denied: ask for read (status 403)`,
		3: `secretstore: get batch (vault): 3 of 9 failed: "a": not found; "b": permission denied: ask for read (status 403); "c": invalid name`,
		4: `secretstore: get batch (vault): 4 of 9 failed: "a": not found; "b": permission denied: ask for read (status 403); "c": invalid name; and 1 more`,
		5: `secretstore: get batch (vault): 5 of 9 failed: "a": not found; "b": permission denied: ask for read (status 403); "c": invalid name; and 2 more`,
	} {
		err := &secretstore.BatchError{Op: "get batch", Backend: "vault", Asked: 9, Errs: errs[:n]}
		if got := err.Error(); got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	}
	if errs[0].Op == "" || errs[0].Backend == "" {
		t.Error("the text of a batch error changed its entries")
	}
}

// TestErrorIsOneKind checks each member of the set against all others.
func TestErrorIsOneKind(t *testing.T) {
	t.Parallel()
	for _, kind := range kinds {
		err := &secretstore.Error{Op: "get", Kind: kind}
		if got := kindsOf(err); !slices.Equal(got, []error{kind}) {
			t.Errorf("an Error of kind %v is %v", kind, got)
		}
		if got := kindsOf(fmt.Errorf("read: %w", err)); !slices.Equal(got, []error{kind}) {
			t.Errorf("a wrapped Error of kind %v is %v", kind, got)
		}
	}
	if got := kindsOf(&secretstore.Error{Op: "get"}); len(got) != 0 {
		t.Errorf("an Error of no kind is %v", got)
	}
	locked := &secretstore.Error{Kind: secretstore.ErrLocked, Context: context.DeadlineExceeded}
	if got := kindsOf(locked); !slices.Equal(got, []error{secretstore.ErrLocked, context.DeadlineExceeded}) {
		t.Errorf("an Error whose waiting was cut short is %v", got)
	}
}

func TestBatchErrorUnwraps(t *testing.T) {
	t.Parallel()
	first := &secretstore.Error{Name: "a", Kind: secretstore.ErrDenied}
	second := &secretstore.Error{Name: "b", Kind: secretstore.ErrNotFound}
	var err error = &secretstore.BatchError{Op: "get batch", Asked: 2, Errs: []*secretstore.Error{first, second}}
	err = fmt.Errorf("training: %w", err)
	if got := kindsOf(err); !slices.Equal(got, []error{secretstore.ErrNotFound, secretstore.ErrDenied}) {
		t.Errorf("the batch is %v, want what its entries are", got)
	}
	if e, ok := errors.AsType[*secretstore.Error](err); !ok || e != first {
		t.Errorf("AsType[*Error] = %v, %t, want the first entry", e, ok)
	}
	b, ok := errors.AsType[*secretstore.BatchError](err)
	if !ok {
		t.Fatal("AsType[*BatchError] found none")
	}
	unwrapped := b.Unwrap()
	if !slices.Equal(unwrapped, []error{first, second}) {
		t.Errorf("Unwrap() = %v", unwrapped)
	}
	unwrapped[0] = nil
	if b.Errs[0] != first {
		t.Error("Unwrap aliases Errs")
	}
}
