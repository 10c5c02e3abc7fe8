package vaulttest

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"
)

// mount is the one KV version 2 engine.
const mount = "secret/"

func (s *Server) serve(w http.ResponseWriter, r *http.Request) {
	s.requests.Add(1)
	path := strings.TrimPrefix(r.URL.Path, "/v1/")
	s.mu.Lock()
	latency := s.latency
	s.mu.Unlock()
	if latency > 0 {
		time.Sleep(latency)
	}
	switch {
	case path == "sys/health":
		reply(w, map[bool]int{false: 200, true: 503}[s.isSealed()], m{"initialized": true, "sealed": s.isSealed(), "version": "double"})
		return
	case path == "sys/unseal":
		s.Unseal()
		reply(w, 200, m{"sealed": false})
		return
	case s.isSealed():
		fail(w, 503, "Vault is sealed")
		return
	}
	// The context of a request ends with its client only once the body is read.
	text, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	if f := s.faultFor(path); f != nil {
		f.commit(w, r, text)
		return
	}
	if path == "auth/approle/login" {
		s.login(w, text)
		return
	}
	name := r.Header.Get("X-Vault-Token")
	left, held := s.holds(name)
	if !held {
		if name == "" {
			fail(w, 403, "permission denied")
		} else {
			fail(w, 403, "2 errors occurred:\n\t* permission denied\n\t* invalid token\n\n")
		}
		return
	}
	switch {
	case path == "sys/seal":
		s.Seal()
		reply(w, 204, nil)
	case path == "auth/token/lookup-self":
		ok(w, m{"ttl": int(left.Seconds()), "renewable": left > 0})
	case path == "auth/token/renew-self":
		s.renewToken(w, name)
	case strings.HasPrefix(path, "sys/internal/ui/mounts/"):
		s.uiMount(w, strings.TrimPrefix(path, "sys/internal/ui/mounts/"))
	case strings.HasPrefix(path, mount):
		s.kv(w, r, strings.TrimPrefix(path, mount), text)
	default:
		fail(w, 404, fmt.Sprintf("no handler for route %q. route entry not found.", path))
	}
}

func (s *Server) uiMount(w http.ResponseWriter, path string) {
	if !strings.HasPrefix(path+"/", mount) {
		fail(w, 403, `preflight capability check returned 403, please ensure client's policies grant access to path "`+path+`/"`)
		return
	}
	ok(w, m{"type": "kv", "path": mount, "options": m{"version": "2"}})
}

func (s *Server) login(w http.ResponseWriter, text []byte) {
	var in struct {
		RoleID   string `json:"role_id"`
		SecretID string `json:"secret_id"`
	}
	if json.Unmarshal(text, &in) != nil || in.RoleID != s.RoleID || in.SecretID != s.SecretID {
		fail(w, 400, "invalid role or secret ID")
		return
	}
	s.logins.Add(1)
	s.mu.Lock()
	s.serial++
	name := fmt.Sprintf("hvs.double-%d", s.serial)
	s.tokens[name] = token{time.Now().Add(s.life)}
	life := s.life
	s.mu.Unlock()
	reply(w, 200, m{"auth": m{"client_token": name, "lease_duration": int(life.Seconds()), "renewable": true}, "data": nil})
}

func (s *Server) renewToken(w http.ResponseWriter, name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.tokens[name].end.IsZero() {
		fail(w, 400, "lease is not renewable")
		return
	}
	s.tokens[name] = token{time.Now().Add(s.life)}
	reply(w, 200, m{"auth": m{"client_token": name, "lease_duration": int(s.life.Seconds()), "renewable": true}, "data": nil})
}
