package localfile_test

import (
	"os"

	"golang.org/x/sys/windows"
)

// holdLock holds the lock of the store's file, as another process would, until
// release is called.
func holdLock(path string) (release func(), err error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	at := windows.Overlapped{OffsetHigh: 1 << 30}
	return func() { f.Close() }, windows.LockFileEx(windows.Handle(f.Fd()), windows.LOCKFILE_EXCLUSIVE_LOCK, 0, 1, 0, &at)
}
