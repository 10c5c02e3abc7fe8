package vaulttest

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hashicorp/vault/api"
	"github.com/mlsecrets/secretstore"
	"github.com/mlsecrets/secretstore/backends/vault"
)

// Server is a Vault server. Its methods are safe for concurrent use.
type Server struct {
	// Address is the server's URL.
	Address string
	// RootToken is a token that may do everything and never runs out.
	RootToken string
	// RoleID and SecretID log in at auth/approle.
	RoleID, SecretID string
	// UnsealKey unseals the server.
	UnsealKey string

	http     *httptest.Server
	requests atomic.Int64
	logins   atomic.Int64

	mu      sync.Mutex
	secrets map[string]*secret // by path below the mount
	tokens  map[string]token
	life    time.Duration // of tokens that AppRole gives
	sealed  bool
	latency time.Duration
	faults  []*Fault
	serial  int
}

// token is a token's end; the zero time is never.
type token struct{ end time.Time }

// Start starts a server that ends with the test.
func Start(tb testing.TB) *Server {
	tb.Helper()
	s := &Server{
		RootToken: "hvs.root-of-the-double", RoleID: "role-of-the-double", SecretID: "secret-of-the-double", UnsealKey: "unseal-the-double",
		secrets: map[string]*secret{}, tokens: map[string]token{}, life: time.Hour,
	}
	s.tokens[s.RootToken] = token{}
	s.http = httptest.NewServer(http.HandlerFunc(s.serve))
	s.Address = s.http.URL
	tb.Cleanup(s.http.Close)
	return s
}

// Config is a store on the server, at secret/prefix, that logs in by AppRole.
func (s *Server) Config(prefix string) vault.Config {
	conf := api.DefaultConfig()
	conf.Address = s.Address
	return vault.Config{Mount: "secret", Prefix: prefix, Client: conf, Auth: vault.AppRole{RoleID: s.RoleID, SecretID: secretstore.NewValue([]byte(s.SecretID))}}
}

// Requests returns how many requests the server has had.
func (s *Server) Requests() int { return int(s.requests.Load()) }

// Logins returns how many times somebody has logged in.
func (s *Server) Logins() int { return int(s.logins.Load()) }

// SetLatency makes every request take at least that long.
func (s *Server) SetLatency(d time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.latency = d
}

// SetTokenLife sets how long tokens last that AppRole gives from now on.
func (s *Server) SetTokenLife(d time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.life = d
}

// RevokeTokens ends all tokens but the root's.
func (s *Server) RevokeTokens() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tokens = map[string]token{s.RootToken: {}}
}

// Seal seals the server: it answers 503 until it is unsealed.
func (s *Server) Seal() { s.setSealed(true) }

// Unseal ends Seal.
func (s *Server) Unseal() { s.setSealed(false) }

func (s *Server) setSealed(sealed bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sealed = sealed
}

func (s *Server) isSealed() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.sealed
}

// holds reports whether a token holds, and for how long; 0 is for ever.
func (s *Server) holds(name string) (left time.Duration, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	t, ok := s.tokens[name]
	if !ok || t.end.IsZero() {
		return 0, ok
	}
	left = time.Until(t.end)
	return left, left > 0
}

type m = map[string]any

// reply writes an answer. A nil body is none.
func reply(w http.ResponseWriter, status int, body any) {
	if body == nil {
		w.WriteHeader(status)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(body)
}

func fail(w http.ResponseWriter, status int, texts ...string) {
	if texts == nil {
		texts = []string{}
	}
	reply(w, status, m{"errors": texts})
}

func ok(w http.ResponseWriter, data any) {
	reply(w, http.StatusOK, m{"request_id": "00000000-0000-0000-0000-000000000000", "lease_id": "", "renewable": false, "lease_duration": 0, "data": data, "wrap_info": nil, "warnings": nil, "auth": nil})
}
