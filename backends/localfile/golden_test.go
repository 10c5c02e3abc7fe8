package localfile_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/mlsecrets/secretstore"
	"github.com/mlsecrets/secretstore/backends/localfile"
)

// The golden files are stores of format 1 as the first release wrote them. Every
// later version must read them; they are never made anew.

var updateGolden = flag.Bool("update", false, "make golden files that are missing")

const (
	goldenDir        = "testdata/format1"
	goldenPassphrase = "golden files hold no secrets"
)

// golden are the stores: each has a slot for the key file beside it and one for
// the passphrase.
var golden = []struct {
	file    string
	secrets map[string][]byte
	deleted []string
}{
	{"empty.db", map[string][]byte{}, nil},
	{"small.db", map[string][]byte{
		"a":                            []byte("one letter"),
		"db-password":                  []byte("correct horse battery staple"),
		"empty":                        {},
		"all-bytes":                    goldenBytes("all-bytes", 0),
		"newline":                      []byte("line\r\nline\n"),
		"unicode":                      []byte("пароль, 密码, 🔑"),
		strings.Repeat("n-", 63) + "n": []byte("the longest name"),
	}, []string{"gone"}},
	{"medium.db", goldenMedium(), []string{"gone", "m-7", "m-70"}},
}

func goldenMedium() map[string][]byte {
	secrets := map[string][]byte{
		"largest-text":   bytes.Repeat([]byte("0123456789abcdef"), 1600), // 25,600
		"largest-binary": goldenBytes("largest-binary", 19200),
		"overflow":       goldenBytes("overflow", 9000),
	}
	for i := range 90 {
		name := fmt.Sprintf("m-%d", i)
		secrets[name] = goldenBytes(name, i*11)
	}
	delete(secrets, "m-7")
	delete(secrets, "m-70")
	return secrets
}

// goldenBytes returns n bytes that depend on the name, or all 256 for 0.
func goldenBytes(name string, n int) []byte {
	var b []byte
	if n == 0 {
		for i := range 256 {
			b = append(b, byte(i))
		}
		return b
	}
	for i := uint32(0); len(b) < n; i++ {
		sum := sha256.Sum256(binary.LittleEndian.AppendUint32([]byte(name), i))
		b = append(b, sum[:]...)
	}
	return b[:n]
}

// goldenCopy copies a golden store and its key file to a folder of the test; git
// doesn't keep the key file's mode.
func goldenCopy(t *testing.T, file string) (store, key string) {
	t.Helper()
	dir := t.TempDir()
	store, key = filepath.Join(dir, file), filepath.Join(dir, "key")
	writeFile(t, store, readFile(t, filepath.Join(goldenDir, file)))
	writeFile(t, key, readFile(t, filepath.Join(goldenDir, "key")))
	return store, key
}

func TestGolden(t *testing.T) {
	if *updateGolden {
		makeGolden(t)
	}
	for _, g := range golden {
		for _, source := range []string{"key file", "passphrase"} {
			t.Run(g.file+" by "+source, func(t *testing.T) {
				t.Parallel()
				path, key := goldenCopy(t, g.file)
				c := localfile.Config{Path: path, MustExist: true, Key: localfile.KeyFile(key)}
				if source == "passphrase" {
					c.Key = passphrase(goldenPassphrase)
				}
				goldenHolds(t, c, g.secrets, g.deleted)
				// It can be written to as well, and is all there afterwards.
				want := maps.Clone(g.secrets)
				want["added"], want["a"] = []byte("later"), []byte("overwritten")
				store := openStore(t, c)
				for _, name := range []string{"added", "a"} {
					if err := store.Set(t.Context(), name, secretstore.NewValue(want[name])); err != nil {
						t.Fatal(err)
					}
				}
				goldenHolds(t, c, want, g.deleted)
			})
		}
	}
}

func goldenHolds(t *testing.T, c localfile.Config, secrets map[string][]byte, deleted []string) {
	t.Helper()
	store := openStore(t, c)
	for name, want := range secrets {
		if v, err := store.Get(t.Context(), name); err != nil || !bytes.Equal(v.Reveal(), want) {
			t.Errorf("get %s: %d bytes, %v; want %d bytes", name, v.Len(), err, len(want))
		}
	}
	for _, name := range deleted {
		if _, err := store.Get(t.Context(), name); !errors.Is(err, secretstore.ErrNotFound) {
			t.Errorf("get of the deleted %s: %v, want ErrNotFound", name, err)
		}
	}
	names, err := store.List(t.Context())
	if want := slices.Sorted(maps.Keys(secrets)); err != nil || !slices.Equal(names, want) {
		t.Errorf("list: %v, %v; want %v", names, err, want)
	}
	report, err := localfile.Verify(t.Context(), c)
	if err != nil || report.Secrets != len(secrets) {
		t.Errorf("verify: %d secrets, %v; want %d", report.Secrets, err, len(secrets))
	}
}

// makeGolden makes the golden files that are missing.
func makeGolden(t *testing.T) {
	t.Helper()
	if err := os.MkdirAll(goldenDir, 0o755); err != nil {
		t.Fatal(err)
	}
	key := filepath.Join(t.TempDir(), "key")
	if b, err := os.ReadFile(filepath.Join(goldenDir, "key")); err == nil {
		writeFile(t, key, b)
	} else {
		if err := localfile.NewKeyFile(key); err != nil {
			t.Fatal(err)
		}
		writeFile(t, filepath.Join(goldenDir, "key"), readFile(t, key))
	}
	for _, g := range golden {
		out := filepath.Join(goldenDir, g.file)
		if _, err := os.Stat(out); err == nil {
			continue
		}
		c := localfile.Config{Path: filepath.Join(t.TempDir(), g.file), Key: localfile.KeyFile(key)}
		if err := localfile.Create(t.Context(), c); err != nil {
			t.Fatal(err)
		}
		if _, err := localfile.AddSlot(t.Context(), c, passphrase(goldenPassphrase)); err != nil {
			t.Fatal(err)
		}
		store := openStore(t, c)
		for name, value := range g.secrets { // twice, so that there are free pages
			for _, v := range [][]byte{[]byte("before"), value} {
				if err := store.Set(t.Context(), name, secretstore.NewValue(v)); err != nil {
					t.Fatal(err)
				}
			}
		}
		for _, name := range g.deleted {
			if err := store.Set(t.Context(), name, secretstore.NewValue([]byte("deleted"))); err != nil {
				t.Fatal(err)
			}
		}
		if err := store.(secretstore.Deleter).Delete(t.Context(), g.deleted...); err != nil {
			t.Fatal(err)
		}
		writeFile(t, out, readFile(t, c.Path))
	}
}
