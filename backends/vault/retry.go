package vault

import (
	"context"
	"encoding/json"
	"math/rand/v2"
	"net/http"
	"time"

	"github.com/mlsecrets/secretstore"
)

const (
	// outageTries is how often a call is tried when there is no answer, or one of a
	// server that is not ready.
	outageTries = 4
	// patience is how long one call waits in all for a server that throttles.
	patience = time.Minute
	// The pauses double from the first to the longest.
	firstPause, longestPause = 50 * time.Millisecond, 5 * time.Second
)

// send makes an exchange, and tries again where that can help and does no harm. The
// result is that of the last try.
//
// Pauses have jitter, are as long as Retry-After asks for at least, and end with the
// context; one that would end after the context's deadline is not begun. After a call
// that ran out of tries, calls are tried once only until one is answered: in an outage
// a batch would otherwise pause for each of its names.
func (c *client) send(ctx context.Context, r request, token string) (*answer, error) {
	var body []byte
	if r.body != nil {
		var err error
		if body, err = json.Marshal(r.body); err != nil {
			return nil, &secretstore.Error{Kind: secretstore.ErrUnavailable, Detail: "the request can't be written as JSON"}
		}
	}
	var waited time.Duration
	for n := 1; ; n++ {
		a, unsent, err := c.try(ctx, r, body, token)
		why := retryable(r.method, a, unsent)
		if why == never {
			if err == nil {
				c.down.Store(false)
			}
			return a, err
		}
		pause := pauseAfter(n)
		if a != nil {
			pause = max(pause, a.retryAfter()+pause/4)
		}
		deadline, limited := ctx.Deadline()
		giveUp := ctx.Err() != nil || waited+pause > patience || limited && time.Now().Add(pause).After(deadline)
		if why == outage && ctx.Err() == nil {
			giveUp = giveUp || n >= outageTries || c.down.Load()
			if giveUp {
				c.down.Store(true)
			}
		}
		if giveUp {
			return a, err
		}
		timer := time.NewTimer(pause)
		select {
		case <-timer.C:
			waited += pause
		case <-ctx.Done():
			timer.Stop()
			return a, err
		}
	}
}

// pauseAfter returns the pause after the n-th try: double the one before, from half
// of it to one and a half.
func pauseAfter(n int) time.Duration {
	pause := min(firstPause<<min(n-1, 16), longestPause)
	return pause/2 + rand.N(pause)
}

type reason int

const (
	never reason = iota
	throttled
	outage
)

// retryable says whether a try may be made again, and why. A write is sent again only
// if the server has not carried it out: with another writer in between, the second
// time would undo that writer's.
func retryable(method string, a *answer, unsent bool) reason {
	read := method == http.MethodGet
	switch {
	case a == nil && (read || unsent):
		return outage
	case a == nil:
		return never
	}
	switch a.status {
	case http.StatusTooManyRequests:
		return throttled
	case http.StatusServiceUnavailable, // sealed, standby, or no server behind the proxy
		http.StatusPreconditionFailed: // a standby that has not caught up yet
		return outage
	case http.StatusBadGateway, http.StatusGatewayTimeout:
		if read {
			return outage
		}
	}
	return never
}
