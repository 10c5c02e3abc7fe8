package azurekvtest

import (
	"net/http"
	"slices"
	"strings"
	"time"
)

// FaultKind is a way for the vault to misbehave.
type FaultKind int

// The faults.
const (
	// Throttle answers 429, as the service does over its limits.
	Throttle FaultKind = iota + 1
	// Unavailable answers 503 in the service's form.
	Unavailable
	// Hang gives no answer until the client gives up or the server closes.
	Hang
	// Reset breaks the connection off without an answer.
	Reset
	// HTMLPage answers 200 with a page, as a login page in between does.
	HTMLPage
	// HTMLNotFound answers 404 with a page, as a proxy does.
	HTMLNotFound
	// EmptyOK answers 200 without a body.
	EmptyOK
	// Truncated breaks off in the middle of the body of a 200.
	Truncated
	// Echo answers 400 with the request's body and token in the message, in
	// the codes and in the request id.
	Echo
	// Firewall answers 403 as a vault does to an address that it doesn't admit.
	Firewall
	// AccessDenied answers 403 as a vault with access policies does to an
	// identity that none names.
	AccessDenied
	// ServerError answers 500 in the service's form.
	ServerError
)

// Fault is one injected fault.
type Fault struct {
	Kind       FaultKind
	Method     string        // only requests of this method; "": all
	Name       string        // only requests on this secret; "": all
	Times      int           // how often; 0: until Heal
	RetryAfter time.Duration // of Throttle and Unavailable; 0: no such header
}

// Inject makes the vault misbehave. Of several faults that fit a request the
// first injected is taken. Throttle, Unavailable, ServerError, Echo, Firewall and
// AccessDenied come once the request is authenticated; the others hit any request.
func (v *Vault) Inject(f Fault) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.faults = append(v.faults, &f)
}

// Heal ends every fault.
func (v *Vault) Heal() {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.faults = nil
}

func (k FaultKind) early() bool {
	return slices.Contains([]FaultKind{Hang, Reset, HTMLPage, HTMLNotFound, EmptyOK, Truncated}, k)
}

// takeFault returns the fault for a request, or nil.
func (v *Vault) takeFault(r *http.Request, authorized bool) *Fault {
	for i, f := range v.faults {
		if f.Method != "" && f.Method != r.Method || !f.Kind.early() && !authorized {
			continue
		}
		if f.Name != "" && !slices.ContainsFunc(strings.Split(r.URL.Path, "/"), func(part string) bool {
			return strings.EqualFold(part, f.Name)
		}) {
			continue
		}
		taken := *f
		if f.Times--; f.Times == 0 {
			v.faults = slices.Delete(slices.Clone(v.faults), i, i+1)
		} else if f.Times < 0 {
			f.Times = 0
		}
		return &taken
	}
	return nil
}

const htmlPage = "<!DOCTYPE html><html><head><title>Sign in</title></head><body><h1>Sign in to continue</h1></body></html>"

// misbehave does what is done without looking at the token, and reports whether it
// did anything.
func (f *Fault) misbehave(w http.ResponseWriter, r *http.Request, _ []byte, req *Request) bool {
	html := func(status int) {
		req.Status = status
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		w.WriteHeader(status)
		w.Write([]byte(htmlPage))
	}
	switch f.Kind {
	case Hang:
		<-r.Context().Done()
	case Reset:
		panic(http.ErrAbortHandler)
	case HTMLPage:
		html(http.StatusOK)
	case HTMLNotFound:
		html(http.StatusNotFound)
	case EmptyOK:
		req.Status = http.StatusOK
		w.WriteHeader(http.StatusOK)
	case Truncated:
		req.Status = http.StatusOK
		w.Header().Set("Content-Type", "application/json; charset=utf-8")
		w.Header().Set("Content-Length", "400")
		w.Write([]byte(`{"value":"cut of`))
		http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	default:
		return false
	}
	return true
}

// answer is that of the faults that come after authentication.
func (f *Fault) answer(body []byte, authorization string) answer {
	switch f.Kind {
	case Throttle:
		return throttled(f.RetryAfter)
	case Unavailable:
		a := throttled(f.RetryAfter) // for its header
		b := fail(http.StatusServiceUnavailable, "ServiceUnavailable", "", "The service is unavailable.")
		b.header = a.header
		return b
	case ServerError:
		return fail(http.StatusInternalServerError, "InternalServerError", "", "An unexpected error occurred.")
	case Firewall:
		return fail(http.StatusForbidden, "Forbidden", "ForbiddenByFirewall",
			"Client address is not authorized and caller is not a trusted service.\r\nClient address: 203.0.113.7")
	case AccessDenied:
		return fail(http.StatusForbidden, "Forbidden", "AccessDenied",
			"The user, group or application does not have secrets permission on key vault.")
	case Echo:
		said := string(body) + " " + authorization
		a := fail(http.StatusBadRequest, said, said, "%s", said)
		a.header = map[string]string{
			"X-Ms-Request-Id": strings.Map(func(r rune) rune {
				if r < ' ' || r > '~' {
					return -1
				}
				return r
			}, said),
			"X-Ms-Error-Code": strings.TrimPrefix(authorization, "Bearer "),
		}
		return a
	}
	panic("azurekvtest: a fault of no known kind")
}
