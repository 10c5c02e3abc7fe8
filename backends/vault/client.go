package vault

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/hashicorp/vault/api"
	"github.com/mlsecrets/secretstore"
)

const backend = "vault"

// client sends requests with the session's token, and tries again where that helps.
type client struct {
	api     *api.Client
	timeout time.Duration // of one try
	session *session
	pool    *http.Client // ours to close, or nil
	down    atomic.Bool  // the last call ran out of tries
}

func (*client) Backend() string { return backend }

// Fanout is the width of New's fan-out. See the constants.
func (*client) Fanout() (gets, sets int) { return getWidth, setWidth }

// Close ends the renewal of the token.
func (c *client) Close() error {
	c.close()
	return nil
}

func (c *client) close() {
	c.session.close()
	if c.pool != nil {
		c.pool.CloseIdleConnections()
	}
}

// request is one request below /v1/.
type request struct {
	method string
	path   string
	query  url.Values
	body   any // marshaled as JSON
}

// mergePatch is the media type that a PATCH of Vault wants (RFC 7396).
const mergePatch = "application/merge-patch+json"

// answer is what a server said, whole.
type answer struct {
	status int
	header http.Header
	body   []byte
}

// maxAnswer is more than the largest body that Vault takes by default, 32 MiB.
const maxAnswer = 64 << 20

// try makes one exchange. An error means that there was no whole answer; unsent says
// that the server can't have seen the request.
func (c *client) try(ctx context.Context, r request, body []byte, token string) (a *answer, unsent bool, err error) {
	if c.timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, c.timeout)
		defer cancel()
	}
	req := c.api.NewRequest(r.method, "/v1/"+r.path)
	req.ClientToken = token
	req.Params = r.query
	req.BodyBytes = body
	if r.body != nil {
		req.Obj = json.RawMessage(body) // sent again after a redirect
	}
	if r.method == http.MethodPatch {
		req.Headers.Set("Content-Type", mergePatch)
	}
	//lint:ignore SA1019 what stands in its place hides the status, the headers and the token
	resp, err := c.api.RawRequestWithContext(ctx, req)
	if resp == nil || resp.Response == nil {
		if isDial(err) {
			return nil, true, noAnswer(err)
		}
		return nil, false, &lostAnswer{noAnswer(err)}
	}
	defer resp.Body.Close()
	// Of an error status, err is the text of the server, which is not for us.
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	if err != nil || len(text) > maxAnswer {
		return nil, false, &lostAnswer{unavailable(&answer{status: resp.StatusCode}, "the answer broke off, or is too long")}
	}
	return &answer{status: resp.StatusCode, header: resp.Header, body: text}, false, nil
}

// lostAnswer is the error of a request that the server may have carried out all the
// same.
type lostAnswer struct{ err *secretstore.Error }

func (l *lostAnswer) Error() string { return l.err.Error() }
func (l *lostAnswer) Unwrap() error { return l.err }

// isDial reports whether there was no connection to send on.
func isDial(err error) bool {
	op, ok := errors.AsType[*net.OpError](err)
	return ok && op.Op == "dial"
}

var uuid = regexp.MustCompile(`^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$`)

// requestID returns the server's id of the request, for an error.
func (a *answer) requestID() string {
	if id := a.headerID(); id != "" {
		return id
	}
	var r struct {
		RequestID string `json:"request_id"`
	}
	if json.Unmarshal(a.body, &r) != nil {
		return ""
	}
	return cleanID(r.RequestID)
}

func (a *answer) headerID() string {
	return cmp.Or(cleanID(a.header.Get("X-Vault-Request-Id")), cleanID(a.header.Get("X-Request-Id")))
}

// cleanID returns the id if it has the form of one: a server that repeats what it was
// sent must not put that into an error.
func cleanID(id string) string {
	if uuid.MatchString(strings.ToLower(id)) {
		return id
	}
	return ""
}

// retryAfter returns what a Retry-After of seconds or of a date asks for, or 0.
func (a *answer) retryAfter() time.Duration {
	v := a.header.Get("Retry-After")
	if n, err := strconv.Atoi(v); err == nil {
		return time.Duration(min(max(n, 0), 3600)) * time.Second
	}
	if t, err := http.ParseTime(v); err == nil {
		return max(time.Until(t), 0)
	}
	return 0
}

// call makes one request of the session: it tries again, and logs in again if the
// token is no longer good.
func (c *client) call(ctx context.Context, r request) (*answer, error) {
	for range 3 { // the token may change hands more than once
		token, gen := c.session.current()
		sent := time.Now()
		a, err := c.send(ctx, r, token)
		if err != nil || a.status != http.StatusForbidden {
			return a, err
		}
		again, err := c.session.refused(ctx, gen, sent, saysInvalidToken(a))
		if err != nil {
			return nil, err
		}
		if !again {
			return a, nil
		}
	}
	return nil, &secretstore.Error{Kind: secretstore.ErrDenied, Status: http.StatusForbidden,
		Detail: "the server takes none of the tokens that it gives; its login and its policies don't fit"}
}

// saysInvalidToken reports whether a refusal is for the token's sake. Older servers
// don't say.
func saysInvalidToken(a *answer) bool { return bytes.Contains(a.body, []byte("invalid token")) }
