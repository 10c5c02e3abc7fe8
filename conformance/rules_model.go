package conformance

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"maps"
	"runtime"
	"slices"
	"strings"

	"github.com/mlsecrets/secretstore"
	"pgregory.net/rapid"
)

var modelRules = []Rule{
	{ID: "model", Sentence: "Any sequence of operations does what it does to a map.",
		check: func(ctx context.Context, e *env) error {
			return property(func(t *rapid.T) {
				s, err := e.h.Open(ctx)
				if err != nil {
					t.Fatalf("open a fresh store: %v", err)
				}
				if e.h.Shared {
					e.closeLater(s) // and clean up
				} else {
					defer s.Close()
				}
				runModel(ctx, t, e, s)
			})
		}},
}

// runModel does random operations on the store and on a map, and compares.
func runModel(ctx context.Context, t *rapid.T, e *env, s secretstore.Store) {
	pool := []string{"a", "b", "c", "ab", "a-b", "long-" + strings.Repeat("x", 60), "Z", "0"}
	for i := range pool {
		pool[i] = e.name(pool[i])
	}
	nameGen := rapid.Custom(func(t *rapid.T) string {
		name := rapid.SampledFrom(pool).Draw(t, "name")
		if rapid.Bool().Draw(t, "upper") {
			return strings.ToUpper(name)
		}
		return name
	})
	valueGen := rapid.SliceOfN(rapid.Byte(), 0, 40)
	model := map[string]string{}
	d, canDelete := s.(secretstore.Deleter)
	if canDelete {
		// A shared store keeps what an earlier sequence has left.
		if err := d.Delete(ctx, pool...); err != nil {
			t.Fatalf("Delete: %v", err)
		}
	}
	steps := rapid.IntRange(1, 25).Draw(t, "steps")
	for range steps {
		switch rapid.SampledFrom([]string{"set", "set", "batch", "get", "getbatch", "list", "delete"}).Draw(t, "op") {
		case "set":
			name, value := nameGen.Draw(t, "name"), valueGen.Draw(t, "value")
			if err := s.Set(ctx, name, secretstore.NewValue(value)); err != nil {
				t.Fatalf("Set(%q): %v", name, err)
			}
			model[strings.ToLower(name)] = string(value)
		case "batch":
			values := map[string]secretstore.Value{}
			for _, name := range rapid.SliceOfNDistinct(nameGen, 0, 5, strings.ToLower).Draw(t, "names") {
				value := valueGen.Draw(t, "value")
				values[name] = secretstore.NewValue(value)
				model[strings.ToLower(name)] = string(value)
			}
			if err := s.SetBatch(ctx, values); err != nil {
				t.Fatalf("SetBatch: %v", err)
			}
		case "get":
			name := nameGen.Draw(t, "name")
			v, err := s.Get(ctx, name)
			want, there := model[strings.ToLower(name)]
			if there != (err == nil) || there && string(v.Reveal()) != want || !there && !errors.Is(err, secretstore.ErrNotFound) {
				t.Fatalf("Get(%q): got %s, %v; want %q (there: %v)", name, show(v), err, want, there)
			}
		case "getbatch":
			names := rapid.SliceOfN(nameGen, 0, 8).Draw(t, "names")
			got, _ := s.GetBatch(ctx, names)
			want := map[string]secretstore.Value{}
			for _, name := range names {
				if v, there := model[strings.ToLower(name)]; there {
					want[name] = text(v)
				}
			}
			if !sameValues(got, want) {
				t.Fatalf("GetBatch(%q): got %d values, want %d", names, len(got), len(want))
			}
		case "list":
			want := slices.Sorted(maps.Keys(model))
			if err := e.expectList(ctx, s, want); err != nil {
				t.Fatalf("%v", err)
			}
		case "delete":
			if !canDelete {
				continue
			}
			name := nameGen.Draw(t, "name")
			if err := d.Delete(ctx, name); err != nil {
				t.Fatalf("Delete(%q): %v", name, err)
			}
			delete(model, strings.ToLower(name))
		}
	}
}

// property runs rapid, which wants a testing.T, and returns what it found: a
// shrunk sequence, and the seed.
func property(prop func(t *rapid.T)) error {
	if flag.Lookup("test.v") == nil || !flag.Parsed() {
		return errLeftOut("to run in a test") // rapid reads the flags of go test
	}
	r := &recorder{}
	done := make(chan struct{})
	go func() {
		defer close(done)
		rapid.Check(r, prop)
	}()
	<-done
	if r.failed {
		return fmt.Errorf("%s", strings.Join(r.lines, "\n"))
	}
	return nil
}

// recorder is the testing.T of property.
type recorder struct {
	lines  []string
	failed bool
}

func (r *recorder) log(s string) { r.lines = append(r.lines, strings.TrimRight(s, "\n")) }

func (r *recorder) Helper()                     {}
func (r *recorder) Name() string                { return "model" }
func (r *recorder) Failed() bool                { return r.failed }
func (r *recorder) Fail()                       { r.failed = true }
func (r *recorder) FailNow()                    { r.failed = true; runtime.Goexit() }
func (r *recorder) SkipNow()                    { runtime.Goexit() }
func (r *recorder) Log(args ...any)             { r.log(fmt.Sprint(args...)) }
func (r *recorder) Logf(f string, args ...any)  { r.log(fmt.Sprintf(f, args...)) }
func (r *recorder) Skip(args ...any)            { r.Log(args...); r.SkipNow() }
func (r *recorder) Skipf(f string, args ...any) { r.Logf(f, args...); r.SkipNow() }
func (r *recorder) Error(args ...any)           { r.Log(args...); r.Fail() }
func (r *recorder) Errorf(f string, a ...any)   { r.Logf(f, a...); r.Fail() }
func (r *recorder) Fatal(args ...any)           { r.Log(args...); r.FailNow() }
func (r *recorder) Fatalf(f string, a ...any)   { r.Logf(f, a...); r.FailNow() }
