package localfile

import (
	"context"
	"errors"
	"math/rand/v2"
	"os"
	"time"

	"github.com/mlsecrets/secretstore"
)

const defaultLockTimeout = 10 * time.Second

// lockFile takes the exclusive lock of the open file, which other processes
// respect, or returns ErrLocked after the time-out or at the end of the context.
// Closing the file gives it back, and so does the end of the process.
//
// It tries again and again, because a wait for a lock can't be called off. The
// pauses are random and short beside a commit, so that no process starves.
func lockFile(ctx context.Context, f *os.File, timeout time.Duration) error {
	deadline := time.Now().Add(timeout)
	for pause := 50 * time.Microsecond; ; pause = min(2*pause, 2*time.Millisecond) {
		locked, err := tryLock(f)
		if err != nil {
			return ioError("lock the store's file", err)
		}
		if locked {
			return nil
		}
		if time.Now().After(deadline) {
			return &secretstore.Error{Kind: secretstore.ErrLocked,
				Detail: "another process has held the store's lock for " + timeout.String()}
		}
		if err := sleep(ctx, pause/2+rand.N(pause)); err != nil {
			return lockedBy(err)
		}
	}
}

// lockedBy is the error of a wait for a lock that the context ended.
func lockedBy(cause error) error {
	if errors.Is(cause, context.Canceled) {
		return cause
	}
	return &secretstore.Error{Kind: secretstore.ErrLocked, Context: cause,
		Detail: "another process or call holds the store's lock"}
}

func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
