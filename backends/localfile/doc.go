// Package localfile keeps secrets in one encrypted file. It needs no server and
// no set-up; the first Set makes the file.
//
// Any number of processes may use one file at the same time: reading takes no
// lock, and writing holds one for the time of a commit. After kill -9 at any
// instant every write that returned is there and every batch is whole or absent.
// Damage and tampering are [secretstore.ErrCorrupt], never a wrong value and never
// [secretstore.ErrNotFound].
//
// What can't be told is that someone put an older copy in place of the whole file;
// of the digest's root and all records that are then asked for; of the header
// alone, with which a removed key opens the store again until [Rotate]; or of a
// record, without a commit, under a process that has proved the present version of
// the file already, which any other process tells.
//
// Lengths of names and values, the number of secrets, and which record changed
// between two copies of the file are not hidden.
//
// # The key
//
// A random data key encrypts the secrets. It stands in the file wrapped, once for
// each key that opens the store: a key file or a passphrase. Where the key comes
// from is, in this order: Config.Key; the variables SECRETSTORE_KEY_FILE,
// SECRETSTORE_PASSPHRASE_FILE, SECRETSTORE_PASSPHRASE; a prompt, if standard input
// is a terminal and the store has a passphrase; the user's own key file, which is
// made with the user's first store. If the store has both kinds of key and the
// user's own key file exists, there is no prompt. A key file that others can read
// is refused. See [AddSlot], [RemoveSlot] and [Rotate].
//
// # Deleted secrets
//
// A deleted or overwritten value is out of reach of the contract at once, but its
// sealed bytes stay in unused pages of the file until they are reused. Who has the
// data key can read them there. They are gone from the file after [Rotate]. Copies
// of the file, snapshots, and what a file system or a disk keeps of overwritten
// blocks are beyond what a program can erase.
//
// # Format, version 1
//
// The file is a database of bbolt (file format 2, page size 4096, free list
// synced, in the byte order of the machine) with three buckets. ‖ joins bytes;
// numbers are little endian; sizes are in bytes.
//
//	header
//	  "header"      format version (1) ‖ flags (1) ‖ store id (16) ‖ number of slots (1)
//	                for each slot:
//	                  id (4) ‖ kind (1) ‖ time (4) ‖ memory in KiB (4) ‖ threads (1)
//	                  salt (16) ‖ nonce (24) ‖ wrapped data key (48)
//	                HMAC-SHA256 of all above, under subkey "header" (32)
//	                SHA-256 of all above (32)
//	records
//	  record key    nonce (24) ‖ length of the name box (1) ‖ name box ‖ value box
//	digest
//	  "root"        nonce (24) ‖ box of: number of records (8), 32 tags (16 each)
//	  "g" ‖ group   nonce (24) ‖ box of: 32 sums (16 each); group is one byte, 0 to 31
//
// Flag 1 says that unused pages are still to be overwritten. Other flags are zero.
//
// The data key and the store id are random, 32 and 16 bytes. A subkey is
// HKDF-SHA256 (RFC 5869) of the data key, without a salt, with the info
// "secretstore/1 " and its name: "name", "value", "digest", "header", "lookup". A
// box is XChaCha20-Poly1305 (draft-irtf-cfrg-xchacha-03): ciphertext and tag (16).
//
// A slot of kind 1 is for a passphrase: Argon2id (RFC 9106) with the slot's salt
// and costs gives the wrapping key; new slots have the RFC's second recommended
// costs, t=3, m=64 MiB, p=4, and a reader refuses more than t=16, m=1 GiB, p=16,
// and more than 8 GiB of t times m in all slots together.
// A slot of kind 2 is for a key file: the wrapping key is HKDF-SHA256 of the 32
// bytes in the file, with the slot's salt and the info "secretstore/1 key file
// slot"; its costs are zero. The data key is wrapped in a box with the slot's nonce
// and the associated data: format version (1) ‖ store id ‖ the slot from its id
// to its salt. A key file is the line "secretstore-key-1:" and the 32 bytes in
// unpadded base64url.
//
// A record key is HMAC-SHA256 of the canonical name under subkey "lookup". The
// name box, under subkey "name", holds a random token (16) and the name; the value
// box, under subkey "value", the value. Both have the record's nonce, and the
// associated data "1" ‖ store id ‖ record key.
//
// The digest proves which records there are. The first ten bits of a record key
// (big endian) are its shard, and the first five its group. A sum is the sum of
// the tokens of a shard's records, as little-endian numbers, modulo 2^128. A tag of
// the root is the tag of the group's box, or zero if the group was never written.
// The boxes are under subkey "digest", with the associated data "1" ‖ store id ‖
// the node's key. See digest.go for why this holds.
package localfile
