package vaulttest

import (
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// Fault is what goes wrong with requests.
type Fault struct {
	// Path is the end of the path of the requests that it is for, such as
	// "/db-password"; empty is all requests below the mount.
	Path string

	Hang       bool          // no answer until the client gives up
	Echo       bool          // the answer repeats the request's body and token
	Status     int           // of the answer
	Body       string        // of the answer; empty is one of Vault's form
	RetryAfter time.Duration // in the answer's header, in whole seconds
	Times      int           // how many requests it is for; 0 is all
}

// Inject makes requests fail until undo is called.
func (s *Server) Inject(f Fault) (undo func()) {
	p := &f
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = append(s.faults, p)
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		for i, other := range s.faults {
			if other == p {
				s.faults = append(s.faults[:i:i], s.faults[i+1:]...)
				return
			}
		}
	}
}

// Denied is the fault of a policy that doesn't allow the path.
func Denied(path string) Fault {
	return Fault{Path: path, Status: http.StatusForbidden, Body: `{"errors":["1 error occurred:\n\t* permission denied\n\n"]}`}
}

// Throttled is the fault of a rate limit.
func Throttled() Fault {
	return Fault{Status: http.StatusTooManyRequests, Body: `{"errors":["request path \"secret\": rate limit quota exceeded"]}`}
}

// Proxy is the fault of a proxy without a server behind it.
func Proxy() Fault {
	return Fault{Status: http.StatusBadGateway, Body: "<html><body>502 Bad Gateway</body></html>"}
}

// faultFor returns the fault for a path, or nil.
func (s *Server) faultFor(path string) *Fault {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, f := range s.faults {
		if !strings.HasPrefix(path, "secret/") || !strings.HasSuffix(path, f.Path) || f.Times < 0 {
			continue
		}
		if f.Times > 0 {
			if f.Times--; f.Times == 0 {
				f.Times = -1
			}
		}
		found := *f
		return &found
	}
	return nil
}

// commit does what the fault says.
func (f *Fault) commit(w http.ResponseWriter, r *http.Request, text []byte) {
	if f.Hang {
		<-r.Context().Done()
		return
	}
	body := f.Body
	if f.Echo {
		body = string(text) + r.Header.Get("X-Vault-Token")
	}
	if f.RetryAfter > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(int(f.RetryAfter.Seconds())))
	}
	status := f.Status
	if status == 0 {
		status = http.StatusInternalServerError
	}
	if body == "" {
		fail(w, status, "injected")
		return
	}
	w.WriteHeader(status)
	io.WriteString(w, body)
}
