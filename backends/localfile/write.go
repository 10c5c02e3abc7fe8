package localfile

import (
	"bytes"
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"os"
	"runtime"
	"slices"
	"sync"

	"github.com/mlsecrets/secretstore"
	bolt "go.etcd.io/bbolt"
)

// change is what is to become of one record.
type change struct {
	key    recordKey
	name   string
	record []byte // nil: delete
	token  token
}

func (d *driver) Set(ctx context.Context, name string, value secretstore.Value) error {
	err := d.SetBatch(ctx, map[string]secretstore.Value{name: value})
	if b, ok := errors.AsType[*secretstore.BatchError](err); ok {
		return b.Errs[0]
	}
	return err
}

// SetBatch writes all values in one transaction.
func (d *driver) SetBatch(ctx context.Context, values map[string]secretstore.Value) error {
	v, err := d.current(ctx)
	if err != nil {
		return err
	}
	if v == nil {
		if err := d.create(ctx); err != nil && !errors.Is(err, secretstore.ErrConflict) {
			return err
		}
		if v, err = d.current(ctx); err == nil && v == nil {
			err = d.gone()
		}
		if err != nil {
			return err
		}
	}
	return d.apply(ctx, func(s *secrets) ([]change, error) { return s.sealAll(ctx, values) }, v.secrets)
}

func (d *driver) Delete(ctx context.Context, name string) error {
	return d.DeleteBatch(ctx, []string{name})
}

// DeleteBatch deletes all names in one transaction.
func (d *driver) DeleteBatch(ctx context.Context, names []string) error {
	v, err := d.current(ctx)
	if err != nil || v == nil {
		return err
	}
	return d.apply(ctx, func(s *secrets) ([]change, error) {
		changes := make([]change, len(names))
		for i, name := range names {
			changes[i] = change{key: s.recordKey(name), name: name}
		}
		return sorted(changes), nil
	}, v.secrets)
}

// sealAll returns the changes that set the values, in order of their keys. Many
// are sealed in parts, at the same time.
func (s *secrets) sealAll(ctx context.Context, values map[string]secretstore.Value) ([]change, error) {
	changes := make([]change, 0, len(values))
	plain := make([]secretstore.Value, 0, len(values))
	for name, value := range values {
		changes, plain = append(changes, change{name: name}), append(plain, value)
	}
	random := randomBytes(len(changes) * recordRandom)
	seal := func(first, end int) {
		size := 0
		for i := first; i < end; i++ {
			size += recordSize(changes[i].name, plain[i].Len())
		}
		slab := make([]byte, 0, size)
		for i := first; i < end && (i%1024 != 0 || ctx.Err() == nil); i++ {
			c := &changes[i]
			c.key = s.recordKey(c.name)
			start := len(slab)
			slab, c.token = s.sealRecord(slab, c.key, c.name, plain[i].Reveal(), random[i*recordRandom:][:recordRandom])
			c.record = slab[start:len(slab):len(slab)]
		}
	}
	parts := 1
	if len(changes) > 200 {
		parts = min(runtime.GOMAXPROCS(0), 8)
	}
	var wg sync.WaitGroup
	for i := range parts {
		wg.Go(func() { seal(i*len(changes)/parts, (i+1)*len(changes)/parts) })
	}
	wg.Wait()
	return sorted(changes), ctx.Err()
}

// sorted returns the changes in order of their keys. It sorts small stand-ins,
// as changes are large to move about.
func sorted(changes []change) []change {
	type standIn struct {
		prefix uint64
		i      int
	}
	order := make([]standIn, len(changes))
	for i := range changes {
		order[i] = standIn{binary.BigEndian.Uint64(changes[i].key[:]), i}
	}
	slices.SortFunc(order, func(a, b standIn) int {
		if c := cmp.Compare(a.prefix, b.prefix); c != 0 {
			return c
		}
		return bytes.Compare(changes[a.i].key[:], changes[b.i].key[:])
	})
	out := make([]change, len(changes))
	for i, o := range order {
		out[i] = changes[o.i]
	}
	return out
}

// sizeOf returns about how many bytes of the file the changes take, with the room
// that pages leave free.
func sizeOf(changes []change) int {
	size := 0
	for _, c := range changes {
		size += len(c.record) + recordKeySize + element
	}
	return size + size/4 + (groups+8)*pageSize
}

// apply writes the changes that prepare returns for the store's keys. It prepares
// them before it takes the lock; again if the keys have changed by then.
func (d *driver) apply(ctx context.Context, prepare func(*secrets) ([]change, error), s *secrets) error {
	changes, err := prepare(s)
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
	if v.secrets != s {
		if changes, err = prepare(v.secrets); err != nil {
			return err
		}
	}
	// Nothing is built on records that are not what was written.
	for _, c := range changes {
		if err := protected(v, func(v *view) error { return v.prove(c.key.shard()) }); err != nil {
			return err
		}
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	err = l.update(v, sizeOf(changes), func(tx *bolt.Tx) error { return v.secrets.applyTo(ctx, tx, v, changes) }, func(db *bolt.DB) error {
		if v.header.flags&flagWipe != 0 {
			// Left over by a process that died. The changes stand whether or
			// not it succeeds now.
			guardWriter(func() error { return l.wipe(db) })
		}
		return nil
	})
	if err == errUnknown {
		return unknown(changes)
	}
	return err
}

// unknown is the error of a commit of which it is not known whether it was kept.
func unknown(changes []change) error {
	b := &secretstore.BatchError{}
	for _, c := range changes {
		b.Errs = append(b.Errs, &secretstore.Error{Name: c.name, Kind: secretstore.ErrUnavailable,
			Detail: "the disk failed at the end of the write: it may have been kept or not"})
	}
	return b
}

// applyTo puts changes, which are in order of their keys, into a transaction, and
// the set digest with them. before is the state of the records that they change;
// nil if there are none.
func (s *secrets) applyTo(ctx context.Context, tx *bolt.Tx, before *view, changes []change) error {
	records, nodes := tx.Bucket([]byte(bucketRecords)), tx.Bucket([]byte(bucketDigest))
	if len(changes) > 100 {
		// Pages that are filled in order can be filled well.
		records.FillPercent = 0.9
	}
	root, err := s.openRoot(nodes.Get(nodeKey(-1)))
	if err != nil {
		return err
	}
	changed := false
	for len(changes) > 0 {
		group := changes[0].key.shard() / shardsPerGroup
		n := 1
		for n < len(changes) && changes[n].key.shard()/shardsPerGroup == group {
			n++
		}
		box := nodes.Get(nodeKey(group))
		node, err := s.openGroup(group, root, box)
		if err != nil {
			return err
		}
		touched, err := s.applyGroup(records, before, root, node, changes[:n])
		if err != nil {
			return err
		}
		if touched {
			changed = true
			box, root.tags[group] = s.sealGroup(group, node)
			if err := nodes.Put(nodeKey(group), box); err != nil {
				return ioError("write", err)
			}
		}
		changes = changes[n:]
		if err := ctx.Err(); err != nil {
			return err
		}
	}
	if !changed {
		return errNoChange
	}
	return nodes.Put(nodeKey(-1), s.sealRoot(root))
}

// applyGroup puts the changes to one group's records into the transaction and
// into the group's node.
func (s *secrets) applyGroup(records *bolt.Bucket, before *view, root *rootNode, node *groupNode, changes []change) (touched bool, err error) {
	var buf [tokenSize + secretstore.MaxNameLen]byte
	for _, c := range changes {
		sum := &node[c.key.shard()%shardsPerGroup]
		var old []byte
		if before != nil && before.root.count > 0 {
			if old, err = before.get(before.records, c.key[:]); err != nil {
				return false, err
			}
		}
		if old != nil {
			_, tok, err := s.openName(buf[:], c.key, old)
			if err != nil {
				return false, err
			}
			*sum = sum.minus(tok.sum())
			root.count--
			touched = true
		}
		if c.record == nil {
			if old == nil {
				if before != nil {
					if err := before.proveAbsent(c.key); err != nil {
						return false, err
					}
				}
			} else if err := records.Delete(c.key[:]); err != nil {
				return false, ioError("write", err)
			}
			continue
		}
		if err := records.Put(c.key[:], c.record); err != nil {
			return false, ioError("write", err)
		}
		*sum = sum.plus(c.token.sum())
		root.count++
		touched = true
	}
	return touched, nil
}
