package azurekv_test

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/security/keyvault/azsecrets"
	"github.com/mlsecrets/secretstore"
	"github.com/mlsecrets/secretstore/backends/azurekv/azurekvtest"
)

// The width at which GetBatch reads.
const width = 32

// BenchmarkGetBatch reads over HTTPS and HTTP/2 from a server that adds latency. It
// reports the ratio to the ideal, which is ceil(n/32) times the latency, the ratio
// to azsecrets' own client called 32 wide, and how many times faster it is than that
// client called for one after the other.
func BenchmarkGetBatch(b *testing.B) {
	for _, latency := range []time.Duration{time.Millisecond, 10 * time.Millisecond, 50 * time.Millisecond} {
		for _, n := range []int{1, 100, 1000} {
			b.Run(fmt.Sprintf("%v/%d", latency, n), func(b *testing.B) {
				server, store := serve(b, azurekvtest.Options{Latency: latency})
				all := names(n)
				fill(server.Vault, all)
				read := func() {
					if got, err := store.GetBatch(b.Context(), all); err != nil || len(got) != n {
						b.Fatalf("%d values, %v", len(got), err)
					}
				}
				read() // the challenge and the token
				for b.Loop() {
					read()
				}
				each := b.Elapsed() / time.Duration(b.N)
				ideal := time.Duration((n+width-1)/width) * latency
				b.ReportMetric(each.Seconds()/ideal.Seconds(), "×ideal")
				b.ReportMetric(each.Seconds()/azsecretsTime(b, server, all, width).Seconds(), "×azsecrets")
				b.ReportMetric(azsecretsTime(b, server, all[:min(50, n)], 1).Seconds()*float64(n)/float64(min(50, n))/each.Seconds(), "faster")
				b.ReportMetric(0, "ns/op")
			})
		}
	}
}

// azsecretsTime returns the time in which azsecrets' client alone reads the names,
// the best of three.
func azsecretsTime(b *testing.B, server *azurekvtest.Server, all []string, width int) time.Duration {
	b.Helper()
	c := server.Config()
	client, err := azsecrets.NewClient(server.URL(), c.Credential, &azsecrets.ClientOptions{ClientOptions: c.ClientOptions})
	if err != nil {
		b.Fatal(err)
	}
	if _, err := client.GetSecret(b.Context(), all[0], "", nil); err != nil {
		b.Fatal(err)
	}
	best := time.Hour
	for range 3 {
		start := time.Now()
		var next atomic.Int64
		var workers sync.WaitGroup
		for range width {
			workers.Go(func() {
				for i := next.Add(1) - 1; i < int64(len(all)); i = next.Add(1) - 1 {
					if _, err := client.GetSecret(b.Context(), all[i], "", nil); err != nil {
						b.Error(err)
					}
				}
			})
		}
		workers.Wait()
		best = min(best, time.Since(start))
	}
	return best
}

// BenchmarkGet is one read, and what it adds to azsecrets.
func BenchmarkGet(b *testing.B) {
	server, store := serve(b, azurekvtest.Options{})
	server.Put("name", "value")
	c := server.Config()
	client, err := azsecrets.NewClient(server.URL(), c.Credential, &azsecrets.ClientOptions{ClientOptions: c.ClientOptions})
	if err != nil {
		b.Fatal(err)
	}
	b.Run("azurekv", func(b *testing.B) {
		for b.Loop() {
			if _, err := store.Get(b.Context(), "name"); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("azsecrets", func(b *testing.B) {
		for b.Loop() {
			if _, err := client.GetSecret(b.Context(), "name", "", nil); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// BenchmarkThrottled reads 20,000 secrets from a server that allows 4,000 in 10 s,
// and writes 1,000 to one that allows 300, in real time. It reports the ratio to
// what the limit dictates; the tests assert it on a clock of their own.
func BenchmarkThrottled(b *testing.B) {
	const latency = 5 * time.Millisecond
	b.Run("GetBatch", func(b *testing.B) {
		server, store := serve(b, azurekvtest.Options{Transactions: transactions, Latency: latency})
		all := names(20_000)
		fill(server.Vault, all)
		for b.Loop() {
			if _, err := store.GetBatch(b.Context(), all); err != nil {
				b.Fatal(err)
			}
		}
		each := b.Elapsed() / time.Duration(b.N)
		b.ReportMetric(each.Seconds()/dictated(len(all), transactions, width, latency).Seconds(), "×dictated")
	})
	b.Run("SetBatch", func(b *testing.B) {
		_, store := serve(b, azurekvtest.Options{Transactions: transactions, Creations: creations, Latency: latency})
		values := make(map[string]secretstore.Value)
		for _, name := range names(1000) {
			values[name] = text(name)
		}
		for b.Loop() {
			if err := store.SetBatch(b.Context(), values); err != nil {
				b.Fatal(err)
			}
		}
		each := b.Elapsed() / time.Duration(b.N)
		b.ReportMetric(each.Seconds()/dictated(len(values), creations, 8, latency).Seconds(), "×dictated")
	})
}
