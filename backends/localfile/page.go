package localfile

import "bytes"

// maxDepth bounds the descent in a tree. A branch page holds at least two
// children, and in practice about 80: 16 levels are never reached.
const maxDepth = 16

// image is one version of the file, as its meta page describes it. Its methods
// check every offset, and can be used on a file in any state.
type image struct {
	m *mapping
	meta
}

// page is a page with its overflow pages.
type page []byte

func (p page) flags() uint16 { return order.Uint16(p[8:]) }
func (p page) count() int    { return int(order.Uint16(p[10:])) }

// page returns the page of the id.
func (im image) page(id uint64) (page, error) {
	if id < 2 || id >= im.highWater {
		return nil, corrupt("a page refers to page %d of %d", id, im.highWater)
	}
	head, err := im.m.bytes(id*pageSize, pageSize)
	if err != nil {
		return nil, err
	}
	if order.Uint64(head) != id {
		return nil, corrupt("page %d is not in its place", id)
	}
	overflow := uint64(order.Uint32(head[12:]))
	if overflow == 0 {
		return page(head), nil
	}
	if id+overflow >= im.highWater {
		return nil, corrupt("page %d is longer than the file", id)
	}
	return im.m.bytes(id*pageSize, (1+overflow)*pageSize)
}

// leaf returns the element i of a leaf page. The slices are of the mapping: they
// are valid as long as the version of the file is.
func (p page) leaf(i int) (flags uint32, key, value []byte, err error) {
	off := uint64(pageHeader + i*element)
	if off+element > uint64(len(p)) {
		return 0, nil, nil, corrupt("a leaf page has elements outside of it")
	}
	e := p[off:][:element]
	start := off + uint64(order.Uint32(e[4:]))
	mid := start + uint64(order.Uint32(e[8:]))
	end := mid + uint64(order.Uint32(e[12:]))
	if end > uint64(len(p)) || start < off+element {
		return 0, nil, nil, corrupt("a leaf page has elements outside of it")
	}
	return order.Uint32(e), p[start:mid:mid], p[mid:end:end], nil
}

// branch returns the element i of a branch page.
func (p page) branch(i int) (key []byte, child uint64, err error) {
	off := uint64(pageHeader + i*element)
	if off+element > uint64(len(p)) {
		return nil, 0, corrupt("a branch page has elements outside of it")
	}
	e := p[off:][:element]
	start := off + uint64(order.Uint32(e))
	end := start + uint64(order.Uint32(e[4:]))
	if end > uint64(len(p)) || start < off+element {
		return nil, 0, corrupt("a branch page has elements outside of it")
	}
	return p[start:end:end], order.Uint64(e[8:]), nil
}

// search returns the index of the first element whose key is at least the key,
// and whether it is the key itself.
func (p page) search(key []byte) (int, bool, error) {
	isLeaf := p.flags() == flagLeaf
	lo, hi := 0, p.count()
	for lo < hi {
		mid := int(uint(lo+hi) / 2)
		var k []byte
		var err error
		if isLeaf {
			_, k, _, err = p.leaf(mid)
		} else {
			k, _, err = p.branch(mid)
		}
		if err != nil {
			return 0, false, err
		}
		switch c := bytes.Compare(k, key); {
		case c == 0:
			return mid, true, nil
		case c < 0:
			lo = mid + 1
		default:
			hi = mid
		}
	}
	return lo, false, nil
}

// childFor returns the index of the child of a branch page that would hold the key.
func (p page) childFor(key []byte) (int, error) {
	if p.count() == 0 {
		return 0, corrupt("a branch page is empty")
	}
	i, found, err := p.search(key)
	if err == nil && !found && i > 0 {
		i--
	}
	return i, err
}

// bucket is a bucket of bbolt: a tree of its own, or a leaf page that stands in
// the parent's element.
type bucket struct {
	root   uint64
	inline page
}

func (im image) rootPage(b bucket) (page, error) {
	if b.inline != nil {
		return b.inline, nil
	}
	return im.page(b.root)
}

// bucket returns the top-level bucket of the name.
func (im image) bucket(name string) (bucket, error) {
	flags, value, err := im.find(bucket{root: im.root}, []byte(name))
	if err != nil {
		return bucket{}, err
	}
	if value == nil || flags != elementBucket {
		return bucket{}, corrupt("the file has no bucket %q: it is not a store of secretstore, or damaged", name)
	}
	return parseBucket(value)
}

func parseBucket(value []byte) (bucket, error) {
	if len(value) < 16 {
		return bucket{}, corrupt("a bucket is cut short")
	}
	b := bucket{root: order.Uint64(value)}
	if b.root == 0 {
		b.inline = page(value[16:])
		if len(b.inline) < pageHeader || b.inline.flags() != flagLeaf {
			return bucket{}, corrupt("a bucket is cut short")
		}
	}
	return b, nil
}

// get returns the value of the key in the bucket, or nil.
func (im image) get(b bucket, key []byte) ([]byte, error) {
	flags, value, err := im.find(b, key)
	if err == nil && flags != 0 {
		return nil, corrupt("a record has unknown flags")
	}
	return value, err
}

// find returns the element of the key; a value that is there is not nil.
func (im image) find(b bucket, key []byte) (uint32, []byte, error) {
	p, err := im.rootPage(b)
	for depth := 0; err == nil; depth++ {
		switch {
		case p.flags() == flagLeaf:
			i, found, err := p.search(key)
			if err != nil || !found {
				return 0, nil, err
			}
			flags, _, value, err := p.leaf(i)
			return flags, value, err
		case p.flags() != flagBranch:
			return 0, nil, corrupt("a page of the tree is neither branch nor leaf")
		case depth == maxDepth:
			return 0, nil, corrupt("the tree is deeper than %d", maxDepth)
		}
		var i int
		if i, err = p.childFor(key); err != nil {
			break
		}
		var child uint64
		if _, child, err = p.branch(i); err != nil {
			break
		}
		p, err = im.page(child)
	}
	return 0, nil, err
}

// scan calls fn with the keys from the given one on, and their values, until fn
// returns false. Keys must ascend, so that a page that stands in two places is
// found, and the scan ends whatever the pages hold.
func (im image) scan(b bucket, from []byte, fn func(key, value []byte) (bool, error)) error {
	p, err := im.rootPage(b)
	if err != nil {
		return err
	}
	s := scanner{im: im, fn: fn}
	_, err = s.visit(p, from, 0)
	return err
}

type scanner struct {
	im   image
	last []byte
	fn   func(key, value []byte) (bool, error)
}

// visit walks the page from the key on; nil is the smallest key.
func (s *scanner) visit(p page, from []byte, depth int) (more bool, err error) {
	i := 0
	switch {
	case p.flags() == flagLeaf:
		if from != nil {
			if i, _, err = p.search(from); err != nil {
				return false, err
			}
		}
		for ; i < p.count(); i++ {
			flags, key, value, err := p.leaf(i)
			if err != nil {
				return false, err
			}
			if flags != 0 {
				return false, corrupt("a record has unknown flags")
			}
			if s.last != nil && bytes.Compare(s.last, key) >= 0 {
				return false, corrupt("records are out of order")
			}
			s.last = key
			if more, err := s.fn(key, value); !more || err != nil {
				return false, err
			}
		}
		return true, nil
	case p.flags() != flagBranch:
		return false, corrupt("a page of the tree is neither branch nor leaf")
	case depth == maxDepth:
		return false, corrupt("the tree is deeper than %d", maxDepth)
	}
	if from != nil {
		if i, err = p.childFor(from); err != nil {
			return false, err
		}
	}
	for ; i < p.count(); i++ {
		_, id, err := p.branch(i)
		if err != nil {
			return false, err
		}
		child, err := s.im.page(id)
		if err != nil {
			return false, err
		}
		if child.count() == 0 {
			return false, corrupt("a page of the tree is empty")
		}
		if more, err := s.visit(child, from, depth+1); !more || err != nil {
			return false, err
		}
		from = nil
	}
	return true, nil
}
