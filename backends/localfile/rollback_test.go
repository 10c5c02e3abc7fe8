package localfile_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/mlsecrets/secretstore"
	"github.com/mlsecrets/secretstore/backends/localfile"
	bolt "go.etcd.io/bbolt"
)

// What can't be told, as the package's documentation and SECURITY.md say. These
// tests fail if the limits move, so that the documents move with them.

// TestRollbackOfTheFile puts an older copy of the whole file back: it opens, with
// the old values, whether the store was open meanwhile or not.
func TestRollbackOfTheFile(t *testing.T) {
	t.Parallel()
	s := newSample(t, "three")
	old := readFile(t, s.Path)
	store := openStore(t, s.config())
	if err := store.Set(t.Context(), "db-password", secretstore.NewValue([]byte("newer"))); err != nil {
		t.Fatal(err)
	}
	if _, err := localfile.Verify(t.Context(), s.config()); err != nil {
		t.Fatal(err)
	}
	beside := filepath.Join(filepath.Dir(s.Path), "old")
	writeFile(t, beside, old)
	if err := os.Rename(beside, s.Path); err != nil {
		t.Fatal(err)
	}
	time.Sleep(50 * time.Millisecond) // the open store looks at its path from time to time
	for what, store := range map[string]secretstore.Store{"open before": store, "opened afterwards": openStore(t, s.config())} {
		v, err := store.Get(t.Context(), "db-password")
		if err != nil || !bytes.Equal(v.Reveal(), s.Secrets["db-password"]) {
			t.Errorf("%s: %v, want the old value: the rollback of a file is not told", what, err)
		}
	}
	if _, err := localfile.Verify(t.Context(), s.config()); err != nil {
		t.Errorf("verify: %v", err)
	}
}

// TestRollbackOfTheDigest puts back an old record, with its group and the root of
// the digest. To who asks for names of the groups that are as old as the root it
// is an old file; all others, and the list, are ErrCorrupt.
func TestRollbackOfTheDigest(t *testing.T) {
	t.Parallel()
	s := newTampered(t)
	for bytes.Equal(group(s.victim), group(s.third)) { // one time in 32
		s = newTampered(t)
	}
	old := s.then["records"][string(s.victim)]
	g := group(s.victim)
	editBolt(t, s.Path, func(tx *bolt.Tx) error {
		digest := tx.Bucket([]byte("digest"))
		return errors.Join(tx.Bucket([]byte("records")).Put(s.victim, old),
			digest.Put(g, s.then["digest"][string(g)]), digest.Put([]byte("root"), s.then["digest"]["root"]))
	})
	store := openStore(t, s.config())
	if v, err := store.Get(t.Context(), victimName); err != nil || bytes.Equal(v.Reveal(), s.Secrets[victimName]) {
		t.Errorf("get of the victim: %v, want the old value", err)
	}
	if _, err := store.Get(t.Context(), thirdName); !errors.Is(err, secretstore.ErrCorrupt) {
		t.Errorf("get of a name written since: %v, want ErrCorrupt", err)
	}
	if _, err := store.List(t.Context()); !errors.Is(err, secretstore.ErrCorrupt) {
		t.Errorf("list: %v, want ErrCorrupt", err)
	}
	if _, err := localfile.Verify(t.Context(), s.config()); !errors.Is(err, secretstore.ErrCorrupt) {
		t.Errorf("verify: %v, want ErrCorrupt", err)
	}
}

// TestRollbackOfTheHeader puts the header of before a RemoveSlot back: the removed
// key opens the store again, until the data key is rotated.
func TestRollbackOfTheHeader(t *testing.T) {
	t.Parallel()
	s := newSample(t, "three")
	second := filepath.Join(filepath.Dir(s.Path), "second")
	if err := localfile.NewKeyFile(second); err != nil {
		t.Fatal(err)
	}
	id, err := localfile.AddSlot(t.Context(), s.config(), localfile.KeyFile(second))
	if err != nil {
		t.Fatal(err)
	}
	old := bucketsOf(t, s.Path)["header"]["header"]
	if err := localfile.RemoveSlot(t.Context(), s.config(), id); err != nil {
		t.Fatal(err)
	}
	removed := s.config()
	removed.Key = localfile.KeyFile(second)
	_, err = localfile.Open(t.Context(), removed)
	wantKind(t, "open with the removed key", err, secretstore.ErrWrongKey)
	restore := func(tx *bolt.Tx) error { return tx.Bucket([]byte("header")).Put([]byte("header"), old) }
	editBolt(t, s.Path, restore)
	if v, err := openStore(t, removed).Get(t.Context(), "db-user"); err != nil || string(v.Reveal()) != "alice" {
		t.Errorf("with the header put back: %v, want the removed key to open the store", err)
	}

	if err := localfile.Rotate(t.Context(), s.config()); err != nil {
		t.Fatal(err)
	}
	_, err = localfile.Open(t.Context(), removed)
	wantKind(t, "open with the removed key, rotated", err, secretstore.ErrWrongKey)
	editBolt(t, s.Path, restore)
	for what, c := range map[string]localfile.Config{"removed key": removed, "own key": s.config()} {
		_, err := localfile.Open(t.Context(), c)
		wantKind(t, "open with the "+what+", rotated and the old header put back", err, secretstore.ErrCorrupt)
	}
}

// TestRollbackUnderAnOpenStore puts an old record back in place, without a commit.
// A store that has proved the record's shard in this version of the file takes it;
// any other says ErrCorrupt.
func TestRollbackUnderAnOpenStore(t *testing.T) {
	t.Parallel()
	s := newTampered(t)
	store := openStore(t, s.config())
	if _, err := store.Get(t.Context(), victimName); err != nil {
		t.Fatal(err)
	}
	now, old := bucketsOf(t, s.Path)["records"][string(s.victim)], s.then["records"][string(s.victim)]
	if len(now) != len(old) {
		t.Fatalf("records of %d and %d bytes", len(now), len(old))
	}
	editImage(t, s.Path, func(image []byte) {
		copy(image, bytes.ReplaceAll(image, now, old))
	})
	if v, err := store.Get(t.Context(), victimName); err != nil || bytes.Equal(v.Reveal(), s.Secrets[victimName]) {
		t.Errorf("a store that proved the version: %v, want the old value", err)
	}
	_, err := openStore(t, s.config()).Get(t.Context(), victimName)
	wantKind(t, "get of a store opened afterwards", err, secretstore.ErrCorrupt)
}
