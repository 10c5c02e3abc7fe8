package localfile_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
)

// damage is one way to spoil a file. A and B are pages, or an offset and a
// number, as the kind wants them; Seed draws the rest.
type damage struct {
	Sample string // the name of the store that is spoiled
	Kind   string
	A, B   int
	Seed   uint64
	Open   bool // the file is spoiled under an open store that was read
}

func (d damage) String() string {
	return fmt.Sprintf("%s, sample %q, a=%d b=%d seed=%d open=%v", d.Kind, d.Sample, d.A, d.B, d.Seed, d.Open)
}

func (d damage) rand() *rand.Rand { return rand.New(rand.NewPCG(d.Seed, uint64(d.A)<<32|uint64(d.B))) }

const testPage = 4096

// The kinds of damage to the bytes of a file, in the order of the table. Each
// returns the spoiled image, which may be the given one changed.
var damageKinds = []struct {
	kind  string
	spoil func(d damage, image []byte) []byte
}{
	{"truncate at a page", func(d damage, image []byte) []byte { return image[:d.A*testPage] }},
	{"truncate elsewhere", func(d damage, image []byte) []byte { return image[:d.rand().IntN(len(image))] }},
	{"zero a page", func(d damage, image []byte) []byte {
		clear(pageAt(image, d.A))
		return image
	}},
	{"copy a page over another", func(d damage, image []byte) []byte {
		copy(pageAt(image, d.B), pageAt(image, d.A))
		return image
	}},
	{"swap two pages", func(d damage, image []byte) []byte {
		a, b := pageAt(image, d.A), pageAt(image, d.B)
		for i := range a {
			a[i], b[i] = b[i], a[i]
		}
		return image
	}},
	{"flip a bit", func(d damage, image []byte) []byte {
		bit := d.rand().IntN(inUse(image) * testPage * 8)
		image[bit/8] ^= 1 << (bit % 8)
		return image
	}},
	{"8 random bytes", func(d damage, image []byte) []byte {
		r := d.rand()
		off := r.IntN(inUse(image)*testPage - 8)
		binary.LittleEndian.PutUint64(image[off:], r.Uint64())
		return image
	}},
	{"spoil a field of a page", spoilField},
	{"spoil a field of a meta page, checksum right", spoilMeta},
}

func pageAt(image []byte, id int) []byte { return image[id*testPage:][:testPage] }

// inUse returns the number of pages up to the high-water mark.
func inUse(image []byte) int {
	n := max(binary.NativeEndian.Uint64(image[16+40:]), binary.NativeEndian.Uint64(image[testPage+16+40:]))
	return min(int(n), len(image)/testPage)
}

// absurd returns a number that a field may not hold.
func absurd(r *rand.Rand, was uint64, pages int) uint64 {
	switch r.IntN(10) {
	case 0:
		return 0
	case 1:
		return 1
	case 2:
		return was + 1
	case 3:
		return was - 1
	case 4:
		return 0xFFFF
	case 5:
		return 0xFFFFFFFF
	case 6:
		return 1 << 63
	case 7:
		return was << 1
	case 8:
		return was ^ 1<<r.IntN(16)
	}
	return r.Uint64N(uint64(pages))
}

// spoilField puts an absurd number into a field of a page's head or of one of its
// elements, where random bits seldom fall.
func spoilField(d damage, image []byte) []byte {
	r := d.rand()
	pages := inUse(image)
	id := 2 + r.IntN(pages-2)
	p := pageAt(image, id)
	field, size := 0, 8
	if r.IntN(3) == 0 { // id, flags, count, overflow
		i := r.IntN(4)
		field, size = [4]int{0, 8, 10, 12}[i], [4]int{8, 2, 2, 4}[i]
	} else {
		count := min(int(binary.NativeEndian.Uint16(p[10:])), 250)
		field = 16 + 16*r.IntN(count+1)
		if binary.NativeEndian.Uint16(p[8:]) == 1 { // branch: pos, ksize, page
			i := r.IntN(3)
			field, size = field+[3]int{0, 4, 8}[i], [3]int{4, 4, 8}[i]
		} else { // leaf: flags, pos, ksize, vsize
			field, size = field+4*r.IntN(4), 4
		}
	}
	putField(p[field:], size, absurd(r, getField(p[field:], size), pages))
	return image
}

func getField(b []byte, size int) uint64 {
	switch size {
	case 2:
		return uint64(binary.NativeEndian.Uint16(b))
	case 4:
		return uint64(binary.NativeEndian.Uint32(b))
	}
	return binary.NativeEndian.Uint64(b)
}

func putField(b []byte, size int, v uint64) {
	switch size {
	case 2:
		binary.NativeEndian.PutUint16(b, uint16(v))
	case 4:
		binary.NativeEndian.PutUint32(b, uint32(v))
	default:
		binary.NativeEndian.PutUint64(b, v)
	}
}

// metaFields are the offsets and sizes of a meta page's fields: magic, version,
// page size, flags, root, sequence, free list, high-water mark, transaction.
const (
	rootField = 16
	txidField = 48
)

var metaFields = [][2]int{{0, 4}, {4, 4}, {8, 4}, {12, 4}, {16, 8}, {24, 8}, {32, 8}, {40, 8}, {48, 8}}

// spoilMeta puts an absurd number into field B of meta page A, or of both if A is
// 2, and makes the checksum right.
func spoilMeta(d damage, image []byte) []byte {
	r := d.rand()
	for slot := range 2 {
		if d.A != slot && d.A != 2 {
			continue
		}
		m := pageAt(image, slot)[16:]
		f := metaFields[d.B]
		v := absurd(r, getField(m[f[0]:], f[1]), inUse(image))
		if f[0] == rootField && v > 1 && v < uint64(len(image)/testPage) && bytes.Contains(pageAt(image, int(v)), []byte("records")) {
			v = 1 // the root of an older version is a rollback of the whole file
		}
		other := binary.NativeEndian.Uint64(pageAt(image, 1-slot)[16+txidField:])
		if f[0] == txidField && (v == other+1 || v+1 == other) {
			v = 0 // the older version as the newest is a rollback as well
		}
		putField(m[f[0]:], f[1], v)
		fixMeta(image, slot)
	}
	return image
}

// fixMeta makes the checksum of a meta page right.
func fixMeta(image []byte, slot int) {
	m := pageAt(image, slot)[16:]
	sum := fnv.New64a()
	sum.Write(m[:56])
	binary.NativeEndian.PutUint64(m[56:], sum.Sum64())
}

// damages returns the cases for a store with the image. share is what part of
// the full counts to take, one of so many.
func damages(s *sample, image []byte, seed uint64, share int) []damage {
	var all []damage
	add := func(kind string, a, b int) {
		all = append(all, damage{Sample: s.Name, Kind: kind, A: a, B: b, Seed: seed + uint64(len(all))})
	}
	r := rand.New(rand.NewPCG(seed, 1))
	pages := len(image) / testPage
	used := inUse(image)
	for i := range pages {
		add("truncate at a page", i, 0)
	}
	for range 100 {
		add("truncate elsewhere", 0, 0)
	}
	for i := range pages {
		add("zero a page", i, 0)
	}
	for i := range used {
		for range 5 {
			add("copy a page over another", i, r.IntN(used))
		}
		for range 2 {
			add("swap two pages", i, r.IntN(used))
		}
	}
	for range 1000 {
		add("flip a bit", 0, 0)
	}
	for range 200 {
		add("8 random bytes", 0, 0)
	}
	for range 400 {
		add("spoil a field of a page", 0, 0)
	}
	for meta := range 3 {
		for field := range metaFields {
			for range 4 {
				add("spoil a field of a meta page, checksum right", meta, field)
			}
		}
	}
	for _, d := range all {
		if r.IntN(3) == 0 {
			d.Open = true
			all = append(all, d)
		}
	}
	if share == 1 {
		return all
	}
	r.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	return all[:len(all)/share]
}
