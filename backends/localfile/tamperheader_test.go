package localfile_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"testing"

	"github.com/mlsecrets/secretstore"
	"github.com/mlsecrets/secretstore/backends/localfile"
	bolt "go.etcd.io/bbolt"
)

// Offsets in the header, and in a slot.
const (
	atVersion, atFlags, atStoreID, atCount, atSlots     = 0, 1, 2, 18, 19
	slotID, slotKind, slotTime, slotMemory, slotThreads = 0, 4, 5, 9, 13
	slotSalt, slotNonce, slotWrapped, slotLen           = 14, 30, 54, 102
	passphraseSlot, keySlot                             = 1, 2
)

// editHeader changes the header's body and makes its checksum right.
func editHeader(edit func(h []byte) []byte) func(tx *bolt.Tx) error {
	return func(tx *bolt.Tx) error {
		b := tx.Bucket([]byte("header"))
		h := bytes.Clone(b.Get([]byte("header")))
		h = edit(h[:len(h)-32])
		sum := sha256.Sum256(h)
		return b.Put([]byte("header"), append(h, sum[:]...))
	}
}

func inSlot(i, at int, edit func(field []byte)) func(h []byte) []byte {
	return func(h []byte) []byte {
		edit(h[atSlots+i*slotLen+at:])
		return h
	}
}

func setByte(at int, v byte) func(h []byte) []byte {
	return func(h []byte) []byte {
		h[at] = v
		return h
	}
}

func plusOne(field []byte) { field[0]++ }

func setU32(v uint32) func(field []byte) {
	return func(field []byte) { binary.LittleEndian.PutUint32(field, v) }
}

// TestTamperWithHeader edits every field of the header. The store has two slots:
// a key file's, which the tests open it with, and a passphrase's.
func TestTamperWithHeader(t *testing.T) {
	t.Parallel()
	base := newTampered(t)
	addPassphrase(t, base.config())
	corrupt, wrongKey := opens(secretstore.ErrCorrupt), opens(secretstore.ErrWrongKey)
	for _, test := range []struct {
		name string
		edit func(h []byte) []byte
		want want
	}{
		{"version 0", setByte(atVersion, 0), corrupt},
		{"version 2", setByte(atVersion, 2), opens(errors.ErrUnsupported)}, // no older program can know better
		{"version 255", setByte(atVersion, 255), opens(errors.ErrUnsupported)},
		{"the flag that has pages wiped", setByte(atFlags, 1), corrupt},
		{"an unknown flag", setByte(atFlags, 0x80), corrupt},
		{"store id", func(h []byte) []byte { h[atStoreID]++; return h }, wrongKey},
		{"no slots", setByte(atCount, 0), corrupt},
		{"one slot less", setByte(atCount, 1), corrupt},
		{"a slot more", setByte(atCount, 3), corrupt},
		{"255 slots", setByte(atCount, 255), corrupt},
		{"the slot's number", inSlot(0, slotID, plusOne), corrupt}, // then there are two of number 2
		{"the slot's number, another", inSlot(0, slotID, setU32(77)), wrongKey},
		{"the slot's kind: passphrase", inSlot(0, slotKind, func(f []byte) { f[0] = 1 }), corrupt}, // without costs
		{"the slot's kind: unknown", inSlot(0, slotKind, func(f []byte) { f[0] = 3 }), corrupt},
		{"costs of a key file: time", inSlot(0, slotTime, plusOne), corrupt},
		{"costs of a key file: memory", inSlot(0, slotMemory, plusOne), corrupt},
		{"costs of a key file: threads", inSlot(0, slotThreads, plusOne), corrupt},
		{"the slot's salt", inSlot(0, slotSalt, plusOne), wrongKey},
		{"the slot's nonce", inSlot(0, slotNonce, plusOne), wrongKey},
		{"the wrapped key", inSlot(0, slotWrapped, plusOne), wrongKey},
		{"the wrapped key's tag", inSlot(0, slotLen-1, plusOne), wrongKey},
		{"the other slot's salt", inSlot(1, slotSalt, plusOne), corrupt},
		{"the other slot's wrapped key", inSlot(1, slotWrapped, plusOne), corrupt},
		{"the other slot's costs", inSlot(1, slotTime, setU32(2)), corrupt},
		{"absurd time", inSlot(1, slotTime, setU32(1<<32-1)), corrupt},
		{"time just above the limit", inSlot(1, slotTime, setU32(17)), corrupt},
		{"time zero", inSlot(1, slotTime, setU32(0)), corrupt},
		{"absurd memory", inSlot(1, slotMemory, setU32(1<<32-1)), corrupt},
		{"memory just above the limit", inSlot(1, slotMemory, setU32(1<<20+1)), corrupt},
		{"memory zero", inSlot(1, slotMemory, setU32(0)), corrupt},
		{"memory too little for the threads", inSlot(1, slotMemory, setU32(31)), corrupt},
		{"threads zero", inSlot(1, slotThreads, func(f []byte) { f[0] = 0 }), corrupt},
		{"threads just above the limit", inSlot(1, slotThreads, func(f []byte) { f[0] = 17 }), corrupt},
		{"absurd threads", inSlot(1, slotThreads, func(f []byte) { f[0] = 255 }), corrupt},
		{"the MAC", func(h []byte) []byte { h[len(h)-1]++; return h }, corrupt},
		{"remove the other slot", func(h []byte) []byte {
			h[atCount] = 1
			return slices.Delete(h, atSlots+slotLen, atSlots+2*slotLen)
		}, corrupt},
		{"remove our slot", func(h []byte) []byte {
			h[atCount] = 1
			return slices.Delete(h, atSlots, atSlots+slotLen)
		}, wrongKey},
		{"double our slot", func(h []byte) []byte {
			h[atCount] = 3
			return slices.Insert(h, atSlots, h[atSlots:atSlots+slotLen]...)
		}, corrupt},
		{"swap the slots", func(h []byte) []byte {
			a := slices.Clone(h[atSlots : atSlots+slotLen])
			return slices.Insert(slices.Delete(h, atSlots, atSlots+slotLen), atSlots+slotLen, a...)
		}, corrupt},
		{"cut in a slot", func(h []byte) []byte { return slices.Delete(h, atSlots+50, atSlots+60) }, corrupt},
		{"cut to nothing", func([]byte) []byte { return nil }, corrupt},
		{"longer", func(h []byte) []byte { return slices.Insert(h, atSlots, make([]byte, 10)...) }, corrupt},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			s := base.clone(t)
			s.attack(t, test.want, editHeader(test.edit))
		})
	}
}

func addPassphrase(t *testing.T, c localfile.Config) {
	t.Helper()
	if _, err := localfile.AddSlot(t.Context(), c, passphrase("correct horse battery staple")); err != nil {
		t.Fatal(err)
	}
}

// TestTamperWithCosts lowers and raises the costs of the slot that the store is
// opened with: the passphrase then doesn't open it, and nothing is ever derived at
// the attacker's low costs that would open it.
func TestTamperWithCosts(t *testing.T) {
	t.Parallel()
	base := newTampered(t)
	addPassphrase(t, base.config())
	for name, edit := range map[string]func(h []byte) []byte{
		"cheaper: time":     inSlot(1, slotTime, setU32(1)),
		"cheaper: memory":   inSlot(1, slotMemory, setU32(8*4)),
		"cheaper: threads":  inSlot(1, slotThreads, func(f []byte) { f[0] = 1 }),
		"dearer: time":      inSlot(1, slotTime, setU32(4)),
		"as a key file's":   inSlot(1, slotKind, func(f []byte) { f[0] = 2; clear(f[1:10]) }),
		"the store's other": inSlot(1, slotSalt, plusOne),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := base.clone(t)
			editBolt(t, s.Path, editHeader(edit))
			c := s.config()
			c.Key = passphrase("correct horse battery staple")
			s.check(t, c, nil, opens(secretstore.ErrWrongKey))
		})
	}
}

// TestTamperWithAttackersKey has the attacker put a slot of a store of his own in.
func TestTamperWithAttackersKey(t *testing.T) {
	t.Parallel()
	mallory := newSample(t, "empty")
	his := bucketsOf(t, mallory.Path)["header"]["header"][atSlots:][:slotLen]
	his = bytes.Clone(his)
	binary.LittleEndian.PutUint32(his, 9)
	replace := editHeader(func(h []byte) []byte {
		copy(h[atSlots:], his)
		return h
	})
	add := editHeader(func(h []byte) []byte {
		h[atCount] = 2
		return slices.Insert(h, atSlots+slotLen, his...)
	})
	t.Run("in place of ours", func(t *testing.T) {
		newTampered(t).attack(t, opens(secretstore.ErrWrongKey), replace)
	})
	t.Run("beside ours", func(t *testing.T) {
		newTampered(t).attack(t, opens(secretstore.ErrCorrupt), add)
	})
	t.Run("beside ours, opened with his", func(t *testing.T) {
		s := newTampered(t)
		editBolt(t, s.Path, add)
		c := s.config()
		c.Key = localfile.KeyFile(mallory.Key)
		s.check(t, c, nil, opens(secretstore.ErrWrongKey)) // his slot is bound to his store
	})
}

// TestTamperAcrossStores moves parts between two stores of one key file.
func TestTamperAcrossStores(t *testing.T) {
	t.Parallel()
	base, other := newTampered(t), newTampered(t)
	for _, test := range []struct {
		name  string
		parts []string
		want  want
	}{
		{"header", []string{"header"}, opens(secretstore.ErrCorrupt)},
		{"records", []string{"records"}, corruptAll},
		{"digest", []string{"digest"}, opens(secretstore.ErrCorrupt)},
		{"records and digest", []string{"records", "digest"}, opens(secretstore.ErrCorrupt)},
		{"header and digest", []string{"header", "digest"}, corruptAll},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			s := base.clone(t)
			twin := *other.sample // the same secrets under the same key file, in a store of its own
			twin.Path, twin.Key = filepath.Join(t.TempDir(), "twin.db"), s.Key
			store := openStore(t, twin.config())
			values := map[string]secretstore.Value{}
			for name, v := range s.Secrets {
				values[name] = secretstore.NewValue(v)
			}
			if err := store.SetBatch(t.Context(), values); err != nil {
				t.Fatal(err)
			}
			theirs := bucketsOf(t, twin.Path)
			s.attack(t, test.want, func(tx *bolt.Tx) error {
				for _, part := range test.parts {
					b := tx.Bucket([]byte(part))
					if err := deleteAll(b); err != nil {
						return err
					}
					for k, v := range theirs[part] {
						if err := b.Put([]byte(k), v); err != nil {
							return err
						}
					}
				}
				return nil
			})
		})
	}
	t.Run("one record under its place here", func(t *testing.T) {
		s := base.clone(t)
		theirs := bucketsOf(t, other.Path)["records"][string(other.victim)]
		s.attack(t, corruptAll, func(tx *bolt.Tx) error { return tx.Bucket([]byte("records")).Put(s.victim, theirs) })
	})
}

// TestHeaderCosts: what all key slots together may ask of a reader is bounded.
func TestHeaderCosts(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		slots int
		costs localfile.HeaderKDF
		want  error
	}{
		{1, localfile.HeaderKDF{Time: 3, Memory: 64 << 10, Threads: 4}, nil},
		{32, localfile.HeaderKDF{Time: 3, Memory: 64 << 10, Threads: 4}, nil},
		{1, localfile.HeaderKDF{Time: 16, Memory: 512 << 10, Threads: 16}, nil},
		{2, localfile.HeaderKDF{Time: 16, Memory: 512 << 10, Threads: 16}, secretstore.ErrCorrupt},
		{1, localfile.HeaderKDF{Time: 16, Memory: 1 << 20, Threads: 16}, secretstore.ErrCorrupt},
		{1, localfile.HeaderKDF{Time: 17, Memory: 64 << 10, Threads: 4}, secretstore.ErrCorrupt},
	} {
		_, _, err := localfile.ReadHeader(localfile.HeaderOf(tt.slots, tt.costs))
		kindIs(t, fmt.Sprintf("%d slots of %+v", tt.slots, tt.costs), err, tt.want)
	}
}
