//go:build unix

package localfile_test

import (
	"os"
	"syscall"
)

// holdLock holds the lock of the store's file, as another process would, until
// release is called.
func holdLock(path string) (release func(), err error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	return func() { f.Close() }, syscall.Flock(int(f.Fd()), syscall.LOCK_EX)
}
