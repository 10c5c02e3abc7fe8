package localfile

import (
	"bytes"
	"context"

	bolt "go.etcd.io/bbolt"
)

// wiper returns what is to follow a commit of the header: nil, or the wiping of
// pages that are no longer in use.
func (l *lock) wiper(h *header) func(db *bolt.DB) error {
	if h.flags&flagWipe == 0 {
		return nil
	}
	return l.wipe
}

// wipe overwrites every page that is not in use, and then takes the flag out of
// the header that asks for it. If it is cut short, the flag stays, and the next
// writer goes on.
//
// Readers of the version before notice, by the meta page, that it is no more.
func (l *lock) wipe(db *bolt.DB) error {
	v, err := l.view(context.Background())
	if err != nil {
		return err
	}
	used, err := v.check()
	if err != nil {
		return err
	}
	zeros := make([]byte, pageSize)
	info, err := l.f.Stat()
	if err != nil {
		return ioError("stat the store's file", err)
	}
	end := uint64(info.Size()) / pageSize
	for id := uint64(2); id < end; id++ {
		if id < v.highWater && used.has(id) {
			continue
		}
		p, err := v.m.bytes(id*pageSize, pageSize)
		if err != nil {
			return err
		}
		if bytes.Equal(p, zeros) {
			continue // also keeps holes of a sparse file as they are
		}
		if _, err := l.f.WriteAt(zeros, int64(id*pageSize)); err != nil {
			return ioError("overwrite old pages", err)
		}
	}
	if err := l.f.Sync(); err != nil {
		return ioError("overwrite old pages", err)
	}
	h := v.header.clone()
	h.flags &^= flagWipe
	return late(l.commit(db, v, func(tx *bolt.Tx) error { return putHeader(tx, h, v.secrets) }))
}
