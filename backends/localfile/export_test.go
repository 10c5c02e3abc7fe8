package localfile

import (
	"errors"
	"net/url"
)

// What the fuzz tests need of the inside.

// Codec seals and opens records of a store with the keys.
type Codec struct{ s *secrets }

func NewCodec(dataKey []byte, id [16]byte) Codec { return Codec{newSecrets(dataKey, id)} }

func (c Codec) Key(name string) [32]byte { return c.s.recordKey(name) }

func (c Codec) Seal(key [32]byte, name string, value []byte) []byte {
	record, _ := c.s.sealRecord(nil, key, name, value, randomBytes(recordRandom))
	return record
}

func (c Codec) Open(key [32]byte, record []byte) (name, value []byte, nameErr, valueErr error) {
	name, _, nameErr = c.s.openName(nil, key, record)
	value, valueErr = c.s.openValue(key, record)
	return name, value, nameErr, valueErr
}

// HeaderKDF is the most that a header was found to ask for.
type HeaderKDF struct {
	Time, Memory uint32
	Threads      uint8
}

// HeaderOf returns a header of so many passphrase slots with the same costs.
func HeaderOf(slots int, c HeaderKDF) []byte {
	h := &header{}
	for i := range slots {
		h.slots = append(h.slots, slot{id: uint32(i), kind: slotPassphrase, kdf: kdf{c.Time, c.Memory, c.Threads}})
	}
	return h.marshal([]byte("a key"))
}

// ReadHeader parses a header, and writes it again under a key of its own.
func ReadHeader(raw []byte) (again []byte, costs []HeaderKDF, err error) {
	h, err := parseHeader(raw)
	if err != nil {
		return nil, nil, err
	}
	for _, s := range h.slots {
		costs = append(costs, HeaderKDF{s.kdf.time, s.kdf.memory, s.kdf.threads})
	}
	return h.marshal([]byte("another key")), costs, nil
}

// Image is what the page reader finds in a file.
type Image struct {
	Buckets map[string][][2][]byte // of each bucket that can be read whole, its records in order
	Checked error                  // of the check of the structure
	Misses  int                    // records that scan finds and get doesn't
}

// ReadImage reads a file as readers do, without keys.
func ReadImage(path string) (out Image, err error) {
	m, err := openMapping(path)
	if err != nil {
		return out, err
	}
	defer m.close()
	err = guard(func() error {
		page0, err0 := m.bytes(0, pageSize)
		page1, err1 := m.bytes(pageSize, pageSize)
		if err := errors.Join(err0, err1); err != nil {
			return err
		}
		top, err := latest(page0, page1)
		if err != nil {
			return err
		}
		im := image{m, top}
		if _, err := m.bytes((top.highWater-1)*pageSize, pageSize); err != nil {
			return err
		}
		out.Buckets = map[string][][2][]byte{}
		for _, name := range []string{bucketHeader, bucketRecords, bucketDigest} {
			b, err := im.bucket(name)
			if err != nil {
				continue
			}
			var records [][2][]byte
			err = im.scan(b, nil, func(k, v []byte) (bool, error) {
				records = append(records, [2][]byte{append([]byte{}, k...), append([]byte{}, v...)})
				if got, err := im.get(b, k); err != nil || string(got) != string(v) {
					out.Misses++
				}
				return true, nil
			})
			if err == nil {
				out.Buckets[name] = records
			}
		}
		_, out.Checked = im.check()
		return nil
	})
	return out, err
}

// PathOf returns the path that a file URL names.
func PathOf(u *url.URL) (string, error) { return pathOf(u) }
