package localfile

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/mlsecrets/secretstore"
	"golang.org/x/crypto/argon2"
)

// The header is, with numbers in little endian:
//
//	format version (1) ‖ flags (1) ‖ store id (16) ‖ number of slots (1)
//	for each slot:
//	  id (4) ‖ kind (1) ‖ time (4) ‖ memory in KiB (4) ‖ threads (1)
//	  salt (16) ‖ nonce (24) ‖ wrapped data key (48)
//	HMAC-SHA256 of all above, under the data key's subkey "header" (32)
//	SHA-256 of all above (32)
//
// The plain checksum tells damage from a wrong key, without a key; the HMAC
// tells tampering, with one.
const (
	formatVersion = 1
	headPrefix    = 1 + 1 + idSize + 1
	slotSize      = 4 + 1 + 4 + 4 + 1 + saltSize + nonceSize + keySize + tagSize
	saltSize      = 16
	maxSlots      = 32

	// flagWipe says that pages that are no longer in use may still hold records
	// or slots that were given up, and are to be overwritten.
	flagWipe = 0x01
)

type slotKind byte

const (
	slotPassphrase slotKind = 1
	slotKeyFile    slotKind = 2
)

func (k slotKind) String() string {
	if k == slotPassphrase {
		return "passphrase"
	}
	return "key file"
}

// kdf are the costs of Argon2id.
type kdf struct {
	time    uint32
	memory  uint32 // KiB
	threads uint8
}

// RFC 9106, section 4, the second recommended option.
var defaultKDF = kdf{time: 3, memory: 64 << 10, threads: 4}

// maxKDF is the most that a header may ask for: more is an attack on the reader.
var maxKDF = kdf{time: 16, memory: 1 << 20, threads: 16}

// maxWork is the most of passes times KiB that all slots of a header may ask for
// together, as one that is opened with a wrong passphrase is tried on all of them. It
// is 8 GiB, some seconds; maxSlots slots with the default costs ask for 6 GiB.
const maxWork = 8 << 20

type slot struct {
	id      uint32
	kind    slotKind
	kdf     kdf
	salt    [saltSize]byte
	nonce   [nonceSize]byte
	wrapped [keySize + tagSize]byte
}

type header struct {
	flags byte
	id    storeID
	slots []slot
	raw   []byte // as it stands in the file, when it was parsed
}

func (s slot) append(b []byte) []byte {
	b = binary.LittleEndian.AppendUint32(b, s.id)
	b = append(b, byte(s.kind))
	b = binary.LittleEndian.AppendUint32(b, s.kdf.time)
	b = binary.LittleEndian.AppendUint32(b, s.kdf.memory)
	b = append(b, s.kdf.threads)
	b = append(b, s.salt[:]...)
	b = append(b, s.nonce[:]...)
	return append(b, s.wrapped[:]...)
}

// marshal returns the header as it stands in the file.
func (h *header) marshal(headerKey []byte) []byte {
	b := []byte{formatVersion, h.flags}
	b = append(b, h.id[:]...)
	b = append(b, byte(len(h.slots)))
	for _, s := range h.slots {
		b = s.append(b)
	}
	mac := hmac.New(sha256.New, headerKey)
	mac.Write(b)
	b = mac.Sum(b)
	sum := sha256.Sum256(b)
	return append(b, sum[:]...)
}

// authentic reports whether the header was written by a holder of the data key.
func (h *header) authentic(headerKey []byte) bool {
	body := h.raw[:len(h.raw)-2*sha256.Size]
	mac := hmac.New(sha256.New, headerKey)
	mac.Write(body)
	return hmac.Equal(mac.Sum(nil), h.raw[len(body):][:sha256.Size])
}

func parseHeader(raw []byte) (*header, error) {
	if len(raw) < headPrefix+2*sha256.Size {
		return nil, corrupt("the header is missing or cut short")
	}
	body := raw[:len(raw)-sha256.Size]
	if sum := sha256.Sum256(body); subtle.ConstantTimeCompare(sum[:], raw[len(body):]) != 1 {
		return nil, corrupt("the header is damaged")
	}
	if v := raw[0]; v > formatVersion {
		return nil, &secretstore.Error{Kind: errors.ErrUnsupported,
			Detail: fmt.Sprintf("the store has format version %d, and this program reads version %d; use a newer one", v, formatVersion)}
	} else if v < formatVersion {
		return nil, corrupt("the store claims format version %d, which there never was", v)
	}
	h := &header{flags: raw[1], raw: append([]byte(nil), raw...)}
	copy(h.id[:], raw[2:])
	n := int(raw[2+idSize])
	rest := raw[headPrefix : len(raw)-2*sha256.Size]
	if n == 0 || n > maxSlots || len(rest) != n*slotSize {
		return nil, corrupt("the header's key slots are damaged")
	}
	work := uint64(0)
	for ; len(rest) > 0; rest = rest[slotSize:] {
		s, err := parseSlot(rest[:slotSize])
		if err != nil {
			return nil, err
		}
		for _, other := range h.slots {
			if other.id == s.id {
				return nil, corrupt("two key slots have one number")
			}
		}
		h.slots = append(h.slots, s)
		if work += uint64(s.kdf.time) * uint64(s.kdf.memory); work > maxWork {
			return nil, corrupt("the key slots have absurd costs")
		}
	}
	return h, nil
}

func parseSlot(b []byte) (slot, error) {
	s := slot{
		id:   binary.LittleEndian.Uint32(b),
		kind: slotKind(b[4]),
		kdf: kdf{
			time:    binary.LittleEndian.Uint32(b[5:]),
			memory:  binary.LittleEndian.Uint32(b[9:]),
			threads: b[13],
		},
	}
	rest := b[14:]
	copy(s.salt[:], rest)
	copy(s.nonce[:], rest[saltSize:])
	copy(s.wrapped[:], rest[saltSize+nonceSize:])
	k := s.kdf
	switch {
	case s.kind == slotKeyFile && k == (kdf{}):
	case s.kind == slotPassphrase && 1 <= k.time && k.time <= maxKDF.time &&
		8*uint32(k.threads) <= k.memory && k.memory <= maxKDF.memory &&
		1 <= k.threads && k.threads <= maxKDF.threads:
	default:
		return slot{}, corrupt("a key slot has an unknown kind or absurd costs")
	}
	return s, nil
}

// newSlot wraps the data key for a credential.
func newSlot(id uint32, store storeID, c credential, dataKey []byte) slot {
	s := slot{id: id, kind: c.kind}
	copy(s.salt[:], randomBytes(saltSize))
	copy(s.nonce[:], randomBytes(nonceSize))
	if c.kind == slotPassphrase {
		s.kdf = defaultKDF
	}
	box := newAEAD(s.wrappingKey(c)).Seal(nil, s.nonce[:], dataKey, s.ad(store))
	copy(s.wrapped[:], box)
	return s
}

// unwrap returns the data key, or nil if the credential is not the slot's.
func (s slot) unwrap(store storeID, c credential) []byte {
	if s.kind != c.kind {
		return nil
	}
	dataKey, err := newAEAD(s.wrappingKey(c)).Open(nil, s.nonce[:], s.wrapped[:], s.ad(store))
	if err != nil {
		return nil
	}
	return dataKey
}

// wrappingKey derives the key that wraps the data key.
func (s slot) wrappingKey(c credential) []byte {
	if s.kind == slotPassphrase {
		return argon2.IDKey(c.secret, s.salt[:], s.kdf.time, s.kdf.memory, s.kdf.threads, keySize)
	}
	return subkey(c.secret, s.salt[:], "key file slot")
}

// ad binds a wrapped key to the format, the store, and all of the slot before it.
func (s slot) ad(store storeID) []byte {
	ad := append([]byte{formatVersion}, store[:]...)
	return append(ad, s.append(nil)[:slotSize-nonceSize-keySize-tagSize]...)
}
