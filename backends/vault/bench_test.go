package vault_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/vault/api"
	"github.com/mlsecrets/secretstore"
	"github.com/mlsecrets/secretstore/backends/vault"
	"github.com/mlsecrets/secretstore/backends/vault/vaulttest"
)

// The benchmarks state ratios of medians, measured turn by turn in the same run: what
// GetBatch takes against a fan-out of the same width with net/http alone ("x-floor"),
// and reading one by one with vault/api against GetBatch ("x-faster").

// target is a server with n secrets.
type target struct {
	addr, token, prefix string
	names               []string
}

func (b *target) fill(tb testing.TB, n int) secretstore.StoreCloser {
	tb.Helper()
	store := open(tb, vault.Config{Address: b.addr, Mount: "secret", Prefix: b.prefix, Auth: vault.Token{Token: text(b.token)}})
	values := map[string]secretstore.Value{}
	for i := range n {
		name := fmt.Sprintf("n-%04d", i)
		b.names = append(b.names, name)
		values[name] = secretstore.NewValue(make([]byte, 64))
	}
	if err := store.SetBatch(context.Background(), values); err != nil {
		tb.Fatal(err)
	}
	return store
}

// floor reads all names with net/http, 64 at a time, and throws the bodies away.
func (b *target) floor(tb testing.TB, c *http.Client) {
	next := make(chan string)
	var workers sync.WaitGroup
	for range min(64, len(b.names)) {
		workers.Go(func() {
			for name := range next {
				req, err := http.NewRequest("GET", b.addr+"/v1/secret/data/"+b.prefix+"/"+name, nil)
				if err != nil {
					tb.Error(err)
					return
				}
				req.Header.Set("X-Vault-Token", b.token)
				resp, err := c.Do(req)
				if err != nil {
					tb.Error(err)
					return
				}
				io.Copy(io.Discard, resp.Body)
				resp.Body.Close()
				if resp.StatusCode != http.StatusOK {
					tb.Errorf("status %d", resp.StatusCode)
				}
			}
		})
	}
	for _, name := range b.names {
		next <- name
	}
	close(next)
	workers.Wait()
}

func median(d []time.Duration) time.Duration {
	slices.Sort(d)
	return d[len(d)/2]
}

func (b *target) run(tb *testing.B, store secretstore.StoreCloser) {
	c := &http.Client{Transport: newTransport(nil)}
	defer c.CloseIdleConnections()
	var ours, floor []time.Duration
	for tb.Loop() {
		start := time.Now()
		if _, err := store.GetBatch(context.Background(), b.names); err != nil {
			tb.Fatal(err)
		}
		mid := time.Now()
		b.floor(tb, c)
		ours, floor = append(ours, mid.Sub(start)), append(floor, time.Since(mid))
	}
	o, f := median(ours), median(floor)
	tb.ReportMetric(float64(o.Microseconds())/1000, "ms/batch")
	tb.ReportMetric(float64(o)/float64(f), "x-floor")
	tb.ReportMetric(0, "ns/op")
}

func BenchmarkGetBatch(b *testing.B) {
	for _, n := range []int{1, 100, 1000} {
		b.Run(fmt.Sprintf("server/names=%d", n), func(b *testing.B) {
			s := startServer(b)
			on := target{addr: s.addr, token: s.root, prefix: unique()}
			on.run(b, on.fill(b, n))
		})
		for _, latency := range []time.Duration{time.Millisecond, 10 * time.Millisecond, 50 * time.Millisecond} {
			b.Run(fmt.Sprintf("latency=%v/names=%d", latency, n), func(b *testing.B) {
				s := vaulttest.NewServer()
				defer s.Close()
				on := target{addr: s.URL, token: s.Token(), prefix: "app"}
				store := on.fill(b, n)
				s.SetLatency(latency)
				on.run(b, store)
			})
		}
	}
}

// BenchmarkOneByOne reads 100 names at 10 ms of latency with vault/api alone.
func BenchmarkOneByOne(b *testing.B) {
	s := vaulttest.NewServer()
	defer s.Close()
	on := target{addr: s.URL, token: s.Token(), prefix: "app"}
	store := on.fill(b, 100)
	s.SetLatency(10 * time.Millisecond)
	conf := api.DefaultConfig()
	conf.Address = s.URL
	client, err := api.NewClient(conf)
	if err != nil {
		b.Fatal(err)
	}
	client.SetToken(s.Token())
	var ours, theirs []time.Duration
	for b.Loop() {
		start := time.Now()
		if _, err := store.GetBatch(context.Background(), on.names); err != nil {
			b.Fatal(err)
		}
		mid := time.Now()
		for _, name := range on.names {
			if _, err := client.KVv2("secret").Get(context.Background(), "app/"+name); err != nil {
				b.Fatal(err)
			}
		}
		ours, theirs = append(ours, mid.Sub(start)), append(theirs, time.Since(mid))
	}
	b.ReportMetric(float64(median(theirs))/float64(median(ours)), "x-faster")
	b.ReportMetric(0, "ns/op")
}
