package localfile_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"os"
	"runtime"
	"testing"
	"time"

	"github.com/mlsecrets/secretstore"
	"github.com/mlsecrets/secretstore/backends/localfile"
)

// editImage changes the file in place.
func editImage(tb testing.TB, path string, edit func(image []byte)) {
	tb.Helper()
	was := readFile(tb, path)
	image := bytes.Clone(was)
	edit(image)
	if err := patch(path, was, image); err != nil {
		tb.Fatal(err)
	}
}

// within fails the test if fn takes longer.
func within(tb testing.TB, d time.Duration, fn func()) {
	tb.Helper()
	done := make(chan struct{})
	go func() {
		defer close(done)
		fn()
	}()
	select {
	case <-done:
	case <-time.After(d):
		stacks := make([]byte, 1<<16)
		tb.Fatalf("no end after %v\n%s", d, stacks[:runtime.Stack(stacks, true)])
	}
}

// A panic in bbolt must not leave its locks, or the file's, behind.
func TestWriterSurvivesBoltPanic(t *testing.T) {
	t.Parallel()
	s := newSample(t, "branches")
	store := openStore(t, s.config())
	if err := store.Set(t.Context(), "s-1", secretstore.NewValue([]byte("new"))); err != nil {
		t.Fatal(err)
	}
	// Keys without bytes, which bbolt panics at, in every page of a tree. The
	// store has checked this version and doesn't look again.
	editImage(t, s.Path, func(image []byte) {
		for id := 2; id < inUse(image); id++ {
			p := pageAt(image, id)
			switch binary.NativeEndian.Uint16(p[8:]) {
			case 1:
				binary.NativeEndian.PutUint32(p[16+4:], 0)
			case 2:
				binary.NativeEndian.PutUint32(p[16+8:], 0)
			}
		}
	})
	corrupt := 0
	within(t, 20*time.Second, func() {
		for name := range s.Secrets {
			err := store.Set(t.Context(), name, secretstore.NewValue([]byte("newer")))
			if errors.Is(err, secretstore.ErrCorrupt) {
				corrupt++
			} else if err != nil {
				t.Errorf("set %s: %v, want nil or ErrCorrupt", name, err)
			}
		}
	})
	if corrupt == 0 {
		t.Error("no Set met the damage")
	}
	c := s.config()
	c.LockTimeout = time.Second
	if _, err := localfile.Verify(t.Context(), c); !errors.Is(err, secretstore.ErrCorrupt) {
		t.Errorf("verify: %v, want ErrCorrupt; the lock must be free", err)
	}
}

// A store that is open when its file is cut short says so, and goes on when the
// file is back.
func TestFileCutShortUnderOpenStore(t *testing.T) {
	t.Parallel()
	s := newSample(t, "overflow")
	image := readFile(t, s.Path)
	for size := len(image) / testPage * testPage; size >= 0; size -= 4 * testPage {
		store := openStore(t, s.config())
		if err := os.Truncate(s.Path, int64(size)); err != nil {
			t.Fatal(err)
		}
		for range 2 { // at once, and after the store has looked at the file's size
			for name, want := range s.Secrets {
				switch v, err := store.Get(t.Context(), name); {
				case err == nil && bytes.Equal(v.Reveal(), want):
				case err == nil:
					t.Fatalf("cut to %d: a wrong value for %s", size, name)
				case !errors.Is(err, secretstore.ErrCorrupt):
					t.Fatalf("cut to %d: get %s: %v, want ErrCorrupt", size, name, err)
				}
			}
			if _, err := store.List(t.Context()); err != nil && !errors.Is(err, secretstore.ErrCorrupt) {
				t.Fatalf("cut to %d: list: %v, want ErrCorrupt", size, err)
			}
			time.Sleep(25 * time.Millisecond)
		}
		writeFile(t, s.Path, image)
		time.Sleep(25 * time.Millisecond)
		within(t, 10*time.Second, func() {
			for name, want := range s.Secrets {
				if v, err := store.Get(t.Context(), name); err != nil || !bytes.Equal(v.Reveal(), want) {
					t.Errorf("after the file is back: get %s: %v", name, err)
				}
			}
		})
		store.Close()
	}
}

// bbolt falls back to the meta page before where the newest is damaged. Nothing
// may be written upon that: it would undo the last commit.
func TestNewestMetaPageDamagedUnderOpenStore(t *testing.T) {
	t.Parallel()
	s := newSample(t, "three")
	store := openStore(t, s.config())
	if err := store.Set(t.Context(), "last", secretstore.NewValue([]byte("acknowledged"))); err != nil {
		t.Fatal(err)
	}
	image := readFile(t, s.Path)
	newest := 0
	if binary.NativeEndian.Uint64(image[16+48:]) < binary.NativeEndian.Uint64(image[testPage+16+48:]) {
		newest = 1
	}
	flip := func(image []byte) { pageAt(image, newest)[16+24] ^= 1 } // a field that nobody reads
	editImage(t, s.Path, flip)
	if err := store.Set(t.Context(), "more", secretstore.NewValue(nil)); !errors.Is(err, secretstore.ErrCorrupt) {
		t.Errorf("set: %v, want ErrCorrupt", err)
	}
	editImage(t, s.Path, flip)
	if _, err := openStore(t, s.config()).Get(t.Context(), "last"); err != nil {
		t.Errorf("the last commit is gone: %v", err)
	}
}

// What a search doesn't find is only absent if the records at hand say so, also
// long after they were first read.
func TestAbsenceIsProvedAnew(t *testing.T) {
	t.Parallel()
	s := newSample(t, "branches")
	store := openStore(t, s.config())
	if _, err := store.List(t.Context()); err != nil {
		t.Fatal(err)
	}
	editImage(t, s.Path, func(image []byte) {
		for id := 2; id < inUse(image); id++ {
			if p := pageAt(image, id); binary.NativeEndian.Uint16(p[8:]) == 1 {
				for i := range int(binary.NativeEndian.Uint16(p[10:])) {
					e := p[16+16*i:]
					e[binary.NativeEndian.Uint32(e)] ^= 0x40 // the first byte of the key
				}
			}
		}
	})
	met := 0
	for name, want := range s.Secrets {
		v, err := store.Get(t.Context(), name)
		switch {
		case errors.Is(err, secretstore.ErrCorrupt):
			met++
		case err != nil || !bytes.Equal(v.Reveal(), want):
			t.Errorf("get %s: %v, want the value or ErrCorrupt", name, err)
		}
		if err := store.(secretstore.Deleter).Delete(t.Context(), name); err == nil {
			if _, err := store.Get(t.Context(), name); err == nil {
				t.Errorf("%s can still be read after Delete", name)
			}
		}
	}
	if met == 0 {
		t.Error("no Get met the damage")
	}
}

// A file that can't be read must not cost address space each time that it is
// looked at.
func TestNoMappingLeftOfABadFile(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("counts the mappings in /proc")
	}
	t.Parallel()
	s := newSample(t, "three")
	store := openStore(t, s.config())
	if err := os.Remove(s.Path); err != nil {
		t.Fatal(err)
	}
	writeFile(t, s.Path, bytes.Repeat([]byte("x"), 8*testPage))
	for range 5 {
		time.Sleep(21 * time.Millisecond) // so that the store looks at the path again
		if _, err := store.Get(t.Context(), "db-user"); !errors.Is(err, secretstore.ErrCorrupt) {
			t.Fatalf("get: %v, want ErrCorrupt", err)
		}
	}
	if n := bytes.Count(readFile(t, "/proc/self/maps"), []byte(s.Path+"\n")); n > 0 {
		t.Errorf("%d mappings of the bad file are left", n)
	}
}
