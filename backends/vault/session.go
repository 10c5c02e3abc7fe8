package vault

import (
	"context"
	"net/http"
	"sync"
	"time"

	"github.com/mlsecrets/secretstore"
)

// lease is a token and what is known of its life.
type lease struct {
	token     string
	renewable bool
	issued    time.Time
	ttl       time.Duration // from issued on; 0 is without end
}

// session holds the token of a store. One caller at a time finds out for all what is
// to be done about a refusal.
type session struct {
	client *client
	auth   Auth

	ctx     context.Context // ends at close
	cancel  context.CancelFunc
	renewer sync.WaitGroup

	mu      sync.Mutex
	lease   lease
	gen     int       // counts the tokens
	settled time.Time // when it was last found out whether the token is good
	failure error     // what came of it, if it is not
	flight  *flight   // under way, or nil
	changed chan struct{}
}

// flight is one look at a refused token, with the new login if that is needed.
type flight struct {
	cancel  context.CancelFunc
	waiters int
	done    chan struct{}
	again   bool
	err     error
}

func newSession(c *client, auth Auth) *session {
	s := &session{client: c, auth: auth, changed: make(chan struct{}, 1)}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	return s
}

// current returns the token and its number.
func (s *session) current() (token string, gen int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.lease.token, s.gen
}

// start logs in for the first time, and starts the renewal.
func (s *session) start(ctx context.Context) error {
	if err := s.login(ctx); err != nil {
		return err
	}
	s.renewer.Go(s.renew)
	return nil
}

func (s *session) close() {
	s.cancel()
	s.renewer.Wait()
}

// login gets a token that is not the one that is held.
func (s *session) login(ctx context.Context) error {
	l, err := s.auth.login(ctx, s.client)
	if err != nil {
		return err
	}
	if why := notPlain(l.token); why != "" || l.token == "" {
		return &secretstore.Error{Kind: secretstore.ErrDenied, Detail: "the token is empty or has characters that can't be sent"}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if l.token == s.lease.token {
		return &secretstore.Error{Kind: secretstore.ErrDenied, Status: http.StatusForbidden,
			Detail: "the token has expired or was revoked, and its source has no other"}
	}
	s.lease = l
	s.gen++
	s.settled, s.failure = time.Now(), nil
	select {
	case s.changed <- struct{}{}:
	default:
	}
	return nil
}

// stands is how long what was found out about a token is taken to be so. Of the
// names of a batch only the first has to ask.
const stands = time.Second

// refused is called when the server refused the token of a number. It reports whether
// to try again with the current token; otherwise the refusal was for what the token
// may do. All callers share one look at the token and one login.
func (s *session) refused(ctx context.Context, gen int, sent time.Time, invalid bool) (again bool, err error) {
	s.mu.Lock()
	if s.gen != gen {
		s.mu.Unlock()
		return true, nil
	}
	if sent.Before(s.settled.Add(stands)) && (s.failure != nil || !invalid) {
		defer s.mu.Unlock()
		return false, s.failure
	}
	f := s.flight
	if f == nil {
		f = &flight{done: make(chan struct{})}
		var fctx context.Context
		fctx, f.cancel = context.WithCancel(s.ctx)
		s.flight = f
		go s.look(fctx, f, invalid)
	}
	f.waiters++
	s.mu.Unlock()

	select {
	case <-f.done:
	case <-ctx.Done():
		s.mu.Lock()
		f.waiters--
		last := f.waiters == 0
		if last && s.flight == f {
			s.flight = nil // who comes now starts another
		}
		s.mu.Unlock()
		if last { // nobody wants it any more
			f.cancel()
			<-f.done
		}
		return false, &secretstore.Error{Kind: ctx.Err()}
	}
	return f.again, f.err
}

// look finds out whether the token is good, and logs in if it is not.
func (s *session) look(ctx context.Context, f *flight, invalid bool) {
	defer f.cancel()
	f.again, f.err = s.settle(ctx, invalid)
	s.mu.Lock()
	if s.flight == f {
		s.flight = nil
		s.failure = f.err
		s.settled = time.Now()
	}
	s.mu.Unlock()
	close(f.done)
}

func (s *session) settle(ctx context.Context, invalid bool) (again bool, err error) {
	if !invalid {
		token, _ := s.current()
		a, err := s.client.send(ctx, request{method: http.MethodGet, path: "auth/token/lookup-self"}, token)
		if err != nil {
			return false, err
		}
		switch a.status {
		case http.StatusOK:
			return false, nil
		case http.StatusForbidden:
		default:
			return false, failure(a)
		}
	}
	if err := s.login(ctx); err != nil {
		return false, err
	}
	return true, nil
}
