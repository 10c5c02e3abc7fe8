package azurekv

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"net/http"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/runtime"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/streaming"
	"github.com/mlsecrets/secretstore"
	"github.com/mlsecrets/secretstore/backends/azurekv/internal/azfault"
)

const (
	// maxTries is how often a request is sent that meets a broken connection or
	// an error of the server. With the delays it spans about three seconds.
	maxTries = 4
	// firstDelay is the delay before the second try; it triples each time.
	firstDelay = 200 * time.Millisecond
	// tryTimeout ends a try whose answer doesn't come, token included.
	tryTimeout = time.Minute
)

// gate is the policy through which every request passes, one page of a listing
// like one secret. It sends the first request alone, holds the others to the
// service's pace, tries again where that helps, and turns every answer that is not
// a success into a *azfault.Refusal. So the client never makes errors of its own,
// whose texts (and azcore's log of them) hold the bodies of answers.
type gate struct {
	host          string
	tokens        *tokens
	reads, writes *limiter
	warm          warmup
}

func newGate(host string, t *tokens) *gate {
	return &gate{host: host, tokens: t, reads: newLimiter(mostReads), writes: newLimiter(mostWrites)}
}

func (g *gate) Do(req *policy.Request) (*http.Response, error) {
	// The links to next pages name the vault's public host and its port. Behind
	// a gateway that is another host, and with a port the client's check of a
	// challenge fails.
	req.Raw().URL.Scheme, req.Raw().URL.Host, req.Raw().Host = "https", g.host, g.host
	pace := g.writes
	if req.Raw().Method == http.MethodGet {
		pace = g.reads
	}
	ctx := req.Raw().Context()
	var body []byte
	if req.Body() != nil {
		var err error
		if body, err = io.ReadAll(req.Body()); err != nil {
			return nil, err // it is in memory
		}
	}
	start, delay := time.Now(), firstDelay
	for try := 1; ; {
		p, err := pace.acquire(ctx)
		if shut, ok := errors.AsType[errShut](err); ok {
			return nil, throttled(&azfault.Refusal{Status: http.StatusTooManyRequests}, shut.cause)
		} else if err != nil {
			return nil, err
		}
		resp, err := g.send(ctx, req, body)
		refusal, _ := errors.AsType[*azfault.Refusal](err)
		switch {
		case err == nil:
			pace.done(p)
			return resp, nil
		case refusal != nil && refusal.Status == http.StatusTooManyRequests:
			lost := pace.throttled(p, refusal.RetryAfter)
			if _, ok := ctx.Deadline(); lost && !ok {
				return nil, throttled(refusal, nil)
			}
			if ctx.Err() != nil {
				return nil, throttled(refusal, ctx.Err())
			}
			continue // the limiter does the waiting
		case refusal != nil && refusal.Status < 500 && refusal.Status != http.StatusRequestTimeout:
			pace.done(p)
			return nil, err
		}
		pace.broken(p)
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		wait := time.Duration(float64(delay) * (0.8 + 0.4*rand.Float64()))
		if refusal == nil {
			below, final := requestError(err)
			if err = below; final {
				return nil, err
			}
		} else if refusal.RetryAfter > 0 {
			wait = refusal.RetryAfter
		}
		if try++; try > maxTries || time.Since(start)+wait > patience || over(ctx, wait) {
			return nil, err
		}
		delay *= 3
		if err := sleep(ctx, wait); err != nil {
			return nil, err
		}
	}
}

// send sends the request once.
func (g *gate) send(ctx context.Context, req *policy.Request, body []byte) (*http.Response, error) {
	ctx, cancel := context.WithTimeout(ctx, tryTimeout)
	defer cancel() // the client has read the body by then
	if err := g.tokens.ensure(ctx); err != nil {
		return nil, err
	}
	req = req.Clone(ctx)
	if body != nil {
		// A reader of its own: the transport may still read that of a try before,
		// which was answered early.
		if err := req.SetBody(streaming.NopCloser(bytes.NewReader(body)), req.Raw().Header.Get("Content-Type")); err != nil {
			return nil, err
		}
	}
	lead, err := g.warm.join(ctx)
	if err != nil {
		return nil, err
	}
	resp, err := req.Next()
	if lead {
		// A server that challenges nobody is as good as one whose challenge is known.
		open := err == nil && resp.StatusCode < 500 && resp.StatusCode != http.StatusUnauthorized
		g.warm.leave(open || g.tokens.known(), ctx.Err() != nil)
	}
	if err != nil {
		return nil, err
	}
	if resp.StatusCode >= 200 && resp.StatusCode <= 299 {
		return resp, nil
	}
	said, err := runtime.Payload(resp)
	if err != nil {
		return nil, err
	}
	return nil, azfault.NewRefusal(resp, said, time.Now())
}

// requestError returns the error of a request without an answer. final reports
// whether trying again can't help.
func requestError(err error) (out *secretstore.Error, final bool) {
	if below, ok := errors.AsType[*secretstore.Error](err); ok {
		return below, true // of our own policies
	}
	inTime := !errors.Is(err, context.Canceled) && !errors.Is(err, context.DeadlineExceeded)
	if _, ok := errors.AsType[interface {
		error
		NonRetriable()
	}](err); ok && inTime {
		// The tokens' errors are our own, so this is the client's check of the
		// challenge.
		return &secretstore.Error{Kind: secretstore.ErrUnavailable,
			Detail: "the server asks for a token for another service than the vault's host is part of, so it got none; check the vault's URL, which has no port"}, true
	}
	return azfault.Transport(err)
}

func throttled(r *azfault.Refusal, cause error) *secretstore.Error {
	err := r.Kind(secretstore.ErrThrottled, "the vault's limits (in 10 s 4,000 requests, of which 300 may set) are used up, "+
		"by this program or others; allow more time, or read once and keep")
	err.Context = cause
	return err
}

// over reports whether the context ends before the wait does. What is known now is
// then more than a wait would bring.
func over(ctx context.Context, wait time.Duration) bool {
	deadline, ok := ctx.Deadline()
	return ok && time.Until(deadline) < wait
}

func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
