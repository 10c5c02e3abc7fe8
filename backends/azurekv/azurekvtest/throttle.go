package azurekvtest

import (
	"fmt"
	"net/http"
	"time"
)

// window counts the requests of the last limit.Per.
type window struct {
	limit Limit
	taken []time.Time // oldest first
}

// room reports whether one more request is within the limit.
func (w *window) room(now time.Time) bool {
	if w.limit.Requests == 0 {
		return true
	}
	gone := 0
	for gone < len(w.taken) && now.Sub(w.taken[gone]) >= w.limit.Per {
		gone++
	}
	w.taken = w.taken[gone:]
	return len(w.taken) < w.limit.Requests
}

func (w *window) take(now time.Time) {
	if w.limit.Requests > 0 {
		w.taken = append(w.taken, now)
	}
}

func throttled(retryAfter time.Duration) answer {
	a := fail(http.StatusTooManyRequests, "Throttled", "",
		"Request was not processed because too many requests were received. Reason: VaultRequestTypeLimitReached")
	if retryAfter > 0 {
		// The header counts whole seconds.
		a.header = map[string]string{"Retry-After": fmt.Sprint(int64((retryAfter + time.Second - 1) / time.Second))}
	}
	return a
}
