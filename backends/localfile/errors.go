package localfile

import (
	"errors"
	"fmt"
	"io/fs"
	"runtime/debug"
	"syscall"

	"github.com/mlsecrets/secretstore"
)

func corrupt(format string, args ...any) error {
	return &secretstore.Error{Kind: secretstore.ErrCorrupt, Detail: fmt.Sprintf(format, args...)}
}

// ioError maps an error of the operating system.
func ioError(doing string, err error) error {
	e := &secretstore.Error{Kind: secretstore.ErrUnavailable}
	switch {
	case errors.Is(err, fs.ErrPermission), errors.Is(err, errReadOnlyFS):
		e.Kind = secretstore.ErrDenied
	}
	// Texts of the operating system's errors hold paths, no contents.
	e.Detail = fmt.Sprintf("can't %s: %v", doing, err)
	return e
}

const errReadOnlyFS = syscall.EROFS

// guard calls fn and turns a fault in mapped memory into ErrCorrupt: reading past
// the end of a file that was truncated raises SIGBUS. Other panics go on.
func guard(fn func() error) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if r := recover(); r != nil {
			err = fault(r)
		}
	}()
	return fn()
}

// fault is the error of a recovered panic that is a memory fault.
func fault(r any) error {
	if _, ok := r.(interface{ Addr() uintptr }); !ok {
		panic(r)
	}
	return corrupt("the file was cut short while it was being read")
}

// guardWriter calls fn, which uses bbolt, and turns any panic into ErrCorrupt: on
// a file that changes under it bbolt panics in many ways.
func guardWriter(fn func() error) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if r := recover(); r != nil {
			err = corrupt("the file's structure is damaged")
		}
	}()
	return fn()
}
