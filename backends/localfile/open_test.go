package localfile_test

import (
	"bytes"
	"errors"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/mlsecrets/secretstore"
	"github.com/mlsecrets/secretstore/backends/localfile"
)

// TestStoreIsMadeByTheFirstSet uses a store that is not there yet.
func TestStoreIsMadeByTheFirstSet(t *testing.T) {
	emptyHome(t)
	path, err := localfile.DefaultPath()
	if err != nil {
		t.Fatal(err)
	}
	own, err := localfile.DefaultKeyFile()
	if err != nil {
		t.Fatal(err)
	}
	c := localfile.Config{Path: path}
	store, second := openStore(t, c), openStore(t, c)
	_, err = store.Get(t.Context(), "a")
	kindIs(t, "get", err, secretstore.ErrNotFound)
	if names, err := store.List(t.Context()); err != nil || names == nil || len(names) != 0 {
		t.Errorf("list: %#v, %v; want an empty slice", names, err)
	}
	got, err := store.GetBatch(t.Context(), []string{"a", "b"})
	if b, ok := errors.AsType[*secretstore.BatchError](err); !ok || len(b.Errs) != 2 || len(got) != 0 {
		t.Errorf("get batch: %v, %v; want 2 errors", got, err)
	}
	kindIs(t, "delete", store.(secretstore.Deleter).Delete(t.Context(), "a", "b"), nil)
	for _, made := range []string{path, own, filepath.Dir(path), filepath.Dir(own)} {
		if _, err := os.Stat(made); err == nil {
			t.Errorf("%s was made before the first Set", made)
		}
	}

	if err := store.Set(t.Context(), "a", secretstore.NewValue([]byte("1"))); err != nil {
		t.Fatal(err)
	}
	if v, err := second.Get(t.Context(), "a"); err != nil || string(v.Reveal()) != "1" {
		t.Errorf("the other handle: %v", err)
	}
	for made, mode := range map[string]os.FileMode{path: 0o600, own: 0o600, filepath.Dir(path): 0o700, filepath.Dir(own): 0o700} {
		info, err := os.Stat(made)
		if err != nil || runtime.GOOS != "windows" && info.Mode().Perm() != mode {
			t.Errorf("%s: %v, %v; want mode %v", made, info, err, mode)
		}
	}
	for _, dir := range []string{filepath.Dir(path), filepath.Dir(own)} {
		if entries, err := os.ReadDir(dir); err != nil || len(entries) != 1 {
			t.Errorf("%s: %v, %v; want one file", dir, entries, err)
		}
	}
}

func TestMustExist(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	c := localfile.Config{Path: filepath.Join(dir, "store.db"), Key: localfile.KeyFile(newKeyFile(t, filepath.Join(dir, "key"))), MustExist: true}
	_, err := localfile.Open(t.Context(), c)
	kindIs(t, "open", err, secretstore.ErrUnavailable)
	if _, err := os.Stat(c.Path); err == nil {
		t.Error("the file was made")
	}
	_, err = localfile.Inspect(t.Context(), c.Path)
	kindIs(t, "inspect", err, secretstore.ErrUnavailable)
	_, err = localfile.Verify(t.Context(), localfile.Config{Path: c.Path, Key: c.Key})
	kindIs(t, "verify", err, secretstore.ErrUnavailable)
	_, err = localfile.Open(t.Context(), localfile.Config{Key: c.Key})
	kindIs(t, "open of no path", err, secretstore.ErrInvalidConfig)
}

func TestCreate(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	c := localfile.Config{Path: filepath.Join(dir, "new", "folder", "store.db"), Key: localfile.KeyFile(newKeyFile(t, filepath.Join(dir, "key")))}
	if err := localfile.Create(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	info, err := localfile.Inspect(t.Context(), c.Path)
	if err != nil || info.Version != 1 || len(info.StoreID) != 32 || len(info.Slots) != 1 ||
		info.Slots[0] != (localfile.Slot{ID: 1, Kind: "key file"}) || info.Size != int64(len(readFile(t, c.Path))) {
		t.Errorf("inspect: %+v, %v", info, err)
	}
	before := readFile(t, c.Path)
	kindIs(t, "create again", localfile.Create(t.Context(), c), secretstore.ErrConflict)
	if !bytes.Equal(readFile(t, c.Path), before) {
		t.Error("the store has changed")
	}
	for name, content := range map[string]string{"text": "not a store", "empty": ""} {
		c.Path = filepath.Join(dir, name)
		writeFile(t, c.Path, []byte(content))
		kindIs(t, "create over "+name, localfile.Create(t.Context(), c), secretstore.ErrConflict)
		if got := readFile(t, c.Path); string(got) != content {
			t.Errorf("create over %s changed it to %q", name, got)
		}
	}
	c.Path = dir
	kindIs(t, "create over a folder", localfile.Create(t.Context(), c), secretstore.ErrConflict)
	c.Path = filepath.Join(dir, "key", "store.db")
	if err := localfile.Create(t.Context(), c); err == nil {
		t.Error("create under a file: no error")
	}
	c.Path, c.Key = filepath.Join(dir, "other.db"), localfile.KeyFile(filepath.Join(dir, "absent"))
	kindIs(t, "create without the key", localfile.Create(t.Context(), c), secretstore.ErrInvalidConfig)
	if _, err := os.Stat(c.Path); err == nil {
		t.Error("create without the key made a file")
	}
}

func TestOpenURL(t *testing.T) {
	home := emptyHome(t)
	path := filepath.Join(home, "a folder", "store%20#1?.db")
	store := openStore(t, localfile.Config{Path: path})
	if err := store.Set(t.Context(), "a", secretstore.NewValue([]byte("1"))); err != nil {
		t.Fatal(err)
	}
	there, absent := localfile.FileURL(path), localfile.FileURL(filepath.Join(home, "absent.db"))
	openers := secretstore.Openers{"file": localfile.OpenURL}
	for _, test := range []struct {
		url  string
		want error
	}{
		{there, nil},
		{there + "?create=no", nil},
		{there + "?create=yes", nil},
		{strings.Replace(there, "file://", "file://localhost", 1), nil},
		{absent, nil},
		{absent + "?create=no", secretstore.ErrUnavailable},
		{there + "?create=maybe", secretstore.ErrInvalidConfig},
		{there + "?create=no&create=no", secretstore.ErrInvalidConfig},
		{there + "?key=x", secretstore.ErrInvalidConfig},
		{there + "#fragment", secretstore.ErrInvalidConfig},
		{there + "/", secretstore.ErrInvalidConfig},
		{strings.Replace(there, "file://", "file://host", 1), secretstore.ErrInvalidConfig},
		{strings.Replace(there, "file://", "file://user:pass@", 1), secretstore.ErrInvalidConfig},
		{"file:store.db", secretstore.ErrInvalidConfig},
		{"file://store.db", secretstore.ErrInvalidConfig},
		{"file:///", secretstore.ErrInvalidConfig},
		{"file://", secretstore.ErrInvalidConfig},
		{localfile.FileURL(home), secretstore.ErrInvalidConfig}, // a folder
	} {
		s, err := openers.Open(t.Context(), test.url)
		kindIs(t, test.url, err, test.want)
		if err == nil {
			s.Close()
		}
	}
	if _, err := os.Stat(filepath.Join(home, "absent.db")); err == nil {
		t.Error("opening made the file")
	}
	s, err := openers.Open(t.Context(), there)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if v, err := s.Get(t.Context(), "a"); err != nil || string(v.Reveal()) != "1" {
		t.Errorf("get: %v; the URL must lead to the store", err)
	}
}

func TestFileURL(t *testing.T) {
	t.Parallel()
	if runtime.GOOS == "windows" {
		t.Skip("NOT TESTED: the paths are of another kind")
	}
	for path, want := range map[string]string{
		"/a/b.db":          "file:///a/b.db",
		"/a b/ü.db":        "file:///a%20b/%C3%BC.db",
		"/a/100%.db":       "file:///a/100%25.db",
		"/a?b#c":           "file:///a%3Fb%23c",
		"/a/../b//c.db":    "file:///b/c.db",
		"/a/\xff.db":       "file:///a/%FF.db",
		"/a:b@c/[d]/e;f&g": "file:///a:b@c/%5Bd%5D/e;f&g",
	} {
		got := localfile.FileURL(path)
		u, err := url.Parse(got)
		if err != nil || u.Scheme != "file" || u.Host != "" || u.Path != filepath.Clean(path) {
			t.Errorf("%q: %s leads to %v, %v", path, got, u, err)
		}
		if w, err := url.Parse(want); err != nil || w.Path != u.Path {
			t.Errorf("%q: %s, want %s", path, got, want)
		}
	}
	wd, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	if got, want := localfile.FileURL("store.db"), localfile.FileURL(filepath.Join(wd, "store.db")); got != want {
		t.Errorf("a relative path: %s, want %s", got, want)
	}
}

func TestDefaultPath(t *testing.T) {
	home := emptyHome(t)
	path, err := localfile.DefaultPath()
	if err != nil || !strings.HasPrefix(path, home) || filepath.Base(path) != "store.db" {
		t.Errorf("%s, %v; want it under %s", path, err, home)
	}
	if key, err := localfile.DefaultKeyFile(); err != nil || filepath.Dir(key) == filepath.Dir(path) {
		if runtime.GOOS != "darwin" { // macOS has one folder for both
			t.Errorf("%s, %v; want it apart from the data", key, err)
		}
	}
	if runtime.GOOS != "linux" {
		return
	}
	t.Setenv("XDG_DATA_HOME", "relative")
	if path, err := localfile.DefaultPath(); err != nil || path != filepath.Join(home, ".local", "share", "secretstore", "store.db") {
		t.Errorf("with a relative XDG_DATA_HOME: %s, %v", path, err)
	}
	t.Setenv("XDG_DATA_HOME", "")
	t.Setenv("HOME", "")
	_, err = localfile.DefaultPath()
	kindIs(t, "without a home", err, secretstore.ErrInvalidConfig)
	t.Setenv("XDG_CONFIG_HOME", "")
	_, err = localfile.DefaultKeyFile()
	kindIs(t, "key file without a home", err, secretstore.ErrInvalidConfig)
}
