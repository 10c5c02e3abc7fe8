package azurekv

import (
	"context"
	"sync"
)

// A warmup lets one request go ahead until one has been authenticated. The client
// learns from the service's challenge for whom and for what it needs a token;
// every request that starts before it has would be challenged by itself.
type warmup struct {
	mu     sync.Mutex
	warm   bool
	flight *ahead // the request under way, or nil
}

type ahead struct {
	landed  chan struct{}
	givenUp bool // its context ended, which says nothing to the others
}

// join waits for the request that is ahead, if any, and reports whether the caller
// is now the one ahead. Then it must call leave.
func (w *warmup) join(ctx context.Context) (lead bool, err error) {
	for {
		w.mu.Lock()
		if w.warm {
			w.mu.Unlock()
			return false, nil
		}
		a := w.flight
		if a == nil {
			w.flight = &ahead{landed: make(chan struct{})}
			w.mu.Unlock()
			return true, nil
		}
		w.mu.Unlock()
		select {
		case <-a.landed:
			if !a.givenUp {
				// Also if it failed: to queue up for a server that is out
				// of order would make a long wait out of a short one.
				return false, nil
			}
		case <-ctx.Done():
			return false, ctx.Err()
		}
	}
}

func (w *warmup) leave(warm, givenUp bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.warm = warm
	w.flight.givenUp = givenUp
	close(w.flight.landed)
	w.flight = nil
}
