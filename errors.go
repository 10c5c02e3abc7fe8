package secretstore

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// The kinds of error. Every [*Error] of a store is of exactly one of them, by
// [errors.Is], or of [errors.ErrUnsupported], [context.Canceled] or
// [context.DeadlineExceeded]. One whose waiting the context cut short is the
// context's error as well. A [*BatchError] is of the kind of each of its entries.
var (
	// ErrNotFound says that the backend has no such secret.
	ErrNotFound = errors.New("not found")
	// ErrInvalidName says that a name breaks the grammar.
	ErrInvalidName = errors.New("invalid name")
	// ErrTooLarge says that a value is over the limit.
	ErrTooLarge = errors.New("value too large")
	// ErrDenied says that the backend refused the identity or its rights.
	ErrDenied = errors.New("permission denied")
	// ErrConflict says that the state of the secret on the service doesn't
	// allow the operation, and that trying again alone will not help.
	ErrConflict = errors.New("conflict")
	// ErrThrottled says that the service asked to slow down for longer than the
	// context allowed.
	ErrThrottled = errors.New("throttled")
	// ErrUnavailable says that the backend could not be reached, or gave no
	// answer that could be understood.
	ErrUnavailable = errors.New("unavailable")
	// ErrWrongKey says that the key or passphrase is not the store's.
	ErrWrongKey = errors.New("wrong key")
	// ErrCorrupt says that stored data is damaged or was tampered with.
	ErrCorrupt = errors.New("corrupt")
	// ErrLocked says that another process held the store's lock for too long.
	ErrLocked = errors.New("locked")
	// ErrClosed says that the store is closed.
	ErrClosed = errors.New("closed")
	// ErrInvalidConfig says that a store can't be opened as it was asked for: a
	// URL, a setting or a file that names the store is wrong. Only opening
	// returns it.
	ErrInvalidConfig = errors.New("invalid configuration")
)

// kinds is the closed set.
var kinds = [...]error{
	ErrNotFound, ErrInvalidName, ErrTooLarge, ErrDenied, ErrConflict, ErrThrottled,
	ErrUnavailable, ErrWrongKey, ErrCorrupt, ErrLocked, ErrClosed, ErrInvalidConfig,
	errors.ErrUnsupported, context.Canceled, context.DeadlineExceeded,
}

// kindOf returns the member of the closed set that err is, or nil.
func kindOf(err error) error {
	for _, k := range kinds {
		if errors.Is(err, k) {
			return k
		}
	}
	return nil
}

// classify makes a new *Error, of one kind of the closed set, out of whatever a
// driver or an opener returned.
func classify(ctx context.Context, err error) *Error {
	out := &Error{Kind: err}
	if below, ok := errors.AsType[*Error](err); ok && below != nil {
		*out = *below
	}
	end := ended(ctx)
	if !slices.Contains(kinds[:], out.Kind) {
		kind := kindOf(out.Kind)
		if kind == nil {
			// The text is dropped: it may carry anything. The type helps the
			// author of the driver.
			kind = ErrUnavailable
			if out.Detail == "" && end == nil {
				out.Detail = fmt.Sprintf("the backend returned an error of no known kind (%T)", err)
			}
		}
		out.Kind = kind
	}
	out.Context = nil
	switch out.Kind {
	case ErrUnavailable:
		if end != nil {
			// The call broke because it was given up.
			out.Kind = end
		}
	case context.Canceled, context.DeadlineExceeded:
		// Only the end of the caller's own context counts as one.
		out.Kind = end
		if end == nil {
			out.Kind = ErrUnavailable
			if out.Detail == "" {
				out.Detail = "the backend gave up before the context ended"
			}
		}
	case ErrThrottled, ErrLocked, ErrConflict:
		out.Context = end
	}
	return out
}

// ended returns the context's error. At the deadline a socket's timer may fire
// before the context's own, so the clock counts as well.
func ended(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if deadline, ok := ctx.Deadline(); ok && !time.Now().Before(deadline) {
		return context.DeadlineExceeded
	}
	return nil
}

// Error is the error of one operation on one secret or on the store.
//
// Its text holds what we wrote ourselves, never the text of a service or of an
// SDK, which may echo values.
type Error struct {
	Op      string // the operation: "get", "set batch", "open", …
	Backend string // the backend's name: "vault", "localfile", …
	Name    string // the secret's name as asked for; "" if it is about no single one

	// Kind is a member of the closed set: ErrNotFound, …
	Kind error
	// Detail says more, in our words, or is empty.
	Detail string
	// Context is the error of the context if its end cut short the waiting that
	// Kind describes (for a lock, for a service that throttles), else nil. New
	// sets it; what a driver puts there is dropped.
	Context error

	Status    int    // the HTTP status, or 0
	RequestID string // the service's id of the request, or ""
}

// Error returns the text, for instance
//
//	secretstore: get "db-password" (vault): permission denied (status 403, request 5d…)
func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString("secretstore: ")
	if e.Op != "" {
		b.WriteString(e.Op)
	}
	e.describe(&b, e.Op != "")
	return b.String()
}

// describe writes all but the operation.
func (e *Error) describe(b *strings.Builder, sep bool) {
	if e.Name != "" {
		if sep {
			b.WriteByte(' ')
		}
		b.WriteString(quoteName(e.Name))
		sep = true
	}
	if e.Backend != "" {
		if sep {
			b.WriteByte(' ')
		}
		b.WriteString("(" + e.Backend + ")")
		sep = true
	}
	if sep {
		b.WriteString(": ")
	}
	if e.Kind == nil {
		b.WriteString("unknown error")
	} else {
		b.WriteString(e.Kind.Error())
	}
	if e.Detail != "" {
		b.WriteString(": " + e.Detail)
	}
	if e.Context != nil {
		b.WriteString(": " + e.Context.Error())
	}
	switch {
	case e.Status != 0 && e.RequestID != "":
		fmt.Fprintf(b, " (status %d, request %s)", e.Status, e.RequestID)
	case e.Status != 0:
		fmt.Fprintf(b, " (status %d)", e.Status)
	case e.RequestID != "":
		fmt.Fprintf(b, " (request %s)", e.RequestID)
	}
}

// Unwrap returns the kind, and the context's error if there is one.
func (e *Error) Unwrap() []error {
	if e == nil {
		return nil // a driver's nil *Error in an error, which New reports
	}
	errs := make([]error, 0, 2)
	if e.Kind != nil {
		errs = append(errs, e.Kind)
	}
	if e.Context != nil {
		errs = append(errs, e.Context)
	}
	return errs
}

// quoteName quotes a name. One that breaks the grammar is cut short: it may be
// anything, also a value that was passed in the wrong place.
func quoteName(name string) string {
	const most = 24
	if len(name) <= most {
		return strconv.Quote(name)
	}
	if _, err := CanonicalName(name); err == nil {
		return strconv.Quote(name)
	}
	return strconv.Quote(name[:most]) + "…"
}

// BatchError is the error of a batch of which some entries failed.
type BatchError struct {
	Op      string   // the operation: "get batch", "set batch" or "delete"
	Backend string   // the backend's name
	Asked   int      // how many distinct names the batch had
	Errs    []*Error // one for each name that failed, in the order asked; never empty
}

// Error returns the count, and the first few causes.
func (e *BatchError) Error() string {
	const most = 3
	var b strings.Builder
	fmt.Fprintf(&b, "secretstore: %s (%s): %d of %d failed", e.Op, e.Backend, len(e.Errs), e.Asked)
	sep := ": "
	for i, err := range e.Errs {
		b.WriteString(sep)
		if i == most {
			fmt.Fprintf(&b, "and %d more", len(e.Errs)-most)
			break
		}
		short := *err
		short.Op, short.Backend = "", ""
		short.describe(&b, false)
		sep = "; "
	}
	return b.String()
}

// Unwrap returns the entries' errors.
func (e *BatchError) Unwrap() []error {
	if e == nil {
		return nil // as in Error
	}
	errs := make([]error, len(e.Errs))
	for i, err := range e.Errs {
		errs[i] = err
	}
	return errs
}
