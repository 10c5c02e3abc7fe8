package localfile_test

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mlsecrets/secretstore"
	"github.com/mlsecrets/secretstore/backends/localfile"
	bolt "go.etcd.io/bbolt"
)

// goldenFiles returns the golden stores, the seeds of what reads files.
func goldenFiles(tb testing.TB) [][]byte {
	tb.Helper()
	paths, err := filepath.Glob(filepath.Join(goldenDir, "*.db"))
	if err != nil || len(paths) < len(golden) {
		tb.Fatalf("%d seeds, %v; want at least %d", len(paths), err, len(golden))
	}
	var files [][]byte
	for _, path := range paths {
		files = append(files, readFile(tb, path))
	}
	return files
}

// FuzzRecord: a record opens at its key, in its store, if no bit of it was
// changed, and to what was sealed; else the part that was changed doesn't open.
func FuzzRecord(f *testing.F) {
	f.Add("db-password", []byte("correct horse"), 0, byte(0), 0)
	f.Add("a", []byte{}, 3, byte(1), 0)
	f.Add(strings.Repeat("n", 127), bytes.Repeat([]byte{0}, 25600), 200, byte(0x80), -1)
	f.Add("name", []byte("value"), 24, byte(4), 5)
	f.Add("name", []byte("value"), 24, byte(0xff), 0)
	codec := localfile.NewCodec(make([]byte, 32), [16]byte{1})
	twin := localfile.NewCodec(make([]byte, 32), [16]byte{2})
	f.Fuzz(func(t *testing.T, name string, value []byte, at int, flip byte, cut int) {
		if name == "" || len(name) > secretstore.MaxNameLen || len(value) > secretstore.MaxTextLen {
			t.Skip()
		}
		key := codec.Key(name)
		record := codec.Seal(key, name, value)
		gotName, gotValue, nerr, verr := codec.Open(key, record)
		if nerr != nil || verr != nil || string(gotName) != name || !bytes.Equal(gotValue, value) {
			t.Fatalf("a sealed record opens to %q, %d bytes; %v, %v", gotName, len(gotValue), nerr, verr)
		}
		if _, _, nerr, verr := twin.Open(key, record); nerr == nil || verr == nil {
			t.Error("the record opens in a store with another id")
		}
		other := key
		other[uint(at)%32] ^= flip | 1
		if _, _, nerr, verr := codec.Open(other, record); nerr == nil || verr == nil {
			t.Error("the record opens at another key")
		}

		changed := bytes.Clone(record)
		changed[uint(at)%uint(len(changed))] ^= flip
		switch {
		case cut > 0:
			changed = changed[:len(changed)-min(cut, len(changed))]
		case cut < 0:
			changed = append(changed, make([]byte, -max(cut, -100))...)
		}
		if bytes.Equal(changed, record) {
			return
		}
		nameEnd := 25 + 16 + len(name) + 16
		sameName := len(changed) >= nameEnd && bytes.Equal(changed[:nameEnd], record[:nameEnd])
		sameValue := len(changed) >= 25 && bytes.Equal(changed[:25], record[:25]) &&
			len(changed) >= nameEnd && bytes.Equal(changed[nameEnd:], record[nameEnd:])
		gotName, gotValue, nerr, verr = codec.Open(key, changed)
		if (nerr == nil) != sameName && len(changed) >= nameEnd+16 {
			t.Errorf("the name opens: %v, and is unchanged: %v", nerr == nil, sameName)
		}
		if (verr == nil) != sameValue {
			t.Errorf("the value opens: %v, and is unchanged: %v", verr == nil, sameValue)
		}
		if nerr == nil && string(gotName) != name || verr == nil && !bytes.Equal(gotValue, value) {
			t.Error("a changed record opens to something else")
		}
		for _, err := range []error{nerr, verr} {
			if err != nil && !errors.Is(err, secretstore.ErrCorrupt) {
				t.Errorf("%v, want ErrCorrupt", err)
			}
		}
	})
}

// FuzzHeader: any bytes parse to a header that is written in the same way again,
// or are an error; and no header's costs are above the limits.
func FuzzHeader(f *testing.F) {
	for _, file := range goldenFiles(f) {
		path := filepath.Join(f.TempDir(), "store.db")
		writeFile(f, path, file)
		err := readBolt(path, func(tx *bolt.Tx) error {
			f.Add(bytes.Clone(tx.Bucket([]byte("header")).Get([]byte("header"))))
			return nil
		})
		if err != nil {
			f.Fatal(err)
		}
	}
	f.Add([]byte{})
	f.Add(make([]byte, 19+64))
	f.Fuzz(func(t *testing.T, raw []byte) {
		for _, sum := range []bool{false, true} {
			if sum && len(raw) >= 32 { // deeper than a checksum lets a fuzzer
				raw = bytes.Clone(raw)
				s := sha256.Sum256(raw[:len(raw)-32])
				copy(raw[len(raw)-32:], s[:])
			}
			again, costs, err := localfile.ReadHeader(raw)
			if err != nil {
				if !errors.Is(err, secretstore.ErrCorrupt) && !errors.Is(err, errors.ErrUnsupported) {
					t.Errorf("%v, want ErrCorrupt or ErrUnsupported", err)
				}
				continue
			}
			if !bytes.Equal(again[:len(again)-64], raw[:len(raw)-64]) {
				t.Errorf("written again it is\n%x, was\n%x", again, raw)
			}
			if _, _, err := localfile.ReadHeader(again); err != nil {
				t.Errorf("written again it doesn't parse: %v", err)
			}
			for _, c := range costs {
				if c.Time > 16 || c.Memory > 1<<20 || c.Threads > 16 {
					t.Errorf("costs %+v", c)
				}
			}
		}
	})
}

// FuzzImage: the page reader ends without a panic on any file. What the check of
// the structure accepts, bbolt reads as well, without a panic and to the same
// records. The checksums of the meta pages are made right, to get further.
func FuzzImage(f *testing.F) {
	for _, file := range goldenFiles(f) {
		file = file[:inUse(file)*testPage]
		f.Add(file, uint32(0), uint64(0))
		for i := range uint32(40) { // spoiled fields, which random bits seldom meet
			f.Add(file, i+1, uint64(i)*0x9E3779B97F4A7C15)
		}
	}
	f.Add([]byte("not a store"), uint32(0), uint64(0))
	f.Fuzz(func(t *testing.T, image []byte, kind uint32, seed uint64) {
		image = bytes.Clone(image)
		if len(image) >= 2*testPage {
			for slot := range 2 {
				fixMeta(image, slot)
			}
			if inUse(image) > 3 {
				switch kind % 3 {
				case 1:
					image = spoilField(damage{Seed: seed, A: int(kind)}, image)
				case 2:
					image = spoilMeta(damage{Seed: seed, A: int(kind/3) % 3, B: int(kind/9) % len(metaFields)}, image)
				}
			}
		}
		path := filepath.Join(t.TempDir(), "store.db")
		writeFile(t, path, image)
		var got localfile.Image
		var err error
		within(t, 20*time.Second, func() { got, err = localfile.ReadImage(path) })
		if err != nil {
			if !errors.Is(err, secretstore.ErrCorrupt) {
				t.Errorf("%v, want ErrCorrupt", err)
			}
			return
		}
		if got.Checked != nil {
			return
		}
		if got.Misses > 0 {
			t.Errorf("%d records that scan finds and get doesn't", got.Misses)
		}
		// bbolt, which panics and faults on what is not sound, gets the file.
		err = readBolt(path, func(tx *bolt.Tx) error {
			for name, records := range got.Buckets {
				var want [][2][]byte
				err := tx.Bucket([]byte(name)).ForEach(func(k, v []byte) error {
					want = append(want, [2][]byte{bytes.Clone(k), bytes.Clone(v)})
					return nil
				})
				if err != nil {
					return err
				}
				if !slices.EqualFunc(records, want, func(a, b [2][]byte) bool {
					return bytes.Equal(a[0], b[0]) && bytes.Equal(a[1], b[1])
				}) {
					t.Errorf("bucket %s: %d records, and bbolt reads %d or others", name, len(records), len(want))
				}
			}
			return nil
		})
		if err != nil {
			t.Errorf("bbolt: %v", err)
		}
	})
}

// TestGoldenImages has the page reader and bbolt agree on whole files.
func TestGoldenImages(t *testing.T) {
	t.Parallel()
	for i, file := range goldenFiles(t) {
		path := filepath.Join(t.TempDir(), "store.db")
		writeFile(t, path, file)
		got, err := localfile.ReadImage(path)
		if err != nil || got.Checked != nil || got.Misses != 0 || len(got.Buckets) != 3 {
			t.Errorf("golden file %d: %v, %v, %d misses, %d buckets", i, err, got.Checked, got.Misses, len(got.Buckets))
		}
	}
}

// FuzzFileURL: a path goes into a URL and comes back, and no URL leads to a path
// that is not absolute.
func FuzzFileURL(f *testing.F) {
	for _, s := range []string{"/a/b.db", "/a b/ü.db", "/100%.db", "/a?b#c", "/\xff\x00", "relative", "/a/../b", "//host/x",
		"file:///a", "file://localhost/a", "file:a", "file:////a", "file:///", "file:///a/", "file:///%2e%2e/a", "/", ""} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if abs, err := filepath.Abs(s); err == nil && abs != string(filepath.Separator) && runtime.GOOS != "windows" {
			text := localfile.FileURL(s)
			u, err := secretstore.ParseURL(text)
			if err != nil {
				t.Fatalf("%q: the URL %s: %v", s, text, err)
			}
			if path, err := localfile.PathOf(u); err != nil || path != abs {
				t.Errorf("%q: %s leads to %q, %v; want %q", s, text, path, err, abs)
			}
		}
		u, err := url.Parse(s)
		if err != nil {
			return
		}
		path, err := localfile.PathOf(u)
		if err == nil && (!filepath.IsAbs(path) || os.IsPathSeparator(path[len(path)-1])) {
			t.Errorf("%q leads to %q", s, path)
		}
		if err != nil && !errors.Is(err, secretstore.ErrInvalidConfig) {
			t.Errorf("%q: %v, want ErrInvalidConfig", s, err)
		}
	})
}

// TestSpoilers shows that what spoils images for the tests changes them.
func TestSpoilers(t *testing.T) {
	t.Parallel()
	s := newSample(t, "branches")
	was := readFile(t, s.Path)
	for _, k := range damageKinds {
		changed := 0
		for i := range 50 {
			d := damage{Kind: k.kind, A: i % 3, B: 3 + i%5, Seed: uint64(i)}
			if !bytes.Equal(k.spoil(d, bytes.Clone(was)), was) {
				changed++
			}
		}
		if changed < 25 {
			t.Errorf("%s: %d of 50 changed the image", k.kind, changed)
		}
	}
	image := bytes.Clone(was)
	fixMeta(image, 0)
	fixMeta(image, 1)
	if !bytes.Equal(image, was) {
		t.Error("the right checksums of the meta pages are changed")
	}
}
