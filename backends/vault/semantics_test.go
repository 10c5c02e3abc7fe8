package vault_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mlsecrets/secretstore"
	"github.com/mlsecrets/secretstore/backends/vault"
)

// open opens a store of the server, as root unless the configuration says otherwise.
func open(t *testing.T, c vault.Config) secretstore.StoreCloser {
	t.Helper()
	s, err := vault.Open(ctx(t), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func wantKind(t *testing.T, what string, err, kind error, parts ...string) {
	t.Helper()
	if !errors.Is(err, kind) {
		t.Errorf("%s: got %v, want %v", what, err, kind)
		return
	}
	for _, part := range parts {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("%s: got %q, want %q in it", what, err, part)
		}
	}
}

// TestCompatibility: what other tools write we read, and the other way round.
func TestCompatibility(t *testing.T) {
	s := startServer(t, false)
	store := open(t, s.config(s.token))
	s.must(t, "POST", "secret/data/team/app/by-hand", m{"data": m{"value": "from vault kv put", "note": "x"}}, nil)
	if v, err := store.Get(ctx(t), "By-Hand"); err != nil || !v.Equal(val("from vault kv put")) {
		t.Errorf("got %v", err)
	}
	if err := store.Set(ctx(t), "ours", val("<text & more>")); err != nil {
		t.Fatal(err)
	}
	var out struct {
		Data struct{ Data map[string]any }
	}
	s.must(t, "GET", "secret/data/team/app/ours", nil, &out)
	if got := out.Data.Data; len(got) != 1 || got["value"] != "<text & more>" {
		t.Errorf("a raw GET shows %v", got)
	}
	if err := store.Set(ctx(t), "binary", secretstore.NewValue([]byte{0xff, 0})); err != nil {
		t.Fatal(err)
	}
	out.Data.Data = nil
	s.must(t, "GET", "secret/data/team/app/binary", nil, &out)
	if got := out.Data.Data; got["value"] != "/wA=" || got["value-encoding"] != "base64" {
		t.Errorf("a raw GET shows %v", got)
	}

	c := s.config(s.token)
	c.Prefix, c.Layout = "job", vault.Map
	s.must(t, "POST", "secret/data/job", m{"data": m{"db-password": "pw", "DB-User": "etl", "OTHER_TOOL": "x", "port": 5432}}, nil)
	fields := open(t, c)
	got, err := fields.GetBatch(ctx(t), []string{"db-password", "db-user"})
	if err != nil || !got["db-password"].Equal(val("pw")) || !got["db-user"].Equal(val("etl")) {
		t.Errorf("got %d fields, %v", len(got), err)
	}
	if names, err := fields.List(ctx(t)); err != nil || !slices.Equal(names, []string{"db-password", "db-user"}) {
		t.Errorf("List: %q, %v", names, err)
	}
	if err := fields.Set(ctx(t), "db-user", val("new")); err != nil {
		t.Fatal(err)
	}
	out.Data.Data = nil
	s.must(t, "GET", "secret/data/job", nil, &out)
	if got := out.Data.Data; got["db-user"] != "new" || got["DB-User"] != nil || got["OTHER_TOOL"] != "x" || got["port"] != 5432.0 {
		t.Errorf("after Set a raw GET shows %v", got)
	}
	_, err = fields.Get(ctx(t), "port")
	wantKind(t, "Get of a number", err, secretstore.ErrCorrupt, "port", "not a string")
}

// TestDeleted: a secret that another tool has soft-deleted or destroyed is absent, and
// can be set again.
func TestDeleted(t *testing.T) {
	s := startServer(t, false)
	store := open(t, s.config(s.token))
	for _, how := range []struct {
		name         string
		method, path string
		body         any
	}{
		{"soft", "DELETE", "secret/data/team/app/soft", nil},
		{"destroyed", "POST", "secret/destroy/team/app/destroyed", m{"versions": []int{1}}},
	} {
		if err := store.Set(ctx(t), how.name, val("v")); err != nil {
			t.Fatal(err)
		}
		s.must(t, how.method, how.path, how.body, nil)
		_, err := store.Get(ctx(t), how.name)
		wantKind(t, how.name, err, secretstore.ErrNotFound)
		if err := store.Set(ctx(t), how.name, val("again")); err != nil {
			t.Errorf("%s: Set: %v", how.name, err)
		}
		if v, err := store.Get(ctx(t), how.name); err != nil || !v.Equal(val("again")) {
			t.Errorf("%s: after Set: %v", how.name, err)
		}
	}
	c := s.config(s.token)
	c.Layout, c.Prefix = vault.Map, "gone"
	fields := open(t, c)
	if err := fields.Set(ctx(t), "a", val("v")); err != nil {
		t.Fatal(err)
	}
	s.must(t, "DELETE", "secret/data/gone", nil, nil)
	_, err := fields.Get(ctx(t), "a")
	wantKind(t, "map", err, secretstore.ErrNotFound)
	if names, err := fields.List(ctx(t)); err != nil || len(names) != 0 {
		t.Errorf("map: List: %q, %v", names, err)
	}
	if err := fields.Set(ctx(t), "b", val("w")); err != nil {
		t.Errorf("map: Set: %v", err)
	}
	_, err = fields.Get(ctx(t), "a")
	wantKind(t, "map: a deleted field", err, secretstore.ErrNotFound)
}

// TestForeign: what is no secret of ours is left out, and said.
func TestForeign(t *testing.T) {
	s := startServer(t, false)
	store := open(t, s.config(s.token))
	for _, path := range []string{"folder/deep", "with_underscore", "UPPER", "dotted.name", "ok"} {
		s.must(t, "POST", "secret/data/team/app/"+path, m{"data": m{"password": "x"}}, nil)
	}
	names, err := store.List(ctx(t))
	if err != nil || !slices.Equal(names, []string{"ok"}) {
		t.Errorf("List: %q, %v; want ok alone", names, err)
	}
	_, err = store.Get(ctx(t), "ok")
	wantKind(t, "a secret without our field", err, secretstore.ErrNotFound, "no field value")
	c := s.config(s.token)
	c.Field = "password"
	if v, err := open(t, c).Get(ctx(t), "ok"); err != nil || !v.Equal(val("x")) {
		t.Errorf("with field=password: %v", err)
	}
	s.must(t, "POST", "secret/metadata/team/app/strict", m{"cas_required": true}, nil)
	if err := errors.Join(store.Set(ctx(t), "strict", val("1")), store.Set(ctx(t), "strict", val("2"))); err != nil {
		t.Errorf("a secret that requires check-and-set: %v", err)
	}
}

// TestMount: an engine that is not KV version 2 is said, and never ErrNotFound.
func TestMount(t *testing.T) {
	s := startServer(t, false)
	s.must(t, "POST", "sys/mounts/old", m{"type": "kv", "options": m{"version": "1"}}, nil)
	s.must(t, "POST", "sys/mounts/deep/down", m{"type": "kv", "options": m{"version": "2"}}, nil)
	for _, tt := range []struct{ mount, want string }{
		{"old", "version 1"},
		{"nowhere", "no KV version 2 secrets engine"},
		{"cubbyhole", "not KV"},
		{"deep", "no KV version 2 secrets engine"},
	} {
		for _, layout := range []vault.Layout{vault.Paths, vault.Map} {
			c := s.config(s.token)
			c.Mount, c.Layout = tt.mount, layout
			if tt.mount == "deep" {
				c.Prefix = "down/app"
			}
			store := open(t, c)
			_, gerr := store.Get(ctx(t), "a")
			_, lerr := store.List(ctx(t))
			for what, err := range map[string]error{"Get": gerr, "List": lerr, "Set": store.Set(ctx(t), "a", val("v"))} {
				wantKind(t, what+" at "+tt.mount+" "+string(layout), err, secretstore.ErrUnavailable, tt.want)
			}
		}
	}
	c := s.config(s.token)
	c.Mount = "deep/down"
	if err := open(t, c).Set(ctx(t), "a", val("v")); err != nil {
		t.Errorf("a mount with a slash: %v", err)
	}
}

// TestTokens: a token that runs out is renewed or replaced while the store is open.
func TestTokens(t *testing.T) {
	s := startServer(t, false)
	t.Run("renewed", func(t *testing.T) {
		store := open(t, s.config(s.tokenFor(t, "renewed", policyWrite, "2s")))
		for range 5 {
			if err := store.Set(ctx(t), "a", val("v")); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Second)
		}
	})
	t.Run("AppRole, once for all callers", func(t *testing.T) {
		s.must(t, "POST", "sys/auth/approle", m{"type": "approle"}, nil)
		s.must(t, "POST", "sys/policies/acl/role", m{"policy": policyWrite}, nil)
		s.must(t, "POST", "auth/approle/role/job", m{"token_policies": "role", "token_ttl": "1h", "secret_id_num_uses": 2}, nil)
		var id struct {
			Data struct {
				RoleID   string `json:"role_id"`
				SecretID string `json:"secret_id"`
			}
		}
		s.must(t, "GET", "auth/approle/role/job/role-id", nil, &id)
		s.must(t, "POST", "auth/approle/role/job/secret-id", m{}, &id)
		t.Setenv("VAULT_SECRET_ID", id.Data.SecretID)
		c := s.config("")
		c.Auth = vault.AppRole{RoleID: id.Data.RoleID}
		store := open(t, c)
		names := make([]string, 100)
		values := map[string]secretstore.Value{}
		for i := range names {
			names[i] = "n-" + strings.Repeat("x", i+1)
			values[names[i]] = val("v")
		}
		if err := store.SetBatch(ctx(t), values); err != nil {
			t.Fatal(err)
		}
		// Vault revokes every token of the role in the middle of its life.
		s.must(t, "PUT", "sys/leases/revoke-prefix/auth/approle", nil, nil)
		got, err := store.GetBatch(ctx(t), names)
		if err != nil || len(got) != 100 {
			t.Errorf("after the token was revoked: %d values, %v", len(got), err)
		}
		// The secret id is good for two logins: one more and the batch would fail.
		c.Auth = vault.AppRole{RoleID: "wrong"}
		_, err = open(t, c).Get(ctx(t), "a")
		wantKind(t, "a wrong role", err, secretstore.ErrDenied, "login was refused")
	})
	t.Run("a dead token", func(t *testing.T) {
		token := s.tokenFor(t, "dead", policyWrite, "1h")
		store := open(t, s.config(token))
		if err := store.Set(ctx(t), "a", val("v")); err != nil {
			t.Fatal(err)
		}
		s.must(t, "POST", "auth/token/revoke", m{"token": token}, nil)
		_, err := store.Get(ctx(t), "a")
		wantKind(t, "Get", err, secretstore.ErrDenied, "run out")
		if strings.Contains(err.Error(), token) {
			t.Error("the token is in the error")
		}
	})
}

// TestSealed: a sealed server is unavailable, and the same store goes on when it is
// unsealed.
func TestSealed(t *testing.T) {
	s := startServer(t, false)
	store := open(t, s.config(s.token))
	if err := store.Set(ctx(t), "a", val("v")); err != nil {
		t.Fatal(err)
	}
	s.must(t, "PUT", "sys/seal", nil, nil)
	_, err := store.Get(ctx(t), "a")
	wantKind(t, "Get while sealed", err, secretstore.ErrUnavailable, "sealed")
	got, err := store.GetBatch(ctx(t), []string{"a", "b"})
	wantKind(t, "GetBatch while sealed", err, secretstore.ErrUnavailable)
	if len(got) != 0 || errors.Is(err, secretstore.ErrNotFound) {
		t.Errorf("GetBatch while sealed: %v, %v", got, err)
	}
	time.AfterFunc(500*time.Millisecond, func() { s.call(t, "PUT", "sys/unseal", "", m{"key": s.unseal}, nil) })
	if v, err := store.Get(ctx(t), "a"); err != nil || !v.Equal(val("v")) {
		t.Errorf("after unsealing: %v", err)
	}
}

// shortly is a context that ends soon, but not before a first answer.
func shortly(t *testing.T) (context.Context, context.CancelFunc) {
	return context.WithTimeout(t.Context(), 2*time.Second)
}
