package vault

import (
	"context"
	"encoding/json"
	"errors"
	"sync"
	"time"

	"github.com/hashicorp/vault/api"
	"github.com/mlsecrets/secretstore"
)

// session keeps a client logged in. All callers share one token; whoever finds first
// that it has run out gets the next one, and the others wait for it.
type session struct {
	client  *api.Client
	auth    Auth
	timeout time.Duration // of one try of a request

	// turn is held by the one caller that logs in, or asks whether the token still
	// holds. It is a channel so that waiting ends with a context.
	turn chan struct{}

	mu         sync.Mutex
	token      string
	generation int       // counts tokens
	confirmed  time.Time // when Vault last said that the token holds

	stop    context.CancelFunc // ends the renewing
	renewal sync.WaitGroup
	ended   context.Context
}

func newSession(client *api.Client, auth Auth, timeout time.Duration) *session {
	s := &session{client: client, auth: auth, timeout: timeout, turn: make(chan struct{}, 1)}
	s.ended, s.stop = context.WithCancel(context.Background())
	return s
}

// close ends the renewing, and frees connections.
func (s *session) close() {
	s.stop()
	s.renewal.Wait()
	s.client.CloneConfig().HttpClient.CloseIdleConnections()
}

func (s *session) current() (token string, generation int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.token, s.generation
}

// ensure logs in if nobody has, and returns the number of the token in use.
func (s *session) ensure(ctx context.Context) (generation int, err error) {
	if _, generation := s.current(); generation > 0 {
		return generation, nil
	}
	if err := s.take(ctx); err != nil {
		return 0, err
	}
	defer s.give()
	if _, generation := s.current(); generation > 0 {
		return generation, nil
	}
	return s.login(ctx)
}

func (s *session) take(ctx context.Context) error {
	select {
	case s.turn <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (s *session) give() { <-s.turn }

// refused is called when a request with the token of the generation, which was sent
// at the time, was refused. It returns nil if there is another token now, and the request is worth another try;
// else the error that stands for the refusal.
func (s *session) refused(ctx context.Context, generation int, sent time.Time, refusal *secretstore.Error) error {
	if err := s.take(ctx); err != nil {
		return err
	}
	defer s.give()
	token, now := s.current()
	if now != generation {
		return nil // another caller has got one meanwhile
	}
	s.mu.Lock()
	held := s.confirmed.After(sent)
	s.mu.Unlock()
	if held {
		return refusal
	}
	// Vault says the same of a token that has run out and of one whose rights don't
	// reach. It lets every token that holds look at itself.
	_, err := s.once(ctx, request{method: "GET", path: "auth/token/lookup-self"})
	e, ok := errors.AsType[*secretstore.Error](err)
	switch {
	case err == nil:
		s.mu.Lock()
		s.confirmed = time.Now()
		s.mu.Unlock()
		return refusal
	case !ok || e.Kind != secretstore.ErrDenied:
		return err
	}
	if _, err := s.login(ctx); err != nil {
		return err
	}
	if again, _ := s.current(); again == token {
		return &secretstore.Error{Kind: secretstore.ErrDenied, Status: refusal.Status, RequestID: refusal.RequestID,
			Detail: "the token has run out, or was never good; get a new one"}
	}
	return nil
}

// login gets a token. The caller holds the turn.
func (s *session) login(ctx context.Context) (generation int, err error) {
	token, path, body, err := s.auth.login()
	if err != nil {
		return 0, err
	}
	var life lease
	if path != "" {
		text, err := json.Marshal(body)
		if err != nil {
			return 0, err
		}
		a, err := s.retried(ctx, request{method: "POST", path: path, body: text, login: true})
		if err != nil {
			return 0, err
		}
		if a.Auth == nil || a.Auth.ClientToken == "" {
			return 0, foreign()
		}
		token, life = a.Auth.ClientToken, lease{seconds: a.Auth.LeaseDuration, renewable: a.Auth.Renewable}
	}
	s.client.SetToken(token)
	s.mu.Lock()
	s.token, s.confirmed = token, time.Now()
	if path == "" {
		s.confirmed = time.Time{} // nobody has said that it holds
	}
	s.generation++
	generation = s.generation
	s.mu.Unlock()
	if s.ended.Err() == nil {
		s.renewal.Go(func() { s.renew(generation, life, path == "") })
	}
	return generation, nil
}

// lease is how long a token lasts.
type lease struct {
	seconds   int
	renewable bool
}

// renew keeps a token alive until there is another one, or the session ends. It stops
// when the token can't be renewed: the next refusal gets a new one.
func (s *session) renew(generation int, life lease, unknown bool) {
	if unknown {
		a, err := s.once(s.ended, request{method: "GET", path: "auth/token/lookup-self"})
		if err != nil {
			return
		}
		var self struct {
			TTL       int  `json:"ttl"`
			Renewable bool `json:"renewable"`
		}
		if json.Unmarshal(a.Data, &self) != nil {
			return
		}
		life = lease{self.TTL, self.Renewable}
	}
	for life.renewable && life.seconds > 0 {
		// At two thirds of its life, as Vault's own agent does about.
		if sleep(s.ended, time.Duration(life.seconds)*time.Second*2/3) != nil {
			return
		}
		if _, now := s.current(); now != generation {
			return
		}
		a, err := s.once(s.ended, request{method: "POST", path: "auth/token/renew-self", body: []byte("{}")})
		if err != nil || a.Auth == nil {
			return
		}
		if a.Auth.LeaseDuration < life.seconds/2 {
			return // near the end of what a token may live
		}
		life = lease{a.Auth.LeaseDuration, a.Auth.Renewable}
	}
}
