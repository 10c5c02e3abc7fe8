package conformance_test

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"github.com/mlsecrets/secretstore"
	"github.com/mlsecrets/secretstore/backends/memory"
	"github.com/mlsecrets/secretstore/conformance"
)

type (
	value   = secretstore.Value
	batchOf = map[string]secretstore.Value
)

func val(s string) value { return secretstore.NewValue([]byte(s)) }

// mutants are stores that break one rule each: the rule's id, what is broken, and
// the store.
var mutants = []struct {
	rule, what string
	harness    conformance.Harness
}{
	// Values.
	{"value/round-trip", "drops the last byte", mutant(mapped(func(b []byte) []byte { return b[:max(len(b)-1, 0)] }))},
	{"value/round-trip", "trims a trailing newline", mutant(mapped(func(b []byte) []byte { return bytes.TrimSuffix(b, []byte("\n")) }))},
	{"value/round-trip", "trims space", mutant(mapped(bytes.TrimSpace))},
	{"value/round-trip", "replaces invalid UTF-8", mutant(mapped(func(b []byte) []byte { return []byte(strings.ToValidUTF8(string(b), "\uFFFD")) }))},
	{"value/round-trip", "strips a BOM", mutant(mapped(func(b []byte) []byte { return bytes.TrimPrefix(b, []byte("\uFEFF")) }))},
	{"value/round-trip", "turns CRLF into LF", mutant(mapped(func(b []byte) []byte { return bytes.ReplaceAll(b, []byte("\r\n"), []byte("\n")) }))},
	{"value/round-trip", "ends at NUL", mutant(mapped(func(b []byte) []byte { b, _, _ = bytes.Cut(b, []byte{0}); return b }))},
	{"value/round-trip", "expands variables", mutant(mapped(func(b []byte) []byte { return []byte(os.Expand(string(b), func(string) string { return "x" })) }))},
	{"value/round-trip", "reformats JSON", mutant(mapped(reformat))},
	{"value/round-trip", "decodes what looks like base64", mutant(mapped(func(b []byte) []byte {
		if string(b) == "c2VjcmV0" {
			return []byte("secret")
		}
		return b
	}))},
	{"value/empty", "takes an empty value for none", mutant(func(b *broken) {
		b.get = func(ctx context.Context, name string) (value, error) {
			v, err := b.StoreCloser.Get(ctx, name)
			if err == nil && v.Len() == 0 {
				return v, &secretstore.Error{Op: "get", Backend: "x", Name: name, Kind: secretstore.ErrNotFound}
			}
			return v, err
		}
	})},
	{"value/max-size", "cuts values at 25,000 bytes", mutant(mapped(func(b []byte) []byte { return b[:min(len(b), 25000)] }))},
	{"value/max-size", "counts base64 against the limit of text", mutant(func(b *broken) {
		b.set = func(ctx context.Context, name string, v value) error {
			if !utf8.Valid(v.Reveal()) && v.Len() >= 19200 {
				return &secretstore.Error{Op: "set", Backend: "x", Name: name, Kind: secretstore.ErrTooLarge}
			}
			return b.StoreCloser.Set(ctx, name, v)
		}
	})},
	{"value/too-large", "cuts what is too large", mutant(mapped(func(b []byte) []byte { return b[:min(len(b), 19200)] }))},

	// Names.
	{"name/grammar", "refuses names of 127 characters", mutant(func(b *broken) {
		b.set = func(ctx context.Context, name string, v value) error {
			if len(name) > 126 {
				return &secretstore.Error{Op: "set", Backend: "x", Name: name, Kind: secretstore.ErrInvalidName}
			}
			return b.StoreCloser.Set(ctx, name, v)
		}
	})},
	{"name/distinct", "cuts names at 100", mutant(renamed(func(n string) string { return n[:min(len(n), 100)] }))},
	{"name/distinct", "has one slot for all names", mutant(renamed(func(string) string { return "slot" }))},
	{"name/distinct", "trims dashes", mutant(renamed(func(n string) string { return cmp.Or(strings.Trim(n, "-"), "-") }))},
	{"name/distinct", "reads numbers", mutant(renamed(func(n string) string { return cmp.Or(strings.TrimLeft(n, "0"), "0") }))},
	{"name/invalid", "turns underscores into dashes", mutant(renamed(func(n string) string { return strings.ReplaceAll(n, "_", "-") }))},
	{"name/invalid", "trims names", mutant(renamed(strings.TrimSpace))},
	{"name/invalid", "folds the Kelvin sign into k", mutant(renamed(strings.ToLower))},
	{"name/no-io", "asks the service about bad names", func() conformance.Harness {
		h := mutant(func(b *broken) {})
		var n atomic.Int64
		h.Open = func(context.Context) (secretstore.StoreCloser, error) {
			b := &broken{StoreCloser: memory.New()}
			b.get = func(ctx context.Context, name string) (value, error) { n.Add(1); return b.StoreCloser.Get(ctx, name) }
			return b, nil
		}
		h.Requests = func(secretstore.StoreCloser) int { return int(n.Load()) }
		return h
	}()},
	{"name/case", "doesn't fold case", mutant(renamed(func(n string) string {
		if n != strings.ToLower(n) {
			return "upper-" + n
		}
		return n
	}))},
	{"name/canonical", "lists names as they were spelled", mutant(func(b *broken) {
		var mu sync.Mutex
		spelled := map[string]string{}
		b.set = func(ctx context.Context, name string, v value) error {
			mu.Lock()
			defer mu.Unlock()
			spelled[strings.ToLower(name)] = name
			return b.StoreCloser.Set(ctx, name, v)
		}
		b.list = func(ctx context.Context) ([]string, error) {
			names, err := b.StoreCloser.List(ctx)
			for i, name := range names {
				names[i] = cmp.Or(spelled[name], name)
			}
			return names, err
		}
	})},

	// Set and Get.
	{"set/read-own-write", "reads from a cache that Set doesn't touch", mutant(cached)},
	{"set/overwrite", "keeps the first value", mutant(func(b *broken) {
		b.set = func(ctx context.Context, name string, v value) error {
			if _, err := b.StoreCloser.Get(ctx, name); err == nil {
				return nil
			}
			return b.StoreCloser.Set(ctx, name, v)
		}
	})},
	{"set/others-stay", "forgets another name", mutant(func(b *broken) {
		b.set = func(ctx context.Context, name string, v value) error {
			names, _ := b.StoreCloser.List(ctx)
			for _, other := range names {
				if other != name {
					b.StoreCloser.(secretstore.Deleter).Delete(ctx, other)
					break
				}
			}
			return b.StoreCloser.Set(ctx, name, v)
		}
	})},
	{"get/absent", "has an empty value for every name", mutant(func(b *broken) {
		b.get = func(ctx context.Context, name string) (value, error) {
			v, err := b.StoreCloser.Get(ctx, name)
			if errors.Is(err, secretstore.ErrNotFound) {
				err = nil
			}
			return v, err
		}
	})},
	{"get/absent", "finds names by their beginning", mutant(func(b *broken) {
		b.get = func(ctx context.Context, name string) (value, error) {
			v, err := b.StoreCloser.Get(ctx, name)
			names, _ := b.StoreCloser.List(ctx)
			for _, other := range names {
				if err != nil && strings.HasPrefix(other, name) {
					return b.StoreCloser.Get(ctx, other)
				}
			}
			return v, err
		}
	})},
	{"methods-agree", "lists what GetBatch doesn't find", mutant(func(b *broken) {
		b.getBatch = func(ctx context.Context, names []string) (map[string]value, error) {
			got, err := b.StoreCloser.GetBatch(ctx, names)
			for name := range got {
				delete(got, name)
				break
			}
			return got, err
		}
	})},

	// Batches.
	{"getbatch/empty", "returns a nil map for no names", mutant(func(b *broken) {
		b.getBatch = func(ctx context.Context, names []string) (map[string]value, error) {
			if len(names) == 0 {
				return nil, nil
			}
			return b.StoreCloser.GetBatch(ctx, names)
		}
	})},
	{"getbatch/map", "returns a nil map beside an error", mutant(func(b *broken) {
		b.getBatch = func(ctx context.Context, names []string) (map[string]value, error) {
			got, err := b.StoreCloser.GetBatch(ctx, names)
			if err != nil {
				got = nil
			}
			return got, err
		}
	})},
	{"getbatch/all", "reads 100 names at the most", mutant(func(b *broken) {
		b.getBatch = func(ctx context.Context, names []string) (map[string]value, error) {
			return b.StoreCloser.GetBatch(ctx, names[:min(len(names), 100)])
		}
	})},
	{"getbatch/partial", "stops at the first missing name", mutant(func(b *broken) {
		b.getBatch = func(ctx context.Context, names []string) (map[string]value, error) {
			got := map[string]value{}
			for _, name := range names {
				v, err := b.StoreCloser.Get(ctx, name)
				if err != nil {
					return got, err
				}
				got[name] = v
			}
			return got, nil
		}
	})},
	{"getbatch/causes", "gives the causes in another order", mutant(func(b *broken) {
		b.getBatch = func(ctx context.Context, names []string) (map[string]value, error) {
			got, err := b.StoreCloser.GetBatch(ctx, names)
			if e, ok := errors.AsType[*secretstore.BatchError](err); ok {
				slices.SortFunc(e.Errs, func(a, b *secretstore.Error) int { return cmp.Compare(a.Name, b.Name) })
			}
			return got, err
		}
	})},
	{"getbatch/causes", "joins the causes without their names", mutant(func(b *broken) {
		b.getBatch = func(ctx context.Context, names []string) (map[string]value, error) {
			got, err := b.StoreCloser.GetBatch(ctx, names)
			if err != nil {
				err = errors.Join(err.(*secretstore.BatchError).Unwrap()...)
			}
			return got, err
		}
	})},
	{"getbatch/spelling", "keys the result by canonical names", mutant(func(b *broken) {
		b.getBatch = func(ctx context.Context, names []string) (map[string]value, error) {
			got, err := b.StoreCloser.GetBatch(ctx, names)
			out := map[string]value{}
			for name, v := range got {
				out[strings.ToLower(name)] = v
			}
			return out, err
		}
	})},
	{"getbatch/duplicates", "gives a cause for every mention", mutant(func(b *broken) {
		b.getBatch = func(ctx context.Context, names []string) (map[string]value, error) {
			got, err := b.StoreCloser.GetBatch(ctx, names)
			if e, ok := errors.AsType[*secretstore.BatchError](err); ok {
				e.Errs = append(e.Errs, e.Errs...)
			}
			return got, err
		}
	})},
	{"getbatch/invalid", "refuses the batch for one invalid name", mutant(func(b *broken) {
		b.getBatch = func(ctx context.Context, names []string) (map[string]value, error) {
			for _, name := range names {
				if _, err := secretstore.CanonicalName(name); err != nil {
					return map[string]value{}, err
				}
			}
			return b.StoreCloser.GetBatch(ctx, names)
		}
	})},
	{"getbatch/nil", "returns a nil *BatchError as an error", mutant(func(b *broken) {
		b.getBatch = func(ctx context.Context, names []string) (map[string]value, error) {
			got, err := b.StoreCloser.GetBatch(ctx, names)
			e, _ := errors.AsType[*secretstore.BatchError](err)
			return got, e
		}
	})},
	{"setbatch/all", "drops the last entry", mutant(func(b *broken) {
		b.setBatch = func(ctx context.Context, values batchOf) error {
			return b.StoreCloser.SetBatch(ctx, first(values, len(values)-1))
		}
	})},
	{"setbatch/all", "doesn't update what exists", mutant(func(b *broken) {
		b.setBatch = func(ctx context.Context, values batchOf) error {
			fresh := maps.Clone(values)
			maps.DeleteFunc(fresh, func(name string, _ value) bool { _, err := b.StoreCloser.Get(ctx, name); return err == nil })
			return b.StoreCloser.SetBatch(ctx, fresh)
		}
	})},
	{"setbatch/empty", "refuses an empty batch", mutant(func(b *broken) {
		b.setBatch = func(ctx context.Context, values batchOf) error {
			if len(values) == 0 {
				return &secretstore.Error{Op: "set batch", Backend: "x", Kind: secretstore.ErrInvalidName}
			}
			return b.StoreCloser.SetBatch(ctx, values)
		}
	})},
	{"setbatch/refused-whole", "writes the good entries beside a bad one", mutant(oneByOne)},
	{"setbatch/case", "lets the last of two spellings win", mutant(func(b *broken) {
		b.setBatch = func(ctx context.Context, values batchOf) error {
			for _, name := range slices.Sorted(maps.Keys(values)) {
				if err := b.StoreCloser.Set(ctx, name, values[name]); err != nil {
					return err
				}
			}
			return nil
		}
	})},
	{"setbatch/cancelled", "writes a part and says that nothing was written", mutant(oneByOne)},
	{"setbatch/cancelled", "is cut short and returns nil", mutant(func(b *broken) {
		b.setBatch = func(ctx context.Context, values batchOf) error {
			for name, v := range values {
				if ctx.Err() != nil {
					return nil
				}
				b.StoreCloser.Set(context.WithoutCancel(ctx), name, v)
			}
			return nil
		}
	})},
	{"setbatch/atomic", "claims atomic batches and writes one by one", mutant(func(b *broken) {
		b.setBatch = func(ctx context.Context, values batchOf) error {
			failed := &secretstore.BatchError{Op: "set batch", Backend: "x"}
			for _, name := range slices.Sorted(maps.Keys(values)) {
				if err := b.StoreCloser.Set(ctx, name, values[name]); err != nil {
					failed.Errs = append(failed.Errs, err.(*secretstore.Error))
				}
			}
			if len(failed.Errs) > 0 {
				return failed
			}
			return nil
		}
	})},

	// List and Delete.
	{"list/exact", "leaves out what is behind the first page", mutant(func(b *broken) {
		b.list = func(ctx context.Context) ([]string, error) {
			names, err := b.StoreCloser.List(ctx)
			return names[:min(len(names), 25)], err
		}
	})},
	{"list/exact", "repeats the name at a page's edge", mutant(func(b *broken) {
		b.list = func(ctx context.Context) ([]string, error) {
			names, err := b.StoreCloser.List(ctx)
			if len(names) > 25 {
				names = slices.Insert(names, 25, names[25])
			}
			return names, err
		}
	})},
	{"list/exact", "lists in order of writing", mutant(func(b *broken) {
		b.list = func(ctx context.Context) ([]string, error) {
			names, err := b.StoreCloser.List(ctx)
			slices.Reverse(names)
			return names, err
		}
	})},
	{"list/order", "sorts short names first", mutant(func(b *broken) {
		b.list = func(ctx context.Context) ([]string, error) {
			names, err := b.StoreCloser.List(ctx)
			slices.SortStableFunc(names, func(a, b string) int { return cmp.Compare(len(a), len(b)) })
			return names, err
		}
	})},
	{"list/empty", "returns a nil slice for no secrets", mutant(func(b *broken) {
		b.list = func(ctx context.Context) ([]string, error) {
			names, err := b.StoreCloser.List(ctx)
			return append([]string(nil), names...), err
		}
	})},
	{"list/while-writing", "misses a name while others write", mutant(func(b *broken) {
		var writes atomic.Int64
		b.set = func(ctx context.Context, name string, v value) error {
			writes.Add(1)
			return b.StoreCloser.Set(ctx, name, v)
		}
		b.list = func(ctx context.Context) ([]string, error) {
			before := writes.Load()
			time.Sleep(time.Millisecond)
			names, err := b.StoreCloser.List(ctx)
			if writes.Load() != before && len(names) > 0 {
				names = names[1:]
			}
			return names, err
		}
	})},
	{"delete/gone", "lists deleted names", mutant(func(b *broken) {
		var deleted []string
		b.del = func(ctx context.Context, names ...string) error {
			deleted = append(deleted, names...)
			return b.StoreCloser.(secretstore.Deleter).Delete(ctx, names...)
		}
		b.list = func(ctx context.Context) ([]string, error) {
			names, err := b.StoreCloser.List(ctx)
			names = append(names, deleted...)
			slices.Sort(names)
			return slices.Compact(names), err
		}
	})},
	{"delete/gone", "deletes the first name alone", mutant(func(b *broken) {
		b.del = func(ctx context.Context, names ...string) error {
			return b.StoreCloser.(secretstore.Deleter).Delete(ctx, names[:min(1, len(names))]...)
		}
	})},
	{"delete/others-stay", "deletes by the beginning of a name", mutant(func(b *broken) {
		b.del = func(ctx context.Context, names ...string) error {
			all, _ := b.StoreCloser.List(ctx)
			return b.StoreCloser.(secretstore.Deleter).Delete(ctx, slices.DeleteFunc(all, func(n string) bool { return !strings.HasPrefix(n, names[0]) })...)
		}
	})},
	{"delete/absent", "fails for an absent name", mutant(func(b *broken) {
		b.del = func(ctx context.Context, names ...string) error {
			for _, name := range names {
				if _, err := b.StoreCloser.Get(ctx, name); err != nil {
					return err
				}
			}
			return b.StoreCloser.(secretstore.Deleter).Delete(ctx, names...)
		}
	})},
	{"delete/set-again", "keeps a deleted name for itself", mutant(func(b *broken) {
		deleted := map[string]bool{}
		b.del = func(ctx context.Context, names ...string) error {
			for _, name := range names {
				deleted[name] = true
			}
			return b.StoreCloser.(secretstore.Deleter).Delete(ctx, names...)
		}
		b.set = func(ctx context.Context, name string, v value) error {
			if deleted[name] {
				return &secretstore.Error{Op: "set", Backend: "x", Name: name, Kind: secretstore.ErrConflict}
			}
			return b.StoreCloser.Set(ctx, name, v)
		}
	})},
	{"delete/case", "deletes the exact spelling alone", mutant(func(b *broken) {
		b.del = func(ctx context.Context, names ...string) error {
			return b.StoreCloser.(secretstore.Deleter).Delete(ctx, slices.DeleteFunc(slices.Clone(names), func(n string) bool { return n != strings.ToLower(n) })...)
		}
	})},
	{"delete/refused-whole", "deletes up to the bad name", mutant(func(b *broken) {
		b.del = func(ctx context.Context, names ...string) error {
			for _, name := range names {
				if err := b.StoreCloser.(secretstore.Deleter).Delete(ctx, name); err != nil {
					return err
				}
			}
			return nil
		}
	})},

	// Aliasing.
	{"alias/in", "keeps the caller's map", mutant(func(b *broken) {
		var kept batchOf
		b.setBatch = func(ctx context.Context, values batchOf) error {
			kept = values
			return b.StoreCloser.SetBatch(ctx, values)
		}
		b.get = func(ctx context.Context, name string) (value, error) {
			if v, ok := kept[name]; ok || len(kept) == 0 && kept != nil && strings.HasPrefix(name, "n-") {
				return v, nil
			}
			return b.StoreCloser.Get(ctx, name)
		}
	})},
	{"alias/in", "sorts the caller's names", mutant(func(b *broken) {
		b.getBatch = func(ctx context.Context, names []string) (map[string]value, error) {
			slices.Sort(names)
			slices.Reverse(names)
			return b.StoreCloser.GetBatch(ctx, names)
		}
	})},
	{"alias/out", "returns the list that it keeps", mutant(func(b *broken) {
		var kept []string
		b.list = func(ctx context.Context) ([]string, error) {
			if kept == nil {
				kept, _ = b.StoreCloser.List(ctx)
			}
			return kept, ctx.Err()
		}
	})},
	{"alias/out", "returns the map that it keeps", mutant(func(b *broken) {
		var kept map[string]value
		b.getBatch = func(ctx context.Context, names []string) (map[string]value, error) {
			if kept == nil {
				kept, _ = b.StoreCloser.GetBatch(ctx, names)
			}
			return kept, ctx.Err()
		}
	})},

	// Contexts and Close.
	{"context/cancelled", "ignores the context", mutant(func(b *broken) {
		b.set = func(ctx context.Context, name string, v value) error {
			return b.StoreCloser.Set(context.WithoutCancel(ctx), name, v)
		}
	})},
	{"context/cancelled", "calls the context's end an outage", mutant(func(b *broken) {
		b.list = func(ctx context.Context) ([]string, error) {
			names, err := b.StoreCloser.List(ctx)
			if err != nil {
				err = &secretstore.Error{Op: "list", Backend: "x", Kind: secretstore.ErrUnavailable}
			}
			return names, err
		}
	})},
	{"context/hang", "goes on for 1.5 s", harness(func(s *service) { s.hangs = 1500 * time.Millisecond })},
	{"context/retry", "sleeps between two tries", harness(func(s *service) { s.sleepsOn = true })},
	{"context/lock", "waits on for the lock", harness(func(s *service) { s.hangs = 1500 * time.Millisecond })},
	{"context/leaves-nothing", "leaves a goroutine behind", mutant(func(b *broken) {
		b.list = func(ctx context.Context) ([]string, error) {
			go time.Sleep(5 * time.Second)
			return b.StoreCloser.List(ctx)
		}
	})},
	{"context/leaves-nothing", "leaves a descriptor behind", mutant(func(b *broken) {
		var open []*os.File
		b.list = func(ctx context.Context) ([]string, error) {
			if f, err := os.Open(os.DevNull); err == nil {
				open = append(open, f)
			}
			return b.StoreCloser.List(ctx)
		}
		b.close = func() error {
			for _, f := range open {
				f.Close()
			}
			return b.StoreCloser.Close()
		}
	})},
	{"close/closed", "works on after Close", mutant(func(b *broken) { b.close = func() error { return nil } })},
	{"close/twice", "fails at the second Close", mutant(func(b *broken) {
		closed := false
		b.close = func() error {
			if closed {
				return &secretstore.Error{Op: "close", Backend: "x", Kind: secretstore.ErrClosed}
			}
			closed = true
			return b.StoreCloser.Close()
		}
	})},
	{"close/durable", "forgets everything", withSecond(func(*handle) secretstore.Driver { return handle{newService()} })},
	{"second/sees", "never looks again", withSecond(snapshotOf)},

	// Errors and faults.
	{"error/form", "returns an error of its own", mutant(func(b *broken) {
		b.get = func(ctx context.Context, name string) (value, error) {
			v, err := b.StoreCloser.Get(ctx, name)
			if err != nil {
				err = fmt.Errorf("get %s: %w", name, err)
			}
			return v, err
		}
	})},
	{"error/form", "returns an error of two kinds", mutant(func(b *broken) {
		b.get = func(ctx context.Context, name string) (value, error) {
			v, err := b.StoreCloser.Get(ctx, name)
			if e, ok := err.(*secretstore.Error); ok {
				e.Kind = errors.Join(secretstore.ErrNotFound, secretstore.ErrUnavailable)
			}
			return v, err
		}
	})},
	{"error/name", "names the canonical name", mutant(func(b *broken) {
		b.get = func(ctx context.Context, name string) (value, error) {
			return b.StoreCloser.Get(ctx, strings.ToLower(name))
		}
	})},
	{"error/canary", "shows the value in an error", mutant(func(b *broken) {
		b.set = func(ctx context.Context, name string, v value) error {
			err := b.StoreCloser.Set(ctx, name, v)
			if e, ok := err.(*secretstore.Error); ok {
				e.Detail += fmt.Sprintf(": %x", v.Reveal())
			}
			return err
		}
	})},
	{"error/canary", "shows another secret in an error", mutant(func(b *broken) {
		b.get = func(ctx context.Context, name string) (value, error) {
			v, err := b.StoreCloser.Get(ctx, name)
			if held, herr := b.StoreCloser.Get(ctx, "held"); err != nil && herr == nil {
				err = fmt.Errorf("have only %q: %w", held.Reveal(), err)
			}
			return v, err
		}
	})},
	{"fault/outage", "says not found on an outage", kindFor(conformance.Outage, secretstore.ErrNotFound)},
	{"fault/deny", "says not found when it is refused", kindFor(conformance.Deny, secretstore.ErrNotFound)},
	{"fault/throttle", "calls throttling an outage", kindFor(conformance.Throttle, secretstore.ErrDenied)},
	{"fault/echo", "passes on what the service says", harness(func(s *service) { s.echoes = true })},
	{"fault/deny-one", "fails the batch for one denied name", harness(func(s *service) { s.costsOthers = true })},
	{"fault/disable-one", "says not found of a disabled name", kindFor(conformance.Disable, secretstore.ErrNotFound)},
	{"fault/expire", "says not found when the login has run out", kindFor(conformance.Expire, secretstore.ErrNotFound)},

	// Concurrency.
	{"concurrent/linearizable", "reads an old value now and then", mutant(staleReads)},
	{"concurrent/linearizable-handles", "reads old values through the second handle", withSecond(snapshotOf)},
	{"concurrent/linearizable-processes", "shares nothing between processes", apart()},
	{"concurrent/whole", "writes values in two steps", mutant(torn)},
	{"concurrent/whole-handles", "writes values in two steps", mutant(torn)},
	{"concurrent/whole-processes", "shares nothing between processes", apart()},
	{"concurrent/atomic", "claims atomic batches and writes one by one", mutant(slowly)},
	{"concurrent/atomic-handles", "claims atomic batches and writes one by one", mutant(slowly)},
	{"concurrent/set-batch-delete", "fails while another call is under way", mutant(func(b *broken) {
		var mu sync.Mutex
		b.list = func(ctx context.Context) ([]string, error) {
			if !mu.TryLock() {
				return nil, &secretstore.Error{Op: "list", Backend: "x", Kind: secretstore.ErrLocked}
			}
			defer mu.Unlock()
			time.Sleep(time.Millisecond)
			return b.StoreCloser.List(ctx)
		}
	})},
	{"model", "loses a name when it is deleted and set in a batch", mutant(func(b *broken) {
		deleted := map[string]bool{}
		b.del = func(ctx context.Context, names ...string) error {
			for _, name := range names {
				deleted[strings.ToLower(name)] = true
			}
			return b.StoreCloser.(secretstore.Deleter).Delete(ctx, names...)
		}
		b.setBatch = func(ctx context.Context, values batchOf) error {
			values = maps.Clone(values)
			maps.DeleteFunc(values, func(name string, _ value) bool { return len(values) > 1 && deleted[strings.ToLower(name)] })
			return b.StoreCloser.SetBatch(ctx, values)
		}
	})},
}

func reformat(b []byte) []byte {
	var v any
	if json.Unmarshal(b, &v) != nil {
		return b
	}
	out, _ := json.Marshal(v)
	return out
}

// first returns n entries of a batch, in order of their names.
func first(values batchOf, n int) batchOf {
	out := batchOf{}
	for _, name := range slices.Sorted(maps.Keys(values))[:max(n, 0)] {
		out[name] = values[name]
	}
	return out
}

// cached reads every name once.
func cached(b *broken) {
	cache := map[string]value{}
	b.get = func(ctx context.Context, name string) (value, error) {
		if v, ok := cache[name]; ok {
			return v, nil
		}
		v, err := b.StoreCloser.Get(ctx, name)
		if err == nil {
			cache[name] = v
		}
		return v, err
	}
}

// oneByOne is a SetBatch that stops at the first error.
func oneByOne(b *broken) {
	b.setBatch = func(ctx context.Context, values batchOf) error {
		for _, name := range slices.Sorted(maps.Keys(values)) {
			if err := b.StoreCloser.Set(ctx, name, values[name]); err != nil {
				return err
			}
		}
		return nil
	}
}

// slowly is a SetBatch whose parts can be seen.
func slowly(b *broken) {
	b.setBatch = func(ctx context.Context, values batchOf) error {
		for _, name := range slices.Sorted(maps.Keys(values)) {
			if err := b.StoreCloser.Set(ctx, name, values[name]); err != nil {
				return err
			}
			time.Sleep(10 * time.Microsecond)
		}
		return nil
	}
}

// staleReads returns the value before the last one at every fifth read.
func staleReads(b *broken) {
	var mu sync.Mutex
	var reads int
	var before, now value
	b.set = func(ctx context.Context, name string, v value) error {
		mu.Lock()
		defer mu.Unlock()
		before, now = now, v
		return b.StoreCloser.Set(ctx, name, v)
	}
	b.get = func(ctx context.Context, name string) (value, error) {
		mu.Lock()
		defer mu.Unlock()
		if reads++; reads%5 == 0 {
			return before, nil
		}
		return b.StoreCloser.Get(ctx, name)
	}
}

// torn sets half of a value before the whole of it.
func torn(b *broken) {
	b.set = func(ctx context.Context, name string, v value) error {
		raw := v.Reveal()
		if err := b.StoreCloser.Set(ctx, name, secretstore.NewValue(raw[:len(raw)/2])); err != nil {
			return err
		}
		time.Sleep(time.Millisecond)
		return b.StoreCloser.Set(ctx, name, v)
	}
}

func withSecond(second func(*handle) secretstore.Driver) conformance.Harness {
	return harness(func(s *service) { s.second = second })
}

// snapshotOf is a second handle that never looks at the first's data again.
func snapshotOf(h *handle) secretstore.Driver {
	copied := newService()
	copied.values = maps.Clone(h.s.values)
	return handle{copied}
}

func kindFor(f conformance.Fault, kind error) conformance.Harness {
	return harness(func(s *service) { s.kind = map[conformance.Fault]error{f: kind} })
}

// apart is a harness whose child process has a store of its own.
func apart() conformance.Harness {
	h := harness(nil)
	h.Child = func(ctx context.Context, _ secretstore.StoreCloser) (*exec.Cmd, error) {
		cmd := exec.CommandContext(ctx, os.Args[0], "-test.run=^TestChildApart$")
		cmd.Env = append(os.Environ(), "CONFORMANCE_APART=1")
		return cmd, nil
	}
	return h
}
