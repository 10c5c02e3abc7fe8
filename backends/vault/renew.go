package vault

import (
	"context"
	"encoding/json"
	"net/http"
	"time"
)

// grant is the part of an answer that gives or renews a token.
type grant struct {
	Auth struct {
		ClientToken   string `json:"client_token"`
		LeaseDuration int    `json:"lease_duration"` // seconds
		Renewable     bool   `json:"renewable"`
	} `json:"auth"`
}

func (g grant) lease(issued time.Time) lease {
	return lease{token: g.Auth.ClientToken, renewable: g.Auth.Renewable, issued: issued,
		ttl: time.Duration(g.Auth.LeaseDuration) * time.Second}
}

// renew keeps the token alive until the session is closed: it renews it when two
// thirds of its life are over, and logs in again when it can't be renewed, or not for
// as long as before. A caller that meets a token that ended all the same logs in by
// itself (see refused).
func (s *session) renew() {
	retry := time.Duration(0)
	for {
		s.mu.Lock()
		l, gen := s.lease, s.gen
		s.mu.Unlock()
		var due <-chan time.Time
		if l.ttl > 0 && (l.renewable || s.auth.anew()) {
			due = time.After(max(time.Until(l.issued.Add(l.ttl*2/3)), retry))
		}
		select {
		case <-s.ctx.Done():
			return
		case <-s.changed:
			retry = 0
			continue
		case <-due:
		}
		if s.prolong(s.ctx, l, gen) {
			retry = 0
		} else {
			retry = min(max(2*retry, l.ttl/10, 100*time.Millisecond), 30*time.Second)
		}
	}
}

// prolong renews the token of a number or replaces it, and reports whether it could.
func (s *session) prolong(ctx context.Context, l lease, gen int) bool {
	if l.renewable {
		issued := time.Now()
		a, err := s.client.send(ctx, request{method: http.MethodPost, path: "auth/token/renew-self", body: struct{}{}}, l.token)
		var g grant
		if err == nil && a.status == http.StatusOK && json.Unmarshal(a.body, &g) == nil {
			renewed := g.lease(issued)
			renewed.token = l.token
			// Near the end of its longest life a token is renewed for less and
			// less; it is good for two thirds of that, and then there is a new one.
			longer := renewed.ttl > l.ttl/2
			if longer || !s.auth.anew() {
				s.keep(renewed, gen)
				return longer
			}
		}
	}
	return s.auth.anew() && s.replace(ctx, gen)
}

// keep notes the new life of the token of a number.
func (s *session) keep(l lease, gen int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.gen == gen {
		s.lease = l
	}
}

// replace logs in again, unless somebody has or does.
func (s *session) replace(ctx context.Context, gen int) bool {
	// What was found out about the token just now doesn't matter.
	again, err := s.refused(ctx, gen, time.Now().Add(stands), true)
	return err == nil && again
}
