package conformance

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"time"

	"github.com/mlsecrets/secretstore"
)

// prompt is how soon a call returns when its context has ended.
const prompt = 250 * time.Millisecond

// methods calls every method, by its name, on names that are not there.
func (e *env) methods(s secretstore.Store) map[string]func(context.Context) error {
	name := e.name("ctx")
	m := map[string]func(context.Context) error{
		"Set":      func(ctx context.Context) error { return s.Set(ctx, name, text("v")) },
		"SetBatch": func(ctx context.Context) error { return s.SetBatch(ctx, batch([]string{name, name + "-2"}, "v ")) },
		"Get":      func(ctx context.Context) error { _, err := s.Get(ctx, name); return err },
		"GetBatch": func(ctx context.Context) error { _, err := s.GetBatch(ctx, []string{name, name + "-2"}); return err },
		"List":     func(ctx context.Context) error { _, err := s.List(ctx); return err },
	}
	if d, ok := s.(secretstore.Deleter); ok {
		m["Delete"] = func(ctx context.Context) error { return d.Delete(ctx, name, name+"-2") }
	}
	return m
}

// ended calls a method whose context ends at once or soon, and checks that it
// returns promptly with the context's error within.
func ended(ctx context.Context, method string, call func(context.Context) error) error {
	returned := make(chan error, 1)
	go func() { returned <- call(ctx) }()
	<-ctx.Done()
	start := time.Now()
	select {
	case err := <-returned:
		if !errors.Is(err, ctx.Err()) {
			return fmt.Errorf("%s: got %v, want %v within", method, err, ctx.Err())
		}
		return nil
	case <-time.After(4 * prompt):
		<-returned
		return fmt.Errorf("%s returned %v after its context had ended", method, time.Since(start).Round(time.Millisecond))
	}
}

var contextRules = []Rule{
	{ID: "context/cancelled", Sentence: "With a context that has ended, every method returns its error, and does nothing.",
		check: func(ctx context.Context, e *env) error {
			s, err := e.open(ctx)
			if err != nil {
				return err
			}
			dead, cancel := context.WithCancel(ctx)
			cancel()
			late, cancel := context.WithDeadline(ctx, time.Now().Add(-time.Second))
			defer cancel()
			for method, call := range e.methods(s) {
				for _, over := range []context.Context{dead, late} {
					if err := ended(over, method, call); err != nil {
						return err
					}
				}
			}
			return e.expectList(ctx, s, nil)
		}},
	{ID: "context/hang", Sentence: "Every method returns within 250 ms of the end of its context.", Needs: NeedsFault + Need(Hang),
		check: func(ctx context.Context, e *env) error {
			s, err := e.open(ctx)
			if err != nil {
				return err
			}
			undo, err := e.inject(s, Hang, "")
			if err != nil {
				return err
			}
			defer undo()
			for method, call := range e.methods(s) {
				short, cancel := context.WithTimeout(ctx, 50*time.Millisecond)
				err := ended(short, method, call)
				cancel()
				if err != nil {
					return err
				}
				gone, cancel := context.WithCancel(ctx)
				time.AfterFunc(50*time.Millisecond, cancel)
				if err := ended(gone, method, call); err != nil {
					return err
				}
			}
			return nil
		}},
	{ID: "context/retry", Sentence: "A pause between two tries ends with the context.", Needs: NeedsFault + Need(Throttle),
		check: func(ctx context.Context, e *env) error {
			s, err := e.open(ctx)
			if err != nil {
				return err
			}
			undo, err := e.inject(s, Throttle, "")
			if err != nil {
				return err
			}
			defer undo()
			for method, call := range e.methods(s) {
				gone, cancel := context.WithTimeout(ctx, 300*time.Millisecond)
				start := time.Now()
				err := call(gone)
				took := time.Since(start)
				cancel()
				if err == nil {
					return fmt.Errorf("%s succeeded while the service throttled", method)
				}
				if took > 300*time.Millisecond+4*prompt {
					return fmt.Errorf("%s took %v with a context of 300 ms", method, took)
				}
			}
			return nil
		}},
	{ID: "context/lock", Sentence: "A wait for a lock ends with the context; the error is ErrLocked, or a cancellation.", Needs: NeedsLock,
		check: func(ctx context.Context, e *env) error {
			s, err := e.open(ctx)
			if err != nil {
				return err
			}
			if err := s.Set(ctx, e.name("a"), text("v")); err != nil {
				return err
			}
			undo, err := e.h.Lock(s)
			if err != nil {
				return err
			}
			defer undo()
			set := func(ctx context.Context) error { return s.Set(ctx, e.name("a"), text("w")) }
			short, cancel := context.WithTimeout(ctx, 50*time.Millisecond)
			defer cancel()
			if err := ended(short, "Set", set); err != nil {
				return err
			}
			tiny, cancel := context.WithTimeout(ctx, 5*time.Millisecond)
			defer cancel()
			if err := expectKind("Set with a deadline", set(tiny), secretstore.ErrLocked); err != nil {
				return err
			}
			gone, cancel := context.WithCancel(ctx)
			time.AfterFunc(50*time.Millisecond, cancel)
			return ended(gone, "Set", set)
		}},
	{ID: "context/leaves-nothing", Sentence: "A call that was given up leaves no goroutine and no descriptor behind.",
		check: func(ctx context.Context, e *env) error {
			s, err := e.open(ctx)
			if err != nil {
				return err
			}
			if err := s.Set(ctx, e.name("a"), text("v")); err != nil {
				return err
			}
			round := func(n int) {
				for i := range n {
					for _, call := range e.methods(s) {
						gone, cancel := context.WithCancel(ctx)
						if i%2 == 0 {
							cancel()
						} else {
							time.AfterFunc(time.Duration(i%7)*50*time.Microsecond, cancel)
						}
						call(gone)
						cancel()
					}
				}
			}
			round(10) // pools and connections may stay
			goroutines, descriptors := runtime.NumGoroutine(), countDescriptors()
			n := max(e.count(200), 60) // below that, a pool's ups and downs would look like a leak
			round(n)
			// Some room for what else the process does, far below n.
			slack := n / 4
			var g, d int
			for range 40 {
				g, d = runtime.NumGoroutine()-goroutines, countDescriptors()-descriptors
				if g < slack && d < slack {
					return nil
				}
				time.Sleep(50 * time.Millisecond)
			}
			return fmt.Errorf("%d goroutines and %d descriptors more after %d rounds", g, d, n)
		}},
}

// countDescriptors returns the number of open descriptors, or 0 where it can't be
// known.
func countDescriptors() int {
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return 0
	}
	return len(entries)
}

var closeRules = []Rule{
	{ID: "close/closed", Sentence: "After Close every method returns ErrClosed.", Needs: NeedsOwn,
		check: func(ctx context.Context, e *env) error {
			s, err := e.open(ctx)
			if err != nil {
				return err
			}
			if err := s.Set(ctx, e.name("a"), text("v")); err != nil {
				return err
			}
			if err := s.Close(); err != nil {
				return fmt.Errorf("Close: %w", err)
			}
			for method, call := range e.methods(s) {
				if err := expectKind(method, call(ctx), secretstore.ErrClosed); err != nil {
					return err
				}
			}
			return nil
		}},
	{ID: "close/twice", Sentence: "A second Close returns nil.", Needs: NeedsOwn,
		check: func(ctx context.Context, e *env) error {
			s, err := e.open(ctx)
			if err != nil {
				return err
			}
			for i := range 3 {
				if err := s.Close(); err != nil {
					return fmt.Errorf("Close, time %d: %w", i+1, err)
				}
			}
			return nil
		}},
	{ID: "close/durable", Sentence: "What was set is there for the next handle.", Needs: NeedsSecond,
		check: func(ctx context.Context, e *env) error {
			s, err := e.open(ctx)
			if err != nil {
				return err
			}
			names := e.names(30)
			if err := s.SetBatch(ctx, batch(names, "v ")); err != nil {
				return err
			}
			second, err := e.second(ctx, s)
			if err != nil {
				return err
			}
			if !e.h.Shared {
				if err := s.Close(); err != nil {
					return err
				}
			}
			got, err := second.GetBatch(ctx, names)
			if err != nil || !sameValues(got, batch(names, "v ")) {
				return fmt.Errorf("the second handle reads %d values, %v", len(got), err)
			}
			return e.expectList(ctx, second, names)
		}},
	{ID: "second/sees", Sentence: "What one handle has written, the next call of another sees.", Needs: NeedsSecond,
		check: func(ctx context.Context, e *env) error {
			s, err := e.open(ctx)
			if err != nil {
				return err
			}
			if err := s.Set(ctx, e.name("first"), text("v")); err != nil {
				return err
			}
			second, err := e.second(ctx, s)
			if err != nil {
				return err
			}
			stores := []secretstore.StoreCloser{s, second}
			for i := range e.count(60) {
				writer, reader := stores[i%2], stores[(i+1)%2]
				want := text(fmt.Sprint("round ", i))
				if err := writer.Set(ctx, e.name("k"), want); err != nil {
					return err
				}
				if err := expect(ctx, reader, e.name("k"), want); err != nil {
					return err
				}
			}
			return e.expectList(ctx, second, []string{e.name("first"), e.name("k")})
		}},
}
