package localfile_test

import (
	"bytes"
	"errors"
	"maps"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/mlsecrets/secretstore"
	"github.com/mlsecrets/secretstore/backends/localfile"
	bolt "go.etcd.io/bbolt"
)

// The tests of tampering play someone who can write to the file, knows the
// format, has seen the file at any time, but doesn't have the key. The edits are
// commits of bbolt, so that the structure is sound and the version moves on.

// tampered is a store under attack. The victim, other and third are secrets of
// which the attacker knows where they stand.
type tampered struct {
	*sample
	victim, other, third []byte                       // record keys
	then                 map[string]map[string][]byte // the buckets before the last writes
}

const (
	victimName = "s-17"
	otherName  = "s-42"
	thirdName  = "s-99"
)

// newTampered makes a store of which the attacker has an older copy: since then
// the victim and the third were written.
func newTampered(t *testing.T) *tampered {
	t.Helper()
	s := &tampered{sample: newSample(t, "branches")}
	s.victim, s.other, s.third = s.keyOf(t, victimName), s.keyOf(t, otherName), s.keyOf(t, thirdName)
	s.then = bucketsOf(t, s.Path)
	store := openStore(t, s.config())
	for _, name := range []string{victimName, thirdName} {
		s.Secrets[name] = bytes.Repeat([]byte("2"), len(s.Secrets[name])) // as long as before
		if err := store.Set(t.Context(), name, secretstore.NewValue(s.Secrets[name])); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

// clone returns a copy of the store in a folder of its own.
func (s *tampered) clone(t *testing.T) *tampered {
	t.Helper()
	inner := *s.sample
	inner.Path = filepath.Join(t.TempDir(), "store.db")
	inner.Secrets = maps.Clone(s.Secrets)
	writeFile(t, inner.Path, readFile(t, s.Path))
	c := *s
	c.sample = &inner
	return &c
}

// bucketsOf returns all that stands in the file.
func bucketsOf(t *testing.T, path string) map[string]map[string][]byte {
	t.Helper()
	all := map[string]map[string][]byte{}
	err := readBolt(path, func(tx *bolt.Tx) error {
		return tx.ForEach(func(bucket []byte, b *bolt.Bucket) error {
			in := map[string][]byte{}
			all[string(bucket)] = in
			return b.ForEach(func(k, v []byte) error {
				in[string(k)] = bytes.Clone(v)
				return nil
			})
		})
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// keyOf finds the record key of a name, as an attacker does: by watching which
// record a Set changes.
func (s *tampered) keyOf(t *testing.T, name string) []byte {
	t.Helper()
	before := bucketsOf(t, s.Path)["records"]
	if err := openStore(t, s.config()).Set(t.Context(), name, secretstore.NewValue(s.Secrets[name])); err != nil {
		t.Fatal(err)
	}
	for k, v := range bucketsOf(t, s.Path)["records"] {
		if !bytes.Equal(before[k], v) {
			return []byte(k)
		}
	}
	t.Fatal("no record changed")
	return nil
}

func group(key []byte) []byte { return []byte{'g', key[0] >> 3} }

// editBolt changes the file in one commit of bbolt.
func editBolt(t *testing.T, path string, edit func(tx *bolt.Tx) error) {
	t.Helper()
	db, err := bolt.Open(path, 0o600, &bolt.Options{Timeout: 5 * time.Second, PageSize: testPage})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if err := db.Update(edit); err != nil {
		t.Fatal(err)
	}
}

// want is what the calls say: a kind, or nil for the right answer.
type want struct {
	open      error // Open; if it fails, all others fail in the same way
	get, list error
	set       error // Set of the victim
}

var corruptAll = want{get: secretstore.ErrCorrupt, list: secretstore.ErrCorrupt, set: secretstore.ErrCorrupt}

func opens(kind error) want { return want{open: kind, get: kind, list: kind, set: kind} }

// check compares what the store says with what it should say. fresh says that
// the store was opened after the tampering.
func (s *tampered) check(t *testing.T, c localfile.Config, opened secretstore.Store, w want) {
	t.Helper()
	ctx := t.Context()
	store := opened
	if store == nil {
		fresh, err := localfile.Open(ctx, c)
		if !errors.Is(err, w.open) || (err == nil) != (w.open == nil) {
			t.Fatalf("open: %v, want %v", err, w.open)
		}
		if err != nil {
			return
		}
		defer fresh.Close()
		store = fresh
	}
	is := func(what string, err, kind error) {
		t.Helper()
		if (err == nil) != (kind == nil) || !errors.Is(err, kind) {
			t.Errorf("%s: %v, want %v", what, err, kind)
		}
	}
	v, err := store.Get(ctx, victimName)
	is("get", err, w.get)
	if err == nil && !bytes.Equal(v.Reveal(), s.Secrets[victimName]) {
		t.Error("get: a wrong value")
	}
	got, err := store.GetBatch(ctx, []string{"s-5", victimName})
	is("get batch", err, w.get)
	if _, ok := got[victimName]; ok != (w.get == nil) {
		t.Errorf("get batch has the victim: %v", ok)
	}
	// All others: the right value, or at least no wrong one and no absence.
	tried, rights := 0, 0
	for name, value := range s.Secrets {
		if tried++; tried > 5 && w.open != nil {
			break // each call looks several times before it gives up
		}
		switch v, err := store.Get(ctx, name); {
		case err == nil && !bytes.Equal(v.Reveal(), value):
			t.Errorf("get %s: a wrong value", name)
		case err == nil:
			rights++
		case !errors.Is(err, secretstore.ErrCorrupt) && !errors.Is(err, w.get):
			t.Errorf("get %s: %v", name, err)
		}
	}
	if _, err := store.Get(ctx, "never-set"); err == nil {
		t.Error("get of a name that was never set: no error")
	}
	t.Logf("%d of %d secrets can be read", rights, tried)
	names, err := store.List(ctx)
	is("list", err, w.list)
	if err == nil && !slices.Equal(names, slices.Sorted(maps.Keys(s.Secrets))) {
		t.Errorf("list: %d names", len(names))
	}
	if _, err := localfile.Verify(ctx, c); err == nil {
		t.Error("verify: no error")
	}
	is("set", store.Set(ctx, victimName, secretstore.NewValue([]byte("3"))), w.set)
	if w.set == nil {
		if v, err := store.Get(ctx, victimName); err != nil || string(v.Reveal()) != "3" {
			t.Errorf("get after set: %v", err)
		}
	}
}

// tamperings are the edits of records and of the set digest.
var tamperings = []struct {
	name string
	edit func(s *tampered, records, digest *bolt.Bucket) error
	want want
}{
	{"swap two records", func(s *tampered, records, _ *bolt.Bucket) error {
		a, b := bytes.Clone(records.Get(s.victim)), bytes.Clone(records.Get(s.other))
		return errors.Join(records.Put(s.victim, b), records.Put(s.other, a))
	}, corruptAll},
	{"restore an old record", func(s *tampered, records, _ *bolt.Bucket) error {
		return records.Put(s.victim, s.then["records"][string(s.victim)])
	}, corruptAll},
	{"restore an old record with its group's digest", func(s *tampered, records, digest *bolt.Bucket) error {
		g := group(s.victim)
		return errors.Join(records.Put(s.victim, s.then["records"][string(s.victim)]), digest.Put(g, s.then["digest"][string(g)]))
	}, corruptAll},
	{"restore a group's digest", func(s *tampered, _, digest *bolt.Bucket) error {
		g := group(s.victim)
		return digest.Put(g, s.then["digest"][string(g)])
	}, corruptAll},
	{"restore the root of the digest", func(s *tampered, _, digest *bolt.Bucket) error {
		return digest.Put([]byte("root"), s.then["digest"]["root"])
	}, corruptAll},
	{"drop a record", func(s *tampered, records, _ *bolt.Bucket) error { return records.Delete(s.victim) }, corruptAll},
	{"drop a record and its group's digest", func(s *tampered, records, digest *bolt.Bucket) error {
		return errors.Join(records.Delete(s.victim), digest.Delete(group(s.victim)))
	}, corruptAll},
	{"drop all records", func(_ *tampered, records, _ *bolt.Bucket) error { return deleteAll(records) }, corruptAll},
	{"drop all records and all groups' digests", func(_ *tampered, records, digest *bolt.Bucket) error {
		root := bytes.Clone(digest.Get([]byte("root")))
		return errors.Join(deleteAll(records), deleteAll(digest), digest.Put([]byte("root"), root))
	}, corruptAll},
	{"double a record under a new key of its shard", func(s *tampered, records, _ *bolt.Bucket) error {
		key := bytes.Clone(s.victim)
		key[31] ^= 1
		return records.Put(key, bytes.Clone(records.Get(s.victim)))
	}, corruptAll},
	{"double a record under another's key", func(s *tampered, records, _ *bolt.Bucket) error {
		return records.Put(s.victim, bytes.Clone(records.Get(s.other)))
	}, corruptAll},
	{"a record with a key cut short", func(s *tampered, records, _ *bolt.Bucket) error {
		return records.Put(s.victim[:31], bytes.Clone(records.Get(s.victim)))
	}, corruptAll},
	{"a bucket in place of a record", func(s *tampered, records, _ *bolt.Bucket) error {
		if err := records.Delete(s.victim); err != nil {
			return err
		}
		_, err := records.CreateBucket(s.victim)
		return err
	}, corruptAll},
	{"an empty record", func(s *tampered, records, _ *bolt.Bucket) error { return records.Put(s.victim, nil) }, corruptAll},
	{"a record cut to its nonce", func(s *tampered, records, _ *bolt.Bucket) error {
		return records.Put(s.victim, bytes.Clone(records.Get(s.victim)[:24]))
	}, corruptAll},
	{"change the nonce", patchVictim(func(b []byte) { b[0]++ }), corruptAll},
	{"lengthen the name box", patchVictim(func(b []byte) { b[24]++ }), corruptAll},
	{"shorten the name box", patchVictim(func(b []byte) { b[24]-- }), corruptAll},
	{"change the token", patchVictim(func(b []byte) { b[25]++ }), corruptAll},
	{"drop a group's digest", func(s *tampered, _, digest *bolt.Bucket) error { return digest.Delete(group(s.victim)) }, corruptAll},
	{"another group's digest in its place", func(s *tampered, _, digest *bolt.Bucket) error {
		return digest.Put(group(s.victim), bytes.Clone(digest.Get(group(s.other))))
	}, corruptAll},
	{"change a group's digest", func(s *tampered, _, digest *bolt.Bucket) error {
		b := bytes.Clone(digest.Get(group(s.victim)))
		b[24+16*5]++
		return digest.Put(group(s.victim), b)
	}, corruptAll},
	// The value is sealed apart from the name, so that List needs not read it.
	{"cut the value box", func(s *tampered, records, _ *bolt.Bucket) error {
		b := bytes.Clone(records.Get(s.victim))
		return records.Put(s.victim, b[:len(b)-1])
	}, want{get: secretstore.ErrCorrupt}},
	{"lengthen the value box", func(s *tampered, records, _ *bolt.Bucket) error {
		return records.Put(s.victim, append(bytes.Clone(records.Get(s.victim)), 0))
	}, want{get: secretstore.ErrCorrupt}},
	{"change the value box", patchVictim(func(b []byte) { b[len(b)-1]++ }), want{get: secretstore.ErrCorrupt}},
	{"swap the value boxes of two records", func(s *tampered, records, _ *bolt.Bucket) error {
		a, b := bytes.Clone(records.Get(s.victim)), bytes.Clone(records.Get(s.third))
		na, nb := 25+int(a[24]), 25+int(b[24])
		return errors.Join(records.Put(s.victim, slices.Concat(a[:na], b[nb:])),
			records.Put(s.third, slices.Concat(b[:nb], a[na:])))
	}, want{get: secretstore.ErrCorrupt}},
	{"restore an old value box", func(s *tampered, records, _ *bolt.Bucket) error {
		b, old := bytes.Clone(records.Get(s.victim)), s.then["records"][string(s.victim)]
		n := 25 + int(b[24])
		return records.Put(s.victim, slices.Concat(b[:n], old[n:]))
	}, want{get: secretstore.ErrCorrupt}},
	{"change the root of the digest", func(_ *tampered, _, digest *bolt.Bucket) error {
		b := bytes.Clone(digest.Get([]byte("root")))
		b[24]++
		return digest.Put([]byte("root"), b)
	}, opens(secretstore.ErrCorrupt)},
	{"zero the tags in the root of the digest", func(_ *tampered, _, digest *bolt.Bucket) error {
		b := bytes.Clone(digest.Get([]byte("root")))
		clear(b[24+8 : 24+8+32*16])
		return digest.Put([]byte("root"), b)
	}, opens(secretstore.ErrCorrupt)},
	{"drop the root of the digest", func(_ *tampered, _, digest *bolt.Bucket) error {
		return digest.Delete([]byte("root"))
	}, opens(secretstore.ErrCorrupt)},
	{"a group's digest as the root", func(s *tampered, _, digest *bolt.Bucket) error {
		return digest.Put([]byte("root"), bytes.Clone(digest.Get(group(s.victim))))
	}, opens(secretstore.ErrCorrupt)},
	{"drop the bucket of records", func(_ *tampered, records, _ *bolt.Bucket) error {
		return records.Tx().DeleteBucket([]byte("records"))
	}, opens(secretstore.ErrCorrupt)},
	{"drop the bucket of the digest", func(_ *tampered, _, digest *bolt.Bucket) error {
		return digest.Tx().DeleteBucket([]byte("digest"))
	}, opens(secretstore.ErrCorrupt)},
}

func deleteAll(b *bolt.Bucket) error {
	var keys [][]byte
	b.ForEach(func(k, _ []byte) error {
		keys = append(keys, bytes.Clone(k))
		return nil
	})
	for _, k := range keys {
		if err := b.Delete(k); err != nil {
			return err
		}
	}
	return nil
}

func patchVictim(change func(b []byte)) func(s *tampered, records, _ *bolt.Bucket) error {
	return func(s *tampered, records, _ *bolt.Bucket) error {
		b := bytes.Clone(records.Get(s.victim))
		change(b)
		return records.Put(s.victim, b)
	}
}

func TestTamperWithRecords(t *testing.T) {
	t.Parallel()
	base := newTampered(t)
	for _, test := range tamperings {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			s := base.clone(t)
			s.attack(t, test.want, func(tx *bolt.Tx) error {
				return test.edit(s, tx.Bucket([]byte("records")), tx.Bucket([]byte("digest")))
			})
		})
	}
}

// attack edits the file, and checks a store that is opened afterwards and one that
// was open, and knew every secret, before.
func (s *tampered) attack(t *testing.T, w want, edit func(tx *bolt.Tx) error) {
	t.Helper()
	before := openStore(t, s.config())
	s.readsAll(t, before)
	was := readFile(t, s.Path)
	for _, opened := range []secretstore.Store{nil, before} {
		writeFile(t, s.Path, was) // in place: the open store stays at this file
		editBolt(t, s.Path, edit)
		kind := "opened afterwards"
		if opened != nil {
			kind = "open before"
		}
		t.Run(kind, func(t *testing.T) { s.check(t, s.config(), opened, w) })
	}
}

func (s *tampered) readsAll(t *testing.T, store secretstore.Store) {
	t.Helper()
	for name, value := range s.Secrets {
		if v, err := store.Get(t.Context(), name); err != nil || !bytes.Equal(v.Reveal(), value) {
			t.Fatalf("before the tampering: get %s: %v", name, err)
		}
	}
	if _, err := store.List(t.Context()); err != nil {
		t.Fatal(err)
	}
}
