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
	"github.com/mlsecrets/secretstore/backends/memory"
	"github.com/mlsecrets/secretstore/runctx"
)

// TestEnviron: what a launcher hands on leads another process, which has nothing
// else, to the same store, and that process hands on the same.
func TestEnviron(t *testing.T) {
	vaultVars := []string{"VAULT_ADDR", "VAULT_NAMESPACE", "VAULT_TOKEN", "VAULT_CACERT", "VAULT_CACERT_BYTES", "VAULT_CAPATH", "VAULT_TLS_SERVER_NAME"}
	tests := []struct {
		name      string
		vars      map[string]string
		workspace string   // text of the workspace file
		want      []string // beside the id of the run
	}{
		{name: "a URL", vars: with(nil, "SECRETSTORE_URL", "vault://v/kv/team?auth=kubernetes&role=r"),
			want: []string{"SECRETSTORE_URL=vault://v/kv/team?auth=kubernetes&role=r"}},
		{name: "a URL that VAULT_ADDR completes", vars: with(nil, "VAULT_ADDR", "http://127.0.0.1:8200", "VAULT_TOKEN", "hunter2"),
			workspace: `{"url": "vault:///kv/team"}`,
			want:      []string{"SECRETSTORE_URL=vault:///kv/team", "VAULT_ADDR=http://127.0.0.1:8200"}},
		{name: "a password in VAULT_ADDR", vars: with(nil, "SECRETSTORE_URL", "vault:///kv/team", "VAULT_ADDR", "https://me:hunter2@v"),
			want: []string{"SECRETSTORE_URL=vault:///kv/team"}},
		{name: "a store of the program's own, with a parameter", vars: with(nil, "SECRETSTORE_URL", "own://x?shard=3"),
			want: []string{"SECRETSTORE_URL=own://x?shard=3"}},
		{name: "an Azure ML run", vars: with(azureRun, "AZUREML_RUN_TOKEN", "hunter2"), want: []string{"SECRETSTORE_URL=" + amlURL}},
	}
	open := func(context.Context, *url.URL) (secretstore.StoreCloser, error) { return memory.New(), nil }
	config := runctx.Config{Openers: secretstore.Openers{"vault": open, "azureml": open, "own": open}}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			home := host(t)
			for _, name := range vaultVars {
				t.Setenv(name, "")
			}
			for name, value := range tt.vars {
				t.Setenv(name, value)
			}
			if tt.workspace != "" {
				path := filepath.Join(home, filepath.FromSlash(runctx.WorkspaceFile))
				if err := os.Mkdir(filepath.Dir(path), 0o755); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(path, []byte(tt.workspace), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			run, err := config.Open(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			defer run.Close()
			environ := run.Environ()
			id := slices.IndexFunc(environ, func(kv string) bool { return strings.HasPrefix(kv, "SECRETSTORE_RUN_ID=") })
			if id < 0 {
				t.Fatalf("got %q, without a run's id", environ)
			}
			if got := slices.Delete(slices.Clone(environ), id, id+1); !slices.Equal(got, tt.want) {
				t.Errorf("got %q, want %q", got, tt.want)
			}
			if own := tt.vars["AZUREML_RUN_ID"]; own != "" && environ[id] != "SECRETSTORE_RUN_ID="+own {
				t.Errorf("got %q, want the run's own id: %q", environ[id], own)
			}

			host(t)
			for name := range tt.vars {
				t.Setenv(name, "")
			}
			become(t, environ)
			inside, err := config.Open(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			defer inside.Close()
			if d := inside.Decision(); !d.Submitted || d.URL != run.Decision().URL {
				t.Errorf("the run chose %+v, want a submitted run on %s", d, run.Decision().URL)
			}
			if got := inside.Environ(); !slices.Equal(got, environ) {
				t.Errorf("the run hands on %q, want %q", got, environ)
			}
		})
	}
}

// TestSubmittedRunMakesNoStore: not even when its launcher's URL would.
func TestSubmittedRunMakesNoStore(t *testing.T) {
	for _, query := range []string{"", "?create=yes", "?create=no", "?create="} {
		t.Run(query, func(t *testing.T) {
			home := host(t)
			t.Setenv("SECRETSTORE_RUN_ID", "run-1")
			t.Setenv("SECRETSTORE_URL", localfile.FileURL(filepath.Join(home, "store.db"))+query)
			run, err := runctx.Open(t.Context())
			if err == nil {
				run.Close()
			}
			if !errors.Is(err, secretstore.ErrUnavailable) {
				t.Errorf("got %v, want ErrUnavailable", err)
			}
			if entries, _ := os.ReadDir(home); len(entries) > 0 {
				t.Errorf("files were made: %v", entries)
			}
		})
	}
	t.Run("a wrong parameter stays an error", func(t *testing.T) {
		home := host(t)
		t.Setenv("SECRETSTORE_RUN_ID", "run-1")
		for _, query := range []string{"?create=perhaps", "?create=yes&create=yes", "?token=hunter2", "?%zz"} {
			t.Setenv("SECRETSTORE_URL", localfile.FileURL(filepath.Join(home, "store.db"))+query)
			_, err := runctx.Open(t.Context())
			if !errors.Is(err, secretstore.ErrInvalidConfig) || strings.Contains(err.Error(), "hunter2") {
				t.Errorf("%s: got %v, want ErrInvalidConfig that repeats nothing", query, err)
			}
		}
	})
}

// TestSignalsOfBackendsThatAreNotLinked: whichever signal names the store, a program
// without its backend fails and makes no local file.
func TestSignalsOfBackendsThatAreNotLinked(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		vars, files map[string]string
		scheme      string
	}{
		"Azure ML run":  {vars: azureRun, scheme: "azureml"},
		"Azure ML file": {files: map[string]string{".azureml/config.json": amlText}, scheme: "azureml"},
		"VAULT_ADDR":    {vars: with(nil, "VAULT_ADDR", "https://v"), scheme: "vault"},
		"KEY_VAULT_URL": {vars: with(nil, "KEY_VAULT_URL", "https://kv.vault.azure.net"), scheme: "azurekv"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			env := fakeEnv(t, tt.vars, tt.files)
			_, err := runctx.Config{Env: &env, Openers: secretstore.Openers{"file": localfile.OpenURL}}.Open(t.Context())
			if !errors.Is(err, secretstore.ErrInvalidConfig) || !strings.Contains(err.Error(), tt.scheme) {
				t.Errorf("got %v, want ErrInvalidConfig that names %s", err, tt.scheme)
			}
			if _, err := os.Stat(filepath.Dir(env.DefaultStore)); err == nil {
				t.Error("the folder of the local file was made")
			}
		})
	}
}

// TestDecisionIsACopy: what a caller does to it changes nothing in the run.
func TestDecisionIsACopy(t *testing.T) {
	t.Parallel()
	env := fakeEnv(t, with(nil, "SECRETSTORE_URL", "memory://"), nil)
	run, err := runctx.Config{Env: &env}.Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer run.Close()
	run.Decision().Signals[0].Name = "changed"
	if run.Decision().Signals[0].Name == "changed" {
		t.Error("the caller's change shows in the run's decision")
	}
}
