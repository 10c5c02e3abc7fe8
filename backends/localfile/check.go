package localfile

import "bytes"

// check walks every page of the image and returns an error unless bbolt can
// write to the file safely: each tree is whole, its keys ascend, each page starts
// with the key that its parent has for it, no page is used twice, and none that is
// in use is on the free list, from which bbolt would overwrite it.
//
// It reads the structure alone, not the records; those are sealed.
func (im image) check() (used pageSet, err error) {
	c := checker{im: im, used: newPageSet(im.highWater)}
	c.used.add(0)
	c.used.add(1)
	if err := c.tree(im.root, nil, nil, 0, true); err != nil {
		return c.used, err
	}
	return c.used, c.freelist()
}

type checker struct {
	im   image
	used pageSet
}

// claim marks a page and its overflow as used.
func (c *checker) claim(id uint64) (page, error) {
	p, err := c.im.page(id)
	if err != nil {
		return nil, err
	}
	for i := range uint64(len(p) / pageSize) {
		if !c.used.add(id + i) {
			return nil, corrupt("page %d is used twice", id+i)
		}
	}
	return p, nil
}

// tree walks the tree under the page, whose first key must be lo, and the others
// below hi.
func (c *checker) tree(id uint64, lo, hi []byte, depth int, top bool) error {
	p, err := c.claim(id)
	if err != nil {
		return err
	}
	return c.pageTree(p, lo, hi, depth, top)
}

func (c *checker) pageTree(p page, lo, hi []byte, depth int, top bool) error {
	isLeaf := p.flags() == flagLeaf
	switch {
	case !isLeaf && p.flags() != flagBranch:
		return corrupt("a page of the tree is neither branch nor leaf")
	case depth > maxDepth:
		return corrupt("the tree is deeper than %d", maxDepth)
	case p.count() == 0 && (depth > 0 || !isLeaf):
		return corrupt("a page of the tree is empty")
	}
	var prev []byte
	for i := range p.count() {
		var key, value []byte
		var flags uint32
		var child uint64
		var err error
		if isLeaf {
			flags, key, value, err = p.leaf(i)
		} else {
			key, child, err = p.branch(i)
		}
		if err != nil {
			return err
		}
		switch {
		case len(key) == 0:
			return corrupt("a record has no key")
		case i == 0 && lo != nil && !bytes.Equal(key, lo):
			// bbolt finds a page in its parent by the page's own first key.
			return corrupt("a page of the tree does not start with its key")
		case i > 0 && bytes.Compare(prev, key) >= 0:
			return corrupt("records are out of order")
		}
		if hi != nil && bytes.Compare(key, hi) >= 0 {
			return corrupt("records are out of order")
		}
		prev = key
		switch {
		case !isLeaf:
			upper := hi
			if i+1 < p.count() {
				if upper, _, err = p.branch(i + 1); err != nil {
					return err
				}
			}
			if err := c.tree(child, key, upper, depth+1, top); err != nil {
				return err
			}
		case flags == elementBucket && top:
			if err := c.bucket(value); err != nil {
				return err
			}
		case flags != 0 || top:
			return corrupt("a record has unknown flags")
		}
	}
	return nil
}

func (c *checker) bucket(value []byte) error {
	b, err := parseBucket(value)
	if err != nil {
		return err
	}
	if b.inline != nil {
		return c.pageTree(b.inline, nil, nil, 0, false)
	}
	return c.tree(b.root, nil, nil, 0, false)
}

func (c *checker) freelist() error {
	p, err := c.claim(c.im.meta.freelist)
	if err != nil {
		return err
	}
	if p.flags() != flagFreelist {
		return corrupt("the free list is not in its place")
	}
	ids, count := p[pageHeader:], uint64(p.count())
	if count == 0xFFFF { // then the count stands before the ids
		if len(ids) < 8 {
			return corrupt("the free list is cut short")
		}
		count, ids = order.Uint64(ids), ids[8:]
	}
	if count > uint64(len(ids)/8) {
		return corrupt("the free list is cut short")
	}
	var prev uint64
	for i := range count {
		id := order.Uint64(ids[i*8:])
		if id <= prev || id >= c.im.highWater {
			return corrupt("the free list is out of order")
		}
		if c.used.has(id) {
			return corrupt("page %d is in use and on the free list", id)
		}
		prev = id
	}
	return nil
}

// pageSet is a set of page ids.
type pageSet []uint64

func newPageSet(n uint64) pageSet { return make(pageSet, (n+63)/64) }

func (s pageSet) has(id uint64) bool { return s[id/64]&(1<<(id%64)) != 0 }

// add reports whether the id was not in the set yet.
func (s pageSet) add(id uint64) bool {
	if s.has(id) {
		return false
	}
	s[id/64] |= 1 << (id % 64)
	return true
}
