package localfile_test

import (
	"errors"
	"os"
	"time"

	bolt "go.etcd.io/bbolt"
)

// What follows reads a store by the description of its format in the package
// comment, with none of the package's own code.
const (
	fHeaderPrefix = 1 + 1 + 16 + 1
	fSlotFixed    = 4 + 1 + 4 + 4 + 1 + 16
	fSlot         = fSlotFixed + 24 + 48
	fPiece        = 16
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
		for i := range int(header[fHeaderPrefix-1]) {
			p.cut(header[fHeaderPrefix+i*fSlot:][14:fSlot])
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
