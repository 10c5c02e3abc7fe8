package vault_test

import (
	"errors"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/mlsecrets/secretstore"
	"github.com/mlsecrets/secretstore/backends/vault"
)

// rooted returns the settings of a store with the root token, in a prefix of its own.
func (s *server) rooted(layout vault.Layout) vault.Config {
	return vault.Config{Address: s.addr, Mount: "secret", Prefix: unique(), Layout: layout, Auth: vault.Token{Token: text(s.root)}, HTTPClient: s.http}
}

func data(fields map[string]any) map[string]any { return map[string]any{"data": fields} }

func TestDeletedByOthersIsNotFound(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	for _, layout := range layouts {
		for how, remove := range map[string]func(path string){
			"soft-deleted": func(path string) { s.do(t, "DELETE", "secret/data/"+path, nil) },
			"destroyed": func(path string) {
				s.do(t, "POST", "secret/destroy/"+path, map[string]any{"versions": []int{1, 2}})
			},
			"removed": func(path string) { s.do(t, "DELETE", "secret/metadata/"+path, nil) },
		} {
			config := s.rooted(layout)
			store := open(t, config)
			if err := store.SetBatch(t.Context(), map[string]secretstore.Value{"a": text("1")}); err != nil {
				t.Fatal(err)
			}
			if err := store.Set(t.Context(), "a", text("2")); err != nil {
				t.Fatal(err)
			}
			path := config.Prefix
			if layout == vault.Paths {
				path += "/a"
			}
			remove(path)
			if _, err := store.Get(t.Context(), "a"); !errors.Is(err, secretstore.ErrNotFound) {
				t.Errorf("%s, %s: Get: got %v, want ErrNotFound", layout, how, err)
			}
			names, err := store.List(t.Context())
			// The listing of paths can't tell what somebody soft-deleted.
			if kept := layout == vault.Paths && how != "removed"; err != nil || slices.Contains(names, "a") != kept {
				t.Errorf("%s, %s: List: got %q, %v", layout, how, names, err)
			}
			if err := store.(secretstore.Deleter).Delete(t.Context(), "a", "b"); err != nil {
				t.Errorf("%s, %s: Delete: %v", layout, how, err)
			}
			if err := store.Set(t.Context(), "a", text("3")); err != nil {
				t.Errorf("%s, %s: Set: %v", layout, how, err)
			}
			if v, err := store.Get(t.Context(), "a"); err != nil || !v.Equal(text("3")) {
				t.Errorf("%s, %s: Get after Set: %v", layout, how, err)
			}
		}
	}
}

func TestWithRawRequests(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	binary := secretstore.NewValue([]byte{0xff, 0, 1})

	t.Run("path", func(t *testing.T) {
		config := s.rooted(vault.Paths)
		store := open(t, config)
		at := "secret/data/" + config.Prefix + "/"
		s.do(t, "POST", at+"put", data(map[string]any{"value": "by hand", "user": "me"}))
		if v, err := store.Get(t.Context(), "put"); err != nil || !v.Equal(text("by hand")) {
			t.Errorf("Get of what was put by hand: %v", err)
		}
		if err := store.SetBatch(t.Context(), map[string]secretstore.Value{"t": text("text <&>"), "b": binary}); err != nil {
			t.Fatal(err)
		}
		fields := func(name string) map[string]any {
			return s.do(t, "GET", at+name, nil)["data"].(map[string]any)["data"].(map[string]any)
		}
		if got, want := fields("t"), map[string]any{"value": "text <&>"}; !maps.Equal(got, want) {
			t.Errorf("a raw GET shows %v, want %v", got, want)
		}
		if got, want := fields("b"), map[string]any{"value": "/wAB", "value.encoding": "base64"}; !maps.Equal(got, want) {
			t.Errorf("a raw GET shows %v, want %v", got, want)
		}
	})
	t.Run("map", func(t *testing.T) {
		config := s.rooted(vault.Map)
		at := "secret/data/" + config.Prefix
		s.do(t, "POST", at, data(map[string]any{"db-password": "by hand", "DB_HOST": "kept", "port": 5432}))
		store := open(t, config)
		if v, err := store.Get(t.Context(), "DB-Password"); err != nil || !v.Equal(text("by hand")) {
			t.Errorf("Get of what was put by hand: %v", err)
		}
		_, err := store.Get(t.Context(), "port")
		wantError(t, err, secretstore.ErrConflict, "holds no string")
		if err := store.SetBatch(t.Context(), map[string]secretstore.Value{"b": binary, "gone": binary}); err != nil {
			t.Fatal(err)
		}
		if err := store.Set(t.Context(), "gone", text("now text")); err != nil {
			t.Fatal(err)
		}
		if v, err := store.Get(t.Context(), "gone"); err != nil || !v.Equal(text("now text")) {
			t.Errorf("Get of text over binary: %v", err)
		}
		if err := store.(secretstore.Deleter).Delete(t.Context(), "gone"); err != nil {
			t.Fatal(err)
		}
		got := s.do(t, "GET", at, nil)["data"].(map[string]any)["data"].(map[string]any)
		want := map[string]any{"db-password": "by hand", "DB_HOST": "kept", "port": 5432.0, "b": "/wAB", "b.encoding": "base64"}
		if !maps.Equal(got, want) {
			t.Errorf("a raw GET shows %v, want %v", got, want)
		}
		if names, err := store.List(t.Context()); err != nil || !slices.Equal(names, []string{"b", "db-password"}) {
			t.Errorf("List: got %q, %v", names, err)
		}
	})
}

func TestFields(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	config := s.rooted(vault.Paths)
	at := "secret/data/" + config.Prefix + "/"
	s.do(t, "POST", at+"login", data(map[string]any{"user": "me", "password": "p", "n": 1, "null": nil, "bad": "x", "bad.encoding": "rot13"}))
	s.do(t, "POST", at+"broken", data(map[string]any{"value": "not base64!", "value.encoding": "base64"}))
	s.do(t, "POST", at+"null", map[string]any{"data": nil})
	for _, tc := range []struct {
		field, name string
		kind        error // nil: the value "p"
		says        string
	}{
		{"password", "login", nil, ""},
		{"", "login", secretstore.ErrNotFound, `no field "value"`},
		{"null", "login", secretstore.ErrNotFound, `no field "null"`},
		{"n", "login", secretstore.ErrConflict, `the field "n" holds no string`},
		{"bad", "login", secretstore.ErrCorrupt, "encoding that is not known"},
		{"", "broken", secretstore.ErrCorrupt, "base64"},
		{"", "null", secretstore.ErrNotFound, `no field "value"`},
	} {
		config.Field = tc.field
		v, err := open(t, config).Get(t.Context(), tc.name)
		if tc.kind != nil {
			wantError(t, err, tc.kind, tc.says)
		} else if err != nil || !v.Equal(text("p")) {
			t.Errorf("field %q of %s: %v", tc.field, tc.name, err)
		}
	}
}

func TestListLeavesOutForeignNames(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	config := s.rooted(vault.Paths)
	store := open(t, config)
	if names, err := store.List(t.Context()); err != nil || len(names) != 0 {
		t.Errorf("List of nothing: got %q, %v", names, err)
	}
	for _, name := range []string{"a", "b/c", "with_underscore", "with space", "Capital", "a.b", "z"} {
		s.do(t, "POST", "secret/data/"+config.Prefix+"/"+strings.ReplaceAll(name, " ", "%20"), data(map[string]any{"value": "v"}))
	}
	if names, err := store.List(t.Context()); err != nil || !slices.Equal(names, []string{"a", "z"}) {
		t.Errorf("List: got %q, %v; want a and z", names, err)
	}
	// No prefix: the whole mount.
	config.Prefix = ""
	if err := open(t, config).Set(t.Context(), "top", text("v")); err != nil {
		t.Fatal(err)
	}
	if names, err := open(t, config).List(t.Context()); err != nil || !slices.Equal(names, []string{"top"}) {
		t.Errorf("List of the mount: got %q, %v", names, err)
	}
}

func TestCASRequired(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	s.do(t, "POST", "secret/config", map[string]any{"cas_required": true})
	for _, layout := range layouts {
		store := open(t, s.rooted(layout))
		done := make(chan error, 4)
		for range cap(done) { // at the same time, so that one has to be first
			go func() { done <- store.Set(t.Context(), "a", text("1")) }()
		}
		for range cap(done) {
			if err := <-done; err != nil {
				t.Errorf("%s: Set: %v", layout, err)
			}
		}
		if err := store.(secretstore.Deleter).Delete(t.Context(), "a"); err != nil {
			t.Errorf("%s: Delete: %v", layout, err)
		}
		if err := store.SetBatch(t.Context(), map[string]secretstore.Value{"a": text("2"), "b": text("3")}); err != nil {
			t.Errorf("%s: SetBatch: %v", layout, err)
		}
		if v, err := store.Get(t.Context(), "a"); err != nil || !v.Equal(text("2")) {
			t.Errorf("%s: Get: %v", layout, err)
		}
	}
}

func TestReadOnlyPolicy(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	for _, layout := range layouts {
		config := s.config(t, layout, "read")
		root := config
		root.Auth = vault.Token{Token: text(s.root)}
		if err := open(t, root).Set(t.Context(), "a", text("v")); err != nil {
			t.Fatal(err)
		}
		store := open(t, config)
		if v, err := store.Get(t.Context(), "a"); err != nil || !v.Equal(text("v")) {
			t.Errorf("%s: Get: %v", layout, err)
		}
		_, err := store.Get(t.Context(), "absent")
		wantError(t, err, secretstore.ErrNotFound, "absent")
		if names, err := store.List(t.Context()); err != nil || !slices.Equal(names, []string{"a"}) {
			t.Errorf("%s: List: got %q, %v", layout, names, err)
		}
		d := store.(secretstore.Deleter)
		for what, err := range map[string]error{
			"Set":      store.Set(t.Context(), "a", text("w")),
			"SetBatch": store.SetBatch(t.Context(), map[string]secretstore.Value{"a": text("w"), "b": text("w")}),
			"Delete":   d.Delete(t.Context(), "a"),
			"Delete 2": d.Delete(t.Context(), "a", "b"),
		} {
			if !errors.Is(err, secretstore.ErrDenied) {
				t.Errorf("%s: %s: got %v, want ErrDenied", layout, what, err)
			}
		}
		if v, err := store.Get(t.Context(), "a"); err != nil || !v.Equal(text("v")) {
			t.Errorf("%s: Get after refused writes: %v", layout, err)
		}
	}
}

func TestOneRequestForAMapBatch(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	config := s.rooted(vault.Map)
	n := &counter{RoundTripper: s.http.Transport}
	config.HTTPClient = &http.Client{Transport: n}
	store := open(t, config)
	values := map[string]secretstore.Value{}
	for range 100 {
		values[unique()] = text("v")
	}
	if err := store.SetBatch(t.Context(), values); err != nil {
		t.Fatal(err)
	}
	before := n.n.Load()
	got, err := store.GetBatch(t.Context(), slices.Collect(maps.Keys(values)))
	if err != nil || len(got) != 100 || n.n.Load()-before != 1 {
		t.Errorf("100 names: %d values in %d requests, %v; want one request", len(got), n.n.Load()-before, err)
	}
	before = n.n.Load()
	if err := store.SetBatch(t.Context(), values); err != nil || n.n.Load()-before != 1 {
		t.Errorf("SetBatch over what is there: %d requests, %v; want one", n.n.Load()-before, err)
	}
}

// TestTooLarge fills a Vault secret until the server's storage takes no more.
func TestTooLarge(t *testing.T) {
	t.Parallel()
	s := startServer(t, "-max-entry-size", "1048576")
	store := open(t, s.rooted(vault.Map))
	big := text(strings.Repeat("x", secretstore.MaxTextLen))
	for i := range 60 {
		err := store.Set(t.Context(), unique(), big)
		if err == nil {
			continue
		}
		wantError(t, err, secretstore.ErrTooLarge, "storage")
		if i < 30 {
			t.Errorf("the server took %d values alone", i)
		}
		return
	}
	t.Error("the server took 60 values of 25,600 bytes in one Vault secret of 1 MiB")
}

func TestMountIsGone(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	for _, layout := range layouts {
		config := s.rooted(layout)
		config.Mount = unique()
		mount := func(version string) {
			s.do(t, "POST", "sys/mounts/"+config.Mount, map[string]any{"type": "kv", "options": map[string]string{"version": version}})
		}
		mount("2")
		store := open(t, config)
		check := func(what string) {
			t.Helper()
			_, get := store.Get(t.Context(), "a")
			_, list := store.List(t.Context())
			for op, err := range map[string]error{"Get": get, "List": list, "Set": store.Set(t.Context(), "a", text("v"))} {
				if !errors.Is(err, secretstore.ErrUnavailable) {
					t.Errorf("%s, %s: %s: got %v, want ErrUnavailable", layout, what, op, err)
				}
			}
		}
		if err := store.Set(t.Context(), "a", text("v")); err != nil {
			t.Fatal(err)
		}
		s.do(t, "DELETE", "sys/mounts/"+config.Mount, nil)
		check("no mount")
	}
	// A version 1 in its place answers a read as if nothing were there, so that only
	// a write shows it, and opening.
	config := s.rooted(vault.Paths)
	config.Mount = unique()
	s.do(t, "POST", "sys/mounts/"+config.Mount, map[string]any{"type": "kv", "options": map[string]string{"version": "2"}})
	store := open(t, config)
	s.do(t, "DELETE", "sys/mounts/"+config.Mount, nil)
	s.do(t, "POST", "sys/mounts/"+config.Mount, map[string]any{"type": "kv", "options": map[string]string{"version": "1"}})
	wantError(t, store.Set(t.Context(), "a", text("v")), secretstore.ErrUnavailable, "version 2")
	_, err := store.Get(t.Context(), "a")
	wantError(t, err, secretstore.ErrUnavailable, "version 2")
	_, err = vault.Open(t.Context(), config)
	wantError(t, err, secretstore.ErrInvalidConfig, "version 1")
}

// TestTwoStores opens two stores on two servers at once.
func TestTwoStores(t *testing.T) {
	t.Parallel()
	a, b := startServer(t), startServer(t)
	one, two := open(t, a.config(t, vault.Paths, "write")), open(t, b.config(t, vault.Map, "write"))
	for range 20 {
		for store, v := range map[secretstore.Store]secretstore.Value{one: text("one"), two: text("two")} {
			if err := store.Set(t.Context(), "same", v); err != nil {
				t.Fatal(err)
			}
		}
		for store, want := range map[secretstore.Store]secretstore.Value{one: text("one"), two: text("two")} {
			if v, err := store.Get(t.Context(), "same"); err != nil || !v.Equal(want) {
				t.Fatalf("Get: the wrong value, or %v", err)
			}
		}
	}
}
