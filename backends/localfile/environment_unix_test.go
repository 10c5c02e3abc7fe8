//go:build linux || darwin

package localfile_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/mlsecrets/secretstore"
	"github.com/mlsecrets/secretstore/backends/localfile"
)

// lockWorker takes the lock of a store and keeps it until it is killed.
func lockWorker(text []byte) error {
	var path string
	if err := json.Unmarshal(text, &path); err != nil {
		return err
	}
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX); err != nil {
		return err
	}
	acknowledge()
	time.Sleep(time.Minute)
	return errors.New("nobody killed the holder of the lock")
}

// steps are what a worker does one after the other. The first that fails is its
// error.
type steps struct {
	ctx   context.Context
	store secretstore.Store
	s     state
	err   error
}

func (w *steps) check(what string, err error) {
	if w.err == nil && err != nil {
		w.err = fmt.Errorf("%s: %w", what, err)
	}
}

// want checks that the error is of the kind.
func (w *steps) want(what string, err, kind error) {
	if !errors.Is(err, kind) {
		w.check(what, fmt.Errorf("got %v, want %v", err, kind))
	}
}

func (w *steps) holds(what string) { w.check(what, holds(w.ctx, w.store, w.s.Values)) }

func (w *steps) set(name string) error { return w.store.Set(w.ctx, name, valueOf(name, 7)) }

// setWorks sets a name and takes it into the state.
func (w *steps) setWorks(what, name string) {
	w.check(what, w.set(name))
	w.s.Values[name] = 7
	w.holds(what)
}

func (w *steps) chmod(path string, mode fs.FileMode) { w.check("chmod", os.Chmod(path, mode)) }

// forbidWorker takes rights away from itself, and gives them back. It must not be
// root, whom modes don't hold.
func forbidWorker(text []byte) error {
	var task operateTask
	if err := json.Unmarshal(text, &task); err != nil {
		return err
	}
	const nobody = 65534
	if os.Getuid() == 0 {
		if err := errors.Join(syscall.Setgid(nobody), syscall.Setuid(nobody)); err != nil {
			return err
		}
	}
	ctx, d := context.Background(), task.Site
	store, err := localfile.Open(ctx, d.config(0))
	if err != nil {
		return err
	}
	defer store.Close()
	w := &steps{ctx: ctx, store: store, s: task.State}
	folder := filepath.Dir(d.path())
	denied := secretstore.ErrDenied

	w.chmod(d.path(), 0o400)
	w.holds("a read-only file")
	w.want("Set in a read-only file", w.set("a"), denied)
	fresh, err := localfile.Open(ctx, d.config(0))
	if err != nil {
		return err
	}
	defer fresh.Close()
	w.want("Set in a read-only file, just opened", fresh.Set(ctx, "a", valueOf("a", 7)), denied)
	w.want("Rotate of a read-only file", localfile.Rotate(ctx, d.config(0)), denied)
	w.chmod(d.path(), 0o600)
	w.setWorks("a file that can be written again", "a")

	w.chmod(folder, 0o500)
	w.setWorks("a read-only folder", "b") // nothing is made beside the store
	c := d.config(0)
	c.Path = filepath.Join(folder, "other.db")
	w.want("Create in a read-only folder", localfile.Create(ctx, c), denied)

	w.chmod(folder, 0)
	time.Sleep(notice)
	_, err = store.Get(ctx, "a")
	w.want("Get in a folder that is closed", err, denied)
	_, err = store.Get(ctx, "never-set")
	w.want("Get of an absent name in a folder that is closed", err, denied)
	_, err = store.List(ctx)
	w.want("List in a folder that is closed", err, denied)
	w.want("Set in a folder that is closed", w.set("c"), denied)
	_, err = localfile.Open(ctx, d.config(0))
	w.want("Open in a folder that is closed", err, denied)
	w.chmod(folder, 0o700)
	time.Sleep(notice)
	w.holds("a folder that is open again")

	w.chmod(d.path(), 0)
	time.Sleep(notice)
	w.holds("a file that is closed, and was mapped") // the right was had when it was opened
	w.want("Set in a file that is closed", w.set("c"), denied)
	_, err = localfile.Open(ctx, d.config(0))
	w.want("Open of a file that is closed", err, denied)
	w.chmod(d.path(), 0o600)
	w.setWorks("a file that is open again", "c")

	w.chmod(d.keyFile(0), 0)
	_, err = localfile.Open(ctx, d.config(0))
	w.want("Open with a key file that is closed", err, denied)
	w.setWorks("a store whose key file was closed later", "d") // the key is in memory
	for _, mode := range []fs.FileMode{0o604, 0o640, 0o602, 0o620, 0o601, 0o666} {
		w.chmod(d.keyFile(0), mode)
		_, err = localfile.Open(ctx, d.config(0))
		w.want(fmt.Sprintf("Open with a key file of mode %04o", mode), err, secretstore.ErrInvalidConfig)
	}
	w.chmod(d.keyFile(0), 0o600)
	_, err = localfile.Verify(ctx, d.config(0))
	w.check("Verify", err)
	return w.err
}

// TestForbidden takes the rights to files and folders away while a store is open.
func TestForbidden(t *testing.T) {
	t.Parallel()
	d, s := newSite(t, 5)
	// The worker is another user if this is root.
	err := filepath.WalkDir(string(d), func(path string, _ fs.DirEntry, err error) error {
		if err == nil && os.Getuid() == 0 {
			err = os.Chown(path, 65534, 65534)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for dir := filepath.Dir(string(d)); strings.HasPrefix(filepath.Base(dir), "Test"); dir = filepath.Dir(dir) {
		if err := os.Chmod(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	runWorker(t, workerCommand(t, "forbid", string(d), operateTask{Site: d, State: s}))
}

// fullDiskWorker limits the size of the files that it may write, as a disk that is
// full does.
func fullDiskWorker(text []byte) error {
	var task operateTask
	if err := json.Unmarshal(text, &task); err != nil {
		return err
	}
	signal.Ignore(syscall.SIGXFSZ) // then the limit is an error, EFBIG
	var free syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &free); err != nil {
		return err
	}
	ctx, d := context.Background(), task.Site
	w := &steps{ctx: ctx, s: task.State}
	limit := func(n int64) {
		l := free
		if n >= 0 {
			l.Cur = uint64(n)
		}
		w.check("limit", syscall.Setrlimit(syscall.RLIMIT_FSIZE, &l))
	}
	full := secretstore.ErrUnavailable

	// A key file that is cut short must not be in the way of a whole one.
	key := filepath.Join(string(d), "keys", "late")
	limit(30)
	w.want("NewKeyFile on a full disk", localfile.NewKeyFile(key), full)
	limit(-1)
	w.check("NewKeyFile after a full disk", localfile.NewKeyFile(key))

	c := localfile.Config{Path: filepath.Join(filepath.Dir(d.path()), "late.db"), Key: localfile.KeyFile(key)}
	limit(3 * 4096)
	w.want("Create on a full disk", localfile.Create(ctx, c), full)
	limit(-1)
	w.check("leftovers of Create", onlyStore(d))
	w.check("Create after a full disk", localfile.Create(ctx, c))
	w.check("remove", os.Remove(c.Path))

	store, err := localfile.Open(ctx, d.config(0))
	if err != nil {
		return err
	}
	defer store.Close()
	w.store = store
	big := operation{Kind: "batch", Names: modelRange(0, 200), Serial: 9}
	info, err := os.Stat(d.path())
	if err != nil {
		return err
	}
	limit(info.Size())
	for i := 0; w.err == nil; i++ {
		name := fmt.Sprint("fill-", i)
		if err := w.set(name); err != nil {
			w.want("Set on a full disk", err, full)
			break
		}
		w.s.Values[name] = 7
	}
	w.holds("after Set on a full disk")
	for _, room := range []int64{0, 1, 4096, 5000} {
		limit(info.Size() + room)
		w.want("SetBatch on a full disk", big.write(ctx, store), full)
		w.holds("after SetBatch on a full disk")
		w.want("Rotate on a full disk", localfile.Rotate(ctx, d.config(0)), full)
		w.holds("after Rotate on a full disk")
	}
	// Deleting writes too: in a file without a free page it may fail.
	limit(info.Size())
	if err := store.(secretstore.Deleter).Delete(ctx, modelName(0)); err == nil {
		delete(w.s.Values, modelName(0))
	} else {
		w.want("Delete on a full disk", err, full)
	}
	w.holds("after Delete on a full disk")
	limit(-1)
	w.check("SetBatch after a full disk", big.write(ctx, store))
	w.s = big.after(w.s)
	w.holds("after a full disk")
	_, err = localfile.Verify(ctx, d.config(0))
	w.check("Verify", err)
	return w.err
}

// TestFullDisk runs out of space under a store, a new store and a new key file.
func TestFullDisk(t *testing.T) {
	t.Parallel()
	d, s := newSite(t, 60)
	runWorker(t, workerCommand(t, "full", string(d), operateTask{Site: d, State: s}))
}
