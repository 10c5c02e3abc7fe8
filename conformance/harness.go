package conformance

import (
	"context"
	"os/exec"

	"github.com/mlsecrets/secretstore"
)

// Harness is what a backend gives to its test. Only Open is required.
type Harness struct {
	// Open returns a new, empty store. It is called at least once a rule. The suite
	// closes the store.
	Open func(ctx context.Context) (secretstore.StoreCloser, error)

	// Second returns another handle on the data of a store that Open returned: what
	// a second program would open. The suite closes it.
	Second func(ctx context.Context, s secretstore.StoreCloser) (secretstore.StoreCloser, error)

	// Child returns the command of another process that opens the data of a store
	// that Open returned and calls [ServeChild] with it. Its standard input and
	// output are the suite's.
	Child func(ctx context.Context, s secretstore.StoreCloser) (*exec.Cmd, error)

	// Inject makes the service fail for the name, or for every request if it is "",
	// until undo is called. It returns errors.ErrUnsupported for a fault that the
	// harness can't make.
	Inject func(s secretstore.StoreCloser, f Fault, name string) (undo func(), err error)

	// Lock holds the lock that writers of the store wait for, until undo is called.
	Lock func(s secretstore.StoreCloser) (undo func(), err error)

	// Requests returns how many requests, or file accesses, the store has made.
	Requests func(s secretstore.StoreCloser) int

	// Shared says that Open returns a store that others use too. The suite then
	// keeps to names with a random prefix of its own, deletes what it made, and
	// leaves out rules that need the store for themselves.
	Shared bool

	// Slow says that a call takes milliseconds. Counts are lower then.
	Slow bool

	// Facts are what the backend promises beyond the contract.
	Facts Facts
}

// Facts are promises of a backend beyond the contract. What is claimed is tested.
type Facts struct {
	// AtomicBatch: SetBatch writes all or nothing, and no reader sees a part.
	AtomicBatch bool
}

// Fault is a way for a service to fail.
type Fault string

// The faults that a harness may be able to make.
const (
	Deny     Fault = "deny"     // the rights don't reach: ErrDenied
	Disable  Fault = "disable"  // the secret is there and switched off: ErrDenied
	Throttle Fault = "throttle" // too many requests, for as long as the fault lasts: ErrThrottled
	Outage   Fault = "outage"   // no answer, or an answer of a proxy: ErrUnavailable
	Hang     Fault = "hang"     // no answer until the context ends
	Echo     Fault = "echo"     // an error whose body repeats the request
	Expire   Fault = "expire"   // the login has run out: a new one, or ErrDenied
)
