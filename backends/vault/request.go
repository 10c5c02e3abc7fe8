package vault

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"math/rand/v2"
	"net/http"
	"strconv"
	"time"

	"github.com/hashicorp/vault/api"
	"github.com/mlsecrets/secretstore"
)

// request is one request to Vault.
type request struct {
	method string // GET, LIST, POST, PATCH or DELETE
	path   string
	body   []byte
	login  bool // it gets a token, and needs none
}

// answer is what we read of Vault's answers.
type answer struct {
	status    int
	RequestID string          `json:"request_id"`
	Data      json.RawMessage `json:"data"`
	Errors    []string        `json:"errors"`
	Warnings  []string        `json:"warnings"`
	Auth      *struct {
		ClientToken   string `json:"client_token"`
		LeaseDuration int    `json:"lease_duration"`
		Renewable     bool   `json:"renewable"`
	} `json:"auth"`

	hasErrors bool          // the answer has the key errors
	after     time.Duration // Retry-After
}

// maxAnswer bounds an answer: a Vault secret has at most 1 MiB in a string, and 32 MiB
// in all.
const maxAnswer = 64 << 20

// do sends a request with a token that holds, and tries again what is worth it.
func (s *session) do(ctx context.Context, r request) (*answer, error) {
	generation, err := s.ensure(ctx)
	if err != nil {
		return nil, err
	}
	for range 3 {
		sent := time.Now()
		a, err := s.retried(ctx, r)
		e, ok := errors.AsType[*secretstore.Error](err)
		if !ok || e.Kind != secretstore.ErrDenied {
			return a, err
		}
		if err := s.refused(ctx, generation, sent, e); err != nil {
			return a, err
		}
		_, generation = s.current()
	}
	return nil, denied("new tokens are refused again and again")
}

// How long a request is tried again without a deadline in the context.
const (
	patienceDown      = 1500 * time.Millisecond // a server that is down or sealed
	patienceThrottled = 60 * time.Second        // a server that asks to slow down
	firstPause        = 100 * time.Millisecond
	longestPause      = 5 * time.Second
)

// retried sends a request again while the server is down or throttles.
func (s *session) retried(ctx context.Context, r request) (*answer, error) {
	start := time.Now()
	var throttled error
	for pause := firstPause; ; pause = min(2*pause, longestPause) {
		a, err := s.once(ctx, r)
		e, ok := errors.AsType[*secretstore.Error](err)
		if !ok {
			if err != nil && throttled != nil {
				err = throttled // that is why the context ended
			}
			return a, err
		}
		patience := patienceDown
		switch e.Kind {
		case secretstore.ErrThrottled:
			throttled = err
			patience = patienceThrottled
			if _, ok := ctx.Deadline(); ok {
				patience = time.Hour // the context's
			}
		case secretstore.ErrUnavailable:
			if !again(e) {
				return a, err
			}
		default:
			return a, err
		}
		wait := pause/2 + rand.N(pause)
		if a != nil {
			wait = max(wait, a.after)
		}
		if time.Since(start)+wait > patience {
			return a, err
		}
		if sleep(ctx, wait) != nil {
			return a, err
		}
	}
}

// again reports whether a request to a server that is unavailable is worth another try.
func again(e *secretstore.Error) bool {
	switch e.Status {
	case 0, http.StatusPreconditionFailed, 472, 473, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return e.Detail != detailCertificate && e.Detail != detailNotTLS
	}
	return false
}

// once sends a request once. An answer other than a success is an error; where there
// is an answer it is returned as well.
func (s *session) once(ctx context.Context, r request) (*answer, error) {
	try, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	resp, err := s.send(try, r)
	if resp != nil {
		defer resp.Body.Close()
	}
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	if resp == nil {
		return nil, unreachable(err)
	}
	text, rerr := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if rerr != nil {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		return nil, &secretstore.Error{Kind: secretstore.ErrUnavailable, Status: resp.StatusCode, Detail: "the answer was cut short"}
	}
	a := &answer{status: resp.StatusCode}
	if seconds, err := strconv.Atoi(resp.Header.Get("Retry-After")); err == nil && seconds > 0 {
		a.after = min(time.Duration(seconds)*time.Second, time.Minute)
	}
	if len(text) > 0 {
		if json.Unmarshal(text, a) != nil {
			a.Data = nil
			return a, notVault(resp.StatusCode)
		}
		a.hasErrors = bytes.Contains(text, []byte(`"errors"`))
	}
	return a, s.judge(r, a)
}

func (s *session) send(ctx context.Context, r request) (*api.Response, error) {
	logical := s.client.Logical()
	switch r.method {
	case "GET":
		return logical.ReadRawWithContext(ctx, r.path)
	case "LIST":
		return logical.ReadRawWithDataWithContext(ctx, r.path, map[string][]string{"list": {"true"}})
	case "POST":
		return logical.WriteRawWithContext(ctx, r.path, r.body)
	case "PATCH":
		return logical.PatchRawWithContext(ctx, r.path, r.body)
	default:
		return logical.DeleteRawWithContext(ctx, r.path)
	}
}

func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
