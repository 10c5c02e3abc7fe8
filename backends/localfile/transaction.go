package localfile

import (
	"context"
	"errors"
	"os"
	"runtime"
	"time"

	"github.com/mlsecrets/secretstore"
	bolt "go.etcd.io/bbolt"
)

// lock is the lock of the store's file, held by one call of one process.
type lock struct {
	d *driver
	f *os.File

	// stuck says that bbolt panicked and may hold its own locks, so that closing
	// the database would wait for ever.
	stuck bool
}

// lock waits for the lock of the store's file. flag is os.O_RDWR or os.O_RDONLY.
func (d *driver) lock(ctx context.Context, flag int) (*lock, error) {
	t := time.NewTimer(d.lockTimeout)
	defer t.Stop()
	select {
	case d.writing <- struct{}{}:
	case <-ctx.Done():
		return nil, lockedBy(ctx.Err())
	case <-t.C:
		return nil, &secretstore.Error{Kind: secretstore.ErrLocked,
			Detail: "another call of this process has held the store's lock for " + d.lockTimeout.String()}
	}
	for {
		f, err := openRegular(d.path, flag)
		if errors.Is(err, errNoFile) {
			err = d.gone()
		}
		if err == nil {
			if err = lockFile(ctx, f, d.lockTimeout); err == nil {
				if d.leadsTo(f) {
					return &lock{d: d, f: f}, nil
				}
				f.Close() // it was replaced while we waited
				continue
			}
			f.Close()
		}
		<-d.writing
		return nil, err
	}
}

// leadsTo reports whether the store's path leads to the open file.
func (d *driver) leadsTo(f *os.File) bool {
	named, err := os.Stat(d.path)
	if err != nil {
		return false
	}
	opened, err := f.Stat()
	return err == nil && os.SameFile(named, opened)
}

// release gives the lock back.
func (l *lock) release() {
	if l.stuck {
		unlock(l.f) // what bbolt has mapped keeps the closed file locked
	}
	l.f.Close() // bbolt may have closed it
	<-l.d.writing
}

// view returns the view of the file, which stands still while the lock is held.
// Its structure has been checked, so that bbolt can work on it.
func (l *lock) view(ctx context.Context) (*view, error) {
	l.d.refreshing.Lock()
	l.d.recheck.Store(0)
	v, err := l.d.refresh(ctx)
	l.d.refreshing.Unlock()
	if err != nil {
		return nil, err
	}
	if v == nil {
		return nil, l.d.gone()
	}
	if c := l.d.checked; c.info == nil || c.txid != v.txid || !os.SameFile(c.info, v.m.info) {
		err = guard(func() error {
			_, err := v.check()
			return err
		})
	}
	return v, err
}

// errUnknown says that a commit failed so late that it may have been kept.
var errUnknown = errors.New("commit may have been kept")

// errNoChange rolls a transaction back and is no error.
var errNoChange = errors.New("no change")

// update calls fn with a transaction on the file, which is at the view's version,
// and commits. It may be called once for a lock; the lock ends with it. fn writes
// about size bytes. after is called behind the commit, still under the lock, and
// may be nil.
func (l *lock) update(v *view, size int, fn func(tx *bolt.Tx) error, after func(db *bolt.DB) error) error {
	if err := l.settle(v); err != nil {
		return err
	}
	l.d.checked = checkedVersion{}
	return guardWriter(func() error {
		// Room for what is written spares bbolt from mapping the file anew in
		// the middle, when it copies all that it has in hand.
		l.stuck = true
		db, err := openBolt(l.f, int(v.highWater)*pageSize+size)
		l.stuck = false
		if err != nil {
			return err
		}
		defer func() {
			if !l.stuck {
				db.Close()
			}
		}()
		if err := l.commit(db, v, fn); err != nil || after == nil {
			return err
		}
		return after(db)
	})
}

// openBolt opens the database in a file that is locked already, with room for the
// size to be mapped.
func openBolt(f *os.File, size int) (*bolt.DB, error) {
	if runtime.GOOS == "windows" {
		size = 0 // there the file would be made as long
	}
	db, err := bolt.Open(f.Name(), 0o600, &bolt.Options{
		OpenFile:     func(string, int, os.FileMode) (*os.File, error) { return f, nil },
		Timeout:      time.Second, // never reached: the lock is ours
		PageSize:     pageSize,
		FreelistType: bolt.FreelistMapType,
		NoStatistics: true,

		InitialMmapSize: size,
	})
	if err != nil {
		return nil, ioError("open the store for writing", err)
	}
	return db, nil
}

func (l *lock) commit(db *bolt.DB, v *view, fn func(tx *bolt.Tx) error) error {
	l.stuck = true
	tx, err := db.Begin(true)
	if err != nil {
		l.stuck = false
		return ioError("write the store's file", err)
	}
	defer func() {
		tx.Rollback() // does nothing behind a commit; behind a panic it gives bbolt's locks back
		l.stuck = false
	}()
	if uint64(tx.ID()) != v.txid+1 {
		// The newest meta page was damaged after it was read, and bbolt would
		// build on the version before.
		return corrupt("the meta pages are damaged")
	}
	if err := fn(tx); err != nil {
		if err == errNoChange {
			l.d.checked = checkedVersion{v.m.info, v.txid}
			err = nil
		}
		return err
	}
	if err := tx.Commit(); err != nil {
		if v.stable() {
			return ioError("write the store's file", err)
		}
		return errUnknown
	}
	l.d.committed(v)
	return nil
}

// committed takes in a commit of this process: what was sound before is sound
// now. It is called under the lock.
func (d *driver) committed(before *view) {
	d.refreshing.Lock()
	defer d.refreshing.Unlock()
	d.recheck.Store(0)
	// If this fails the next call finds out why; the commit stands.
	v, err := d.refresh(context.Background())
	if err != nil || v == nil || v.txid != before.txid+1 || !os.SameFile(v.m.info, before.m.info) {
		return
	}
	d.checked = checkedVersion{v.m.info, v.txid}
	for i := range v.proven {
		v.proven[i].Or(before.proven[i].Load())
	}
}
