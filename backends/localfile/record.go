package localfile

import (
	"github.com/mlsecrets/secretstore"
)

// A record is
//
//	nonce (24) ‖ length of the name box (1) ‖ name box ‖ value box
//
// Both boxes are XChaCha20-Poly1305 with the record's nonce, under different
// keys. The name box holds a random token (16) and the name; the value box holds
// the value. The associated data of both is
//
//	"1" ‖ store id (16) ‖ record key (32)
//
// so that a record opens only in its own place, its own store and this version
// of the format. The common nonce ties the boxes to one another. The token is the
// record's share of the set digest.
const (
	tokenSize    = 16
	nameBoxMin   = tokenSize + 1 + tagSize
	recordMin    = nonceSize + 1 + nameBoxMin + tagSize
	recordRandom = nonceSize + tokenSize // random bytes that sealing a record takes
)

type token [tokenSize]byte

// recordAD returns the associated data of a record.
func recordAD(id storeID, key recordKey) (ad [1 + idSize + recordKeySize]byte) {
	ad[0] = '1'
	copy(ad[1:], id[:])
	copy(ad[1+idSize:], key[:])
	return ad
}

// recordSize returns the size of the record of a name and a value of the length.
func recordSize(name string, valueLen int) int {
	return nonceSize + 1 + tokenSize + len(name) + tagSize + valueLen + tagSize
}

// sealRecord appends the record of a secret to dst. random has recordRandom bytes,
// for this record alone.
func (s *secrets) sealRecord(dst []byte, key recordKey, name string, value []byte, random []byte) (record []byte, tok token) {
	copy(tok[:], random[nonceSize:recordRandom])
	nonce := random[:nonceSize]
	ad := recordAD(s.id, key)
	var plain [tokenSize + secretstore.MaxNameLen]byte
	copy(plain[:], tok[:])
	copy(plain[tokenSize:], name)
	dst = append(dst, nonce...)
	dst = append(dst, byte(tokenSize+len(name)+tagSize))
	dst = s.names.Seal(dst, nonce, plain[:tokenSize+len(name)], ad[:])
	return s.values.Seal(dst, nonce, value, ad[:]), tok
}

// splitRecord returns the parts of a record.
func splitRecord(record []byte) (nonce, nameBox, valueBox []byte, err error) {
	if len(record) < recordMin {
		return nil, nil, nil, corrupt("a record is cut short")
	}
	n := int(record[nonceSize])
	rest := record[nonceSize+1:]
	if n < nameBoxMin || n > len(rest)-tagSize {
		return nil, nil, nil, corrupt("a record is damaged")
	}
	return record[:nonceSize], rest[:n], rest[n:], nil
}

// openName returns the name and the token of a record. buf is for the plaintext,
// and may be nil.
func (s *secrets) openName(buf []byte, key recordKey, record []byte) (name []byte, tok token, err error) {
	nonce, box, _, err := splitRecord(record)
	if err != nil {
		return nil, tok, err
	}
	ad := recordAD(s.id, key)
	plain, err := s.names.Open(buf[:0], nonce, box, ad[:])
	if err != nil {
		return nil, tok, corrupt("a record is damaged or not in its place")
	}
	copy(tok[:], plain)
	return plain[tokenSize:], tok, nil
}

// openValue returns the value of a record.
func (s *secrets) openValue(key recordKey, record []byte) ([]byte, error) {
	nonce, _, box, err := splitRecord(record)
	if err != nil {
		return nil, err
	}
	ad := recordAD(s.id, key)
	value, err := s.values.Open(nil, nonce, box, ad[:])
	if err != nil {
		return nil, corrupt("the record is damaged or not in its place")
	}
	return value, nil
}
