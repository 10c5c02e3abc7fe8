package localfile

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/mlsecrets/secretstore"
	bolt "go.etcd.io/bbolt"
)

// Create makes an empty store. It is [secretstore.ErrConflict] if there is a file
// already, which stays as it is. Without a Key in the configuration or the
// environment, the store gets the user's own key file, which is made if need be.
func Create(ctx context.Context, c Config) error {
	d, err := newDriver(c)
	if err == nil {
		err = d.create(ctx)
	}
	return opError("create", err)
}

// create makes the store beside its place and then gives it its name, so that
// nobody meets a half-made one.
func (d *driver) create(ctx context.Context) error {
	if err := d.vacant(); err != nil {
		return err
	}
	c, err := d.key.credential(ctx, nil)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(d.path), 0o700); err != nil {
		return ioError("make the store's folder", err)
	}
	d.sweep()
	for {
		f, err := os.CreateTemp(filepath.Dir(d.path), d.unfinished()+"*") // mode 0600
		if err != nil {
			return ioError("make the store's file", err)
		}
		defer os.Remove(f.Name())
		if err := fill(f, c); err != nil {
			return err
		}
		switch err := publish(f.Name(), d.path); {
		case err == nil:
			return nil
		case errors.Is(err, fs.ErrExist):
			if err := d.vacant(); err != nil {
				return err
			}
		case errors.Is(err, fs.ErrNotExist):
			// Another process took the file for one that was left behind.
		default:
			return ioError("make the store's file", err)
		}
	}
}

// vacant returns an error if the store's path leads to anything.
func (d *driver) vacant() error {
	if _, err := os.Lstat(d.path); err != nil {
		return nil
	}
	if _, err := os.Stat(d.path); errors.Is(err, fs.ErrNotExist) {
		return d.leadsNowhere()
	}
	return &secretstore.Error{Kind: secretstore.ErrConflict, Detail: "there is a file at " + d.path + " already"}
}

// leadsNowhere is the error of a path that is a link without a file. That may be a
// volume that is not mounted: it is not taken for a store that was never made.
func (d *driver) leadsNowhere() error {
	return &secretstore.Error{Kind: secretstore.ErrUnavailable, Detail: d.path + " is a symbolic link that leads nowhere"}
}

// unfinished begins the names of stores that are being made.
func (d *driver) unfinished() string { return "." + filepath.Base(d.path) + ".new-" }

// sweep removes what processes that died left of stores that they were making. A
// living one holds a lock most of the time, and makes it again if need be.
func (d *driver) sweep() {
	dir := filepath.Dir(d.path)
	entries, _ := os.ReadDir(dir)
	for _, e := range entries {
		if !strings.HasPrefix(e.Name(), d.unfinished()) {
			continue
		}
		path := filepath.Join(dir, e.Name())
		f, err := openRegular(path, os.O_RDWR)
		if err != nil {
			continue
		}
		if dead, err := tryLock(f); dead && err == nil {
			os.Remove(path)
		}
		f.Close()
	}
}

// madeVersion is the version number (txid) of a store that was just made.
const madeVersion = 2

// settle does, before the first commit, what a process that died while it made the
// store, or another one beside it, may have left undone.
func (l *lock) settle(v *view) error {
	if l.d.settled {
		return nil
	}
	l.d.sweep()
	if v.txid == madeVersion {
		// What is written to a file whose name is lost is lost.
		if err := syncPath(filepath.Dir(l.d.path)); err != nil {
			return ioError("make the store's name durable", err)
		}
	}
	l.d.settled = true
	return nil
}

// fill makes an empty store in an empty file, and closes it.
func fill(f *os.File, c credential) error {
	defer f.Close()
	if _, err := tryLock(f); err != nil {
		return ioError("lock the store's file", err)
	}
	db, err := openBolt(f, 0)
	if err != nil {
		return err
	}
	defer db.Close()
	h := &header{}
	copy(h.id[:], randomBytes(idSize))
	s := newSecrets(randomBytes(keySize), h.id)
	h.slots = []slot{newSlot(1, h.id, c, s.dataKey)}
	err = db.Update(func(tx *bolt.Tx) error {
		if err := putHeader(tx, h, s); err != nil {
			return err
		}
		if _, err := tx.CreateBucket([]byte(bucketRecords)); err != nil {
			return err
		}
		nodes, err := tx.CreateBucket([]byte(bucketDigest))
		if err != nil {
			return err
		}
		return nodes.Put(nodeKey(-1), s.sealRoot(new(rootNode)))
	})
	if err != nil {
		return ioError("write the store's file", err)
	}
	return nil
}

// putHeader puts the header into a transaction.
func putHeader(tx *bolt.Tx, h *header, s *secrets) error {
	b, err := tx.CreateBucketIfNotExists([]byte(bucketHeader))
	if err != nil {
		return err
	}
	return b.Put([]byte(headerKey), h.marshal(s.header))
}
