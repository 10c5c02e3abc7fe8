//go:build !linux && !darwin && !freebsd && !netbsd && !dragonfly

package localfile

import (
	"io"
	"os"
)

// mapping reads the file where mapping it into memory is not shared with what
// other processes write, or would keep them from making it longer.
type mapping struct {
	f    *os.File
	info os.FileInfo
}

func openMapping(path string) (*mapping, error) {
	f, err := openRegular(path, os.O_RDONLY)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err != nil {
		f.Close()
		return nil, ioError("stat the store's file", err)
	}
	if info.Size() < 4*pageSize {
		f.Close()
		return nil, corrupt("the file has %d bytes, and is too short to be a store", info.Size())
	}
	return &mapping{f: f, info: info}, nil
}

func (m *mapping) resize(int64) bool { return true }

func (m *mapping) look() bool { return true }

// bytes returns n bytes at the offset, in a slice of their own.
func (m *mapping) bytes(off, n uint64) ([]byte, error) {
	info, err := m.f.Stat()
	if err != nil {
		return nil, ioError("stat the store's file", err)
	}
	if size := uint64(info.Size()); off > size || n > size-off {
		return nil, corrupt("the file is cut short: it has %d bytes", size)
	}
	b := make([]byte, n)
	if _, err := m.f.ReadAt(b, int64(off)); err == io.EOF {
		return nil, corrupt("the file is cut short")
	} else if err != nil {
		return nil, ioError("read the store's file", err)
	}
	return b, nil
}

// versions returns what tells one version of the file from another: the version
// numbers and checksums of both meta pages.
func (m *mapping) versions() (v [4]uint64, err error) {
	for slot := range 2 {
		b, err := m.bytes(uint64(slot*pageSize+pageHeader+48), 16)
		if err != nil {
			return v, err
		}
		v[2*slot], v[2*slot+1] = order.Uint64(b), order.Uint64(b[8:])
	}
	return v, nil
}

func (m *mapping) close() { m.f.Close() }
