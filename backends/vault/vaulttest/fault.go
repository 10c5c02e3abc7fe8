package vaulttest

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"
)

// Fault is a way for the server to fail.
type Fault string

const (
	Seal     Fault = "seal"     // 503: the server is sealed
	Throttle Fault = "throttle" // 429, without Retry-After
	Deny     Fault = "deny"     // 403, as of a policy
	Outage   Fault = "outage"   // 502 with the HTML page of a proxy
	Hang     Fault = "hang"     // no answer until the client gives up
	Echo     Fault = "echo"     // 500 with an error that repeats path, token and body
	Break    Fault = "break"    // the connection is closed in the middle of the answer
)

type injected struct {
	fault Fault
	name  string
}

// Inject makes every request fail, or those whose path ends in the segment name, until
// undo is called.
func (s *Server) Inject(f Fault, name string) (undo func()) {
	in := &injected{f, name}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = append(s.faults, in)
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.faults = slices.DeleteFunc(s.faults, func(other *injected) bool { return other == in })
	}
}

// SetLatency makes every request take so much longer.
func (s *Server) SetLatency(d time.Duration) { s.latency.Store(int64(d)) }

// ExpireTokens ends the life of all tokens that a login gave.
func (s *Server) ExpireTokens() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for name, t := range s.tokens {
		if !t.expires.IsZero() {
			delete(s.tokens, name)
		}
	}
}

// fail answers as a fault has it, and reports whether there was one.
func (s *Server) fail(w http.ResponseWriter, r *http.Request, path string, body []byte) bool {
	s.mu.Lock()
	i := slices.IndexFunc(s.faults, func(in *injected) bool {
		return in.name == "" || strings.HasSuffix(strings.TrimSuffix(path, "/"), "/"+in.name)
	})
	if i < 0 {
		s.mu.Unlock()
		return false
	}
	fault := s.faults[i].fault
	s.mu.Unlock()
	switch fault {
	case Seal:
		fail(http.StatusServiceUnavailable, "Vault is sealed").write(w)
	case Throttle:
		fail(http.StatusTooManyRequests, fmt.Sprintf("request path %q: rate limit quota exceeded", path)).write(w)
	case Deny:
		if path == "auth/token/lookup-self" {
			return false // every policy allows it
		}
		fail(http.StatusForbidden, "1 error occurred:\n\t* permission denied\n\n").write(w)
	case Outage:
		w.Header().Set("Content-Type", "text/html")
		w.WriteHeader(http.StatusBadGateway)
		fmt.Fprint(w, "<html><body><h1>502 Bad Gateway</h1></body></html>")
	case Hang:
		select {
		case <-r.Context().Done():
		case <-s.done:
		}
	case Echo:
		fail(http.StatusInternalServerError, fmt.Sprintf("can't handle %s with %s: %s", path, r.Header.Get("X-Vault-Token"), body)).write(w)
	case Break:
		w.Header().Set("Content-Length", "1000")
		fmt.Fprint(w, `{"data":{"data":{`)
		panic(http.ErrAbortHandler)
	}
	return true
}
