package vault_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mlsecrets/secretstore"
	"github.com/mlsecrets/secretstore/backends/vault"
	"github.com/mlsecrets/secretstore/backends/vault/vaulttest"
	"github.com/mlsecrets/secretstore/conformance"
)

// TestConformanceDouble runs the suite on the double, with the faults that the real
// server can't be made to have.
func TestConformanceDouble(t *testing.T) {
	for _, layout := range []vault.Layout{vault.Paths, vault.Map} {
		t.Run(string(layout), func(t *testing.T) {
			server := vaulttest.Start(t)
			var n atomic.Int64
			configs := map[secretstore.StoreCloser]vault.Config{}
			conformance.Test(t, conformance.Harness{
				Open: func(ctx context.Context) (secretstore.StoreCloser, error) {
					c := server.Config(fmt.Sprintf("c/%d", n.Add(1)))
					c.Layout = layout
					s, err := vault.Open(ctx, c)
					if err == nil {
						configs[s] = c
					}
					return s, err
				},
				Second: func(ctx context.Context, s secretstore.StoreCloser) (secretstore.StoreCloser, error) {
					c := configs[s]
					c.Client = server.Config("").Client
					return vault.Open(ctx, c)
				},
				Requests: func(secretstore.StoreCloser) int { return server.Requests() },
				Inject: func(s secretstore.StoreCloser, f conformance.Fault, name string) (func(), error) {
					path := ""
					if name != "" {
						if layout == vault.Map {
							return nil, errors.ErrUnsupported // all names are in one secret
						}
						path = "/" + name
					}
					fault := vaulttest.Fault{Path: path}
					switch f {
					case conformance.Deny:
						fault = vaulttest.Denied(path)
					case conformance.Throttle:
						fault = vaulttest.Throttled()
					case conformance.Outage:
						fault = vaulttest.Proxy()
					case conformance.Hang:
						fault.Hang = true
					case conformance.Echo:
						fault.Echo = true
					case conformance.Expire:
						server.RevokeTokens()
						return func() {}, nil
					default:
						return nil, errors.ErrUnsupported // Vault disables nothing
					}
					return server.Inject(fault), nil
				},
				Facts: conformance.Facts{AtomicBatch: layout == vault.Map},
			})
		})
	}
}

// exchanges are raw requests, in order, that the real server and the double must
// answer alike.
var exchanges = []struct {
	method, path string
	body         any
}{
	{"GET", "secret/data/x/a", nil},
	{"POST", "secret/data/x/a", m{"data": m{"value": "1"}}},
	{"GET", "secret/data/x/a", nil},
	{"POST", "secret/data/x/a", m{"data": m{"value": "<2>", "n": 3}}},
	{"GET", "secret/data/x/a", nil},
	{"POST", "secret/data/x/a", m{"data": m{"value": "3"}, "options": m{"cas": 1}}},
	{"POST", "secret/data/x/a", m{"data": m{"value": "3"}, "options": m{"cas": 2}}},
	{"POST", "secret/data/x/a", m{"data": m{"value": "4"}, "options": m{"cas": 0}}},
	{"POST", "secret/data/x/new", m{"data": m{"value": "1"}, "options": m{"cas": 5}}},
	{"POST", "secret/data/x/new", m{"data": m{"value": "1"}, "options": m{"cas": 0}}},
	{"POST", "secret/data/x/a", m{}},
	{"PATCH", "secret/data/x/a", m{"data": m{"other": "x"}}},
	{"GET", "secret/data/x/a", nil},
	{"PATCH", "secret/data/x/a", m{"data": m{"other": nil}, "options": m{"cas": 4}}},
	{"PATCH", "secret/data/x/a", m{"data": m{"other": "y"}, "options": m{"cas": 4}}},
	{"GET", "secret/data/x/a", nil},
	{"PATCH", "secret/data/x/absent", m{"data": m{"other": "x"}}},
	{"POST", "secret/data/x/folder/deep", m{"data": m{"value": "1"}}},
	{"LIST", "secret/metadata/x", nil},
	{"LIST", "secret/metadata/x/", nil},
	{"LIST", "secret/metadata/nothing", nil},
	{"LIST", "secret/metadata", nil},
	{"DELETE", "secret/data/x/a", nil},
	{"GET", "secret/data/x/a", nil},
	{"LIST", "secret/metadata/x", nil},
	{"PATCH", "secret/data/x/a", m{"data": m{"other": "x"}}},
	{"POST", "secret/data/x/a", m{"data": m{"value": "5"}, "options": m{"cas": 0}}},
	{"POST", "secret/data/x/a", m{"data": m{"value": "5"}}},
	{"GET", "secret/data/x/a", nil},
	{"POST", "secret/destroy/x/a", m{"versions": []int{6}}},
	{"GET", "secret/data/x/a", nil},
	{"DELETE", "secret/data/x/absent", nil},
	{"DELETE", "secret/metadata/x/a", nil},
	{"DELETE", "secret/metadata/x/a", nil},
	{"GET", "secret/data/x/a", nil},
	{"POST", "secret/data/x/a", m{"data": m{"value": "again"}}},
	{"GET", "secret/data/x/a", nil},
	{"POST", "secret/metadata/x/strict", m{"cas_required": true}},
	{"GET", "secret/data/x/strict", nil},
	{"POST", "secret/data/x/strict", m{"data": m{"value": "1"}}},
	{"POST", "secret/data/x/strict", m{"data": m{"value": "1"}, "options": m{"cas": 0}}},
	{"GET", "nowhere/data/x", nil},
	{"POST", "auth/approle/login", m{"role_id": "wrong", "secret_id": "wrong"}},
}

// TestDouble: the double answers as the real server does.
func TestDouble(t *testing.T) {
	real := startServer(t, false)
	real.must(t, "POST", "sys/auth/approle", m{"type": "approle"}, nil)
	d := vaulttest.Start(t)
	double := &server{addr: d.Address, token: d.RootToken, http: http.DefaultClient}
	for i, x := range exchanges {
		want, got := exchange(t, real, real.token, x.method, x.path, x.body), exchange(t, double, double.token, x.method, x.path, x.body)
		if want != got {
			t.Errorf("exchange %d, %s %s:\nthe server answers %s\nthe double answers %s", i, x.method, x.path, want, got)
		}
	}
	for _, token := range []string{"", "hvs.unknown"} {
		want, got := exchange(t, real, token, "GET", "secret/data/x/a", nil), exchange(t, double, token, "GET", "secret/data/x/a", nil)
		if want != got {
			t.Errorf("token %q:\nthe server answers %s\nthe double answers %s", token, want, got)
		}
	}
	real.must(t, "PUT", "sys/seal", nil, nil)
	d.Seal()
	if want, got := exchange(t, real, real.token, "GET", "secret/data/x/a", nil), exchange(t, double, double.token, "GET", "secret/data/x/a", nil); want != got {
		t.Errorf("sealed:\nthe server answers %s\nthe double answers %s", want, got)
	}
	t.Logf("%d exchanges compared with HashiCorp Vault %s", len(exchanges)+3, real.version)
}

// exchange returns status, errors and data of an answer, without times.
func exchange(t *testing.T, s *server, token, method, path string, body any) string {
	t.Helper()
	var out struct {
		Errors []string
		Data   map[string]any
	}
	if method == "LIST" {
		method, path = "GET", path+"?list=true"
	}
	status := s.call(t, method, path, token, body, &out)
	times := []map[string]any{out.Data}
	if metadata, ok := out.Data["metadata"].(map[string]any); ok {
		times = append(times, metadata)
	}
	for _, m := range times {
		for _, key := range []string{"created_time", "deletion_time"} {
			if text, _ := m[key].(string); text != "" {
				m[key] = "TIME"
			}
		}
	}
	text, err := json.Marshal(m{"status": status, "errors": out.Errors, "data": out.Data})
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// TestRequests: what operations cost.
func TestRequests(t *testing.T) {
	d := vaulttest.Start(t)
	names := make([]string, 100)
	values := map[string]secretstore.Value{}
	for i := range names {
		names[i] = fmt.Sprintf("n-%d", i)
		values[names[i]] = val("v")
	}
	for _, tt := range []struct {
		layout    vault.Layout
		get, list int
	}{{vault.Paths, 100, 1}, {vault.Map, 1, 1}} {
		c := d.Config("job-" + string(tt.layout))
		c.Layout = tt.layout
		s := open(t, c)
		if err := s.SetBatch(ctx(t), values); err != nil {
			t.Fatal(err)
		}
		before := d.Requests()
		if got, err := s.GetBatch(ctx(t), names); err != nil || len(got) != 100 {
			t.Fatal(len(got), err)
		}
		if n := d.Requests() - before; n != tt.get {
			t.Errorf("%s: GetBatch of 100 cost %d requests, want %d", tt.layout, n, tt.get)
		}
		before = d.Requests()
		if _, err := s.List(ctx(t)); err != nil {
			t.Fatal(err)
		}
		if n := d.Requests() - before; n != tt.list {
			t.Errorf("%s: List cost %d requests, want %d", tt.layout, n, tt.list)
		}
		// A token that runs out in the middle costs one login for all.
		d.RevokeTokens()
		logins := d.Logins()
		if got, err := s.GetBatch(ctx(t), names); err != nil || len(got) != 100 {
			t.Errorf("%s: after the token was revoked: %d values, %v", tt.layout, len(got), err)
		}
		if n := d.Logins() - logins; n != 1 {
			t.Errorf("%s: %d logins, want 1", tt.layout, n)
		}
	}
}

// TestRestart: a store goes on when its server was away, and never says ErrNotFound.
func TestRestart(t *testing.T) {
	d := vaulttest.Start(t)
	s := open(t, d.Config("app"))
	if err := s.Set(ctx(t), "a", val("v")); err != nil {
		t.Fatal(err)
	}
	for what, fault := range map[string]vaulttest.Fault{
		"throttled, with Retry-After": {Status: 429, RetryAfter: time.Second, Times: 2},
		"standby":                     {Status: 473, Times: 2},
		"a proxy without a server":    {Status: 502, Body: "<html>", Times: 2},
	} {
		undo := d.Inject(fault)
		if v, err := s.Get(ctx(t), "a"); err != nil || !v.Equal(val("v")) {
			t.Errorf("%s: %v", what, err)
		}
		undo()
	}
}

// TestCanary: neither a value that the server repeats, nor the token, is in an error
// or in what %+v shows of anything public.
func TestCanary(t *testing.T) {
	d := vaulttest.Start(t)
	c := d.Config("app")
	s := open(t, c)
	if err := s.Set(ctx(t), "a", val("v")); err != nil {
		t.Fatal(err)
	}
	const canary = "canary-8b1f0d"
	defer d.Inject(vaulttest.Fault{Echo: true, Status: 400})()
	err := s.Set(ctx(t), "a", val(canary))
	if err == nil {
		t.Fatal("no error")
	}
	token := vault.Token{Token: val("hvs." + canary)}
	shown := fmt.Sprintf("%v %+v %#v %+v %#v %+v %#v", err, err, err, c, c.Auth, token, token)
	for e := err; e != nil; e = errors.Unwrap(e) {
		shown += e.Error()
	}
	if strings.Contains(shown, canary) || strings.Contains(shown, d.SecretID) || strings.Contains(shown, "hvs.double") {
		t.Errorf("a credential or a value shows in %s", shown)
	}
}
