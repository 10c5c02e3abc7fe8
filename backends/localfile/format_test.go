package localfile_test

import (
	"bytes"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"math/big"
	"path/filepath"
	"strings"
	"testing"

	bolt "go.etcd.io/bbolt"
	"golang.org/x/crypto/argon2"
	"golang.org/x/crypto/chacha20poly1305"
)

// TestFormatFromDocumentation reads the golden files with a reader that is written
// from the package's documentation alone, so that the documentation is enough to
// write another one. It shares no code with the package.
func TestFormatFromDocumentation(t *testing.T) {
	t.Parallel()
	line := readFile(t, filepath.Join(goldenDir, "key"))
	encoded, ok := strings.CutPrefix(strings.TrimSuffix(string(line), "\n"), "secretstore-key-1:")
	key, err := base64.RawURLEncoding.DecodeString(encoded)
	if !ok || err != nil || len(key) != 32 {
		t.Fatalf("the key file is not as documented: %v", err)
	}
	for _, g := range golden {
		path, _ := goldenCopy(t, g.file)
		for kind, secret := range map[byte][]byte{1: []byte(goldenPassphrase), 2: key} {
			err := readBolt(path, func(tx *bolt.Tx) error {
				r := reader{tx: tx}
				if err := r.header(kind, secret); err != nil {
					return err
				}
				got, err := r.secrets()
				if err != nil {
					return err
				}
				if len(got) != len(g.secrets) {
					t.Errorf("%s: %d secrets, want %d", g.file, len(got), len(g.secrets))
				}
				for name, want := range g.secrets {
					if v, ok := got[name]; !ok || !bytes.Equal(v, want) {
						t.Errorf("%s: a wrong value for %s", g.file, name)
					}
				}
				return nil
			})
			if err != nil {
				t.Errorf("%s, slot of kind %d: %v", g.file, kind, err)
			}
		}
	}
}

// reader reads a store of format 1.
type reader struct {
	tx      *bolt.Tx
	dataKey []byte
	id      []byte // of the store
}

func hkdf32(secret, salt []byte, info string) []byte {
	key, err := hkdf.Key(sha256.New, secret, salt, info, 32)
	if err != nil {
		panic(err)
	}
	return key
}

func (r *reader) subkey(name string) []byte { return hkdf32(r.dataKey, nil, "secretstore/1 "+name) }

// unbox opens an XChaCha20-Poly1305 box.
func unbox(key, nonce, box []byte, ad ...[]byte) ([]byte, error) {
	aead, err := chacha20poly1305.NewX(key)
	if err != nil {
		return nil, err
	}
	return aead.Open(nil, nonce, box, bytes.Join(ad, nil))
}

// header finds the data key with a secret for slots of the kind.
func (r *reader) header(kind byte, secret []byte) error {
	h := r.tx.Bucket([]byte("header")).Get([]byte("header"))
	body, sum := h[:len(h)-32], h[len(h)-32:]
	if want := sha256.Sum256(body); !bytes.Equal(sum, want[:]) {
		return errors.New("the header's checksum is wrong")
	}
	body, mac := body[:len(body)-32], body[len(body)-32:]
	if body[0] != 1 || body[1] != 0 {
		return fmt.Errorf("version %d, flags %d", body[0], body[1])
	}
	r.id = body[2:18]
	slots := body[19:]
	if len(slots) != int(body[18])*102 {
		return fmt.Errorf("%d slots in %d bytes", body[18], len(slots))
	}
	for ; len(slots) > 0; slots = slots[102:] {
		s := slots[:102]
		time, memory, threads := binary.LittleEndian.Uint32(s[5:]), binary.LittleEndian.Uint32(s[9:]), s[13]
		salt, nonce, wrapped := s[14:30], s[30:54], s[54:]
		if s[4] != kind {
			continue
		}
		var wrapping []byte
		switch kind {
		case 1:
			if time != 3 || memory != 64*1024 || threads != 4 {
				return errors.New("the costs are not RFC 9106's second recommended ones")
			}
			wrapping = argon2.IDKey(secret, salt, time, memory, threads, 32)
		case 2:
			if time != 0 || memory != 0 || threads != 0 {
				return errors.New("a key file's slot has costs")
			}
			wrapping = hkdf32(secret, salt, "secretstore/1 key file slot")
		}
		dataKey, err := unbox(wrapping, nonce, wrapped, []byte{1}, r.id, s[:30])
		if err != nil {
			continue
		}
		r.dataKey = dataKey
		m := hmac.New(sha256.New, r.subkey("header"))
		m.Write(body)
		if !hmac.Equal(m.Sum(nil), mac) {
			return errors.New("the header's MAC is wrong")
		}
		return nil
	}
	return errors.New("no slot opens")
}

// secrets reads all records, and checks them against the set digest.
func (r *reader) secrets() (map[string][]byte, error) {
	names, values, lookup := r.subkey("name"), r.subkey("value"), r.subkey("lookup")
	sums := make([]*big.Int, 1024)
	for i := range sums {
		sums[i] = new(big.Int)
	}
	out := map[string][]byte{}
	err := r.tx.Bucket([]byte("records")).ForEach(func(key, record []byte) error {
		nonce, n := record[:24], int(record[24])
		plain, err := unbox(names, nonce, record[25:25+n], []byte("1"), r.id, key)
		if err != nil {
			return err
		}
		token, name := plain[:16], plain[16:]
		value, err := unbox(values, nonce, record[25+n:], []byte("1"), r.id, key)
		if err != nil {
			return err
		}
		m := hmac.New(sha256.New, lookup)
		m.Write(name)
		if !bytes.Equal(m.Sum(nil), key) {
			return errors.New("a record is not at the key of its name")
		}
		out[string(name)] = value
		shard := binary.BigEndian.Uint16(key) >> 6
		sums[shard].Add(sums[shard], fromLittleEndian(token))
		return nil
	})
	if err != nil {
		return nil, err
	}
	return out, r.digest(len(out), sums)
}

func (r *reader) digest(records int, sums []*big.Int) error {
	key := r.subkey("digest")
	nodes := r.tx.Bucket([]byte("digest"))
	node := func(at []byte) ([]byte, error) {
		b := nodes.Get(at)
		return unbox(key, b[:24], b[24:], []byte("1"), r.id, at)
	}
	root, err := node([]byte("root"))
	if err != nil {
		return err
	}
	if n := binary.LittleEndian.Uint64(root); n != uint64(records) || len(root) != 8+32*16 {
		return fmt.Errorf("the root counts %d records of %d, in %d bytes", n, records, len(root))
	}
	modulus := new(big.Int).Lsh(big.NewInt(1), 128)
	for g := range 32 {
		at := []byte{'g', byte(g)}
		tag := root[8+16*g:][:16]
		group := make([]byte, 32*16)
		if box := nodes.Get(at); box == nil {
			if !bytes.Equal(tag, make([]byte, 16)) {
				return fmt.Errorf("group %d is missing", g)
			}
		} else if !bytes.Equal(box[len(box)-16:], tag) {
			return fmt.Errorf("group %d is not the one that the root names", g)
		} else if group, err = node(at); err != nil {
			return err
		}
		for i := range 32 {
			want := fromLittleEndian(group[16*i:][:16])
			if got := new(big.Int).Mod(sums[32*g+i], modulus); got.Cmp(want) != 0 {
				return fmt.Errorf("the sum of shard %d is wrong", 32*g+i)
			}
		}
	}
	return nil
}

func fromLittleEndian(b []byte) *big.Int {
	reversed := make([]byte, len(b))
	for i := range b {
		reversed[len(b)-1-i] = b[i]
	}
	return new(big.Int).SetBytes(reversed)
}
