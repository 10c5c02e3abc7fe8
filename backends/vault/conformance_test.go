package vault_test

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/mlsecrets/secretstore"
	"github.com/mlsecrets/secretstore/backends/vault"
	"github.com/mlsecrets/secretstore/conformance"
)

// The policies of the documentation are those of the tests.
var (
	//go:embed policy/write.hcl
	policyWrite string
	//go:embed policy/read.hcl
	policyRead string
	//go:embed policy/write-map.hcl
	policyWriteMap string
	//go:embed policy/read-map.hcl
	policyReadMap string
)

// harness is a harness over a real server: each store has a prefix of its own, and a
// token with no more rights than the documentation's policy gives.
func harness(t *testing.T, s *server, layout vault.Layout) conformance.Harness {
	t.Helper()
	var n atomic.Int64
	prefixes := map[secretstore.StoreCloser]vault.Config{}
	policy := policyWrite
	if layout == vault.Map {
		policy = policyWriteMap
	}
	return conformance.Harness{
		Open: func(ctx context.Context) (secretstore.StoreCloser, error) {
			prefix := fmt.Sprintf("conformance/%d", n.Add(1))
			c := s.config(s.tokenFor(t, strings.ReplaceAll(prefix, "/", "-"), strings.ReplaceAll(policy, "team/app", prefix), "1h"))
			c.Prefix, c.Layout = prefix, layout
			store, err := vault.Open(ctx, c)
			if err == nil {
				prefixes[store] = c
			}
			return store, err
		},
		Second: func(ctx context.Context, first secretstore.StoreCloser) (secretstore.StoreCloser, error) {
			c := prefixes[first]
			fresh := s.config("")
			c.Client = fresh.Client
			return vault.Open(ctx, c)
		},
		Slow:  layout == vault.Map,
		Facts: conformance.Facts{AtomicBatch: layout == vault.Map},
	}
}

func TestConformance(t *testing.T) {
	for _, tt := range []struct {
		name   string
		tls    bool
		layout vault.Layout
	}{
		{"paths, HTTP", false, vault.Paths},
		{"map, HTTP", false, vault.Map},
		{"paths, HTTPS", true, vault.Paths},
		{"map, HTTPS", true, vault.Map},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := startServer(t, tt.tls)
			fmt.Printf("vault: the suite runs against HashiCorp Vault %s (%s)\n", s.version, tt.name)
			conformance.Test(t, harness(t, s, tt.layout))
		})
	}
}

// TestReadOnly: with a reader's policy, reads pass and writes are refused.
func TestReadOnly(t *testing.T) {
	s := startServer(t, false)
	for layout, policies := range map[vault.Layout][2]string{vault.Paths: {policyWrite, policyRead}, vault.Map: {policyWriteMap, policyReadMap}} {
		t.Run(string(layout), func(t *testing.T) {
			open := func(name, policy string) secretstore.StoreCloser {
				c := s.config(s.tokenFor(t, name, policy, "1h"))
				c.Layout = layout
				store, err := vault.Open(ctx(t), c)
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { store.Close() })
				return store
			}
			writer, reader := open("writer-"+string(layout), policies[0]), open("reader-"+string(layout), policies[1])
			if err := writer.SetBatch(ctx(t), map[string]secretstore.Value{"a": val("1"), "b": val("2")}); err != nil {
				t.Fatal(err)
			}
			if v, err := reader.Get(ctx(t), "a"); err != nil || !v.Equal(val("1")) {
				t.Errorf("Get by a reader: %v", err)
			}
			if _, err := reader.GetBatch(ctx(t), []string{"a", "b"}); err != nil {
				t.Errorf("GetBatch by a reader: %v", err)
			}
			if names, err := reader.List(ctx(t)); err != nil || len(names) != 2 {
				t.Errorf("List by a reader: %q, %v", names, err)
			}
			if _, err := reader.Get(ctx(t), "absent"); !errors.Is(err, secretstore.ErrNotFound) {
				t.Errorf("Get of an absent name by a reader: %v, want ErrNotFound", err)
			}
			for what, err := range map[string]error{
				"Set":      reader.Set(ctx(t), "a", val("x")),
				"SetBatch": reader.SetBatch(ctx(t), map[string]secretstore.Value{"a": val("x"), "c": val("y")}),
				"Delete":   reader.(secretstore.Deleter).Delete(ctx(t), "a"),
			} {
				if !errors.Is(err, secretstore.ErrDenied) {
					t.Errorf("%s by a reader: %v, want ErrDenied", what, err)
				}
			}
			if v, err := reader.Get(ctx(t), "a"); err != nil || !v.Equal(val("1")) {
				t.Errorf("after refused writes: %v", err)
			}
		})
	}
}

func val(s string) secretstore.Value { return secretstore.NewValue([]byte(s)) }
