//go:build unix

package localfile_test

import (
	"os"
	"path/filepath"
	"syscall"
)

// systemPlaces are places that not every system has.
var systemPlaces = map[string]func(s *sample, path string) error{
	"a fifo": func(_ *sample, path string) error { return syscall.Mkfifo(path, 0o600) },
}

// plantFault reads mapped memory behind the end of its file.
func plantFault() {
	dir, err := os.MkdirTemp("", "planted")
	if err != nil {
		return
	}
	defer os.RemoveAll(dir)
	f, err := os.OpenFile(filepath.Join(dir, "file"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return
	}
	if err := f.Truncate(2 * testPage); err != nil {
		return
	}
	b, err := syscall.Mmap(int(f.Fd()), 0, 2*testPage, syscall.PROT_READ, syscall.MAP_SHARED)
	if err != nil {
		return
	}
	if err := f.Truncate(0); err != nil {
		return
	}
	os.RemoveAll(dir)
	os.Exit(int(b[testPage]))
}
