package localfile_test

import (
	"bytes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"os"
	"testing"
	"time"

	bolt "go.etcd.io/bbolt"
	"golang.org/x/crypto/chacha20poly1305"
)

// What follows reads a store by the description of its format in the package
// comment, with none of the package's own code.
const (
	fPrefix    = 1 + 1 + 16 + 1              // of the header, before the slots
	fSlotFixed = 4 + 1 + 4 + 4 + 1 + 16      // of a slot, before the nonce
	fSlot      = fSlotFixed + 24 + (32 + 16) // a slot
	fPiece     = 16
)

// pieces are runs of bytes that stand in a store's file.
type pieces map[[fPiece]byte]bool

// cut adds all of b, in runs, also one that ends with b.
func (p pieces) cut(b []byte) {
	for ; len(b) >= fPiece; b = b[fPiece:] {
		p[[fPiece]byte(b)] = true
		if n := len(b); n < 2*fPiece {
			p[[fPiece]byte(b[n-fPiece:])] = true
		}
	}
}

// in returns how many of the pieces stand anywhere in b.
func (p pieces) in(b []byte) (n int) {
	found := pieces{}
	for i := 0; i+fPiece <= len(b); i++ {
		if piece := [fPiece]byte(b[i:]); p[piece] && !found[piece] {
			found[piece] = true
			n++
		}
	}
	return n
}

// sealedParts returns all sealed bytes of the present version of the store: the
// records, and the salts, nonces and wrapped keys of the slots.
func sealedParts(path string) (pieces, error) {
	p := pieces{}
	err := readBolt(path, func(tx *bolt.Tx) error {
		header := tx.Bucket([]byte("header")).Get([]byte("header"))
		for i := range int(header[fPrefix-1]) {
			p.cut(header[fPrefix+i*fSlot:][14:fSlot])
		}
		return tx.Bucket([]byte("records")).ForEach(func(_, record []byte) error {
			p.cut(record)
			return nil
		})
	})
	if err == nil && len(p) == 0 {
		err = errors.New("the store has nothing sealed")
	}
	return p, err
}

// readBolt reads the file with bbolt.
func readBolt(path string, fn func(tx *bolt.Tx) error) error {
	if _, err := os.Stat(path); err != nil {
		return err
	}
	db, err := bolt.Open(path, 0o600, &bolt.Options{ReadOnly: true, Timeout: time.Second})
	if err != nil {
		return err
	}
	defer db.Close()
	return db.View(fn)
}

// storeIDOf returns the store id in a store's header.
func storeIDOf(t *testing.T, path string) (id []byte) {
	t.Helper()
	err := readBolt(path, func(tx *bolt.Tx) error {
		id = bytes.Clone(tx.Bucket([]byte("header")).Get([]byte("header"))[2:18])
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// findDataKeys looks at every offset of a file for a key slot that the key file
// opens, and returns the data keys in them, and how often each is there.
func findDataKeys(t *testing.T, file, id []byte, keyFile string) map[[32]byte]int {
	t.Helper()
	line, err := os.ReadFile(keyFile)
	if err != nil {
		t.Fatal(err)
	}
	text := bytes.TrimPrefix(bytes.TrimSpace(line), []byte("secretstore-key-1:"))
	secret, err := base64.RawURLEncoding.DecodeString(string(text))
	if err != nil {
		t.Fatal(err)
	}
	found := map[[32]byte]int{}
	for ; len(file) >= fSlot; file = file[1:] {
		if file[4] != 2 || !bytes.Equal(file[5:14], make([]byte, 9)) {
			continue // not of a key file
		}
		box := aeadOf(t, secret, file[14:30], "key file slot")
		ad := append(append([]byte{1}, id...), file[:fSlotFixed]...)
		if key, err := box.Open(nil, file[fSlotFixed:][:24], file[fSlotFixed+24:fSlot], ad); err == nil {
			found[[32]byte(key)]++
		}
	}
	return found
}

// aeadOf returns the cipher of a subkey.
func aeadOf(t *testing.T, secret, salt []byte, purpose string) cipher.AEAD {
	t.Helper()
	key, err := hkdf.Key(sha256.New, secret, salt, "secretstore/1 "+purpose, 32)
	if err != nil {
		t.Fatal(err)
	}
	aead, err := chacha20poly1305.NewX(key)
	if err != nil {
		t.Fatal(err)
	}
	return aead
}

// findRecords looks at every offset of a file for a record under the data key, be
// it in use or not. It returns the values that it can read: those that have one of
// the lengths.
func findRecords(t *testing.T, file, id []byte, dataKey [32]byte, lengths []int) map[string][][]byte {
	t.Helper()
	names, values := aeadOf(t, dataKey[:], nil, "name"), aeadOf(t, dataKey[:], nil, "value")
	found := map[string][][]byte{}
	// A record stands behind its key in a page.
	for ; len(file) > 32+24+1+16+1+16; file = file[1:] {
		nonce, n := file[32:56], int(file[56])
		if n < 16+1+16 || len(file) < 57+n {
			continue
		}
		ad := append(append([]byte{'1'}, id...), file[:32]...)
		plain, err := names.Open(nil, nonce, file[57:57+n], ad)
		if err != nil {
			continue
		}
		name := string(plain[16:])
		found[name] = append(found[name], nil)
		for _, length := range lengths {
			box := file[57+n:]
			if len(box) < length+16 {
				continue
			}
			if value, err := values.Open(nil, nonce, box[:length+16], ad); err == nil {
				found[name][len(found[name])-1] = value
			}
		}
	}
	return found
}
