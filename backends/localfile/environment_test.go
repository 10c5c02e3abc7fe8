package localfile_test

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mlsecrets/secretstore"
	"github.com/mlsecrets/secretstore/backends/localfile"
)

// notice is longer than a reader may take to find out that its path leads to
// another file, or to none.
const notice = 25 * time.Millisecond

// openSite opens the site's store with key 0.
func openSite(tb testing.TB, d site) secretstore.StoreCloser {
	tb.Helper()
	store, err := localfile.Open(tb.Context(), d.config(0))
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { store.Close() })
	return store
}

// wantAll calls every method that meets the file, and wants the error of each.
func wantAll(t *testing.T, store secretstore.Store, want error) {
	t.Helper()
	ctx := t.Context()
	_, err := store.Get(ctx, modelName(0))
	wantKind(t, "Get", err, want)
	_, err = store.Get(ctx, "never-set")
	wantKind(t, "Get of an absent name", err, want)
	_, err = store.GetBatch(ctx, []string{modelName(0), modelName(1)})
	wantKind(t, "GetBatch", err, want)
	_, err = store.List(ctx)
	wantKind(t, "List", err, want)
	wantKind(t, "Set", store.Set(ctx, "more", valueOf("more", 1)), want)
	wantKind(t, "Delete", store.(secretstore.Deleter).Delete(ctx, modelName(0)), want)
}

// wantKind wants an error of the one kind, and that it says what to do.
func wantKind(t *testing.T, what string, err, kind error) {
	t.Helper()
	if !errors.Is(err, kind) || errors.Is(err, secretstore.ErrNotFound) {
		t.Errorf("%s: got %v, want %v", what, err, kind)
	}
	if e, ok := errors.AsType[*secretstore.Error](err); ok && e.Detail == "" {
		t.Errorf("%s: %v has no detail", what, err)
	}
}

func wantHolds(t *testing.T, store secretstore.Store, want map[string]uint64) {
	t.Helper()
	if err := holds(t.Context(), store, want); err != nil {
		t.Error(err)
	}
}

// TestFileDeletedWhileOpen finds no store, which is not the same as no secret, and
// makes no new one: the values may be in a file that was moved away.
func TestFileDeletedWhileOpen(t *testing.T) {
	t.Parallel()
	d, s := newSite(t, 5)
	store := openSite(t, d)
	wantHolds(t, store, s.Values)
	away := d.path() + ".away"
	if err := os.Rename(d.path(), away); err != nil {
		t.Fatal(err)
	}
	time.Sleep(notice)
	wantAll(t, store, secretstore.ErrUnavailable)
	if _, err := os.Stat(d.path()); err == nil {
		t.Error("a new store was made")
	}
	if err := os.Rename(away, d.path()); err != nil {
		t.Fatal(err)
	}
	time.Sleep(notice)
	wantHolds(t, store, s.Values)
}

// TestFileReplacedWhileOpen follows the path to another store, and back.
func TestFileReplacedWhileOpen(t *testing.T) {
	t.Parallel()
	d, s := newSite(t, 5)
	other, so := newSite(t, 9)
	foreign, _ := newSite(t, 3)
	if err := localfile.Rotate(t.Context(), other.config(0), d.config(0).Key); err != nil {
		t.Fatal(err)
	}
	store := openSite(t, d)
	wantHolds(t, store, s.Values)
	mine := d.path() + ".mine"
	if err := os.Rename(d.path(), mine); err != nil {
		t.Fatal(err)
	}
	put := func(path string) {
		t.Helper()
		if err := os.Rename(path, d.path()); err != nil {
			t.Fatal(err)
		}
		time.Sleep(notice)
	}
	put(other.path())
	wantHolds(t, store, so.Values)
	if err := store.Set(t.Context(), "more", valueOf("more", 1)); err != nil {
		t.Error(err)
	}
	so.Values["more"] = 1
	wantHolds(t, store, so.Values)
	put(foreign.path())
	wantAll(t, store, secretstore.ErrWrongKey)
	put(mine)
	wantHolds(t, store, s.Values)
}

// TestLinkToNowhere is a store's path that is a symbolic link without a file.
func TestLinkToNowhere(t *testing.T) {
	t.Parallel()
	d, _ := newSite(t, 1)
	link := filepath.Join(t.TempDir(), "store.db")
	if err := os.Symlink(filepath.Join(t.TempDir(), "nowhere"), link); err != nil {
		t.Skip("NOT TESTED: no symbolic links here: ", err)
	}
	c := d.config(0)
	c.Path = link
	_, err := localfile.Open(t.Context(), c)
	wantKind(t, "Open", err, secretstore.ErrUnavailable)
	wantKind(t, "Create", localfile.Create(t.Context(), c), secretstore.ErrUnavailable)

	// The link may also come after the store was opened, and there was none.
	if err := os.Remove(link); err != nil {
		t.Fatal(err)
	}
	store, err := localfile.Open(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	if err := os.Symlink(filepath.Join(t.TempDir(), "nowhere"), link); err != nil {
		t.Fatal(err)
	}
	wantAll(t, store, secretstore.ErrUnavailable)
}

// TestClock has the clock jump by decades between calls, and the files be of the
// future and of the past: nothing depends on it.
func TestClock(t *testing.T) {
	d, s := newSite(t, 5)
	outside := openSite(t, d)
	for _, year := range []int{1971, 2399} {
		at := time.Date(year, 1, 1, 0, 0, 0, 0, time.UTC)
		for _, path := range []string{d.path(), d.keyFile(0), filepath.Dir(d.path())} {
			if err := os.Chtimes(path, at, at); err != nil {
				t.Fatal(err)
			}
		}
		// In the bubble it is the year 2000, and time passes in jumps.
		synctest.Test(t, func(t *testing.T) {
			store := openSite(t, d)
			for range 3 {
				name := "at-" + time.Now().Format("2006")
				if err := store.Set(t.Context(), name, valueOf(name, 1)); err != nil {
					t.Error(err)
				}
				s.Values[name] = 1
				wantHolds(t, store, s.Values)
				wantHolds(t, outside, s.Values)
				time.Sleep(70 * 365 * 24 * time.Hour)
				wantHolds(t, store, s.Values)
			}
			if _, err := localfile.Verify(t.Context(), d.config(0)); err != nil {
				t.Error(err)
			}
		})
	}
	if s.Values["at-2139"] == 0 {
		t.Errorf("the clock did not jump: %v", s.Values)
	}
}

// TestLockOfAnother is a lock that another process holds, living, stopped or dead.
func TestLockOfAnother(t *testing.T) {
	t.Parallel()
	if worker("lock") == nil {
		t.Skip("NOT TESTED: no worker takes locks on this system")
	}
	d, s := newSite(t, 5)
	c := d.config(0)
	c.LockTimeout = 50 * time.Millisecond
	store, err := localfile.Open(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	holder := workerCommand(t, "lock", string(d), d.path())
	out, err := holder.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := holder.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(out, make([]byte, len(acknowledgement))); err != nil {
		t.Fatal(err)
	}
	set := func(ctx context.Context) error { return store.Set(ctx, "more", valueOf("more", 1)) }

	wantKind(t, "Set", set(t.Context()), secretstore.ErrLocked)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	err = set(ctx)
	wantKind(t, "Set with a deadline", err, secretstore.ErrLocked)
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Set with a deadline: %v is not DeadlineExceeded", err)
	}
	cancel()
	ctx, cancel = context.WithCancel(t.Context())
	time.AfterFunc(10*time.Millisecond, cancel)
	if err := set(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("Set that is called off: got %v", err)
	}
	wantHolds(t, store, s.Values) // reading takes no lock

	holder.Process.Kill()
	holder.Wait()
	if err := set(t.Context()); err != nil {
		t.Errorf("after the holder of the lock died: %v", err)
	}
}
