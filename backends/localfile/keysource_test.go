package localfile_test

import (
	"bytes"
	"encoding/base64"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mlsecrets/secretstore"
	"github.com/mlsecrets/secretstore/backends/localfile"
)

// emptyHome gives the test a home without a key and an environment without
// variables of ours. It returns the home.
func emptyHome(t *testing.T) string {
	t.Helper()
	home := t.TempDir()
	for name, dir := range map[string]string{"HOME": "", "XDG_CONFIG_HOME": "config", "XDG_DATA_HOME": "data",
		"AppData": "config", "LocalAppData": "data", "USERPROFILE": ""} {
		t.Setenv(name, filepath.Join(home, dir))
	}
	for _, name := range []string{localfile.EnvKeyFile, localfile.EnvPassphraseFile, localfile.EnvPassphrase} {
		t.Setenv(name, "")
	}
	return home
}

func newKeyFile(t *testing.T, path string) string {
	t.Helper()
	if err := localfile.NewKeyFile(path); err != nil {
		t.Fatal(err)
	}
	return path
}

// kindIs wants an error of the kind, or none for nil.
func kindIs(t *testing.T, what string, err, kind error) {
	t.Helper()
	if (err == nil) != (kind == nil) || !errors.Is(err, kind) {
		t.Errorf("%s: %v, want %v", what, err, kind)
	}
}

// TestKeyOrder finds the key in the first source that is set, and looks no
// further, even if that one is wrong.
func TestKeyOrder(t *testing.T) {
	home := emptyHome(t)
	dir := t.TempDir()
	right := newKeyFile(t, filepath.Join(dir, "right"))
	wrong := newKeyFile(t, filepath.Join(dir, "wrong"))
	own, err := localfile.DefaultKeyFile()
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(own, home) {
		t.Fatalf("the user's own key file is %s, outside of %s", own, home)
	}
	rightFile, wrongFile := filepath.Join(dir, "right.txt"), filepath.Join(dir, "wrong.txt")
	writeFile(t, rightFile, []byte("right phrase\n"))
	writeFile(t, wrongFile, []byte("wrong phrase\n"))
	c := localfile.Config{Path: filepath.Join(dir, "store.db"), Key: localfile.KeyFile(right)}
	if err := localfile.Create(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	if _, err := localfile.AddSlot(t.Context(), c, passphrase("right phrase")); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name                                       string
		config                                     localfile.KeySource
		keyFile, passphraseFile, passphrase, atOwn string
		want                                       error
		from                                       string // what the error names
	}{
		{name: "Config.Key before all", config: localfile.KeyFile(right), keyFile: wrong, passphraseFile: wrongFile, passphrase: "wrong", atOwn: wrong},
		{name: "Config.Key, a passphrase", config: passphrase("right phrase"), keyFile: wrong},
		{name: "Config.Key, a passphrase file", config: localfile.PassphraseFile(rightFile), keyFile: wrong},
		{name: "a wrong Config.Key", config: localfile.KeyFile(wrong), keyFile: right, want: secretstore.ErrWrongKey, from: wrong},
		{name: "key file before passphrases", keyFile: right, passphraseFile: wrongFile, passphrase: "wrong", atOwn: wrong},
		{name: "a wrong key file", keyFile: wrong, passphraseFile: rightFile, passphrase: "right phrase", atOwn: right, want: secretstore.ErrWrongKey, from: wrong},
		{name: "a key file that is missing", keyFile: filepath.Join(dir, "absent"), passphrase: "right phrase", want: secretstore.ErrInvalidConfig, from: "absent"},
		{name: "passphrase file before passphrase", passphraseFile: rightFile, passphrase: "wrong", atOwn: wrong},
		{name: "a wrong passphrase file", passphraseFile: wrongFile, passphrase: "right phrase", want: secretstore.ErrWrongKey, from: wrongFile},
		{name: "a passphrase file that is missing", passphraseFile: filepath.Join(dir, "absent"), passphrase: "right phrase", want: secretstore.ErrInvalidConfig, from: "absent"},
		{name: "passphrase before the own key file", passphrase: "right phrase", atOwn: wrong},
		{name: "a wrong passphrase", passphrase: "wrong phrase", atOwn: right, want: secretstore.ErrWrongKey, from: localfile.EnvPassphrase},
		{name: "the own key file", atOwn: right},
		{name: "a wrong own key file", atOwn: wrong, want: secretstore.ErrWrongKey, from: own},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Setenv(localfile.EnvKeyFile, test.keyFile)
			t.Setenv(localfile.EnvPassphraseFile, test.passphraseFile)
			t.Setenv(localfile.EnvPassphrase, test.passphrase)
			os.RemoveAll(filepath.Dir(own))
			if test.atOwn != "" {
				if err := os.MkdirAll(filepath.Dir(own), 0o700); err != nil {
					t.Fatal(err)
				}
				writeFile(t, own, readFile(t, test.atOwn))
			}
			c := localfile.Config{Path: c.Path, Key: test.config}
			store, err := localfile.Open(t.Context(), c)
			kindIs(t, "open", err, test.want)
			if err == nil {
				store.Close()
			} else if !strings.Contains(err.Error(), test.from) {
				t.Errorf("open: %v; want it to name %s", err, test.from)
			}
		})
	}
}

// TestWrongKeyChangesNothing tries every operation with a wrong key.
func TestWrongKeyChangesNothing(t *testing.T) {
	emptyHome(t)
	dir := t.TempDir()
	right, wrong := newKeyFile(t, filepath.Join(dir, "right")), newKeyFile(t, filepath.Join(dir, "wrong"))
	path := filepath.Join(dir, "store.db")
	c := localfile.Config{Path: path, Key: localfile.KeyFile(right)}
	store := openStore(t, c)
	if err := store.Set(t.Context(), "a", secretstore.NewValue([]byte("1"))); err != nil {
		t.Fatal(err)
	}
	if _, err := localfile.AddSlot(t.Context(), c, passphrase("right phrase")); err != nil {
		t.Fatal(err)
	}
	before := readFile(t, path)
	for what, key := range map[string]localfile.KeySource{
		"key file": localfile.KeyFile(wrong), "passphrase": passphrase("wrong phrase"), "nearly": passphrase("right phrase "),
	} {
		c := localfile.Config{Path: path, Key: key}
		ctx := t.Context()
		for op, call := range map[string]func() error{
			"open":   func() error { _, err := localfile.Open(ctx, c); return err },
			"verify": func() error { _, err := localfile.Verify(ctx, c); return err },
			"add":    func() error { _, err := localfile.AddSlot(ctx, c, passphrase("another")); return err },
			"remove": func() error { return localfile.RemoveSlot(ctx, c, 1) },
			"rotate": func() error { return localfile.Rotate(ctx, c) },
		} {
			within(t, 5*time.Second, func() { kindIs(t, what+": "+op, call(), secretstore.ErrWrongKey) })
			if !bytes.Equal(readFile(t, path), before) {
				t.Fatalf("%s: %s changed the file", what, op)
			}
		}
	}
}

// TestMissingKeyIsNotMade opens a store whose key is gone: a new key would help
// nobody, and would be in the way of the one that is put back.
func TestMissingKeyIsNotMade(t *testing.T) {
	emptyHome(t)
	c := localfile.Config{Path: filepath.Join(t.TempDir(), "store.db")}
	store := openStore(t, c)
	if err := store.Set(t.Context(), "a", secretstore.NewValue([]byte("1"))); err != nil {
		t.Fatal(err)
	}
	own, err := localfile.DefaultKeyFile()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(own, own+".away"); err != nil {
		t.Fatal(err)
	}
	before := readFile(t, c.Path)
	_, err = localfile.Open(t.Context(), c)
	kindIs(t, "open", err, secretstore.ErrWrongKey)
	if !strings.Contains(err.Error(), localfile.EnvKeyFile) || !strings.Contains(err.Error(), own) {
		t.Errorf("open: %v; want it to say where a key is looked for", err)
	}
	if _, err := os.Stat(own); err == nil {
		t.Error("a new key file was made")
	}
	t.Setenv(localfile.EnvKeyFile, filepath.Join(t.TempDir(), "absent"))
	_, err = localfile.Open(t.Context(), c)
	kindIs(t, "open with a variable", err, secretstore.ErrInvalidConfig)
	if _, err := os.Stat(os.Getenv(localfile.EnvKeyFile)); err == nil {
		t.Error("a new key file was made where the variable leads")
	}
	if !bytes.Equal(readFile(t, c.Path), before) {
		t.Error("the store's file has changed")
	}
}

func TestKeyFileModes(t *testing.T) {
	t.Parallel()
	if runtime.GOOS == "windows" {
		t.Skip("NOT TESTED: files have no such modes")
	}
	dir := t.TempDir()
	key := newKeyFile(t, filepath.Join(dir, "key"))
	if info, err := os.Stat(key); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("a new key file: %v, %v; want mode 0600", info.Mode(), err)
	}
	phrase := filepath.Join(dir, "phrase")
	writeFile(t, phrase, []byte("a phrase"))
	c := localfile.Config{Path: filepath.Join(dir, "store.db"), Key: localfile.KeyFile(key)}
	if err := localfile.Create(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(c.Path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("a new store: %v, %v; want mode 0600", info.Mode(), err)
	}
	if _, err := localfile.AddSlot(t.Context(), c, localfile.PassphraseFile(phrase)); err != nil {
		t.Fatal(err)
	}
	for mode, want := range map[os.FileMode]error{
		0o600: nil, 0o400: nil, 0o700: nil,
		0o640: secretstore.ErrInvalidConfig, 0o604: secretstore.ErrInvalidConfig, 0o644: secretstore.ErrInvalidConfig,
		0o620: secretstore.ErrInvalidConfig, 0o610: secretstore.ErrInvalidConfig, 0o666: secretstore.ErrInvalidConfig,
	} {
		for path, source := range map[string]localfile.KeySource{key: localfile.KeyFile(key), phrase: localfile.PassphraseFile(phrase)} {
			if err := os.Chmod(path, mode); err != nil {
				t.Fatal(err)
			}
			_, err := localfile.Verify(t.Context(), localfile.Config{Path: c.Path, Key: source})
			kindIs(t, "mode "+mode.String()+" of "+path, err, want)
			if err != nil && !strings.Contains(err.Error(), "chmod 600 "+path) {
				t.Errorf("%v; want it to say what to run", err)
			}
		}
	}
}

func TestKeyFileContents(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	good := strings.TrimSuffix(string(readFile(t, newKeyFile(t, filepath.Join(dir, "good")))), "\n")
	c := localfile.Config{Path: filepath.Join(dir, "store.db"), Key: localfile.KeyFile(filepath.Join(dir, "good"))}
	if err := localfile.Create(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	prefix := "secretstore-key-1:"
	for name, test := range map[string]struct {
		text string
		want error
	}{
		"as made":               {good + "\n", nil},
		"without a line end":    {good, nil},
		"with a Windows one":    {good + "\r\n", nil},
		"two line ends":         {good + "\n\n", nil}, // the decoder passes over them
		"empty":                 {"", secretstore.ErrInvalidConfig},
		"a line end":            {"\n", secretstore.ErrInvalidConfig},
		"the prefix":            {prefix, secretstore.ErrInvalidConfig},
		"without the prefix":    {strings.TrimPrefix(good, prefix), secretstore.ErrInvalidConfig},
		"another version":       {strings.Replace(good, "-1:", "-2:", 1), secretstore.ErrInvalidConfig},
		"31 bytes":              {prefix + base64.RawURLEncoding.EncodeToString(make([]byte, 31)), secretstore.ErrInvalidConfig},
		"33 bytes":              {prefix + base64.RawURLEncoding.EncodeToString(make([]byte, 33)), secretstore.ErrInvalidConfig},
		"not base64":            {prefix + strings.Repeat("?", 43), secretstore.ErrInvalidConfig},
		"another text":          {"-----BEGIN PRIVATE KEY-----\n", secretstore.ErrInvalidConfig},
		"longer than any":       {good + strings.Repeat("\n", 300), secretstore.ErrInvalidConfig},
		"another key":           {prefix + base64.RawURLEncoding.EncodeToString(make([]byte, 32)), secretstore.ErrWrongKey},
		"zeros after a crash":   {strings.Repeat("\x00", 62), secretstore.ErrInvalidConfig},
		"a key cut in its half": {good[:40], secretstore.ErrInvalidConfig},
	} {
		path := filepath.Join(dir, "key")
		writeFile(t, path, []byte(test.text))
		_, err := localfile.Verify(t.Context(), localfile.Config{Path: c.Path, Key: localfile.KeyFile(path)})
		kindIs(t, name, err, test.want)
	}
	_, err := localfile.Open(t.Context(), localfile.Config{Path: c.Path, Key: localfile.KeyFile(dir)})
	kindIs(t, "a folder", err, secretstore.ErrInvalidConfig)
}

func TestPassphraseFileContents(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	c := localfile.Config{Path: filepath.Join(dir, "store.db"), Key: passphrase("two words")}
	if err := localfile.Create(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string]error{
		"two words": nil, "two words\n": nil, "two words\r\n": nil,
		"two words\n\n": secretstore.ErrWrongKey, " two words": secretstore.ErrWrongKey, "two words\r": nil,
		"": secretstore.ErrInvalidConfig, "\n": secretstore.ErrInvalidConfig, "\r\n": secretstore.ErrInvalidConfig,
		strings.Repeat("x", 4097): secretstore.ErrInvalidConfig,
	} {
		path := filepath.Join(dir, "phrase")
		writeFile(t, path, []byte(text))
		_, err := localfile.Verify(t.Context(), localfile.Config{Path: c.Path, Key: localfile.PassphraseFile(path)})
		kindIs(t, strings.ReplaceAll(text[:min(len(text), 20)], "\n", "␤"), err, want)
	}
	_, err := localfile.Open(t.Context(), localfile.Config{Path: c.Path, Key: passphrase("")})
	kindIs(t, "an empty passphrase", err, secretstore.ErrInvalidConfig)
}

// TestNewKeyFile has several make one key file at the same time.
func TestNewKeyFile(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "new", "folder", "key")
	errs := make([]error, 10)
	var wg sync.WaitGroup
	for i := range errs {
		wg.Go(func() { errs[i] = localfile.NewKeyFile(path) })
	}
	wg.Wait()
	made := 0
	for _, err := range errs {
		if err == nil {
			made++
		} else {
			kindIs(t, "make a second", err, secretstore.ErrConflict)
		}
	}
	if made != 1 {
		t.Errorf("%d of %d made the key file, want 1", made, len(errs))
	}
	text := readFile(t, path)
	kindIs(t, "make it again", localfile.NewKeyFile(path), secretstore.ErrConflict)
	if !bytes.Equal(readFile(t, path), text) {
		t.Error("the key file has changed")
	}
	kindIs(t, "make it where a folder is", localfile.NewKeyFile(filepath.Dir(path)), secretstore.ErrInvalidConfig)
	if other := readFile(t, newKeyFile(t, path+"2")); bytes.Equal(other, text) {
		t.Error("two key files are the same")
	}
}

func TestKeyEnviron(t *testing.T) {
	emptyHome(t)
	is := func(what string, want ...string) {
		t.Helper()
		if got := localfile.KeyEnviron(); strings.Join(got, " ") != strings.Join(want, " ") {
			t.Errorf("%s: %v, want %v", what, got, want)
		}
	}
	is("nothing")
	own, err := localfile.DefaultKeyFile()
	if err != nil {
		t.Fatal(err)
	}
	newKeyFile(t, own)
	is("own key file", localfile.EnvKeyFile+"="+own)
	t.Setenv(localfile.EnvPassphrase, "a phrase")
	is("a passphrase is not handed on")
	t.Setenv(localfile.EnvPassphraseFile, "/phrase")
	is("passphrase file", localfile.EnvPassphraseFile+"="+absolutePath(t, "/phrase"))
	t.Setenv(localfile.EnvKeyFile, "key")
	is("key file, made absolute", localfile.EnvKeyFile+"="+absolutePath(t, "key"))
}

func absolutePath(t *testing.T, path string) string {
	t.Helper()
	abs, err := filepath.Abs(path)
	if err != nil {
		t.Fatal(err)
	}
	return abs
}

// TestPassphraseInPlaceOfFile puts a passphrase where the path of its file belongs.
func TestPassphraseInPlaceOfFile(t *testing.T) {
	emptyHome(t)
	path := filepath.Join(t.TempDir(), "store.db")
	for _, name := range []string{localfile.EnvPassphraseFile, localfile.EnvKeyFile} {
		t.Setenv(name, "hunter2-in-place-of-a-path")
		s, err := localfile.Open(t.Context(), localfile.Config{Path: path})
		if err == nil {
			err = s.Set(t.Context(), "a", secretstore.NewValue([]byte("v")))
		}
		kindIs(t, name, err, secretstore.ErrInvalidConfig)
		if err != nil && strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: the error %v repeats what may be a passphrase", name, err)
		}
		t.Setenv(name, "")
	}
}
