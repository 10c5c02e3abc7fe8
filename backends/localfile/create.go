package localfile

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"

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
	exists := &secretstore.Error{Kind: secretstore.ErrConflict, Detail: "there is a file at " + d.path + " already"}
	if _, err := os.Lstat(d.path); err == nil {
		return exists
	}
	c, err := d.key.credential(ctx, nil)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(d.path), 0o700); err != nil {
		return ioError("make the store's folder", err)
	}
	for {
		d.sweep()
		err := d.make(c)
		if _, serr := os.Lstat(d.path); serr == nil && err != nil {
			return exists
		}
		// Another process may have swept the file away before it was locked, or
		// after; what it made itself, or nothing, is there then.
		if !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		if err := ctx.Err(); err != nil {
			return err
		}
	}
}

// make makes the store under another name, and publishes it.
func (d *driver) make(c credential) error {
	f, err := os.CreateTemp(filepath.Dir(d.path), d.unfinished()) // mode 0600
	if err != nil {
		return ioError("make the store's file", err)
	}
	defer os.Remove(f.Name())
	if err := fill(f, c); err != nil {
		return err
	}
	err = publish(f.Name(), d.path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return ioError("make the store's file", err)
	}
	return err
}

// unfinished is the pattern of the names of stores that are being made.
func (d *driver) unfinished() string { return "." + filepath.Base(d.path) + ".new-*" }

// sweep removes what processes that died left of stores that they were making. A
// living one holds a lock.
func (d *driver) sweep() {
	found, _ := filepath.Glob(filepath.Join(filepath.Dir(d.path), d.unfinished()))
	for _, path := range found {
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
