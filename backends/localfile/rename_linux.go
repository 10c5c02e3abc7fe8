package localfile

import (
	"errors"
	"syscall"

	"golang.org/x/sys/unix"
)

// renameNew renames a file, unless the new name is taken: then the error is
// fs.ErrExist.
func renameNew(temporary, path string) error {
	err := unix.Renameat2(unix.AT_FDCWD, temporary, unix.AT_FDCWD, path, unix.RENAME_NOREPLACE)
	if errors.Is(err, syscall.EINVAL) || errors.Is(err, syscall.ENOSYS) {
		return linkNew(temporary, path) // not on this file system
	}
	return err
}
