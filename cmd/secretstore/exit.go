package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/mlsecrets/secretstore"
)

// The exit codes, as the package documentation has them.
const (
	exitFailed      = 1
	exitUsage       = 2
	exitNotFound    = 3
	exitDenied      = 4
	exitUnavailable = 5
	exitCorrupt     = 6
	exitCantRun     = 126
	exitNoCommand   = 127
)

const exitCodesHelp = `0  done
1  failed
2  usage: a flag, an argument, a name, a file or a store's URL is wrong, or a
   value is too large
3  not found
4  denied, or the wrong key or passphrase
5  unavailable, throttled or locked, or the time is up: trying again may help
6  corrupt

Where several secrets failed for different reasons, the code is the first of 6,
4, 5, 2, 3 and 1 that is among them. A command that a signal ended has 128 and the
signal's number.

"secretstore run" has the code of the command that it ran; 126 if that can't be
run, and 127 if there is no such command.`

// exitCode returns the code of an error, which may be a batch of several.
func exitCode(err error) int {
	for _, c := range []struct {
		code  int
		kinds []error
	}{
		{exitCorrupt, []error{secretstore.ErrCorrupt}},
		{exitDenied, []error{secretstore.ErrDenied, secretstore.ErrWrongKey}},
		{exitUnavailable, []error{secretstore.ErrUnavailable, secretstore.ErrThrottled, secretstore.ErrLocked,
			context.DeadlineExceeded}},
		{exitUsage, []error{errUsage, secretstore.ErrInvalidName, secretstore.ErrTooLarge, secretstore.ErrInvalidConfig}},
		{exitNotFound, []error{secretstore.ErrNotFound}},
	} {
		for _, kind := range c.kinds {
			if errors.Is(err, kind) {
				return c.code
			}
		}
	}
	return exitFailed
}

// errUsage is the kind of errors in how the program was called.
var errUsage = errors.New("usage")

type usageError struct{ text string }

func (e *usageError) Error() string        { return e.text }
func (e *usageError) Is(target error) bool { return target == errUsage }

// usage returns a usage error. Its text must not repeat an argument that may be a
// value.
func usage(format string, args ...any) error {
	return &usageError{fmt.Sprintf(format, args...)}
}

// codeError ends the program with the code of a child, without a message.
type codeError int

func (e codeError) Error() string { return fmt.Sprintf("exit code %d", int(e)) }

func childCode(err error) (int, bool) {
	e, ok := errors.AsType[codeError](err)
	return int(e), ok
}
