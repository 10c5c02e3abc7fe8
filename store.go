// Package secretstore reads and writes secrets by name, with one contract over
// every backend.
//
// A program holds a [Store]. It gets one from package runctx, which finds out
// where the process runs and opens the store that belongs there, or from the
// constructor of one backend, such as backends/localfile. A secret is a name
// and a [Value]; a Value can't be printed, logged or marshaled by accident.
//
//	store, err := runctx.Open(ctx)
//	if err != nil {
//		return err
//	}
//	defer store.Close()
//	password, err := store.Get(ctx, "db-password")
//	if err != nil {
//		return err
//	}
//	dsn := "postgres://etl:" + string(password.Reveal()) + "@db/train"
//
// # Names
//
// A name has 1 to [MaxNameLen] characters of 0-9, a-z, A-Z and -, which is what
// every backend accepts. Case does not distinguish: DB-Password and db-password
// are one secret. The canonical form is lower case. See [CanonicalName].
//
// # Values
//
// A value is any bytes, also none: an empty secret is not a missing one. See
// [MaxTextLen] and [MaxBinaryLen] for its size.
//
// # Errors
//
// Every error is an [*Error], or a [*BatchError] of them. An Error is of one kind
// of a closed set that [errors.Is] tells: [ErrNotFound], [ErrInvalidName] and so
// on. No error carries a value, a key, a token or the text of a service.
//
// # Backends
//
// Authors of backends write a [Driver], which is smaller than a Store, and turn
// it into one with [New]. Every rule that holds for all backends is kept there,
// once. Package conformance tests the result.
package secretstore

import (
	"context"
	"io"
)

// Store holds secrets by name.
//
// All methods are safe for concurrent use. None retains or aliases a slice or
// map of the caller, before or after it returns. Each returns within 250 ms of
// the end of its context, with the context's error reachable by [errors.Is], and
// leaves no goroutine, descriptor or lock behind. After Close each returns
// [ErrClosed].
//
// A name that breaks the grammar is [ErrInvalidName], and a value over the limit
// is [ErrTooLarge], before any I/O.
//
// The stores that [New] makes keep this contract; implement [Driver] rather than
// Store.
type Store interface {
	// Set makes the name hold the value, whether or not it exists. When it
	// returns nil, the value is durable, and the next Get of this store
	// returns it.
	//
	// Where a service keeps the name as deleted, Set recovers it first; where
	// it may not, the error is ErrConflict and says what to do.
	Set(ctx context.Context, name string, value Value) error

	// SetBatch sets every name of values. It checks all names and values
	// before it writes any; two names that differ only in case are
	// ErrInvalidName.
	//
	// An error that is not a *BatchError means that nothing was written. A
	// *BatchError names every entry that is not known to be written; each of
	// them holds wholly its old or wholly its new value, and every other entry
	// is written. Backends that can (memory, localfile) write all or nothing.
	//
	// An empty map is nil, without I/O.
	SetBatch(ctx context.Context, values map[string]Value) error

	// Get returns the value of the name. It returns ErrNotFound only if the
	// backend has said that there is no such secret: an outage, a refusal or
	// an answer that can't be read are never ErrNotFound.
	Get(ctx context.Context, name string) (Value, error)

	// GetBatch returns the values of the names, keyed by the spelling asked
	// for. A name may stand there more than once.
	//
	// The map is never nil, and holds every value that could be read, also
	// beside an error. If a name could not be read, the error is a *BatchError
	// with one cause for each such name, in the order asked; one missing,
	// invalid or denied name doesn't cost the others. Only ErrClosed comes
	// plain.
	//
	// No names is an empty map, without I/O.
	GetBatch(ctx context.Context, names []string) (map[string]Value, error)

	// List returns the canonical names, sorted and without repetition, that
	// Get can read with the same rights. No value is fetched. What a service
	// holds under names outside the grammar is left out, and so is what its
	// listing shows to be disabled or deleted. No secrets is an empty slice.
	List(ctx context.Context) ([]string, error)
}

// Deleter is a Store that can delete, as every bundled backend can.
type Deleter interface {
	// Delete removes the names. One that is absent is no error. Afterwards Get
	// returns ErrNotFound, and Set works again.
	//
	// All names are checked before any is deleted. With one name the error is
	// an *Error; with several, a *BatchError names every one that is not known
	// to be deleted, and an error that is not a *BatchError means that none
	// was. No names is nil, without I/O.
	Delete(ctx context.Context, names ...string) error
}

// StoreCloser is a Store that holds resources until Close.
//
// Close waits for calls that are under way, which end with their own contexts.
// A second Close returns nil.
type StoreCloser interface {
	Store
	io.Closer
}
