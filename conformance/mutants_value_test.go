package conformance_test

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"unicode/utf8"

	"github.com/mlsecrets/secretstore"
	"github.com/mlsecrets/secretstore/backends/memory"
	"github.com/mlsecrets/secretstore/conformance"
)

// valueMutants break the rules of values and names.
var valueMutants = []mutantStore{
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
}
