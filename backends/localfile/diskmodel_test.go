package localfile_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// sectorSize is what a disk writes whole or not at all.
const sectorSize = 512

// disk is a model of a disk with the page cache above it, as harsh as POSIX allows.
// What was written to a file since it was last synced may be on the disk or not,
// each sector for itself, and so may each change of its size. What was done to the
// names in a folder since the folder was last synced may have happened or not, each
// change for itself.
type disk struct{ root *node }

type node struct {
	folder bool

	durable []byte
	unsaved []dataChange

	names        map[string]*node // as programs see them
	durableNames map[string]*node
	unsavedNames []nameChange
}

type dataChange struct {
	off  int64
	data []byte
	size int64 // the new one, if data is nil
}

type nameChange struct {
	remove, add string // either may be empty
	node        *node
}

func newFolder() *node {
	return &node{folder: true, names: map[string]*node{}, durableNames: map[string]*node{}}
}

// newDisk returns a disk with the contents of the folder.
func newDisk(tb testing.TB, dir string) *disk {
	tb.Helper()
	d := &disk{newFolder()}
	err := filepath.WalkDir(dir, func(path string, e os.DirEntry, err error) error {
		if err != nil || path == dir {
			return err
		}
		n := newFolder()
		if !e.IsDir() {
			n.folder = false
			if n.durable, err = os.ReadFile(path); err != nil {
				return err
			}
		}
		parent, name := d.find(strings.TrimPrefix(path, dir))
		parent.names[name], parent.durableNames[name] = n, n
		return nil
	})
	if err != nil {
		tb.Fatal(err)
	}
	return d
}

// find returns the folder of a path, and the last name.
func (d *disk) find(path string) (*node, string) {
	parts := strings.Split(strings.Trim(filepath.ToSlash(path), "/"), "/")
	n := d.root
	for _, p := range parts[:len(parts)-1] {
		if n = n.names[p]; n == nil {
			return newFolder(), ""
		}
	}
	return n, parts[len(parts)-1]
}

func (d *disk) at(path string) *node {
	if path == "" {
		return d.root
	}
	parent, name := d.find(path)
	return parent.names[name]
}

func (d *disk) create(path string, n *node) {
	parent, name := d.find(path)
	parent.rename(nameChange{add: name, node: n})
}

// rename changes names in the folder.
func (n *node) rename(c nameChange) {
	c.apply(n.names)
	n.unsavedNames = append(n.unsavedNames, c)
}

func (c nameChange) apply(names map[string]*node) {
	delete(names, c.remove)
	if c.add != "" {
		names[c.add] = c.node
	}
}

// sync makes durable what was written to the file or folder.
func (n *node) sync() {
	always := func() bool { return true }
	for _, c := range n.unsaved {
		n.durable = c.apply(n.durable, always)
	}
	n.unsaved, n.unsavedNames = nil, nil
	n.durableNames = maps.Clone(n.names)
}

// apply returns the contents after the change, of which that happens which keep
// says.
func (c dataChange) apply(b []byte, keep func() bool) []byte {
	if c.data == nil {
		if keep() {
			b = resize(b, c.size)
		}
		return b
	}
	if end := c.off + int64(len(c.data)); end > int64(len(b)) && keep() {
		b = resize(b, end)
	}
	for off, rest := c.off, c.data; len(rest) > 0; {
		n := min(int64(len(rest)), sectorSize-off%sectorSize)
		if keep() && off < int64(len(b)) {
			copy(b[off:], rest[:n])
		}
		off, rest = off+n, rest[n:]
	}
	return b
}

func resize(b []byte, size int64) []byte {
	if size <= int64(len(b)) {
		return b[:size]
	}
	return append(b, make([]byte, size-int64(len(b)))...)
}

// lose makes, in the folder, what is on the disk when the power fails now. Of what
// is unsaved, each part is on the disk with the probability p.
func (d *disk) lose(r *rand.Rand, p float64, dir string) error {
	return d.root.lose(func() bool { return r.Float64() < p }, dir)
}

func (n *node) lose(keep func() bool, path string) error {
	if !n.folder {
		b := slices.Clone(n.durable)
		for _, c := range n.unsaved {
			b = c.apply(b, keep)
		}
		return os.WriteFile(path, b, 0o600)
	}
	if err := os.MkdirAll(path, 0o700); err != nil {
		return err
	}
	names := maps.Clone(n.durableNames)
	for _, c := range n.unsavedNames {
		if keep() {
			c.apply(names)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(names)) {
		if err := names[name].lose(keep, filepath.Join(path, name)); err != nil {
			return err
		}
	}
	return nil
}

// TestDiskModel shows that the model loses what it may, and nothing else.
func TestDiskModel(t *testing.T) {
	t.Parallel()
	d := &disk{newFolder()}
	file := &node{}
	d.create("/f", file)
	file.unsaved = append(file.unsaved, dataChange{data: slices.Repeat([]byte{'a'}, 2*sectorSize)})
	seen := map[string]int{}
	look := func(p float64) {
		t.Helper()
		dir := filepath.Join(t.TempDir(), "disk")
		if err := d.lose(rand.New(rand.NewPCG(1, uint64(len(seen)))), p, dir); err != nil {
			t.Fatal(err)
		}
		b, err := os.ReadFile(filepath.Join(dir, "f"))
		text := "absent"
		if err == nil {
			text = fmt.Sprint(len(b))
			for i := 0; i < len(b); i += sectorSize {
				text += fmt.Sprintf(" %q", b[i])
			}
		}
		seen[text]++
	}
	want := func(text string) {
		t.Helper()
		if seen[text] == 0 {
			t.Errorf("%s is not among the outcomes %v", text, seen)
		}
		clear(seen)
	}
	look(0)
	want("absent")
	look(1)
	want(`1024 'a' 'a'`)
	file.sync()
	look(0)
	want("absent") // its contents are durable, and not its name
	d.root.sync()
	look(0)
	want(`1024 'a' 'a'`)
	file.unsaved = append(file.unsaved, dataChange{data: slices.Repeat([]byte{'b'}, 2*sectorSize)})
	d.root.rename(nameChange{remove: "f", add: "g", node: file})
	d.root.rename(nameChange{remove: "g", add: "f", node: file})
	look(0)
	want(`1024 'a' 'a'`)
	for i := 0; i < 100 && seen[`1024 'a' 'b'`] == 0; i++ {
		seen[fmt.Sprint("round ", i)]++ // also moves the generator
		look(0.5)
	}
	want(`1024 'a' 'b'`)
	file.unsaved = append(file.unsaved, dataChange{size: 3 * sectorSize})
	file.sync()
	look(0)
	want(`1536 'b' 'b' '\x00'`)
}
