package localfile_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/mlsecrets/secretstore"
	"github.com/mlsecrets/secretstore/backends/localfile"
)

// canaries are random secrets, in every form in which they might come out.
type canaries map[string][]byte // by what they are and how they are encoded

func (c canaries) add(what string, secret []byte) {
	c[what] = secret
	c[what+", hex"] = []byte(hex.EncodeToString(secret))
	c[what+", HEX"] = []byte(strings.ToUpper(hex.EncodeToString(secret)))
	if escaped := url.QueryEscape(string(secret)); escaped != string(secret) {
		c[what+", URL-escaped"] = []byte(escaped)
	}
	if quoted, err := json.Marshal(string(secret)); err == nil {
		c[what+", JSON"] = bytes.Trim(quoted, `"`)
	}
	c[what+", decimal"] = []byte(strings.Trim(fmt.Sprint(secret), "[]"))
	// Base64 of something in which the secret stands at any offset.
	for shift := range 3 {
		for name, enc := range map[string]*base64.Encoding{"base64": base64.RawStdEncoding, "base64url": base64.RawURLEncoding} {
			text := enc.EncodeToString(append(make([]byte, shift), secret...))
			c[fmt.Sprintf("%s, %s, shift %d", what, name, shift)] = []byte(text[(shift*8+5)/6 : len(text)-2])
		}
	}
}

func (c canaries) find(t *testing.T, where string, text []byte) {
	t.Helper()
	for what, canary := range c {
		if bytes.Contains(text, canary) {
			t.Errorf("%s shows the %s", where, what)
		}
	}
}

// findInError looks at an error in every way in which it may be shown.
func (c canaries) findInError(t *testing.T, where string, err error) {
	t.Helper()
	if err == nil {
		return
	}
	var b bytes.Buffer
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		fmt.Fprintf(&b, verb+"\n", err)
	}
	for e := err; e != nil; e = errors.Unwrap(e) {
		fmt.Fprintf(&b, "%#v\n", e)
	}
	if batch, ok := errors.AsType[*secretstore.BatchError](err); ok {
		for _, e := range batch.Errs {
			fmt.Fprintf(&b, "%v %#v\n", e, *e)
		}
	}
	slog.New(slog.NewJSONHandler(&b, nil)).Error("failed", "error", err)
	slog.New(slog.NewTextHandler(&b, nil)).Error("failed", slog.Any("error", err))
	json.NewEncoder(&b).Encode(err)
	c.find(t, where, b.Bytes())
}

// TestNothingLeaks goes down every path that fails, with random values,
// passphrases and keys, and looks for them in the errors and on the disk.
func TestNothingLeaks(t *testing.T) {
	emptyHome(t)
	ctx := t.Context()
	dir, keys := t.TempDir(), t.TempDir()
	random := func(n int) []byte {
		b := make([]byte, n)
		rand.Read(b)
		return b
	}
	value, text := random(40), []byte(hex.EncodeToString(random(20))+" <&\"\\+/ü>")
	phrase, wrongPhrase := []byte(hex.EncodeToString(random(20))+" +/%"), []byte(hex.EncodeToString(random(20)))
	name := "name-" + hex.EncodeToString(random(12))
	keyFile, wrongFile := newKeyFile(t, filepath.Join(keys, "right")), newKeyFile(t, filepath.Join(keys, "wrong"))
	phraseFile := filepath.Join(keys, "phrase")
	writeFile(t, phraseFile, phrase)

	secret := canaries{}
	secret.add("value", value)
	secret.add("text", text)
	secret.add("passphrase", phrase)
	secret.add("wrong passphrase", wrongPhrase)
	for what, path := range map[string]string{"key": keyFile, "wrong key": wrongFile} {
		line := bytes.TrimSpace(readFile(t, path))
		secret.add(what+" file's text", line[len("secretstore-key-1:"):])
		raw, err := base64.RawURLEncoding.DecodeString(string(line[len("secretstore-key-1:"):]))
		if err != nil {
			t.Fatal(err)
		}
		secret.add(what, raw)
	}

	c := localfile.Config{Path: filepath.Join(dir, "store.db"), Key: localfile.KeyFile(keyFile), LockTimeout: 20 * time.Millisecond}
	values := map[string]secretstore.Value{name: secretstore.NewValue(value), name + "-2": secretstore.NewValue(text)}
	store := openStore(t, c)
	if err := store.SetBatch(ctx, values); err != nil {
		t.Fatal(err)
	}
	if _, err := localfile.AddSlot(ctx, c, localfile.PassphraseFile(phraseFile)); err != nil {
		t.Fatal(err)
	}

	failures := 0
	try := func(what string, err error) {
		t.Helper()
		if err == nil {
			t.Errorf("%s: no error", what)
		}
		failures++
		secret.findInError(t, what, err)
	}
	opens := func(what string, c localfile.Config) {
		t.Helper()
		_, err := localfile.Open(ctx, c)
		try("open: "+what, err)
		_, err = localfile.Verify(ctx, c)
		try("verify: "+what, err)
		_, err = localfile.AddSlot(ctx, c, localfile.Passphrase(secretstore.NewValue(wrongPhrase)))
		try("add slot: "+what, err)
		try("remove slot: "+what, localfile.RemoveSlot(ctx, c, 1))
		try("rotate: "+what, localfile.Rotate(ctx, c))
	}
	with := func(k localfile.KeySource) localfile.Config { return localfile.Config{Path: c.Path, Key: k} }

	// Wrong and bad keys, from every source.
	opens("wrong passphrase", with(localfile.Passphrase(secretstore.NewValue(wrongPhrase))))
	opens("wrong key file", with(localfile.KeyFile(wrongFile)))
	opens("a passphrase as a key file", with(localfile.KeyFile(phraseFile)))
	opens("a key file as a passphrase", with(localfile.PassphraseFile(keyFile)))
	os.Chmod(phraseFile, 0o644)
	opens("a passphrase file that others can read", with(localfile.PassphraseFile(phraseFile)))
	t.Setenv(localfile.EnvPassphrase, string(wrongPhrase))
	opens("wrong passphrase in a variable", with(localfile.KeySource{}))
	t.Setenv(localfile.EnvPassphraseFile, string(phrase)) // the wrong variable
	if _, err := localfile.Open(ctx, with(localfile.KeySource{})); err == nil {
		t.Error("a passphrase as a path opens the store")
	}
	t.Setenv(localfile.EnvPassphraseFile, "")

	// Values and names that are refused.
	large := secretstore.NewValue(bytes.Repeat(value, 1000))
	try("set too large", store.Set(ctx, name, large))
	try("set batch too large", store.SetBatch(ctx, map[string]secretstore.Value{name: large, "b": values[name]}))
	try("set of a bad name", store.Set(ctx, "bad_name", values[name]))
	try("add a key that is there", second(localfile.AddSlot(ctx, c, localfile.PassphraseFile(chmod(t, phraseFile, 0o600)))))
	try("create", localfile.Create(ctx, c))
	try("create with an empty passphrase", localfile.Create(ctx, localfile.Config{Path: c.Path + "2", Key: passphrase("")}))
	done, cancel := context.WithCancel(ctx)
	cancel()
	try("set, cancelled", store.Set(done, name, values[name]))

	// Damage, of every page.
	for page := range len(readFile(t, c.Path)) / testPage {
		image := readFile(t, c.Path)
		for i := range 8 {
			pageAt(image, page)[16+i*509] ^= 0x55
		}
		bad := c
		bad.Path = filepath.Join(dir, "damaged.db")
		writeFile(t, bad.Path, image)
		s, err := localfile.Open(ctx, bad)
		if err != nil {
			secret.findInError(t, "open of a damaged file", err)
			continue
		}
		_, err = s.Get(ctx, name)
		secret.findInError(t, "get of a damaged file", err)
		_, err = s.GetBatch(ctx, []string{name, name + "-2"})
		secret.findInError(t, "get batch of a damaged file", err)
		_, err = s.List(ctx)
		secret.findInError(t, "list of a damaged file", err)
		secret.findInError(t, "set in a damaged file", s.SetBatch(ctx, values))
		report, err := localfile.Verify(ctx, bad)
		secret.findInError(t, "verify of a damaged file", err)
		secret.find(t, "verify's report", fmt.Appendf(nil, "%+v", report))
		s.Close()
	}
	writeFile(t, filepath.Join(dir, "text.db"), bytes.Repeat(text, 2000)) // no store, and full of secrets
	_, err := localfile.Open(ctx, localfile.Config{Path: filepath.Join(dir, "text.db"), Key: c.Key})
	try("open of a text", err)
	_, err = localfile.Inspect(ctx, filepath.Join(dir, "text.db"))
	try("inspect of a text", err)
	os.Remove(filepath.Join(dir, "text.db"))

	// What is no error.
	for _, v := range []any{c, with(localfile.Passphrase(secretstore.NewValue(phrase))), c.Key, values, values[name]} {
		secret.find(t, "a format", fmt.Appendf(nil, "%v %+v %#v %s %x", v, v, v, v, v))
		var b bytes.Buffer
		slog.New(slog.NewJSONHandler(&b, nil)).Info("", "value", v)
		secret.find(t, "a log", b.Bytes())
	}
	info, err := localfile.Inspect(ctx, c.Path)
	if err != nil {
		t.Fatal(err)
	}
	secret.find(t, "Inspect", fmt.Appendf(nil, "%+v", info))
	secret.find(t, "KeyEnviron", []byte(strings.Join(localfile.KeyEnviron(), " ")))

	// The disk, after overwriting, deleting and rotating as well.
	secret.add("name", []byte(name))
	if err := store.Set(ctx, name, values[name+"-2"]); err != nil {
		t.Fatal(err)
	}
	if err := store.(secretstore.Deleter).Delete(ctx, name+"-2"); err != nil {
		t.Fatal(err)
	}
	secret.findOnDisk(t, dir)
	if err := localfile.Rotate(ctx, c); err != nil {
		t.Fatal(err)
	}
	secret.findOnDisk(t, dir)
	t.Logf("%d failures and %d forms of secrets looked at", failures, len(secret))
	if failures < 30 {
		t.Errorf("only %d failures", failures)
	}
}

func (c canaries) findOnDisk(t *testing.T, dir string) {
	t.Helper()
	files := 0
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		c.find(t, "the name of "+path, []byte(path))
		if err == nil && entry.Type().IsRegular() {
			files++
			c.find(t, path, readFile(t, path))
		}
		return err
	})
	if err != nil || files == 0 {
		t.Errorf("%d files, %v", files, err)
	}
}

// TestCanariesAreFound shows that the search of TestNothingLeaks finds something.
func TestCanariesAreFound(t *testing.T) {
	t.Parallel()
	secret := []byte("s3cr3t <&>\x00\xff value of 30 bytes")
	c := canaries{}
	c.add("value", secret)
	found := func(text string) bool {
		for _, canary := range c {
			if bytes.Contains([]byte(text), canary) {
				return true
			}
		}
		return false
	}
	for _, text := range []string{
		string(secret), hex.EncodeToString(secret), fmt.Sprintf("%X", secret), fmt.Sprint(secret),
		url.QueryEscape("x" + string(secret)), base64.StdEncoding.EncodeToString(append([]byte("ab"), secret...)),
		base64.URLEncoding.EncodeToString(append([]byte("a"), secret...)), base64.StdEncoding.EncodeToString(secret),
	} {
		if !found(text) {
			t.Errorf("not found in %q", text)
		}
	}
	if found("nothing to be seen") {
		t.Error("found where there is nothing")
	}
}

func second(_ int, err error) error { return err }

func chmod(t *testing.T, path string, mode os.FileMode) string {
	t.Helper()
	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
	return path
}
