package vault_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mlsecrets/secretstore"
	"github.com/mlsecrets/secretstore/backends/vault"
)

// link is a listener before a server that can be killed and started again.
type link struct {
	addr, to string

	mu    sync.Mutex
	ln    net.Listener
	conns map[net.Conn]bool
}

func newLink(t testing.TB, to string) *link {
	t.Helper()
	l := &link{addr: "127.0.0.1:0", to: to, conns: map[net.Conn]bool{}}
	l.start(t)
	l.addr = l.ln.Addr().String()
	t.Cleanup(l.kill)
	return l
}

func (l *link) start(t testing.TB) {
	t.Helper()
	ln, err := net.Listen("tcp", l.addr)
	if err != nil {
		t.Fatal(err)
	}
	l.mu.Lock()
	l.ln = ln
	l.mu.Unlock()
	go func() {
		for {
			in, err := ln.Accept()
			if err != nil {
				return
			}
			out, err := net.Dial("tcp", l.to)
			if err != nil {
				in.Close()
				continue
			}
			l.mu.Lock()
			l.conns[in], l.conns[out] = true, true
			l.mu.Unlock()
			for _, pair := range [][2]net.Conn{{in, out}, {out, in}} {
				go func() {
					io.Copy(pair[0], pair[1])
					in.Close()
					out.Close()
				}()
			}
		}
	}()
}

func (l *link) kill() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ln.Close()
	for c := range l.conns {
		c.Close()
	}
	clear(l.conns)
}

// TestOutages seals the server, and kills the listener before it, while many read and
// write. No answer is wrong, none is ErrNotFound, and the same store goes on.
func TestOutages(t *testing.T) {
	t.Parallel()
	for _, layout := range layouts {
		t.Run(string(layout), func(t *testing.T) {
			t.Parallel()
			s := startServer(t)
			l := newLink(t, strings.TrimPrefix(s.addr, "http://"))
			config := s.config(t, layout, "write")
			config.Address = "http://" + l.addr
			config.HTTPClient = nil // the store's own transport
			store := open(t, config)
			names := []string{"a", "b", "c", "d"}
			values := map[string]secretstore.Value{}
			for _, name := range names {
				values[name] = text("v " + name)
			}
			if err := store.SetBatch(t.Context(), values); err != nil {
				t.Fatal(err)
			}
			ctx, stop := context.WithCancel(t.Context())
			var callers sync.WaitGroup
			for i := range 4 {
				callers.Go(func() {
					for ctx.Err() == nil {
						got, err := store.GetBatch(t.Context(), names)
						for name, v := range got {
							if !v.Equal(values[name]) {
								t.Errorf("%q holds a wrong value", name)
							}
						}
						if err != nil && (!errors.Is(err, secretstore.ErrUnavailable) || errors.Is(err, secretstore.ErrNotFound) || errors.Is(err, secretstore.ErrDenied)) {
							t.Errorf("GetBatch: got %v, want ErrUnavailable", err)
						}
						if err := store.Set(t.Context(), names[i], values[names[i]]); err != nil && !errors.Is(err, secretstore.ErrUnavailable) {
							t.Errorf("Set: got %v, want ErrUnavailable", err)
						}
					}
				})
			}
			recovers := func(what string) {
				t.Helper()
				for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(10 * time.Millisecond) {
					if got, err := store.GetBatch(t.Context(), names); err == nil && len(got) == len(names) {
						return
					} else if time.Now().After(deadline) {
						t.Fatalf("%s: the store does not recover: %v", what, err)
					}
				}
			}
			for range 3 {
				s.do(t, "PUT", "sys/seal", nil)
				_, err := store.Get(t.Context(), "a")
				wantError(t, err, secretstore.ErrUnavailable, "sealed")
				s.unseal(t)
				recovers("unsealed")
				l.kill()
				_, err = store.Get(t.Context(), "a")
				wantError(t, err, secretstore.ErrUnavailable, "")
				l.start(t)
				recovers("restarted")
			}
			stop()
			callers.Wait()
		})
	}
}

// TestOpeningFails has each mistake that opening can find. Every error says something
// of its own.
func TestOpeningFails(t *testing.T) {
	s := startServer(t)
	s.do(t, "POST", "sys/mounts/v1", map[string]any{"type": "kv", "options": map[string]string{"version": "1"}})
	s.do(t, "POST", "sys/mounts/deep/mount", map[string]any{"type": "kv", "options": map[string]string{"version": "2"}})
	cert, key := certificate(t, time.Now().Add(-time.Hour))
	expired := startServer(t, "-cert", cert, "-key", key)
	unknown := startTLSServer(t)
	limited := s.token(t, policyText(t, "read-paths", "app"), time.Hour)
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed.Close()
	role, _ := s.appRole(t, policyText(t, "read-paths", "app"), time.Hour, time.Hour)
	good := vault.Config{Address: s.addr, Mount: "secret", Prefix: "app", Auth: vault.Token{Token: text(s.root)}}
	said := map[string]string{}
	for _, tc := range []struct {
		name string
		edit func(c *vault.Config)
		kind error
		says string
	}{
		{"address without a scheme", func(c *vault.Config) { c.Address = "vault.example.com:8200" }, secretstore.ErrInvalidConfig, "no URL with http"},
		{"address with a password", func(c *vault.Config) { c.Address = "http://u:" + canary + "@127.0.0.1" }, secretstore.ErrInvalidConfig, "user or password"},
		{"address with a query", func(c *vault.Config) { c.Address = s.addr + "?token=" + canary }, secretstore.ErrInvalidConfig, "query"},
		{"nothing listens", func(c *vault.Config) { c.Address = "http://" + closed.Addr().String() }, secretstore.ErrUnavailable, "nothing listens"},
		{"no such host", func(c *vault.Config) { c.Address = "http://vault.invalid" }, secretstore.ErrUnavailable, "can't be resolved"},
		{"expired certificate", func(c *vault.Config) { c.Address = expired.addr; trust(t, c, cert) }, secretstore.ErrUnavailable, "has expired"},
		{"unknown authority", func(c *vault.Config) { c.Address = unknown.addr }, secretstore.ErrUnavailable, "unknown authority"},
		{"http to https", func(c *vault.Config) { c.Address = "http" + strings.TrimPrefix(expired.addr, "https") }, secretstore.ErrUnavailable, "speaks HTTPS"},
		{"https to http", func(c *vault.Config) { c.Address = "https" + strings.TrimPrefix(s.addr, "http") }, secretstore.ErrUnavailable, "doesn't speak HTTPS"},
		{"no mount given", func(c *vault.Config) { c.Mount = "" }, secretstore.ErrInvalidConfig, "no mount is given"},
		{"mount that is not there", func(c *vault.Config) { c.Mount = "absent" }, secretstore.ErrInvalidConfig, "no engine is mounted"},
		{"the same, with few rights", func(c *vault.Config) { c.Mount = "absent"; c.Auth = vault.Token{Token: text(limited)} }, secretstore.ErrDenied, "or the token has no rights"},
		{"version 1", func(c *vault.Config) { c.Mount = "v1" }, secretstore.ErrInvalidConfig, "of version 1"},
		{"no KV engine", func(c *vault.Config) { c.Mount = "sys" }, secretstore.ErrInvalidConfig, "is no KV engine"},
		{"a path above the mount", func(c *vault.Config) { c.Mount = "deep" }, secretstore.ErrInvalidConfig, "no engine is mounted"},
		{"a path below the mount", func(c *vault.Config) { c.Mount = "secret/app" }, secretstore.ErrInvalidConfig, "above or below"},
		{"climbing mount", func(c *vault.Config) { c.Mount = "secret/../sys" }, secretstore.ErrInvalidConfig, `mount has the segment ".."`},
		{"climbing prefix", func(c *vault.Config) { c.Prefix = "../../sys/seal" }, secretstore.ErrInvalidConfig, `prefix has the segment ".."`},
		{"dot", func(c *vault.Config) { c.Prefix = "a/./b" }, secretstore.ErrInvalidConfig, `segment "."`},
		{"empty segment", func(c *vault.Config) { c.Prefix = "a//b" }, secretstore.ErrInvalidConfig, "prefix has an empty segment"},
		{"slash at the end", func(c *vault.Config) { c.Prefix = "a/" }, secretstore.ErrInvalidConfig, "prefix has an empty segment"},
		{"control character", func(c *vault.Config) { c.Prefix = "a\x7f" }, secretstore.ErrInvalidConfig, "U+007F"},
		{"not UTF-8", func(c *vault.Config) { c.Prefix = "a\xff" }, secretstore.ErrInvalidConfig, "not UTF-8"},
		{"namespace", func(c *vault.Config) { c.Namespace = "a/../b" }, secretstore.ErrInvalidConfig, "namespace has the segment"},
		{"map without a path", func(c *vault.Config) { c.Layout, c.Prefix = vault.Map, "" }, secretstore.ErrInvalidConfig, "needs the path"},
		{"map with a field", func(c *vault.Config) { c.Layout, c.Field = vault.Map, "f" }, secretstore.ErrInvalidConfig, "a field is given"},
		{"no such layout", func(c *vault.Config) { c.Layout = canary }, secretstore.ErrInvalidConfig, "no such layout"},
		{"wrong token", func(c *vault.Config) { c.Auth = vault.Token{Token: text("hvs." + canary)} }, secretstore.ErrDenied, "expired or was revoked"},
		{"wrong role", func(c *vault.Config) { c.Auth = vault.AppRole{RoleID: canary, SecretID: role.SecretID} }, secretstore.ErrDenied, "AppRole login was refused"},
		{"wrong secret id", func(c *vault.Config) { c.Auth = vault.AppRole{RoleID: role.RoleID, SecretID: text(canary)} }, secretstore.ErrDenied, "AppRole login was refused"},
		{"no role id", func(c *vault.Config) { c.Auth = vault.AppRole{} }, secretstore.ErrInvalidConfig, "no role id"},
		{"no kubernetes role", func(c *vault.Config) { c.Auth = vault.Kubernetes{} }, secretstore.ErrInvalidConfig, "no role for the Kubernetes"},
		{"no jwt", func(c *vault.Config) { c.Auth = vault.JWT{} }, secretstore.ErrInvalidConfig, "no token for the JWT"},
	} {
		config := good
		tc.edit(&config)
		store, err := vault.Open(t.Context(), config)
		if err == nil {
			store.Close()
		}
		if wantError(t, err, tc.kind, tc.says); err == nil {
			t.Errorf("%s: no error", tc.name)
			continue
		}
		if strings.Contains(err.Error(), canary) || strings.Contains(err.Error(), s.root) {
			t.Errorf("%s: the error %v repeats what was given", tc.name, err)
		}
		said[err.Error()] = tc.name
	}
	if len(said) < 25 {
		t.Errorf("only %d different errors: %q", len(said), said)
	}
	// The server did not fall for ../../sys/seal.
	if x := s.raw(t, http.MethodGet, "sys/health", "", nil); x.status != http.StatusOK {
		t.Errorf("sys/health says %d", x.status)
	}
}
