package azurekv

import (
	"context"
	"math/rand/v2"
	"slices"
	"sync"
	"time"
)

// How many requests may be under way at once. 32 reads exceed the service's 400 a
// second at any latency under 80 ms, and 8 writes its 30 a second.
const (
	mostReads  = 32
	mostWrites = 8
)

// How long the limiter stays shut after the service throttled without saying for
// how long. The service's window is 10 s, so that one probe a second overshoots its
// end by a tenth at most; probes that are refused don't count against the limit.
const (
	minPause = 100 * time.Millisecond
	maxPause = time.Second
)

// patience is how long the service may throttle, or a name stay in between two
// states, without any success, for a context without a deadline.
const patience = 2 * time.Minute

// A limiter says how many requests may be under way. The number falls to its half
// when the service throttles and grows by one with each round of successes (additive
// increase, multiplicative decrease). After a throttled answer the limiter is shut;
// then it lets single probes through, until one succeeds.
type limiter struct {
	most float64

	mu       sync.Mutex
	width    float64
	inFlight int
	queue    []*waiter

	shut    bool
	probing bool
	opens   time.Time // when the next probe may go
	pause   time.Duration
	since   time.Time // when it was shut, of the last time
	// event counts the throttled answers that were heeded. What comes back to a
	// request that was sent before the last of them is old news.
	event int
}

func newLimiter(most int) *limiter { return &limiter{most: float64(most), width: float64(most)} }

// pass is the leave to send one request. It must be given back.
type pass struct {
	event int
	probe bool
}

type waiter struct {
	ready    chan struct{} // closed when granted or refused
	deadline bool
	pass     pass
	refused  bool
}

// errShut says that the wait ended while the service was throttling.
type errShut struct{ cause error }

func (e errShut) Error() string { return "azurekv: throttled" }
func (e errShut) Unwrap() error { return e.cause }

// acquire waits for a pass. Its error is an errShut or the context's.
func (l *limiter) acquire(ctx context.Context) (pass, error) {
	l.mu.Lock()
	if len(l.queue) == 0 {
		if p, ok := l.admit(); ok {
			l.mu.Unlock()
			return p, nil
		}
	}
	w := &waiter{ready: make(chan struct{})}
	_, w.deadline = ctx.Deadline()
	if l.shut && !w.deadline && time.Until(l.opens) > patience {
		l.mu.Unlock()
		return pass{}, errShut{}
	}
	l.queue = append(l.queue, w)
	l.mu.Unlock()

	select {
	case <-w.ready:
		if w.refused {
			return pass{}, errShut{}
		}
		return w.pass, nil
	case <-ctx.Done():
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if i := slices.Index(l.queue, w); i >= 0 {
		l.queue = slices.Delete(l.queue, i, i+1)
	} else if !w.refused {
		l.leave(w.pass) // it was granted at the same moment
	}
	if l.shut {
		return pass{}, errShut{ctx.Err()}
	}
	return pass{}, ctx.Err()
}

// admit takes a place if there is one. The lock is held.
func (l *limiter) admit() (pass, bool) {
	if l.shut {
		if l.probing || time.Now().Before(l.opens) {
			return pass{}, false
		}
		l.probing = true
	} else if float64(l.inFlight+1) > l.width {
		return pass{}, false
	}
	l.inFlight++
	return pass{event: l.event, probe: l.shut}, true
}

// leave gives a place back and grants what has become free. The lock is held.
func (l *limiter) leave(p pass) {
	l.inFlight--
	if p.probe && p.event == l.event {
		l.probing = false
	}
	l.grant()
}

// grant lets the longest waiting through. The lock is held.
func (l *limiter) grant() {
	for len(l.queue) > 0 {
		p, ok := l.admit()
		if !ok {
			return
		}
		w := l.queue[0]
		l.queue[0] = nil
		l.queue = l.queue[1:]
		w.pass = p
		close(w.ready)
	}
}

// done gives the pass back after an answer that was not throttled.
func (l *limiter) done(p pass) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if p.event == l.event {
		l.shut = false
		l.width = min(l.width+1/l.width, l.most)
	}
	l.leave(p)
}

// broken gives the pass back after a request that got no answer to learn from.
func (l *limiter) broken(p pass) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.leave(p)
}

// throttled gives the pass back after the service throttled, and said to wait so
// long, or 0. It reports whether patience has run out.
func (l *limiter) throttled(p pass, wait time.Duration) (lost bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	heed := p.event == l.event
	switch {
	case heed && !l.shut:
		l.shut, l.since, l.pause = true, now, minPause
		l.width = max(l.width/2, 1)
	case heed:
		l.pause = min(2*l.pause, maxPause)
	}
	if heed {
		l.event++
		l.probing = false
		if wait == 0 {
			// Many processes may have been throttled at the same moment.
			wait = time.Duration(float64(l.pause) * (0.8 + 0.4*rand.Float64()))
		}
	}
	if opens := now.Add(wait); l.shut && (heed || opens.After(l.opens)) {
		l.opens = opens
		time.AfterFunc(wait, func() {
			l.mu.Lock()
			defer l.mu.Unlock()
			l.grant()
		})
	}
	lost = l.shut && l.opens.Sub(l.since) > patience
	if lost {
		l.queue = slices.DeleteFunc(l.queue, func(w *waiter) bool {
			if w.deadline {
				return false
			}
			w.refused = true
			close(w.ready)
			return true
		})
	}
	l.leave(p)
	return lost
}
