package localfile

import (
	"context"
	"encoding/hex"
	"errors"
	"os"

	"github.com/mlsecrets/secretstore"
)

// Info is what a store's file shows without a key.
type Info struct {
	Version int    // of the format
	StoreID string // random, made with the store
	Slots   []Slot // the keys that open it
	Size    int64  // of the file, in bytes
}

// Slot is one of the keys that open a store.
type Slot struct {
	ID   int
	Kind string // "passphrase" or "key file"
}

// Inspect reads what a store's file shows without a key. What it returns is not
// proven to be what a holder of the key wrote.
func Inspect(ctx context.Context, path string) (Info, error) {
	m, err := openMapping(absolute(path))
	if errors.Is(err, errNoFile) {
		err = &secretstore.Error{Kind: secretstore.ErrUnavailable, Detail: "there is no store at " + absolute(path)}
	}
	if err != nil {
		return Info{}, opError("inspect", err)
	}
	defer m.close()
	var h *header
	err = settle(ctx, m, func([4]uint64) (err error) {
		_, h, err = readTop(m)
		return err
	})
	if err == errGrown {
		return Inspect(ctx, path)
	}
	if err != nil {
		return Info{}, opError("inspect", err)
	}
	info := Info{Version: formatVersion, StoreID: hex.EncodeToString(h.id[:]), Size: m.info.Size()}
	for _, s := range h.slots {
		info.Slots = append(info.Slots, Slot{ID: int(s.id), Kind: s.kind.String()})
	}
	return info, nil
}

// Report is the outcome of Verify.
type Report struct {
	Secrets int      // that can be read
	Size    int64    // of the file, in bytes
	Damaged []string // what can't be read: names, or descriptions where names can't be read either
}

// Verify reads everything in the store. If anything is not as it was written, the
// error is [secretstore.ErrCorrupt], and the report says what. Writers wait while
// it works.
func Verify(ctx context.Context, c Config) (Report, error) {
	c.MustExist = true
	d, err := open(ctx, c)
	if err != nil {
		return Report{}, opError("verify", err)
	}
	defer d.Close()
	l, err := d.lock(ctx, os.O_RDONLY)
	if err != nil {
		return Report{}, opError("verify", err)
	}
	defer l.release()
	v, err := d.current(ctx)
	if err != nil {
		return Report{}, opError("verify", err)
	}
	r := Report{Size: v.m.info.Size()}
	err = guard(func() error { return v.verify(ctx, &r) })
	if err == nil && len(r.Damaged) > 0 {
		err = corrupt("%d parts of the store are damaged", len(r.Damaged))
	}
	return r, opError("verify", err)
}

// verify fills the report. Its error is a context's.
func (v *view) verify(ctx context.Context, r *Report) error {
	damaged := func(what string) { r.Damaged = append(r.Damaged, what) }
	if _, err := v.check(); err != nil {
		damaged("structure: " + detail(err))
	}
	var sums [shards]sum
	var seen uint64
	err := v.scan(v.records, nil, func(k, record []byte) (bool, error) {
		seen++
		if seen%256 == 0 && ctx.Err() != nil {
			return false, ctx.Err()
		}
		if len(k) != recordKeySize {
			damaged("a record whose key is damaged")
			return true, nil
		}
		key := recordKey(k)
		name, tok, err := v.secrets.openName(nil, key, record)
		if err != nil {
			damaged("a record whose name can't be read")
			return true, nil
		}
		sums[key.shard()] = sums[key.shard()].plus(tok.sum())
		if _, err := v.secrets.openValue(key, record); err != nil || v.secrets.recordKey(string(name)) != key {
			damaged(string(name))
			return true, nil
		}
		r.Secrets++
		return true, nil
	})
	if cerr := ctx.Err(); cerr != nil {
		return cerr
	}
	if err != nil {
		damaged("records: " + detail(err))
	}
	if seen != v.root.count {
		damaged("the number of records")
	}
	if len(r.Damaged) > 0 {
		return nil // the digest can't agree then
	}
	for shard, got := range sums {
		want, err := v.shardSum(shard)
		if err != nil {
			damaged("set digest: " + detail(err))
		} else if got != want {
			damaged("records are missing, or of an older version")
		}
	}
	return nil
}

func detail(err error) string {
	if e, ok := errors.AsType[*secretstore.Error](err); ok {
		return e.Detail
	}
	return err.Error()
}
