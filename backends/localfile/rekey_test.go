package localfile_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mlsecrets/secretstore"
	"github.com/mlsecrets/secretstore/backends/localfile"
)

func readFile(t testing.TB, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func passphrase(text string) localfile.KeySource {
	return localfile.Passphrase(secretstore.NewValue([]byte(text)))
}

// TestRekey leads a store from one key to the next, in every way.
func TestRekey(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	d := emptySite(t)
	for k := range modelKeys {
		if err := localfile.NewKeyFile(d.keyFile(k)); err != nil {
			t.Fatal(err)
		}
	}
	file := func(k int) localfile.KeySource { return localfile.KeyFile(d.keyFile(k)) }
	with := func(key localfile.KeySource) localfile.Config { return localfile.Config{Path: d.path(), Key: key} }
	keys := map[string]localfile.KeySource{
		"old phrase": passphrase("old phrase"), "new phrase": passphrase("new phrase"), "third phrase": passphrase("third phrase"),
		"file 0": file(0), "file 1": file(1),
	}
	if err := localfile.Create(ctx, with(keys["old phrase"])); err != nil {
		t.Fatal(err)
	}
	store, err := localfile.Open(ctx, with(keys["old phrase"]))
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	if err := store.Set(ctx, "a", valueOf("a", 1)); err != nil {
		t.Fatal(err)
	}
	add := func(with1, added string) func() error {
		return func() error { _, err := localfile.AddSlot(ctx, with(keys[with1]), keys[added]); return err }
	}
	remove := func(with1 string, id int) func() error {
		return func() error { return localfile.RemoveSlot(ctx, with(keys[with1]), id) }
	}
	rotate := func(with1 string, to ...string) func() error {
		return func() error {
			var sources []localfile.KeySource
			for _, k := range to {
				sources = append(sources, keys[k])
			}
			return localfile.Rotate(ctx, with(keys[with1]), sources...)
		}
	}
	steps := []struct {
		what  string
		do    func() error
		err   error
		slots string
		opens []string // of keys
	}{
		{"nothing", func() error { return nil }, nil, "1 passphrase", []string{"old phrase"}},
		{"add with a wrong key", add("new phrase", "file 0"), secretstore.ErrWrongKey, "1 passphrase", []string{"old phrase"}},
		{"remove with a wrong key", remove("file 0", 1), secretstore.ErrWrongKey, "1 passphrase", nil},
		{"rotate with a wrong key", rotate("file 0", "file 0"), secretstore.ErrWrongKey, "1 passphrase", nil},
		{"remove the last key", remove("old phrase", 1), secretstore.ErrConflict, "1 passphrase", nil},
		{"add the key that it has", add("old phrase", "old phrase"), secretstore.ErrConflict, "1 passphrase", nil},
		{"add a passphrase", add("old phrase", "new phrase"), nil, "1 passphrase, 2 passphrase", []string{"old phrase", "new phrase"}},
		{"remove the old passphrase", remove("new phrase", 1), nil, "2 passphrase", []string{"new phrase"}},
		{"remove a slot that is not there", remove("new phrase", 1), secretstore.ErrNotFound, "2 passphrase", nil},
		{"add a key file", add("new phrase", "file 0"), nil, "2 passphrase, 3 key file", []string{"new phrase", "file 0"}},
		{"remove the passphrase", remove("file 0", 2), nil, "3 key file", []string{"file 0"}},
		{"rotate, and keep the key", rotate("file 0"), nil, "1 key file", []string{"file 0"}},
		{"rotate to a passphrase and a key file", rotate("file 0", "third phrase", "file 1"), nil, "1 passphrase, 2 key file", []string{"third phrase", "file 1"}},
		{"rotate to a key file", rotate("third phrase", "file 1"), nil, "1 key file", []string{"file 1"}},
	}
	for _, step := range steps {
		before := readFile(t, d.path())
		err := step.do()
		if !errors.Is(err, step.err) {
			t.Fatalf("%s: got %v, want %v", step.what, err, step.err)
		}
		if step.err != nil && !bytes.Equal(before, readFile(t, d.path())) {
			t.Errorf("%s: refused, and the file has changed", step.what)
		}
		info, err := localfile.Inspect(ctx, d.path())
		if err != nil {
			t.Fatal(err)
		}
		if got := slotsText(info); got != step.slots {
			t.Errorf("%s: the slots are %s, want %s", step.what, got, step.slots)
		}
		for name, key := range keys {
			if step.opens == nil {
				continue // deriving keys takes its time
			}
			s, err := localfile.Open(ctx, with(key))
			opens := strings.Contains("|"+strings.Join(step.opens, "|")+"|", "|"+name+"|")
			switch {
			case opens && err != nil:
				t.Errorf("%s: %s doesn't open the store: %v", step.what, name, err)
			case !opens && !errors.Is(err, secretstore.ErrWrongKey):
				t.Errorf("%s: %s: got %v, want ErrWrongKey", step.what, name, err)
			}
			if err == nil {
				wantHolds(t, s, map[string]uint64{"a": 1})
				s.Close()
			}
		}
	}
	// The handle that was open all the time lived through the changes of slots,
	// as it has the data key; the first rotation ended that.
	_, err = store.Get(ctx, "a")
	wantKind(t, "Get with a key that was rotated away", err, secretstore.ErrWrongKey)
}

func slotsText(info localfile.Info) string {
	var parts []string
	for _, s := range info.Slots {
		parts = append(parts, string(rune('0'+s.ID))+" "+s.Kind)
	}
	return strings.Join(parts, ", ")
}

// TestOpenHandleAcrossRekey keeps a handle open while another changes the keys.
func TestOpenHandleAcrossRekey(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	d, s := newSite(t, 20)
	store := openSite(t, d)
	for i := range 3 {
		if _, err := localfile.AddSlot(ctx, d.config(0), d.config(1).Key); err != nil {
			t.Fatal(err)
		}
		wantHolds(t, store, s.Values)
		if err := localfile.Rotate(ctx, d.config(1), d.config(0).Key); err != nil {
			t.Fatal(err)
		}
		wantHolds(t, store, s.Values)
		op := operation{Kind: "batch", Names: modelRange(10, 40), Serial: uint64(10 + i)}
		if err := op.write(ctx, store); err != nil {
			t.Fatal(err)
		}
		s = op.after(s)
		wantHolds(t, store, s.Values)
	}
}

// TestSlotsAreLimited fills all key slots.
func TestSlotsAreLimited(t *testing.T) {
	t.Parallel()
	d, _ := newSite(t, 1)
	for i := 1; ; i++ {
		path := filepath.Join(t.TempDir(), "key")
		if err := localfile.NewKeyFile(path); err != nil {
			t.Fatal(err)
		}
		_, err := localfile.AddSlot(t.Context(), d.config(0), localfile.KeyFile(path))
		if err == nil && i < 32 {
			continue
		}
		if i != 32 || !errors.Is(err, secretstore.ErrConflict) {
			t.Errorf("key %d: got %v, want ErrConflict at the 33rd", i+1, err)
		}
		break
	}
	if _, err := localfile.Verify(t.Context(), d.config(0)); err != nil {
		t.Error(err)
	}
}

// TestDeletedIsGone looks for deleted and overwritten values with the old data key,
// at every offset of the file, as someone would who has the key and the disk. They
// are there until the rotation, as the package says, and not afterwards.
func TestDeletedIsGone(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	d, s := newSite(t, 60)
	id := storeIDOf(t, d.path())
	_, dataKey := onlyDataKey(t, readFile(t, d.path()), id, d.keyFile(0))
	gone := map[string]string{} // value to name
	lengths := map[int]bool{}
	for i := range 20 {
		v := valueOf(modelName(i), 1).Reveal()
		gone[string(v)] = modelName(i)
	}
	for _, op := range []operation{
		{Kind: "batch", Names: modelRange(0, 10), Serial: 2},
		{Kind: "delete", Names: modelRange(10, 20)},
	} {
		if err := op.do(ctx, d, s); err != nil {
			t.Fatal(err)
		}
		s = op.after(s)
	}
	for i := range 60 {
		lengths[valueOf(modelName(i), 1).Len()] = true
		lengths[valueOf(modelName(i), 2).Len()] = true
	}
	var all []int
	for n := range lengths {
		all = append(all, n)
	}
	left := func(dataKey [32]byte) (old, live int) {
		for name, values := range findRecords(t, readFile(t, d.path()), id, dataKey, all) {
			for _, v := range values {
				if gone[string(v)] == name {
					old++
				} else {
					live++
				}
			}
		}
		return old, live
	}
	old, live := left(dataKey)
	t.Logf("before the rotation %d deleted or overwritten values can be read with the data key, and %d records are found", old, live)
	if old == 0 || live < len(s.Values) {
		t.Fatal("the search finds nothing, so that it proves nothing")
	}
	sealed, err := sealedParts(d.path())
	if err != nil {
		t.Fatal(err)
	}

	if err := localfile.Rotate(ctx, d.config(0)); err != nil {
		t.Fatal(err)
	}
	file := readFile(t, d.path())
	if records := findRecords(t, file, id, dataKey, all); len(records) > 0 {
		t.Errorf("after the rotation %d records can be read with the old data key", len(records))
	}
	if n := sealed.in(file); n > 0 {
		t.Errorf("after the rotation %d pieces of old records and slots are in the file", n)
	}
	n, newKey := onlyDataKey(t, file, id, d.keyFile(0))
	if newKey == dataKey {
		t.Error("the rotation kept the data key")
	}
	t.Logf("after the rotation the key file opens %d copies of a slot, all with the new data key", n)
	if old, live := left(newKey); old > 0 || live < len(s.Values) {
		t.Errorf("with the new data key %d old and %d other records are found, want none and at least %d", old, live, len(s.Values))
	}
	if err := inState(ctx, d, s); err != nil {
		t.Error(err)
	}
}

// onlyDataKey returns the one data key in the file's slots, and the number of slots.
func onlyDataKey(t *testing.T, file, id []byte, keyFile string) (copies int, key [32]byte) {
	t.Helper()
	found := findDataKeys(t, file, id, keyFile)
	if len(found) != 1 {
		t.Fatalf("there are %d data keys under the key file, want 1", len(found))
	}
	for key, n := range found {
		return n, key
	}
	panic("unreachable")
}

// TestRemovedSlotIsGone looks for the slot of a key that was removed.
func TestRemovedSlotIsGone(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	d, s := newSite(t, 20)
	id := storeIDOf(t, d.path())
	slot, err := localfile.AddSlot(ctx, d.config(0), d.config(1).Key)
	if err != nil {
		t.Fatal(err)
	}
	if n := len(findDataKeys(t, readFile(t, d.path()), id, d.keyFile(1))); n != 1 {
		t.Fatalf("the search finds %d data keys under the added key, want 1", n)
	}
	if err := localfile.RemoveSlot(ctx, d.config(0), slot); err != nil {
		t.Fatal(err)
	}
	file := readFile(t, d.path())
	if found := findDataKeys(t, file, id, d.keyFile(1)); len(found) > 0 {
		t.Error("the removed key's slot is still in the file")
	}
	onlyDataKey(t, file, id, d.keyFile(0))
	if err := inState(ctx, d, s); err != nil {
		t.Error(err)
	}
}

// TestNoPromptWithoutTerminal opens a store that has a passphrase in a process that
// has no terminal and no variable with one.
func TestNoPromptWithoutTerminal(t *testing.T) {
	t.Parallel()
	d := emptySite(t)
	c := localfile.Config{Path: d.path(), Key: passphrase("a phrase")}
	if err := localfile.Create(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	before := readFile(t, d.path())
	cmd := workerCommand(t, "operate", string(d), operateTask{Site: d, First: true})
	cmd.Stdin = strings.NewReader("a phrase\n")
	out, err := cmd.CombinedOutput()
	if err == nil {
		t.Fatal("the process opened the store")
	}
	for _, want := range []string{"wrong key", localfile.EnvKeyFile, localfile.EnvPassphraseFile, localfile.EnvPassphrase} {
		if !strings.Contains(string(out), want) {
			t.Errorf("the error doesn't say %q: %s", want, out)
		}
	}
	if !bytes.Equal(before, readFile(t, d.path())) {
		t.Error("the file has changed")
	}
}
