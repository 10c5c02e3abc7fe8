// Package azfault reads what Azure's services and the way to them say when they
// refuse or fail. It passes on codes to compare with and kinds of error, and never
// a text of a service or of an SDK.
package azfault

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/mlsecrets/secretstore"
)

// Refusal is an answer other than a success. Its codes are the service's own, so
// they are for comparing and not for showing.
type Refusal struct {
	Status     int
	Code       string        // error.code; "" if the body is not in the services' form
	Inner      string        // error.innererror.code
	Mark       string        // what Key Vault puts before a message: AKV10032, TokenExpired
	RequestID  string        // "" unless it has the form of a GUID
	RetryAfter time.Duration // 0 if the service named none
}

// Error returns a text without anything of the answer but its status.
func (r *Refusal) Error() string { return "azure: status " + strconv.Itoa(r.Status) }

// Kind returns an error of that kind with the refusal's status and request id.
func (r *Refusal) Kind(kind error, detail string) *secretstore.Error {
	return &secretstore.Error{Kind: kind, Detail: detail, Status: r.Status, RequestID: r.RequestID}
}

var (
	guid = regexp.MustCompile(`^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$`)
	mark = regexp.MustCompile(`^(?:\[([A-Za-z]{1,40})\]|(AKV[0-9]{1,8}):)`)
)

// IsRequestID reports whether the text has the form of the services' request ids. A
// server can send any.
func IsRequestID(text string) bool { return guid.MatchString(text) }

// NewRefusal reads an answer whose body has been read.
func NewRefusal(resp *http.Response, body []byte, now time.Time) *Refusal {
	r := &Refusal{Status: resp.StatusCode, RetryAfter: retryAfter(resp.Header, now)}
	if id := resp.Header.Get("X-Ms-Request-Id"); IsRequestID(id) {
		r.RequestID = id
	}
	var said struct {
		Error struct {
			Code    string
			Message string
			Inner   struct{ Code string } `json:"innererror"`
		}
	}
	if json.Unmarshal(body, &said) == nil {
		r.Code, r.Inner = said.Error.Code, said.Error.Inner.Code
		if m := mark.FindStringSubmatch(said.Error.Message); m != nil {
			r.Mark = m[1] + m[2]
		}
	}
	return r
}

// retryAfter reads the three headers that Azure's services use, of which the last
// is in seconds or a date.
func retryAfter(h http.Header, now time.Time) time.Duration {
	for _, name := range []string{"Retry-After-Ms", "X-Ms-Retry-After-Ms"} {
		if n, err := strconv.ParseUint(h.Get(name), 10, 31); err == nil {
			return time.Duration(n) * time.Millisecond
		}
	}
	text := h.Get("Retry-After")
	if n, err := strconv.ParseUint(text, 10, 31); err == nil {
		return time.Duration(n) * time.Second
	}
	if at, err := http.ParseTime(text); err == nil {
		return max(at.Sub(now), 0)
	}
	return 0
}

// Foreign reports whether an answer in the form of none of Azure's services came
// back: a proxy's, a login page's.
func (r *Refusal) Foreign() bool { return r.Code == "" }

// ForeignDetail is the detail for an answer that is not the service's.
const ForeignDetail = "the answer is not Azure's; a proxy or a login page may stand in between"

// Transport returns the error of a request that got no answer. final reports
// whether trying again can't help.
func Transport(err error) (out *secretstore.Error, final bool) {
	unavailable := func(detail string) *secretstore.Error {
		return &secretstore.Error{Kind: secretstore.ErrUnavailable, Detail: detail}
	}
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return unavailable("no answer in time"), false
	}
	if dns, ok := errors.AsType[*net.DNSError](err); ok {
		if dns.IsNotFound {
			return unavailable("no such host; check the name, and whether this network resolves it (a private endpoint needs its DNS zone)"), true
		}
		return unavailable("the host's name could not be resolved"), false
	}
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return unavailable("the server's certificate is not trusted; a proxy that opens TLS needs its CA among the system's roots"), true
	}
	if op, ok := errors.AsType[*net.OpError](err); ok && op.Op == "dial" {
		return unavailable("no connection to the host"), false
	}
	if strings.Contains(err.Error(), "server gave HTTP response to HTTPS client") {
		return unavailable("the server doesn't speak TLS"), true
	}
	return unavailable("the connection broke before the answer was complete"), false
}

// Credential returns the error of a credential without its text, which may hold the
// answer of the login service. what is what the token was for.
func Credential(err error, what string) error {
	if below, ok := errors.AsType[*secretstore.Error](err); ok {
		return below
	}
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) {
		return &secretstore.Error{Kind: secretstore.ErrUnavailable, Detail: "the credential gave no token in time"}
	}
	return &secretstore.Error{Kind: secretstore.ErrDenied,
		Detail: "the credential gave no token for " + what + "; log in with az login, or check the identity that this process is given"}
}
