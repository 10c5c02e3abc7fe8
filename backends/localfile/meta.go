package localfile

import (
	"encoding/binary"
	"hash/fnv"
)

// What follows of bbolt's file format (version 2) is what a reader needs. bbolt
// trusts its file: on damage it panics, faults, recurses without end or answers
// wrongly. Readers here therefore walk the pages themselves and trust nothing,
// and bbolt, which writes, is only given a file whose structure has been checked.
const (
	pageSize   = 4096 // fixed by format 1, whatever the platform's page is
	pageHeader = 16   // id u64, flags u16, count u16, overflow u32
	element    = 16   // of a branch: pos u32, ksize u32, page u64; of a leaf: flags, pos, ksize, vsize u32

	flagBranch   = 0x01
	flagLeaf     = 0x02
	flagMeta     = 0x04
	flagFreelist = 0x10

	elementBucket = 0x01 // the flag of a leaf element that is a bucket

	metaMagic   = 0xED0CDAED
	metaVersion = 2
	metaSize    = 64 // with the checksum in its last 8 bytes
)

// bbolt writes in the byte order of the machine.
var order = binary.NativeEndian

// meta is one of the two meta pages: the root of one version of the file.
type meta struct {
	root      uint64 // page of the tree of buckets
	freelist  uint64 // page
	highWater uint64 // pages from here on are not in use
	txid      uint64 // the version
}

// parseMeta reads the meta page of the slot (0 or 1).
func parseMeta(page []byte, slot uint64) (meta, error) {
	if len(page) < pageHeader+metaSize {
		return meta{}, corrupt("the file is too short to be a store")
	}
	b := page[pageHeader:][:metaSize]
	if order.Uint32(b) != metaMagic {
		return meta{}, corrupt("the file is not a store of secretstore, or its first pages are damaged")
	}
	sum := fnv.New64a()
	sum.Write(b[:metaSize-8])
	m := meta{
		root:      order.Uint64(b[16:]),
		freelist:  order.Uint64(b[32:]),
		highWater: order.Uint64(b[40:]),
		txid:      order.Uint64(b[48:]),
	}
	switch {
	case sum.Sum64() != order.Uint64(b[metaSize-8:]):
		return meta{}, corrupt("meta page %d is damaged", slot)
	case order.Uint32(b[4:]) != metaVersion:
		return meta{}, corrupt("the file is a database of an unknown version")
	case order.Uint32(b[8:]) != pageSize:
		return meta{}, corrupt("the page size is not %d", pageSize)
	case order.Uint64(page) != slot || order.Uint16(page[8:]) != flagMeta || m.txid%2 != slot:
		return meta{}, corrupt("meta page %d is not in its place", slot)
	case m.highWater < 4 || m.highWater > 1<<40:
		return meta{}, corrupt("meta page %d counts %d pages", slot, m.highWater)
	}
	return m, nil
}

// latest returns the meta page that counts. Both must be whole and one version
// apart: a commit writes one, in a single sector, and only after everything else
// is on disk, so that no crash leaves a broken one behind. bbolt would fall back
// to the older, which is to say to older secrets.
func latest(page0, page1 []byte) (meta, error) {
	m0, err := parseMeta(page0, 0)
	if err != nil {
		return meta{}, err
	}
	m1, err := parseMeta(page1, 1)
	if err != nil {
		return meta{}, err
	}
	switch {
	case m0.txid == m1.txid+1:
		return m0, nil
	case m1.txid == m0.txid+1:
		return m1, nil
	}
	return meta{}, corrupt("the two meta pages don't belong together")
}
