package localfile_test

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"

	"github.com/mlsecrets/secretstore"
	"github.com/mlsecrets/secretstore/backends/localfile"
	"github.com/mlsecrets/secretstore/conformance"
	"github.com/mlsecrets/secretstore/internal/figures"
)

// fileHarness is the harness over the file: one handle, two handles, two
// processes.
func fileHarness(t *testing.T) conformance.Harness {
	t.Helper()
	dir := t.TempDir()
	key := filepath.Join(dir, "key")
	if err := localfile.NewKeyFile(key); err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	paths := map[secretstore.StoreCloser]string{}
	path := func(s secretstore.StoreCloser) string {
		mu.Lock()
		defer mu.Unlock()
		return paths[s]
	}
	open := func(ctx context.Context, path string) (secretstore.StoreCloser, error) {
		s, err := localfile.Open(ctx, localfile.Config{Path: path, Key: localfile.KeyFile(key)})
		if err == nil {
			mu.Lock()
			paths[s] = path
			mu.Unlock()
		}
		return s, err
	}
	return conformance.Harness{
		Open: func(ctx context.Context) (secretstore.StoreCloser, error) {
			store, err := os.MkdirTemp(dir, "store")
			if err != nil {
				return nil, err
			}
			return open(ctx, filepath.Join(store, "store.db"))
		},
		Second: func(ctx context.Context, s secretstore.StoreCloser) (secretstore.StoreCloser, error) {
			return open(ctx, path(s))
		},
		Child: func(ctx context.Context, s secretstore.StoreCloser) (*exec.Cmd, error) {
			cmd := exec.CommandContext(ctx, os.Args[0], "-test.run=^TestConformanceChild$")
			cmd.Env = append(os.Environ(), "CONFORMANCE_STORE="+path(s), "CONFORMANCE_KEY="+key)
			cmd.Stderr = os.Stderr
			return cmd, nil
		},
		Lock: func(s secretstore.StoreCloser) (func(), error) { return holdLock(path(s)) },
		Inject: func(s secretstore.StoreCloser, f conformance.Fault, name string) (func(), error) {
			if f != conformance.Outage || name != "" {
				return nil, errors.ErrUnsupported
			}
			// The file is out of reach for a while.
			away := path(s) + ".away"
			if err := os.Rename(path(s), away); err != nil {
				return nil, err
			}
			waitRecheck()
			return func() { os.Rename(away, path(s)); waitRecheck() }, nil
		},
		Facts: conformance.Facts{AtomicBatch: true},
	}
}

func TestConformance(t *testing.T) {
	t.Parallel()
	figures.Suite(t, "localfile", conformance.Test(t, fileHarness(t)))
}

// TestConformanceChild is the other process of the suite. Started as a test of its
// own it has nothing to do.
func TestConformanceChild(t *testing.T) {
	path := os.Getenv("CONFORMANCE_STORE")
	if path == "" {
		return
	}
	s, err := localfile.Open(t.Context(), localfile.Config{Path: path, Key: localfile.KeyFile(os.Getenv("CONFORMANCE_KEY")), MustExist: true})
	if err != nil {
		t.Fatal(err)
	}
	if err := conformance.ServeChild(t.Context(), s, os.Stdin, os.Stdout); err != nil {
		t.Fatal(err)
	}
	s.Close()
	os.Exit(0) // without the lines that a test prints
}
