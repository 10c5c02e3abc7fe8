package localfile_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/mlsecrets/secretstore"
	"github.com/mlsecrets/secretstore/backends/localfile"
)

// sample is a store of known content, in a form that another process can read.
type sample struct {
	Name    string
	Path    string
	Key     string            // path of the key file
	Secrets map[string][]byte // all that the store holds
	Old     map[string][]byte // values that it held once; nil: the name was absent
}

func (s *sample) config() localfile.Config {
	return localfile.Config{Path: s.Path, Key: localfile.KeyFile(s.Key)}
}

func (s *sample) save(tb testing.TB, path string) {
	tb.Helper()
	b, err := json.Marshal(s)
	if err == nil {
		err = os.WriteFile(path, b, 0o600)
	}
	if err != nil {
		tb.Fatal(err)
	}
}

func loadSample(path string) (*sample, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	s := new(sample)
	return s, json.Unmarshal(b, s)
}

// sampleKinds build the stores that are damaged: each has another shape of tree.
var sampleKinds = []struct {
	name  string
	build func(b *sampleBuilder)
}{
	{"empty", func(*sampleBuilder) {}},
	{"three", func(b *sampleBuilder) { // buckets inside of the root page
		b.set(map[string][]byte{"db-user": []byte("alice")})
		b.set(map[string][]byte{"db-password": []byte("correct horse")})
		b.set(map[string][]byte{"empty": {}})
	}},
	{"branches", func(b *sampleBuilder) { // two levels of pages
		b.set(manySecrets("s", 300, 200))
	}},
	{"overflow", func(b *sampleBuilder) { // values over several pages
		b.set(manySecrets("small", 20, 50))
		for i, n := range []int{5000, 12000, 19200, 25600} {
			b.set(map[string][]byte{fmt.Sprintf("large-%d", i): bytes.Repeat([]byte{'a' + byte(i)}, n)})
		}
	}},
	{"churned", func(b *sampleBuilder) { // a long free list
		b.set(manySecrets("c", 200, 150))
		for round := range 4 {
			batch := manySecrets("c", 200, 100+60*round)
			for i := range 200 {
				if i%4 != round {
					delete(batch, fmt.Sprintf("c-%d", i))
				}
			}
			b.set(batch)
			b.delete(fmt.Sprintf("c-%d", 7*round), fmt.Sprintf("c-%d", 100+round))
		}
		for i := 120; i < 190; i++ {
			b.delete(fmt.Sprintf("c-%d", i))
		}
	}},
}

// newSample makes a store of the kind in a folder of its own.
func newSample(tb testing.TB, kind string) *sample {
	tb.Helper()
	for _, k := range sampleKinds {
		if k.name != kind {
			continue
		}
		dir := tb.TempDir()
		s := &sample{
			Name:    kind,
			Path:    filepath.Join(dir, "store.db"),
			Key:     filepath.Join(dir, "key"),
			Secrets: map[string][]byte{},
			Old:     map[string][]byte{},
		}
		if err := localfile.NewKeyFile(s.Key); err != nil {
			tb.Fatal(err)
		}
		c := s.config()
		if err := localfile.Create(tb.Context(), c); err != nil {
			tb.Fatal(err)
		}
		b := &sampleBuilder{tb: tb, s: s, store: openStore(tb, c)}
		k.build(b)
		if err := b.store.Close(); err != nil {
			tb.Fatal(err)
		}
		return s
	}
	tb.Fatalf("no kind of sample %q", kind)
	return nil
}

type sampleBuilder struct {
	tb    testing.TB
	s     *sample
	store secretstore.StoreCloser
}

func (b *sampleBuilder) set(secrets map[string][]byte) {
	b.tb.Helper()
	values := make(map[string]secretstore.Value)
	for name, v := range secrets {
		values[name] = secretstore.NewValue(v)
		b.s.Secrets[name] = v
	}
	if err := b.store.SetBatch(b.tb.Context(), values); err != nil {
		b.tb.Fatal(err)
	}
}

func (b *sampleBuilder) delete(names ...string) {
	b.tb.Helper()
	if err := b.store.(secretstore.Deleter).Delete(b.tb.Context(), names...); err != nil {
		b.tb.Fatal(err)
	}
	for _, name := range names {
		delete(b.s.Secrets, name)
	}
}

// manySecrets returns n secrets whose values tell their names.
func manySecrets(prefix string, n, valueLen int) map[string][]byte {
	out := make(map[string][]byte, n)
	for i := range n {
		name := fmt.Sprintf("%s-%d", prefix, i)
		text := []byte(name + " has this value; ")
		out[name] = bytes.Repeat(text, valueLen/len(text)+1)[:valueLen]
	}
	return out
}

func openStore(tb testing.TB, c localfile.Config) secretstore.StoreCloser {
	tb.Helper()
	s, err := localfile.Open(tb.Context(), c)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { s.Close() })
	return s
}

func writeFile(tb testing.TB, path string, b []byte) {
	tb.Helper()
	if err := os.WriteFile(path, b, 0o600); err != nil {
		tb.Fatal(err)
	}
}
