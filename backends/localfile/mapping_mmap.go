//go:build linux || darwin || freebsd || netbsd || dragonfly

package localfile

import (
	"os"
	"runtime/debug"
	"sync/atomic"
	"syscall"
	"unsafe"
)

// mapping is the file in memory, shared with the system's page cache, so that
// what another process commits shows at once. It holds no descriptor.
//
// A mapping reaches beyond the end of the file, to have room to grow. Reading
// there, or in a file that was truncated, faults: see guard.
type mapping struct {
	path string
	data []byte
	info os.FileInfo
	size atomic.Int64 // of the file, when it was last looked at
}

const mapRoom = 1 << 20

// openMapping maps the file.
func openMapping(path string) (*mapping, error) {
	f, err := openRegular(path, os.O_RDONLY)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, ioError("stat the store's file", err)
	}
	if info.Size() < 4*pageSize {
		return nil, corrupt("the file has %d bytes, and is too short to be a store", info.Size())
	}
	data, err := syscall.Mmap(int(f.Fd()), 0, int(info.Size())*2+mapRoom, syscall.PROT_READ, syscall.MAP_SHARED)
	if err != nil {
		return nil, ioError("map the store's file", err)
	}
	m := &mapping{path: path, data: data, info: info}
	m.size.Store(info.Size())
	return m, nil
}

// resize takes in the size of the file and reports whether the mapping holds it.
func (m *mapping) resize(size int64) bool {
	m.size.Store(size)
	return size <= int64(len(m.data))
}

// look takes in the size that the file has now: another process may have made it
// longer since. It reports whether the mapping holds it.
func (m *mapping) look() bool {
	info, err := os.Stat(m.path)
	if err != nil || !os.SameFile(info, m.info) {
		return true // whoever reads on finds out
	}
	return m.resize(info.Size())
}

// bytes returns n bytes at the offset. They are valid until close, and change
// under the reader when another process writes.
func (m *mapping) bytes(off, n uint64) ([]byte, error) {
	if size := min(uint64(m.size.Load()), uint64(len(m.data))); off > size || n > size-off {
		return nil, corrupt("the file is cut short: it has %d bytes", size)
	}
	return m.data[off : off+n : off+n], nil
}

// versions returns what tells one version of the file from another: the version
// numbers and checksums of both meta pages. The loads order memory: what is read
// between two calls that return the same belongs to that version.
func (m *mapping) versions() (v [4]uint64, err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if r := recover(); r != nil {
			err = fault(r)
		}
	}()
	var fence atomic.Uint32
	fence.Add(1) // also orders the loads before this call
	for slot := range 2 {
		for i, off := range [2]int{48, 56} {
			p := unsafe.Pointer(&m.data[slot*pageSize+pageHeader+off])
			v[2*slot+i] = atomic.LoadUint64((*uint64)(p))
		}
	}
	return v, nil
}

func (m *mapping) close() { syscall.Munmap(m.data) }
