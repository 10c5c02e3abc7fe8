package localfile

import (
	"context"
	"os"
	"slices"

	"github.com/mlsecrets/secretstore"
	bolt "go.etcd.io/bbolt"
)

// AddSlot lets one more key open the store, and returns its slot's number. The
// key in the configuration must open the store.
func AddSlot(ctx context.Context, c Config, key KeySource) (id int, err error) {
	err = rekey(ctx, c, func(d *driver) (func(v *view) (*header, error), error) {
		added, err := key.credential(ctx, nil)
		return func(v *view) (*header, error) {
			if err := v.header.duplicate(added); err != nil {
				return nil, err
			}
			if len(v.header.slots) == maxSlots {
				return nil, &secretstore.Error{Kind: secretstore.ErrConflict, Detail: "all 32 key slots are in use"}
			}
			h := v.header.clone()
			next := uint32(1)
			for _, s := range h.slots {
				next = max(next, s.id+1)
			}
			id = int(next)
			h.slots = append(h.slots, newSlot(next, h.id, added, v.secrets.dataKey))
			return h, nil
		}, err
	})
	return id, opError("add key", err)
}

// duplicate returns an error if the credential opens the store already.
func (h *header) duplicate(c credential) error {
	for _, s := range h.slots {
		if s.unwrap(h.id, c) != nil {
			return &secretstore.Error{Kind: secretstore.ErrConflict, Detail: c.from + " opens the store already"}
		}
	}
	return nil
}

// RemoveSlot takes a key's slot away, so that it no longer opens the store. The
// last one stays: that is ErrConflict. Who had the key and a copy of the file may
// have kept the data key, which stays the same; only [Rotate] shuts them out of
// what is written from then on.
func RemoveSlot(ctx context.Context, c Config, id int) error {
	err := rekey(ctx, c, func(*driver) (func(v *view) (*header, error), error) {
		return func(v *view) (*header, error) {
			h := v.header.clone()
			h.slots = slices.DeleteFunc(h.slots, func(s slot) bool { return int(s.id) == id })
			switch {
			case len(h.slots) == len(v.header.slots):
				return nil, &secretstore.Error{Kind: secretstore.ErrNotFound, Detail: "the store has no such key slot"}
			case len(h.slots) == 0:
				return nil, &secretstore.Error{Kind: secretstore.ErrConflict,
					Detail: "it is the last key slot: without it nobody could open the store; add another first"}
			}
			h.flags |= flagWipe
			return h, nil
		}, nil
	})
	return opError("remove key", err)
}

func (h *header) clone() *header {
	c := *h
	c.slots = slices.Clone(h.slots)
	return &c
}

// rekey replaces the header. prepare is called before the lock is taken, as
// deriving a key from a passphrase is slow; what it returns is called under it.
func rekey(ctx context.Context, c Config, prepare func(*driver) (func(*view) (*header, error), error)) error {
	c.MustExist = true
	d, err := open(ctx, c)
	if err != nil {
		return err
	}
	defer d.Close()
	edit, err := prepare(d)
	if err != nil {
		return err
	}
	l, err := d.lock(ctx, os.O_RDWR)
	if err != nil {
		return err
	}
	defer l.release()
	v, err := l.view(ctx)
	if err != nil {
		return err
	}
	h, err := edit(v)
	if err != nil {
		return err
	}
	return late(l.update(v, 0, func(tx *bolt.Tx) error { return putHeader(tx, h, v.secrets) }, l.wiper(h)))
}

// Rotate gives the store a new data key. All secrets are written anew in one
// transaction, and what the file held before is overwritten: deleted secrets, old
// values, and slots of keys that no longer open the store. Copies of the file,
// and what a file system or a disk keeps of overwritten blocks, are out of reach.
//
// Afterwards the store opens with exactly the given keys; with none given, with
// the key in the configuration.
func Rotate(ctx context.Context, c Config, keys ...KeySource) error {
	return opError("rotate", rotate(ctx, c, keys))
}

func rotate(ctx context.Context, c Config, keys []KeySource) error {
	c.MustExist = true
	d, err := open(ctx, c)
	if err != nil {
		return err
	}
	defer d.Close()
	before := d.view.Load()
	h := &header{id: before.header.id, flags: flagWipe}
	fresh := newSecrets(randomBytes(keySize), h.id)
	var creds []credential
	if len(keys) == 0 {
		keys = []KeySource{c.Key}
	}
	for i, key := range keys {
		cred, err := key.credential(ctx, before.header.slots)
		if err != nil {
			return err
		}
		creds = append(creds, cred)
		h.slots = append(h.slots, newSlot(uint32(i+1), h.id, cred, fresh.dataKey))
	}
	l, err := d.lock(ctx, os.O_RDWR)
	if err != nil {
		return err
	}
	defer l.release()
	v, err := l.view(ctx)
	if err != nil {
		return err
	}
	// After the commit this driver finds its key among the new slots.
	d.key = KeySource{func([]slot) (credential, error) { return creds[0], nil }}
	var changes []change
	if err := guard(func() (err error) { changes, err = v.reseal(ctx, fresh); return err }); err != nil {
		return err
	}
	return late(l.update(v, sizeOf(changes), func(tx *bolt.Tx) error {
		if err := putHeader(tx, h, fresh); err != nil {
			return ioError("write", err)
		}
		for _, name := range []string{bucketRecords, bucketDigest} {
			if err := tx.DeleteBucket([]byte(name)); err != nil {
				return ioError("write", err)
			}
			if _, err := tx.CreateBucket([]byte(name)); err != nil {
				return ioError("write", err)
			}
		}
		nodes := tx.Bucket([]byte(bucketDigest))
		if err := nodes.Put(nodeKey(-1), fresh.sealRoot(new(rootNode))); err != nil {
			return ioError("write", err)
		}
		if err := fresh.applyTo(ctx, tx, nil, changes); err != nil && err != errNoChange {
			return err
		}
		return nil
	}, l.wiper(h)))
}

// reseal returns the changes that write every record under other keys. All
// records are proven first.
func (v *view) reseal(ctx context.Context, fresh *secrets) ([]change, error) {
	if _, err := v.list(ctx); err != nil {
		return nil, err
	}
	changes := make([]change, 0, v.root.count)
	random := randomBytes(int(v.root.count) * recordRandom)
	err := v.each(0, shards, func(key recordKey, name []byte, _ token, record []byte) error {
		value, err := v.secrets.openValue(key, record)
		if err != nil {
			return err
		}
		c := change{name: string(name)}
		c.key = fresh.recordKey(c.name)
		c.record, c.token = fresh.sealRecord(nil, c.key, c.name, value, random[:recordRandom])
		random = random[recordRandom:]
		changes = append(changes, c)
		if len(changes)%1024 == 0 {
			return ctx.Err()
		}
		return nil
	})
	return sorted(changes), err
}

// late is the error of a change to the keys.
func late(err error) error {
	if err == errUnknown {
		return &secretstore.Error{Kind: secretstore.ErrUnavailable,
			Detail: "the disk failed at the end of the write: it may have been kept or not"}
	}
	return err
}
