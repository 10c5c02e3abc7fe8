package runctx_test

import (
	"context"
	"errors"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/mlsecrets/secretstore"
	"github.com/mlsecrets/secretstore/backends/localfile"
	"github.com/mlsecrets/secretstore/backends/vault/vaulttest"
	"github.com/mlsecrets/secretstore/runctx"
)

// host makes the process look like one in an empty home.
func host(t *testing.T) (home string) {
	t.Helper()
	home = t.TempDir()
	for name, value := range map[string]string{
		"HOME": home, "USERPROFILE": home, "LocalAppData": filepath.Join(home, "local"), "AppData": filepath.Join(home, "roaming"),
		"XDG_DATA_HOME": "", "XDG_CONFIG_HOME": "",
	} {
		t.Setenv(name, value)
	}
	for _, name := range []string{"SECRETSTORE_URL", "SECRETSTORE_RUN_ID", "SECRETSTORE_KEY_FILE", "SECRETSTORE_PASSPHRASE_FILE",
		"SECRETSTORE_PASSPHRASE", "VAULT_ADDR", "KEY_VAULT_URL", "AZUREML_RUN_ID"} {
		t.Setenv(name, "")
	}
	t.Chdir(home)
	return home
}

// become makes the process the run that environ was made for.
func become(t *testing.T, environ []string) {
	t.Helper()
	for _, kv := range environ {
		name, value, _ := strings.Cut(kv, "=")
		t.Setenv(name, value)
	}
}

// TestSubmit is the main job: set on a laptop, submit, get in the run, which has
// another home.
func TestSubmit(t *testing.T) {
	host(t)
	run, err := runctx.Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer run.Close()
	if err := run.Set(t.Context(), "db-password", secretstore.NewValue([]byte("s3cr3t"))); err != nil {
		t.Fatal(err)
	}
	environ := run.Environ()
	if strings.Contains(strings.Join(environ, "\n"), "s3cr3t") {
		t.Errorf("the secret is in %q", environ)
	}

	host(t)
	become(t, environ)
	inside, err := runctx.Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer inside.Close()
	v, err := inside.Get(t.Context(), "db-password")
	if err != nil || string(v.Reveal()) != "s3cr3t" {
		t.Errorf("got %q, %v in the run", v.Reveal(), err)
	}
	d := inside.Decision()
	if !d.Submitted || !strings.HasPrefix(d.RunID, "run-") {
		t.Errorf("got %+v, want a submitted run", d)
	}
	if again := inside.Environ(); !slices.Equal(again, environ) {
		t.Errorf("a run submits %q, want what it has itself: %q", again, environ)
	}
	if err := inside.Delete(t.Context(), "db-password"); err != nil {
		t.Error(err)
	}
	if _, err := run.Get(t.Context(), "db-password"); !errors.Is(err, secretstore.ErrNotFound) {
		t.Errorf("got %v after Delete, want ErrNotFound", err)
	}
}

// TestSubmittedRunNeedsItsStore: a run whose store isn't there has been submitted
// wrongly, and must not work on an empty one.
func TestSubmittedRunNeedsItsStore(t *testing.T) {
	home := host(t)
	t.Setenv("SECRETSTORE_RUN_ID", "run-1")
	path := filepath.Join(home, "nowhere", "store.db")
	t.Setenv("SECRETSTORE_URL", localfile.FileURL(path))
	_, err := runctx.Open(t.Context())
	if !errors.Is(err, secretstore.ErrUnavailable) || !strings.Contains(err.Error(), path) {
		t.Errorf("got %v, want ErrUnavailable with the path", err)
	}
	if _, err := os.Stat(filepath.Dir(path)); err == nil {
		t.Error("the store's folder was made")
	}
}

// TestNotLinked: a signal for a backend that the program doesn't have is an error,
// and never leads to another store.
func TestNotLinked(t *testing.T) {
	home := host(t)
	t.Setenv("SECRETSTORE_URL", "vault://vault.example.com/secret/team")
	openers := secretstore.Openers{"file": localfile.OpenURL}
	_, err := runctx.Config{Openers: openers}.Open(t.Context())
	if !errors.Is(err, secretstore.ErrInvalidConfig) || !strings.Contains(err.Error(), `"vault"`) {
		t.Errorf("got %v, want ErrInvalidConfig that names the scheme", err)
	}
	entries, _ := os.ReadDir(home)
	if len(entries) > 0 {
		t.Errorf("files were made: %v", entries)
	}
}

// TestEnvironVault: a run is led to the same Vault, without the token, and with one of
// its own it reads what was set before it.
func TestEnvironVault(t *testing.T) {
	host(t)
	server := vaulttest.NewServer()
	defer server.Close()
	t.Setenv("VAULT_ADDR", server.URL)
	t.Setenv("VAULT_TOKEN", server.Token())
	t.Setenv("VAULT_NAMESPACE", "ml")
	run, err := runctx.Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer run.Close()
	if err := run.Set(t.Context(), "db-password", secretstore.NewValue([]byte("s3cr3t"))); err != nil {
		t.Fatal(err)
	}
	environ := run.Environ()
	for _, want := range []string{"SECRETSTORE_URL=vault:///secret/secretstore", "VAULT_ADDR=" + server.URL, "VAULT_NAMESPACE=ml"} {
		if !slices.Contains(environ, want) {
			t.Errorf("got %q, want %s in it", environ, want)
		}
	}
	if strings.Contains(strings.Join(environ, " "), server.Token()) {
		t.Errorf("the token is in %q", environ)
	}

	host(t)
	for _, name := range []string{"VAULT_ADDR", "VAULT_TOKEN", "VAULT_NAMESPACE"} {
		t.Setenv(name, "")
	}
	become(t, environ)
	_, err = runctx.Open(t.Context())
	if !errors.Is(err, secretstore.ErrInvalidConfig) || !strings.Contains(err.Error(), "there is no token") {
		t.Errorf("without a token: got %v, want ErrInvalidConfig that says so", err)
	}
	file := filepath.Join(t.TempDir(), "sink") // as an agent leaves it
	if err := os.WriteFile(file, []byte(server.Token()), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("VAULT_TOKEN_FILE", file)
	inside, err := runctx.Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer inside.Close()
	v, err := inside.Get(t.Context(), "db-password")
	if err != nil || string(v.Reveal()) != "s3cr3t" {
		t.Errorf("got %d bytes, %v in the run", v.Len(), err)
	}
	if d := inside.Decision(); !d.Submitted {
		t.Errorf("got %+v, want a submitted run", d)
	}
}

// readOnly is a store that can't delete.
type readOnly struct{ secretstore.Driver }

func (readOnly) Backend() string { return "read-only" }

func (readOnly) List(context.Context) ([]string, error) { return nil, nil }

func TestRunDeleteUnsupported(t *testing.T) {
	t.Parallel()
	env := fakeEnv(t, with(nil, "SECRETSTORE_URL", "memory://"), nil)
	run, err := runctx.Config{Env: &env, Openers: secretstore.Openers{
		"memory": func(context.Context, *url.URL) (secretstore.StoreCloser, error) {
			return secretstore.New(readOnly{}), nil
		},
	}}.Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := run.Delete(t.Context(), "a"); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("got %v, want ErrUnsupported", err)
	}
}

func TestWorkspaceConfig(t *testing.T) {
	t.Parallel()
	text, err := runctx.WorkspaceConfig("file:///a/b.db")
	if err != nil {
		t.Fatal(err)
	}
	env := fakeEnv(t, nil, map[string]string{ours: string(text)})
	d, err := runctx.Detect(env)
	if err != nil || d.URL != "file:///a/b.db" {
		t.Errorf("got %q, %v", d.URL, err)
	}
	if _, err := runctx.WorkspaceConfig("vault://me:pw@host/x"); !errors.Is(err, secretstore.ErrInvalidConfig) {
		t.Errorf("got %v for a URL with a password, want ErrInvalidConfig", err)
	}
}
