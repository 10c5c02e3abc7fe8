package secretstore

import "context"

// Driver is what the author of a backend writes. [New] makes a Store of it.
//
// New keeps every rule that holds for all backends, so a Driver does I/O and
// maps its service's answers to the closed set of errors, and nothing else. A
// Driver may rely on this: every name is canonical; every value is within the
// limits; a batch has at least one name, and none twice; no method is called
// after Close, nor with a context that has ended before the call.
//
// Methods must be safe for concurrent use, must return promptly (within 250 ms)
// when the context ends, and must leave nothing behind when they return. They
// must not retain a slice or map that they are given, nor use one that they
// have returned. A driver that retries must stop when the context ends.
//
// An error should be an [*Error] with Kind, and where there is one Detail, Status
// and RequestID; New adds Op, Backend and Name. It must not carry a value, a key,
// a token, a URL with credentials, or text of the service or its SDK. Of any
// error that is not an *Error, New keeps the kind alone. A time limit of the
// driver's own is ErrUnavailable: the kinds [context.Canceled] and
// [context.DeadlineExceeded] are for the end of the caller's context.
//
// The optional interfaces are [BatchGetter], [BatchSetter], [DriverDeleter],
// [BatchDeleter], [Fanout] and [io.Closer].
type Driver interface {
	// Backend must return the name of the backend that stands in errors, such
	// as "vault". It must be the same at every call.
	Backend() string

	// Get must return the value of the name, or an error of kind ErrNotFound if
	// and only if the service says that there is none.
	Get(ctx context.Context, name string) (Value, error)

	// Set must make the name hold the value. When it returns nil, the value
	// must be durable, and any later Get of this driver must return it.
	Set(ctx context.Context, name string, value Value) error

	// List must return the names that Get can read, as the service spells
	// them, in any order. Names outside the grammar may be among them.
	List(ctx context.Context) ([]string, error)
}

// BatchGetter is a Driver with a way of its own to read many secrets. Without
// it, New calls Get for each name, several at a time (see [Fanout]).
type BatchGetter interface {
	// GetBatch must return every value that it could read, keyed by the name as
	// given. For each other name the error must be a *BatchError that has an
	// entry of that Name, or another error, which stands for all the names
	// that have no value. A name with both a value and an entry failed.
	GetBatch(ctx context.Context, names []string) (map[string]Value, error)
}

// BatchSetter is a Driver with a way of its own to write many secrets. Without
// it, New calls Set for each name, several at a time (see [Fanout]).
type BatchSetter interface {
	// SetBatch must write all entries. An error that is not a *BatchError must
	// mean that nothing was written; a *BatchError must name every entry that
	// is not known to be written, as given. Of one that names something else,
	// or nothing, New takes no entry to be written.
	SetBatch(ctx context.Context, values map[string]Value) error
}

// DriverDeleter is a Driver that can delete.
type DriverDeleter interface {
	// Delete must remove the name, so that Get returns ErrNotFound and Set
	// works. A name that is absent must be no error.
	Delete(ctx context.Context, name string) error
}

// BatchDeleter is a Driver that deletes many names in one operation.
type BatchDeleter interface {
	DriverDeleter

	// DeleteBatch must delete all names, and must report as SetBatch does.
	DeleteBatch(ctx context.Context, names []string) error
}

// Fanout is a Driver that says how many calls of Get, and of Set or Delete, New
// may have under way at once for one batch. Without it New uses 16.
//
// A driver that adapts to its service returns the most that it would ever want,
// and makes callers wait in Get and Set.
type Fanout interface {
	// Fanout must return two numbers of at least 1.
	Fanout() (gets, sets int)
}
