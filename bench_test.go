package secretstore_test

import (
	"context"
	"testing"

	"github.com/mlsecrets/secretstore"
	"github.com/mlsecrets/secretstore/backends/memory"
)

// constant is a driver that costs nothing, so that what is left is New's part.
type constant struct{ value secretstore.Value }

func (constant) Backend() string                                          { return "constant" }
func (c constant) Get(context.Context, string) (secretstore.Value, error) { return c.value, nil }
func (constant) Set(context.Context, string, secretstore.Value) error     { return nil }
func (constant) List(context.Context) ([]string, error)                   { return nil, nil }

func newConstant() constant {
	return constant{secretstore.NewValue(make([]byte, 100))}
}

// BenchmarkGet compares a driver, the store over it, and the memory store.
func BenchmarkGet(b *testing.B) {
	ctx := b.Context()
	store := memory.New()
	defer store.Close()
	if err := store.Set(ctx, "db-password", secretstore.NewValue(make([]byte, 100))); err != nil {
		b.Fatal(err)
	}
	var driver secretstore.Driver = newConstant()
	front := secretstore.New(driver)
	for _, bm := range []struct {
		name string
		get  func() (secretstore.Value, error)
	}{
		{"driver", func() (secretstore.Value, error) { return driver.Get(ctx, "db-password") }},
		{"store", func() (secretstore.Value, error) { return front.Get(ctx, "db-password") }},
		{"store, upper case", func() (secretstore.Value, error) { return front.Get(ctx, "DB-PASSWORD") }},
		{"memory", func() (secretstore.Value, error) { return store.Get(ctx, "db-password") }},
	} {
		b.Run(bm.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := bm.get(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkGetParallel shows what the count of calls under way costs where many
// goroutines share a store.
func BenchmarkGetParallel(b *testing.B) {
	ctx := b.Context()
	front := secretstore.New(newConstant())
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if _, err := front.Get(ctx, "db-password"); err != nil {
				b.Error(err)
				return
			}
		}
	})
}

// BenchmarkGetBatch reads 100 names: one by one from the driver, through the
// store's fan-out.
func BenchmarkGetBatch(b *testing.B) {
	ctx := b.Context()
	names, _ := many(100)
	var driver secretstore.Driver = newConstant()
	front := secretstore.New(driver)
	b.Run("driver", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			values := make(map[string]secretstore.Value, len(names))
			for _, name := range names {
				v, err := driver.Get(ctx, name)
				if err != nil {
					b.Fatal(err)
				}
				values[name] = v
			}
		}
	})
	b.Run("store", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if values, err := front.GetBatch(ctx, names); err != nil || len(values) != len(names) {
				b.Fatal(len(values), err)
			}
		}
	})
}

// TestGetAllocates: New adds no allocation to a Get of a canonical name, and one,
// the folded name, to any other.
func TestGetAllocates(t *testing.T) {
	ctx := t.Context()
	for what, s := range map[string]secretstore.Store{"constant": secretstore.New(newConstant()), "memory": filled(t)} {
		for name, most := range map[string]float64{"db-password": 0, "DB-Password": 1} {
			got := testing.AllocsPerRun(100, func() {
				if _, err := s.Get(ctx, name); err != nil {
					t.Fatal(err)
				}
			})
			t.Logf("%s, %s: %v allocations", what, name, got)
			if got > most+1 { // room for the race detector and for later Go versions
				t.Errorf("%s: Get(%q) allocates %v times, want at most %v", what, name, got, most)
			}
		}
	}
}

func filled(t *testing.T) secretstore.Store {
	s := memory.New()
	t.Cleanup(func() { s.Close() })
	wantNil(t, s.Set(t.Context(), "db-password", secret("v")))
	return s
}
