package localfile

import (
	"errors"
	"os"

	"golang.org/x/sys/windows"
)

// tryLock takes a lock on a byte far behind the end of the file, where locks keep
// nobody from reading, and apart from the byte that bbolt locks itself.
func tryLock(f *os.File) (bool, error) {
	at := windows.Overlapped{OffsetHigh: 1 << 30}
	err := windows.LockFileEx(windows.Handle(f.Fd()),
		windows.LOCKFILE_EXCLUSIVE_LOCK|windows.LOCKFILE_FAIL_IMMEDIATELY, 0, 1, 0, &at)
	switch {
	case err == nil:
		return true, nil
	case errors.Is(err, windows.ERROR_LOCK_VIOLATION):
		return false, nil
	}
	return false, err
}

// unlock gives the lock back, also where closing the file would not.
func unlock(f *os.File) {
	at := windows.Overlapped{OffsetHigh: 1 << 30}
	windows.UnlockFileEx(windows.Handle(f.Fd()), 0, 1, 0, &at)
}
