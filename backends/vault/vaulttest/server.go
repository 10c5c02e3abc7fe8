// Package vaulttest is a small double of HashiCorp Vault, in the process of the test:
// for programs that keep their secrets in Vault and want to see in a test what they do
// when it throttles, is sealed or forgets their token.
//
//	server := vaulttest.NewServer()
//	defer server.Close()
//	store, err := vault.Open(ctx, vault.Config{
//		Address: server.URL, Mount: "secret", Prefix: "app",
//		Auth: vault.Token{Token: secretstore.NewValue([]byte(server.Token()))},
//	})
//
// It has a KV engine of version 2 at secret/, tokens and AppRole, and of policies only
// what [Deny] does. Where it does answer, it answers as Vault 1.21 does: the tests of
// backends/vault make the same requests of both, and compare.
package vaulttest

import (
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Server is a double of Vault on a port of the loopback interface. Its methods are
// safe for concurrent use.
type Server struct {
	// URL is the address, for vault.Config or VAULT_ADDR.
	URL string

	http     *httptest.Server
	root     string
	requests atomic.Int64
	latency  atomic.Int64
	done     chan struct{} // closed by Close

	mu      sync.Mutex
	secrets map[string]*secret // by path below the mount
	tokens  map[string]*token
	roles   map[string]string // secret ids by role id
	ttl     time.Duration     // of tokens that a login gives
	faults  []*injected
	logins  int
}

type token struct {
	expires time.Time // zero: never
	ttl     time.Duration
}

// NewServer starts a double.
func NewServer() *Server {
	s := newServer()
	s.http.Start()
	s.URL = s.http.URL
	return s
}

// NewTLSServer starts a double with HTTPS and HTTP/2. Only [Server.Client] trusts its
// certificate.
func NewTLSServer() *Server {
	s := newServer()
	s.http.EnableHTTP2 = true
	s.http.StartTLS()
	s.URL = s.http.URL
	return s
}

func newServer() *Server {
	s := &Server{root: "hvs." + rand.Text(), done: make(chan struct{}), secrets: map[string]*secret{},
		tokens: map[string]*token{}, roles: map[string]string{}, ttl: time.Hour}
	s.tokens[s.root] = &token{}
	s.http = httptest.NewUnstartedServer(s)
	s.http.Config.ErrorLog = log.New(io.Discard, "", 0)
	return s
}

// Close ends the server and all that is under way.
func (s *Server) Close() {
	close(s.done)
	s.http.CloseClientConnections()
	s.http.Close()
}

// Token returns a token that may do everything and never ends.
func (s *Server) Token() string { return s.root }

// Client returns a client that trusts the server's certificate and keeps as many idle
// connections as a batch of backends/vault is wide.
func (s *Server) Client() *http.Client {
	c := *s.http.Client()
	t := c.Transport.(*http.Transport).Clone()
	t.MaxIdleConnsPerHost = 64
	c.Transport = t
	return &c
}

// AddAppRole makes a login by AppRole possible. Its tokens live for ttl, or an hour
// if that is 0.
func (s *Server) AddAppRole(roleID, secretID string, ttl time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.roles[roleID] = secretID
	if ttl > 0 {
		s.ttl = ttl
	}
}

// Requests returns how many requests there were.
func (s *Server) Requests() int { return int(s.requests.Load()) }

// Logins returns how many logins succeeded.
func (s *Server) Logins() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.logins
}

// ServeHTTP answers one request, for a test that puts something before the server.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.requests.Add(1)
	if d := time.Duration(s.latency.Load()); d > 0 {
		select {
		case <-time.After(d):
		case <-r.Context().Done():
			return
		}
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, 32<<20))
	if err != nil {
		return
	}
	path, ok := strings.CutPrefix(r.URL.Path, "/v1/")
	if !ok {
		w.WriteHeader(http.StatusNotFound)
		return
	}
	if s.fail(w, r, path, body) {
		return
	}
	s.mu.Lock()
	a := s.answer(r, path, body)
	s.mu.Unlock()
	a.write(w)
}

// reply is an answer: a status with errors, with data, or with nothing.
type reply struct {
	status int
	errors []string // nil: none are shown
	data   any
	auth   any
	mount  string
}

func fail(status int, errors ...string) reply {
	if errors == nil {
		errors = []string{}
	}
	return reply{status: status, errors: errors}
}

func (a reply) write(w http.ResponseWriter) {
	w.Header().Set("Cache-Control", "no-store")
	if a.errors == nil && a.data == nil && a.auth == nil {
		w.WriteHeader(a.status)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(a.status)
	if a.errors != nil {
		json.NewEncoder(w).Encode(map[string]any{"errors": a.errors})
		return
	}
	json.NewEncoder(w).Encode(map[string]any{"request_id": newID(), "lease_id": "", "renewable": false, "lease_duration": 0,
		"data": a.data, "wrap_info": nil, "warnings": nil, "auth": a.auth, "mount_type": a.mount})
}

// newID returns an id in the form of a UUID.
func newID() string {
	var b [16]byte
	rand.Read(b[:])
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}

// answer finds the handler of a path. The caller holds the lock.
func (s *Server) answer(r *http.Request, path string, body []byte) reply {
	method := r.Method
	if method == http.MethodPut {
		method = http.MethodPost
	}
	if method == http.MethodGet && r.URL.Query().Get("list") == "true" {
		method = "LIST"
	}
	if path == "auth/approle/login" && method == http.MethodPost {
		return s.login(body)
	}
	given := r.Header.Get("X-Vault-Token")
	if given == "" {
		return fail(http.StatusForbidden, "permission denied")
	}
	t := s.tokens[given]
	if t == nil || !t.expires.IsZero() && time.Now().After(t.expires) {
		return fail(http.StatusForbidden, "2 errors occurred:\n\t* permission denied\n\t* invalid token\n\n")
	}
	switch {
	case path == "auth/token/lookup-self" && method == http.MethodGet:
		return t.lookup()
	case path == "auth/token/renew-self" && method == http.MethodPost:
		return t.renew(given)
	case path == "sys/internal/ui/mounts/secret" && method == http.MethodGet:
		return reply{status: http.StatusOK, data: map[string]any{"path": "secret/", "type": "kv", "options": map[string]string{"version": "2"}}}
	case strings.HasPrefix(path, "sys/internal/ui/mounts/"):
		return fail(http.StatusForbidden, fmt.Sprintf("preflight capability check returned 403, please ensure client's policies grant access to path %q",
			strings.TrimPrefix(path, "sys/internal/ui/mounts/")+"/"))
	}
	if below, ok := strings.CutPrefix(path, "secret/"); ok {
		return s.kv(method, below, r.URL.Query().Get("version"), body)
	}
	return fail(http.StatusNotFound, fmt.Sprintf("no handler for route %q. route entry not found.", path))
}

func (t *token) lookup() reply {
	data := map[string]any{"ttl": 0, "renewable": false}
	if !t.expires.IsZero() {
		data["ttl"], data["renewable"] = int(time.Until(t.expires).Seconds()), true
	}
	return reply{status: http.StatusOK, data: data, mount: "token"}
}

func (t *token) renew(self string) reply {
	if t.expires.IsZero() {
		return fail(http.StatusBadRequest, "lease is not renewable")
	}
	t.expires = time.Now().Add(t.ttl)
	return reply{status: http.StatusOK, auth: grant(self, t.ttl)}
}

func (s *Server) login(body []byte) reply {
	var in struct {
		RoleID   string `json:"role_id"`
		SecretID string `json:"secret_id"`
	}
	json.Unmarshal(body, &in)
	if in.RoleID == "" {
		return fail(http.StatusBadRequest, "missing role_id")
	}
	if want, ok := s.roles[in.RoleID]; !ok || want != in.SecretID {
		return fail(http.StatusBadRequest, "invalid role or secret ID")
	}
	s.logins++
	given := "hvs." + rand.Text()
	s.tokens[given] = &token{expires: time.Now().Add(s.ttl), ttl: s.ttl}
	return reply{status: http.StatusOK, auth: grant(given, s.ttl)}
}

func grant(token string, ttl time.Duration) map[string]any {
	return map[string]any{"client_token": token, "lease_duration": int(ttl.Seconds()), "renewable": true}
}
