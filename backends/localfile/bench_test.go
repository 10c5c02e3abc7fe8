package localfile_test

import (
	"bytes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"hash"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/mlsecrets/secretstore"
	"github.com/mlsecrets/secretstore/backends/localfile"
	bolt "go.etcd.io/bbolt"
	"golang.org/x/crypto/chacha20poly1305"
)

// The benchmarks state ratios: what the store costs against a floor that does the
// same with the bare libraries, measured turn by turn in the same run. The metric
// is "x-floor".

// sideBySide runs ours and floor in turns, b.N of each, and reports the ratio of
// their medians. Each call of them does ops operations.
func sideBySide(b *testing.B, ops int, ours, floor func()) {
	var a, f []time.Duration
	for b.Loop() {
		start := time.Now()
		ours()
		mid := time.Now()
		floor()
		a, f = append(a, mid.Sub(start)), append(f, time.Since(mid))
	}
	slices.Sort(a)
	slices.Sort(f)
	ma, mf := a[len(a)/2], f[len(f)/2]
	b.ReportMetric(float64(ma)/float64(ops), "ns/ours")
	b.ReportMetric(float64(mf)/float64(ops), "ns/floor")
	b.ReportMetric(float64(ma)/float64(mf), "x-floor")
	b.ReportMetric(0, "ns/op")
}

// floor is the least that a store of sealed records in bbolt can do.
type floor struct {
	db   *bolt.DB
	mac  hash.Hash
	aead cipher.AEAD
	keys [][]byte
}

var recordsName = []byte("records")

func newFloor(b *testing.B, n, valueLen int) *floor {
	b.Helper()
	db, err := bolt.Open(filepath.Join(b.TempDir(), "floor.db"), 0o600, &bolt.Options{Timeout: time.Second, PageSize: 4096})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { db.Close() })
	key := make([]byte, 32)
	rand.Read(key)
	aead, err := chacha20poly1305.NewX(key)
	if err != nil {
		b.Fatal(err)
	}
	f := &floor{db: db, mac: hmac.New(sha256.New, key), aead: aead}
	for i := range n {
		f.keys = append(f.keys, f.key(name(i)))
	}
	f.fill(b, f.keys, valueLen)
	return f
}

func (f *floor) key(name string) []byte {
	f.mac.Reset()
	f.mac.Write([]byte(name))
	return f.mac.Sum(nil)
}

// fill puts sealed values of the length of a whole record, sorted and dense.
func (f *floor) fill(b *testing.B, keys [][]byte, valueLen int) {
	b.Helper()
	keys = slices.SortedFunc(slices.Values(keys), bytes.Compare)
	value := make([]byte, valueLen)
	nonce := make([]byte, 24)
	err := f.db.Update(func(tx *bolt.Tx) error {
		r, err := tx.CreateBucketIfNotExists(recordsName)
		if err != nil {
			return err
		}
		r.FillPercent = 0.9
		for _, k := range keys {
			if err := r.Put(k, f.aead.Seal(slices.Clone(nonce), nonce, value, nil)); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		b.Fatal(err)
	}
}

func (f *floor) get(name string) []byte {
	var out []byte
	k := f.key(name)
	f.db.View(func(tx *bolt.Tx) error {
		r := tx.Bucket(recordsName).Get(k)
		out, _ = f.aead.Open(nil, r[:24], r[24:], nil)
		return nil
	})
	return out
}

func name(i int) string { return fmt.Sprintf("training-secret-%d", i) }

func values(n, valueLen int) map[string]secretstore.Value {
	m := make(map[string]secretstore.Value, n)
	for i := range n {
		v := make([]byte, valueLen)
		copy(v, name(i))
		m[name(i)] = secretstore.NewValue(v)
	}
	return m
}

func newConfig(tb testing.TB) localfile.Config {
	tb.Helper()
	dir := tb.TempDir()
	key := filepath.Join(dir, "key")
	if err := localfile.NewKeyFile(key); err != nil {
		tb.Fatal(err)
	}
	return localfile.Config{Path: filepath.Join(dir, "store.db"), Key: localfile.KeyFile(key)}
}

func newFilled(tb testing.TB, n, valueLen int) (secretstore.StoreCloser, localfile.Config) {
	tb.Helper()
	c := newConfig(tb)
	s, err := localfile.Open(tb.Context(), c)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { s.Close() })
	if err := s.SetBatch(tb.Context(), values(n, valueLen)); err != nil {
		tb.Fatal(err)
	}
	return s, c
}

const valueLen = 100

// BenchmarkGet is a warm Get. The floor is one bbolt read of the same record, one
// HMAC-SHA256 and one XChaCha20-Poly1305 open.
func BenchmarkGet(b *testing.B) {
	for _, n := range []int{1000, 100_000} {
		b.Run(fmt.Sprint("secrets=", n), func(b *testing.B) {
			s, _ := newFilled(b, n, valueLen)
			f := newFloor(b, n, valueLen)
			names := make([]string, n)
			for i := range names {
				names[i] = name(i * 7919 % n)
			}
			const ops = 1000
			i, j := 0, 0
			ctx := b.Context()
			sideBySide(b, ops, func() {
				for range ops {
					if _, err := s.Get(ctx, names[i%n]); err != nil {
						b.Fatal(err)
					}
					i++
				}
			}, func() {
				for range ops {
					if f.get(names[j%n]) == nil {
						b.Fatal("floor has no such record")
					}
					j++
				}
			})
		})
	}
}

// BenchmarkSetBatch writes into an empty store. The floor is the same number of raw
// bbolt puts of the same records in one transaction, sorted and dense.
func BenchmarkSetBatch(b *testing.B) {
	for _, n := range []int{1000, 100_000} {
		b.Run(fmt.Sprint("secrets=", n), func(b *testing.B) {
			vs := values(n, valueLen)
			ctx := b.Context()
			keys := make([][]byte, n)
			random := make([]byte, 32*n)
			rand.Read(random)
			for i := range keys {
				keys[i] = random[i*32:][:32]
			}
			slices.SortFunc(keys, bytes.Compare)
			// A record's size: nonce, length, token, name and two tags beside the value.
			record := make([]byte, 24+1+16+len(name(n-1))+16+valueLen+16)
			var s secretstore.StoreCloser
			var db *bolt.DB
			var a, f []time.Duration
			for b.Loop() {
				b.StopTimer()
				c := newConfig(b)
				if err := localfile.Create(ctx, c); err != nil {
					b.Fatal(err)
				}
				var err error
				if s, err = localfile.Open(ctx, c); err != nil {
					b.Fatal(err)
				}
				db, err = bolt.Open(filepath.Join(b.TempDir(), "floor.db"), 0o600,
					&bolt.Options{Timeout: time.Second, PageSize: 4096, FreelistType: bolt.FreelistMapType,
						InitialMmapSize: n * (len(record) + 64)})
				if err != nil {
					b.Fatal(err)
				}
				b.StartTimer()
				start := time.Now()
				if err := s.SetBatch(ctx, vs); err != nil {
					b.Fatal(err)
				}
				mid := time.Now()
				err = db.Update(func(tx *bolt.Tx) error {
					r, err := tx.CreateBucketIfNotExists(recordsName)
					if err != nil {
						return err
					}
					r.FillPercent = 0.9
					for _, k := range keys {
						if err := r.Put(k, record); err != nil {
							return err
						}
					}
					return nil
				})
				if err != nil {
					b.Fatal(err)
				}
				a, f = append(a, mid.Sub(start)), append(f, time.Since(mid))
				b.StopTimer()
				s.Close()
				db.Close()
				b.StartTimer()
			}
			slices.Sort(a)
			slices.Sort(f)
			b.ReportMetric(float64(a[len(a)/2])/float64(n), "ns/ours")
			b.ReportMetric(float64(f[len(f)/2])/float64(n), "ns/floor")
			b.ReportMetric(float64(a[len(a)/2])/float64(f[len(f)/2]), "x-floor")
			b.ReportMetric(0, "ns/op")
		})
	}
}

// BenchmarkList lists 100,000 names. The floor opens as many sealed names, one
// after the other.
func BenchmarkList(b *testing.B) {
	const n = 100_000
	s, _ := newFilled(b, n, valueLen)
	f := newFloor(b, 1, valueLen)
	nonce := make([]byte, 24)
	sealed := make([][]byte, n)
	for i := range sealed {
		sealed[i] = f.aead.Seal(nil, nonce, []byte(name(i)), nil)
	}
	ctx := b.Context()
	sideBySide(b, n, func() {
		names, err := s.List(ctx)
		if err != nil || len(names) != n {
			b.Fatal(err, len(names))
		}
	}, func() {
		names := make([]string, 0, n)
		for _, box := range sealed {
			p, _ := f.aead.Open(nil, nonce, box, nil)
			names = append(names, string(p))
		}
		if len(names) != n {
			b.Fatal(len(names))
		}
	})
}
