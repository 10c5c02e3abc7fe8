//go:build unix && !solaris && !aix

package localfile

import (
	"errors"
	"os"
	"syscall"
)

// tryLock takes the lock with flock(2), as bbolt does: a second call on the same
// open file, which bbolt makes, succeeds.
func tryLock(f *os.File) (bool, error) {
	for {
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		switch {
		case err == nil:
			return true, nil
		case errors.Is(err, syscall.EWOULDBLOCK):
			return false, nil
		case !errors.Is(err, syscall.EINTR):
			return false, err
		}
	}
}

// unlock gives the lock back, also where closing the file would not.
func unlock(f *os.File) { syscall.Flock(int(f.Fd()), syscall.LOCK_UN) }
