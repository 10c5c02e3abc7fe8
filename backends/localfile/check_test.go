package localfile_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/mlsecrets/secretstore"
	"github.com/mlsecrets/secretstore/backends/localfile"
)

// TestHealthyFilePasses has a random workload make trees of every shape, and the
// check of the structure accept each.
func TestHealthyFilePasses(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(testSeed(t), 0))
	s := newSample(t, "empty")
	store := openStore(t, s.config())
	want := map[string][]byte{}
	verify := func() {
		t.Helper()
		report, err := localfile.Verify(t.Context(), s.config())
		if err != nil {
			t.Fatalf("verify: %v; %v", err, report.Damaged)
		}
		if report.Secrets != len(want) {
			t.Fatalf("%d secrets, want %d", report.Secrets, len(want))
		}
	}
	for range count(60, 600) {
		switch sorted := slices.Sorted(maps.Keys(want)); r.IntN(5) {
		case 0, 1: // many at once
			batch := map[string]secretstore.Value{}
			for range r.IntN(400) {
				name := fmt.Sprintf("w-%d", r.IntN(3000))
				want[name] = bytes.Repeat([]byte{byte('a' + r.IntN(26))}, sizes[r.IntN(len(sizes))])
				batch[name] = secretstore.NewValue(want[name])
			}
			if err := store.SetBatch(t.Context(), batch); err != nil {
				t.Fatal(err)
			}
		case 2: // one
			name := fmt.Sprintf("w-%d", r.IntN(3000))
			want[name] = bytes.Repeat([]byte{1}, r.IntN(25600))
			if err := store.Set(t.Context(), name, secretstore.NewValue(want[name])); err != nil {
				t.Fatal(err)
			}
		default: // delete some, or nearly all
			var gone []string
			keep := 1 + r.IntN(20)
			for i, name := range sorted {
				if i%keep != 0 || keep == 1 {
					gone = append(gone, name)
					delete(want, name)
				}
			}
			if err := store.(secretstore.Deleter).Delete(t.Context(), gone...); err != nil {
				t.Fatal(err)
			}
		}
		verify()
	}
	got, err := store.GetBatch(t.Context(), slices.Collect(maps.Keys(want)))
	if err != nil {
		t.Fatal(err)
	}
	for name, v := range want {
		if !bytes.Equal(got[name].Reveal(), v) {
			t.Errorf("%s: a wrong value", name)
		}
	}
}

var sizes = []int{0, 1, 30, 100, 100, 100, 400, 1500, 5000, 25600}

// TestPlantedStructureIsFound spoils what bbolt relies on and what readers don't
// meet: Verify finds each, and no write goes through.
func TestPlantedStructureIsFound(t *testing.T) {
	t.Parallel()
	// ofFreelist returns the ids on the free list.
	ofFreelist := func(image []byte) []byte {
		newest := pageAt(image, 0)
		if binary.NativeEndian.Uint64(newest[16+48:]) < binary.NativeEndian.Uint64(pageAt(image, 1)[16+48:]) {
			newest = pageAt(image, 1)
		}
		p := pageAt(image, int(binary.NativeEndian.Uint64(newest[16+32:])))
		return p[16 : 16+8*binary.NativeEndian.Uint16(p[10:])]
	}
	free := func(image []byte, id int) bool {
		ids := ofFreelist(image)
		for ; len(ids) > 0; ids = ids[8:] {
			if binary.NativeEndian.Uint64(ids) == uint64(id) {
				return true
			}
		}
		return false
	}
	// firstOf returns the first page that is in use and of the kind.
	firstOf := func(image []byte, flags uint16, min uint16) int {
		for id := 2; id < inUse(image); id++ {
			p := pageAt(image, id)
			if binary.NativeEndian.Uint16(p[8:]) == flags && binary.NativeEndian.Uint16(p[10:]) >= min &&
				binary.NativeEndian.Uint64(p) == uint64(id) && !free(image, id) {
				return id
			}
		}
		t.Fatalf("no page with flags %d", flags)
		return 0
	}
	for _, test := range []struct {
		name   string
		detail string
		plant  func(image []byte)
	}{
		{"a page in use is on the free list", "in use and on the free list", func(image []byte) {
			ids := ofFreelist(image)
			was := slices.Clone(ids)
			used := uint64(firstOf(image, 2, 1))
			var all []uint64
			for ; len(was) > 8; was = was[8:] {
				all = append(all, binary.NativeEndian.Uint64(was))
			}
			all = append(all, used)
			slices.Sort(all)
			for i, id := range all {
				binary.NativeEndian.PutUint64(ids[8*i:], id)
			}
		}},
		{"the free list names a page twice", "out of order", func(image []byte) {
			ids := ofFreelist(image)
			copy(ids[8:16], ids[:8])
		}},
		{"the free list names a page behind the last", "out of order", func(image []byte) {
			ids := ofFreelist(image)
			binary.NativeEndian.PutUint64(ids[len(ids)-8:], uint64(inUse(image)))
		}},
		{"the free list is longer than its page", "cut short", func(image []byte) {
			at := bytes.Index(image, ofFreelist(image)) - 16
			binary.NativeEndian.PutUint16(image[at+10:], 60_000)
		}},
		{"two branches lead to one page", "used twice", func(image []byte) {
			p := pageAt(image, firstOf(image, 1, 2))
			copy(p[16+16+8:16+16+16], p[16+8:16+16])
		}},
		{"a page runs into the next", "", func(image []byte) {
			p := pageAt(image, firstOf(image, 2, 1))
			binary.NativeEndian.PutUint32(p[12:], 1)
		}},
		{"a branch has a key that is not its page's", "does not start with its key", func(image []byte) {
			p := pageAt(image, firstOf(image, 1, 2))
			element := p[16+16:]
			pos, size := binary.NativeEndian.Uint32(element), binary.NativeEndian.Uint32(element[4:])
			element[pos+size-1]++ // the last byte of its key
		}},
		{"a record without a key", "", func(image []byte) {
			p := pageAt(image, firstOf(image, 1, 2))
			binary.NativeEndian.PutUint32(p[16+4:], 0)
			child := pageAt(image, int(binary.NativeEndian.Uint64(p[16+8:])))
			binary.NativeEndian.PutUint32(child[16+8:], 0)
		}},
		{"a leaf with its records out of order", "out of order", func(image []byte) {
			p := pageAt(image, firstOf(image, 2, 4))
			a, b := p[32:48], p[48:64] // elements 1 and 2; positions count from the element
			pa, pb := binary.NativeEndian.Uint32(a[4:]), binary.NativeEndian.Uint32(b[4:])
			for i := range a {
				a[i], b[i] = b[i], a[i]
			}
			binary.NativeEndian.PutUint32(a[4:], pb+16)
			binary.NativeEndian.PutUint32(b[4:], pa-16)
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := newSample(t, "branches")
			store := openStore(t, s.config())
			for name := range s.Secrets { // so that pages become free
				if err := store.Set(t.Context(), name, secretstore.NewValue([]byte("new"))); err != nil {
					t.Fatal(err)
				}
				if strings.HasSuffix(name, "7") {
					break
				}
			}
			if err := store.(secretstore.Deleter).Delete(t.Context(), "s-1", "s-2", "s-3"); err != nil {
				t.Fatal(err)
			}
			store.Close()
			editImage(t, s.Path, test.plant)
			report, err := localfile.Verify(t.Context(), s.config())
			if !errors.Is(err, secretstore.ErrCorrupt) {
				t.Fatalf("verify: %v, want ErrCorrupt", err)
			}
			if all := strings.Join(report.Damaged, "; "); !strings.Contains(all, "structure: ") || !strings.Contains(all, test.detail) {
				t.Errorf("damaged: %s; want the structure, with %q", all, test.detail)
			}
			was := readFile(t, s.Path)
			err = openStore(t, s.config()).Set(t.Context(), "more", secretstore.NewValue(nil))
			if !errors.Is(err, secretstore.ErrCorrupt) {
				t.Errorf("set: %v, want ErrCorrupt", err)
			}
			if !bytes.Equal(readFile(t, s.Path), was) {
				t.Error("the refused Set changed the file")
			}
		})
	}
}
