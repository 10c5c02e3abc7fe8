package conformance_test

import (
	"context"
	"os"
	"time"

	"github.com/mlsecrets/secretstore"
)

// contextMutants break the rules of contexts and handles.
var contextMutants = []mutantStore{
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
}
