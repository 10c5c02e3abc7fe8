package localfile

import (
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"hash"
	"sync"

	"golang.org/x/crypto/chacha20poly1305"
)

const (
	keySize   = 32
	nonceSize = chacha20poly1305.NonceSizeX
	tagSize   = chacha20poly1305.Overhead
	idSize    = 16

	recordKeySize = sha256.Size
)

type (
	recordKey [recordKeySize]byte // where a record stands: a keyed hash of its name
	storeID   [idSize]byte
)

// secrets are the subkeys of a store's data key, one a purpose (HKDF-SHA256, RFC
// 5869, without a salt: the data key is uniformly random).
type secrets struct {
	dataKey []byte
	id      storeID
	names   cipher.AEAD // seals names
	values  cipher.AEAD // seals values
	digests cipher.AEAD // seals the nodes of the set digest
	header  []byte      // authenticates the header
	lookup  sync.Pool   // of HMACs with the key that turns names into record keys
}

func newSecrets(dataKey []byte, id storeID) *secrets {
	s := &secrets{
		dataKey: dataKey,
		id:      id,
		names:   newAEAD(subkey(dataKey, nil, "name")),
		values:  newAEAD(subkey(dataKey, nil, "value")),
		digests: newAEAD(subkey(dataKey, nil, "digest")),
		header:  subkey(dataKey, nil, "header"),
	}
	lookup := subkey(dataKey, nil, "lookup")
	s.lookup.New = func() any { return hmac.New(sha256.New, lookup) }
	return s
}

// subkey derives the key of a purpose.
func subkey(secret, salt []byte, purpose string) []byte {
	key, err := hkdf.Key(sha256.New, secret, salt, "secretstore/1 "+purpose, keySize)
	if err != nil {
		panic(err) // only for lengths over 255 hashes
	}
	return key
}

func newAEAD(key []byte) cipher.AEAD {
	aead, err := chacha20poly1305.NewX(key)
	if err != nil {
		panic(err) // only for keys of another length
	}
	return aead
}

// recordKey returns where the record of a canonical name stands.
func (s *secrets) recordKey(name string) (key recordKey) {
	mac := s.lookup.Get().(hash.Hash)
	mac.Reset()
	mac.Write([]byte(name))
	mac.Sum(key[:0])
	s.lookup.Put(mac)
	return key
}

// randomBytes returns n bytes of the system's generator, which never fails.
func randomBytes(n int) []byte {
	b := make([]byte, n)
	rand.Read(b)
	return b
}
