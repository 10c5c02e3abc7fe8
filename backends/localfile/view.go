package localfile

import (
	"context"
	"errors"
	"os"
	"sync/atomic"
	"time"

	"github.com/mlsecrets/secretstore"
)

// The names of the buckets, and of the header in its bucket.
const (
	bucketHeader  = "header"
	bucketRecords = "records"
	bucketDigest  = "digest"
	headerKey     = "header"
)

// view is one version of the file, ready to be read. It is immutable but for
// what it has learnt to be sound.
type view struct {
	image
	seen    [4]uint64 // the mapping's versions
	secrets *secrets
	header  *header
	records bucket
	digest  bucket
	root    *rootNode
	groups  [groups]atomic.Pointer[groupNode]
	proven  [shards / 64]atomic.Uint64 // a bit for each shard whose digest was checked
}

// stable reports whether the file is still at the view's version, and so whether
// what was read since belongs to it.
//
// No lock is needed to read: a commit writes only to pages that the version
// before it doesn't use, and its meta page last. What a reader has walked is
// whole if the version is the same before and after. (The pages of this version
// are written to by the commit after next at the earliest.)
func (v *view) stable() bool {
	now, err := v.m.versions()
	return err == nil && now == v.seen
}

// recheckAfter is how often a reader looks whether the path still leads to the
// file that it has mapped. Commits are seen at once; this is for a file that was
// replaced or removed from outside.
const recheckAfter = 20 * time.Millisecond

// current returns a view of the file's present version. It is nil if there is no
// file and there was none.
func (d *driver) current(ctx context.Context) (*view, error) {
	v := d.view.Load()
	if v != nil && v.stable() && time.Since(d.epoch) < time.Duration(d.recheck.Load()) {
		return v, nil
	}
	d.refreshing.Lock()
	defer d.refreshing.Unlock()
	return d.refresh(ctx)
}

// refresh does the work of current. The caller holds d.refreshing.
func (d *driver) refresh(ctx context.Context) (*view, error) {
	old := d.view.Load()
	info, err := os.Stat(d.path)
	if errors.Is(err, os.ErrNotExist) {
		if _, err := os.Lstat(d.path); err == nil {
			return nil, d.leadsNowhere()
		}
		if old == nil && !d.mustExist {
			return nil, nil
		}
		return nil, d.gone()
	}
	if err != nil {
		return nil, ioError("stat the store's file", err)
	}
	// Not before this has succeeded: until then the old view must not be used.
	looked := int64(time.Since(d.epoch) + recheckAfter)
	var m *mapping
	if old != nil && os.SameFile(info, old.m.info) && old.m.resize(info.Size()) {
		if old.stable() && info.Size() >= int64(old.highWater)*pageSize {
			d.recheck.Store(looked)
			return old, nil
		}
		m = old.m
	} else {
		if m, err = openMapping(d.path); errors.Is(err, errNoFile) {
			return nil, d.gone()
		} else if err != nil {
			return nil, err
		}
	}
	v, err := d.load(ctx, m)
	if err != nil {
		if old == nil || m != old.m {
			m.close() // nobody else has it
		}
		if err == errGrown {
			return d.refresh(ctx)
		}
		return nil, err
	}
	if old == nil || m != old.m {
		d.mappings = append(d.mappings, m)
	}
	d.view.Store(v)
	d.recheck.Store(looked)
	return v, nil
}

func (d *driver) gone() error {
	return &secretstore.Error{Kind: secretstore.ErrUnavailable,
		Detail: "there is no store at " + d.path + "; make one with: secretstore init"}
}

// load makes a view of the mapping.
func (d *driver) load(ctx context.Context, m *mapping) (v *view, err error) {
	err = settle(ctx, m, func(seen [4]uint64) (err error) {
		v, err = d.parse(ctx, m, seen)
		return err
	})
	return v, err
}

// errGrown says that the file has outgrown the mapping: it is to be mapped anew.
var errGrown = errors.New("the file has outgrown its mapping")

// settle calls fn until the file has not changed meanwhile, with the mapping's
// versions. A commit under way may change the file at any time, so what doesn't
// hold together is looked at again, and damage is only reported of a file that
// stands still.
func settle(ctx context.Context, m *mapping, fn func(seen [4]uint64) error) error {
	for pause := 100 * time.Microsecond; ; pause = min(2*pause, 10*time.Millisecond) {
		before, err := m.versions()
		// The file may have grown since it was mapped, which is no damage.
		if !m.look() {
			return errGrown
		}
		if err == nil {
			err = guard(func() error { return fn(before) })
		}
		after, aerr := m.versions()
		if err == nil {
			err = aerr
		}
		if before == after || aerr != nil {
			// A meta page may have been caught half written. A commit takes
			// far less than the pauses amount to.
			if err == nil || !errors.Is(err, secretstore.ErrCorrupt) || pause > 4*time.Millisecond {
				return err
			}
		}
		if err := sleep(ctx, pause); err != nil {
			return err
		}
	}
}

// parse reads what stands above the records.
func (d *driver) parse(ctx context.Context, m *mapping, seen [4]uint64) (*view, error) {
	v := &view{seen: seen}
	var err error
	if v.image, v.header, err = readTop(m); err != nil {
		return nil, err
	}
	if v.secrets, err = d.unlock(ctx, v.header); err != nil {
		return nil, err
	}
	if v.records, err = v.bucket(bucketRecords); err != nil {
		return nil, err
	}
	if v.digest, err = v.bucket(bucketDigest); err != nil {
		return nil, err
	}
	box, err := v.get(v.digest, nodeKey(-1))
	if err != nil {
		return nil, err
	}
	v.root, err = v.secrets.openRoot(box)
	return v, err
}

// readTop reads what can be read without a key.
func readTop(m *mapping) (image, *header, error) {
	page0, err := m.bytes(0, pageSize)
	if err != nil {
		return image{}, nil, err
	}
	page1, err := m.bytes(pageSize, pageSize)
	if err != nil {
		return image{}, nil, err
	}
	top, err := latest(page0, page1)
	if err != nil {
		return image{}, nil, err
	}
	if _, err := m.bytes((top.highWater-1)*pageSize, pageSize); err != nil {
		return image{}, nil, err
	}
	im := image{m, top}
	h, err := im.readHeader()
	return im, h, err
}

func (im image) readHeader() (*header, error) {
	b, err := im.bucket(bucketHeader)
	if err != nil {
		return nil, err
	}
	raw, err := im.get(b, []byte(headerKey))
	if err != nil {
		return nil, err
	}
	return parseHeader(raw)
}

// unlock returns the keys of the header: those at hand if they are its own, else
// what the key source opens.
func (d *driver) unlock(ctx context.Context, h *header) (*secrets, error) {
	if s := d.secrets; s != nil && s.id == h.id && h.authentic(s.header) {
		return s, nil
	}
	c, err := d.key.credential(ctx, h.slots)
	if err != nil {
		return nil, err
	}
	for _, slot := range h.slots {
		// A passphrase slot may ask for seconds of work.
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if dataKey := slot.unwrap(h.id, c); dataKey != nil {
			s := newSecrets(dataKey, h.id)
			if !h.authentic(s.header) {
				return nil, corrupt("the header was changed by someone without the key")
			}
			d.secrets = s
			return s, nil
		}
	}
	return nil, &secretstore.Error{Kind: secretstore.ErrWrongKey, Detail: c.from + " does not open the store"}
}

// group returns a group's node of the set digest.
func (v *view) group(i int) (*groupNode, error) {
	if g := v.groups[i].Load(); g != nil {
		return g, nil
	}
	box, err := v.get(v.digest, nodeKey(i))
	if err != nil {
		return nil, err
	}
	g, err := v.secrets.openGroup(i, v.root, box)
	if err != nil {
		return nil, err
	}
	v.groups[i].Store(g)
	return g, nil
}

func (v *view) shardSum(shard int) (sum, error) {
	g, err := v.group(shard / shardsPerGroup)
	if err != nil {
		return sum{}, err
	}
	return g[shard%shardsPerGroup], nil
}

func (v *view) isProven(shard int) bool {
	return v.proven[shard/64].Load()&(1<<(shard%64)) != 0
}

func (v *view) setProven(shard int) {
	v.proven[shard/64].Or(1 << (shard % 64))
}

// prove checks the records of a shard against the set digest. It is remembered
// for this version of the file.
func (v *view) prove(shard int) error {
	if v.isProven(shard) {
		return nil
	}
	return v.proveShard(shard, nil)
}

// proveAbsent proves that the key has no record. It never goes by what it
// remembers, because a file can be damaged after it was read. Nor does it go by
// the search that didn't find the key, which follows the keys of branch pages.
func (v *view) proveAbsent(key recordKey) error {
	return v.proveShard(key.shard(), func(k recordKey) error {
		if k == key {
			return corrupt("the record is there and can't be reached")
		}
		return nil
	})
}

// proveShard reads the names of a shard's records, and calls fn, which may be
// nil, with their keys.
func (v *view) proveShard(shard int, fn func(recordKey) error) error {
	want, err := v.shardSum(shard)
	if err != nil {
		return err
	}
	var got sum
	err = v.each(shard, shard+1, func(key recordKey, _ []byte, tok token, _ []byte) error {
		got = got.plus(tok.sum())
		if fn != nil {
			return fn(key)
		}
		return nil
	})
	if err != nil {
		return err
	}
	if got != want {
		return corrupt("records are missing, or of an older version")
	}
	v.setProven(shard)
	return nil
}

// each calls fn with every record of the shards from first up to end, in order of
// their keys. name is valid during the call.
func (v *view) each(first, end int, fn func(key recordKey, name []byte, tok token, record []byte) error) error {
	var buf [tokenSize + secretstore.MaxNameLen]byte
	return v.scan(v.records, shardStart(first), func(k, record []byte) (bool, error) {
		if len(k) != len(recordKey{}) {
			return false, corrupt("a record's key is damaged")
		}
		key := recordKey(k)
		if shard := key.shard(); shard >= end {
			return false, nil
		} else if shard < first {
			return false, corrupt("records are out of order")
		}
		name, tok, err := v.secrets.openName(buf[:], key, record)
		if err != nil {
			return false, err
		}
		return true, fn(key, name, tok, record)
	})
}
