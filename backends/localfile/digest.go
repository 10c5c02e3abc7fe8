package localfile

import (
	"crypto/subtle"
	"encoding/binary"
	"math/bits"
)

// The set digest proves which records there are. Each record has a secret random
// token (see record.go). Record keys fall into 1,024 shards by their first ten
// bits; the sum of a shard's tokens, modulo 2^128, is its digest. 32 groups of 32
// shards each seal their digests in a node, and a root node seals the number of
// records and the authentication tag of each group's node.
//
// Whoever can't open records knows no token, so any other set of records gives
// another sum, but for a chance of 2^-128 (Clarke et al., "Incremental Multiset
// Hash Functions and Their Application to Memory Integrity Checking", 2003,
// MSet-Add-Hash with a random oracle of our own making: the token is drawn, not
// computed). An old node doesn't have the tag that its parent names. An old root
// is an old file.
const (
	groups         = 32
	shardsPerGroup = 32
	shards         = groups * shardsPerGroup

	rootSize  = 8 + groups*tagSize
	groupSize = shardsPerGroup * 16
)

// sum is a number modulo 2^128.
type sum struct{ lo, hi uint64 }

func (t token) sum() sum {
	return sum{binary.LittleEndian.Uint64(t[:]), binary.LittleEndian.Uint64(t[8:])}
}

func (a sum) plus(b sum) sum {
	lo, carry := bits.Add64(a.lo, b.lo, 0)
	hi, _ := bits.Add64(a.hi, b.hi, carry)
	return sum{lo, hi}
}

func (a sum) minus(b sum) sum {
	lo, borrow := bits.Sub64(a.lo, b.lo, 0)
	hi, _ := bits.Sub64(a.hi, b.hi, borrow)
	return sum{lo, hi}
}

// shard returns the shard of a record key.
func (k recordKey) shard() int { return int(binary.BigEndian.Uint16(k[:]) >> 6) }

// shardStart returns the smallest record key of the shard, or nil for the one
// behind the last shard.
func shardStart(shard int) []byte {
	if shard == shards {
		return nil
	}
	return binary.BigEndian.AppendUint16(nil, uint16(shard<<6))
}

type rootNode struct {
	count uint64                // of records
	tags  [groups][tagSize]byte // of the groups' nodes; zero: no record was ever in the group
}

type groupNode [shardsPerGroup]sum

// The keys of the nodes in their bucket: the root has the empty suffix.
func nodeKey(group int) []byte {
	if group < 0 {
		return []byte("root")
	}
	return []byte{'g', byte(group)}
}

func (s *secrets) nodeAD(group int) []byte {
	ad := append([]byte{'1'}, s.id[:]...)
	return append(ad, nodeKey(group)...)
}

// sealNode returns a sealed node and its authentication tag.
func (s *secrets) sealNode(group int, plain []byte) (box []byte, tag [tagSize]byte) {
	nonce := randomBytes(nonceSize)
	box = s.digests.Seal(nonce, nonce, plain, s.nodeAD(group))
	copy(tag[:], box[len(box)-tagSize:])
	return box, tag
}

// openNode opens a sealed node of the size.
func (s *secrets) openNode(group int, box []byte, size int) ([]byte, error) {
	if len(box) != nonceSize+size+tagSize {
		return nil, corrupt("the set digest is missing or damaged")
	}
	plain, err := s.digests.Open(nil, box[:nonceSize], box[nonceSize:], s.nodeAD(group))
	if err != nil {
		return nil, corrupt("the set digest is damaged")
	}
	return plain, nil
}

func (s *secrets) sealRoot(r *rootNode) []byte {
	plain := binary.LittleEndian.AppendUint64(make([]byte, 0, rootSize), r.count)
	for _, tag := range r.tags {
		plain = append(plain, tag[:]...)
	}
	box, _ := s.sealNode(-1, plain)
	return box
}

func (s *secrets) openRoot(box []byte) (*rootNode, error) {
	plain, err := s.openNode(-1, box, rootSize)
	if err != nil {
		return nil, err
	}
	r := &rootNode{count: binary.LittleEndian.Uint64(plain)}
	for i := range r.tags {
		copy(r.tags[i][:], plain[8+i*tagSize:])
	}
	return r, nil
}

func (s *secrets) sealGroup(group int, g *groupNode) (box []byte, tag [tagSize]byte) {
	plain := make([]byte, 0, groupSize)
	for _, sum := range g {
		plain = binary.LittleEndian.AppendUint64(plain, sum.lo)
		plain = binary.LittleEndian.AppendUint64(plain, sum.hi)
	}
	return s.sealNode(group, plain)
}

// openGroup opens the node of a group, which must be the one that the root names.
func (s *secrets) openGroup(group int, root *rootNode, box []byte) (*groupNode, error) {
	tag := root.tags[group]
	if tag == ([tagSize]byte{}) {
		if box != nil {
			return nil, corrupt("the set digest has a node too many")
		}
		return new(groupNode), nil
	}
	if len(box) < tagSize || subtle.ConstantTimeCompare(tag[:], box[len(box)-tagSize:]) != 1 {
		return nil, corrupt("the set digest is missing, damaged or of an older version")
	}
	plain, err := s.openNode(group, box, groupSize)
	if err != nil {
		return nil, err
	}
	g := new(groupNode)
	for i := range g {
		g[i] = sum{binary.LittleEndian.Uint64(plain[i*16:]), binary.LittleEndian.Uint64(plain[i*16+8:])}
	}
	return g, nil
}
