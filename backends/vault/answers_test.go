package vault_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mlsecrets/secretstore"
	"github.com/mlsecrets/secretstore/backends/vault"
	"github.com/mlsecrets/secretstore/backends/vault/vaulttest"
)

// scripted is a server that lets a store open and then answers every request below the
// mount as answer has it.
func scripted(t testing.TB, answer http.HandlerFunc) (config vault.Config, requests *atomic.Int64) {
	t.Helper()
	requests = new(atomic.Int64)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.URL.Path == "/v1/auth/token/lookup-self":
			fmt.Fprint(w, `{"data":{"ttl":0,"renewable":false}}`)
		case strings.HasPrefix(r.URL.Path, "/v1/sys/internal/ui/mounts/"):
			fmt.Fprint(w, `{"data":{"path":"secret/","type":"kv","options":{"version":"2"}}}`)
		default:
			requests.Add(1)
			answer(w, r)
		}
	}))
	t.Cleanup(s.Close)
	return vault.Config{Address: s.URL, Mount: "secret", Prefix: "app", Auth: vault.Token{Token: text("hvs.t")}}, requests
}

// canary is in the bodies of scripted answers, and must be in no error.
const canary = "canary-2b8d41"

func TestStatuses(t *testing.T) {
	t.Parallel()
	const id = "5d3f6b52-1c2a-4f6e-9d0b-0a1b2c3d4e5f"
	page := "<html><body>" + canary + "</body></html>"
	errs := `{"errors":["` + canary + `"]}`
	none := `{"errors":[]}`
	for _, tc := range []struct {
		name   string
		status int
		body   string
		kind   error
		says   string
	}{
		{"absent", 404, none, secretstore.ErrNotFound, ""},
		{"page", 404, page, secretstore.ErrUnavailable, "not the JSON of a Vault"},
		{"empty 404", 404, "", secretstore.ErrUnavailable, "not the JSON"},
		{"no route", 404, errs, secretstore.ErrUnavailable, "knows no such path"},
		{"wrong path", 404, `{"data":null,"warnings":["` + canary + `"]}`, secretstore.ErrUnavailable, "knows no such path"},
		{"empty object", 404, `{}`, secretstore.ErrUnavailable, "knows no such path"},
		{"bad request", 400, errs, secretstore.ErrConflict, "malformed"},
		{"http to https", 400, "Client sent an HTTP request to an HTTPS server.\n", secretstore.ErrUnavailable, "speaks HTTPS"},
		{"unauthorized", 401, page, secretstore.ErrDenied, "policies"},
		{"denied", 403, errs, secretstore.ErrDenied, "policies"},
		{"not allowed", 405, errs, errors.ErrUnsupported, ""},
		{"standby behind", 412, errs, secretstore.ErrUnavailable, "caught up"},
		{"too large", 413, errs, secretstore.ErrTooLarge, ""},
		{"disaster recovery", 472, errs, secretstore.ErrUnavailable, "standby"},
		{"performance standby", 473, errs, secretstore.ErrUnavailable, "standby"},
		{"error", 500, errs, secretstore.ErrUnavailable, "the server failed"},
		{"proxy", 502, page, secretstore.ErrUnavailable, "proxy"},
		{"sealed", 503, `{"errors":["Vault is sealed"]}`, secretstore.ErrUnavailable, "sealed"},
		{"not ready", 503, page, secretstore.ErrUnavailable, "not ready"},
		{"slow", 504, page, secretstore.ErrUnavailable, "proxy"},
		{"teapot", 418, page, secretstore.ErrUnavailable, "not one of a Vault"},
		{"login page", 200, page, secretstore.ErrUnavailable, "not the JSON"},
		{"empty 200", 200, "", secretstore.ErrUnavailable, "not the JSON"},
		{"cut JSON", 200, `{"data":{"data":{"value":"` + canary, secretstore.ErrUnavailable, "not the JSON"},
		{"other JSON", 200, `{"hello":"` + canary + `"}`, secretstore.ErrUnavailable, "version 2"},
		{"version 1", 200, `{"data":{"value":"` + canary + `"}}`, secretstore.ErrUnavailable, "version 2"},
		{"wrong types", 200, `{"data":["` + canary + `"]}`, secretstore.ErrUnavailable, "not the JSON"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			for _, layout := range layouts {
				config, _ := scripted(t, func(w http.ResponseWriter, r *http.Request) {
					w.Header().Set("X-Vault-Request-Id", id)
					w.WriteHeader(tc.status)
					fmt.Fprint(w, tc.body)
				})
				config.Layout = layout
				store := open(t, config)
				_, err := store.Get(t.Context(), "a")
				wantError(t, err, tc.kind, tc.says)
				e, ok := errors.AsType[*secretstore.Error](err)
				if !ok || e.Status != tc.status || e.RequestID != id {
					t.Errorf("%s: got status %d and request %q in %v", layout, e.Status, e.RequestID, err)
				}
				got, batch := store.GetBatch(t.Context(), []string{"a", "b"})
				if !errors.Is(batch, tc.kind) || len(got) != 0 {
					t.Errorf("%s: GetBatch: got %d values, %v; want %v", layout, len(got), batch, tc.kind)
				}
				_, list := store.List(t.Context())
				// Nothing to list is no error.
				if tc.kind != secretstore.ErrNotFound && !errors.Is(list, tc.kind) {
					t.Errorf("%s: List: got %v, want %v", layout, list, tc.kind)
				}
				set := store.Set(t.Context(), "a", text("v"))
				del := store.(secretstore.Deleter).Delete(t.Context(), "a")
				for op, err := range map[string]error{"get": err, "list": list, "set": set, "delete": del} {
					if op != "get" && errors.Is(err, secretstore.ErrNotFound) {
						t.Errorf("%s: %s: got %v", layout, op, err)
					}
					if text := fmt.Sprintf("%v %+v %#v", err, err, err); strings.Contains(text, canary) || strings.Contains(text, "hvs.t") {
						t.Errorf("%s: %s: the error shows what the server said, or the token", layout, op)
					}
				}
				if set == nil {
					t.Errorf("%s: Set succeeded", layout)
				}
			}
		})
	}
}

// TestRequestID takes no id that has another form: it may be an echo.
func TestRequestID(t *testing.T) {
	t.Parallel()
	config, _ := scripted(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Request-Id", canary)
		w.WriteHeader(403)
	})
	_, err := open(t, config).Get(t.Context(), "a")
	if e, ok := errors.AsType[*secretstore.Error](err); !ok || e.RequestID != "" {
		t.Errorf("got %v, want no request id", err)
	}
}

func TestBrokenOffAnswer(t *testing.T) {
	t.Parallel()
	config, requests := scripted(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", "100")
		fmt.Fprint(w, `{"data":{`)
	})
	for _, layout := range layouts {
		config.Layout = layout
		store := open(t, config)
		_, err := store.Get(t.Context(), "a")
		wantError(t, err, secretstore.ErrUnavailable, "broke off")
		before := requests.Load()
		err = store.SetBatch(t.Context(), map[string]secretstore.Value{"a": text("v"), "b": text("v")})
		// The server may have written it, so each name is in doubt, and nothing is sent
		// a second time.
		b, ok := errors.AsType[*secretstore.BatchError](err)
		if !ok || len(b.Errs) != 2 {
			t.Errorf("%s: SetBatch: got %v, want a *BatchError of both names", layout, err)
		}
		if n, want := requests.Load()-before, map[vault.Layout]int64{vault.Paths: 2, vault.Map: 1}[layout]; n != want {
			t.Errorf("%s: SetBatch made %d requests, want %d", layout, n, want)
		}
	}
}

// TestBackOff has a server that throttles, or is not ready, for a while.
func TestBackOff(t *testing.T) {
	t.Parallel()
	const found = `{"data":{"data":{"value":"v"},"metadata":{"version":1}}}`
	for _, tc := range []struct {
		name       string
		status     int
		times      int64 // that it answers so, before it answers well
		retryAfter string
		atLeast    time.Duration
	}{
		{"throttled", 429, 6, "", 0},
		{"throttled, for a second", 429, 1, "1", time.Second},
		{"not ready", 503, 2, "", 0},
		{"not ready, for a second", 503, 1, "1", time.Second},
		{"behind", 412, 2, "", 0},
		{"no server behind the proxy", 502, 2, "", 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			var n atomic.Int64
			config, _ := scripted(t, func(w http.ResponseWriter, r *http.Request) {
				if n.Add(1) <= tc.times {
					w.Header().Set("Retry-After", tc.retryAfter)
					w.WriteHeader(tc.status)
					return
				}
				fmt.Fprint(w, found)
			})
			start := time.Now()
			v, err := open(t, config).Get(t.Context(), "a")
			if err != nil || !v.Equal(text("v")) {
				t.Errorf("Get: %v", err)
			}
			if took := time.Since(start); took < tc.atLeast {
				t.Errorf("Get came back after %v, before the time that the server asked for", took)
			}
		})
	}
	t.Run("a pause past the deadline is not begun", func(t *testing.T) {
		t.Parallel()
		config, requests := scripted(t, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Retry-After", "30")
			w.WriteHeader(429)
		})
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		_, err := open(t, config).Get(ctx, "a")
		wantError(t, err, secretstore.ErrThrottled, "rate limit")
		if ctx.Err() != nil || requests.Load() != 1 {
			t.Errorf("%d requests, context %v; want one and no wait", requests.Load(), ctx.Err())
		}
	})
}

// TestEcho has a server that repeats path, token and body in its errors, and looks for
// them in everything public.
func TestEcho(t *testing.T) {
	t.Parallel()
	s := vaulttest.NewServer()
	t.Cleanup(s.Close)
	s.AddAppRole("role", canary+"-id", 0)
	var logged strings.Builder
	log := slog.New(slog.NewJSONHandler(&logged, nil))
	for _, layout := range layouts {
		for _, auth := range []vault.Auth{vault.Token{Token: text(s.Token())}, vault.AppRole{RoleID: "role", SecretID: text(canary + "-id")}} {
			config := vault.Config{Address: s.URL, Mount: "secret", Prefix: "app", Layout: layout, Auth: auth, HTTPClient: s.Client()}
			store := open(t, config)
			undo := s.Inject(vaulttest.Echo, "")
			_, get := store.Get(t.Context(), "a")
			_, batch := store.GetBatch(t.Context(), []string{"a", "b"})
			_, list := store.List(t.Context())
			_, opened := vault.Open(t.Context(), config)
			for what, v := range map[string]any{
				"config": config, "hidden config": struct{ c vault.Config }{config}, "store": store, "get": get, "batch": batch, "list": list, "open": opened,
				"set":       store.Set(t.Context(), "a", text(canary)),
				"set batch": store.SetBatch(t.Context(), map[string]secretstore.Value{"a": text(canary), "b": text(canary)}),
				"delete":    store.(secretstore.Deleter).Delete(t.Context(), "a", "b"),
			} {
				err, isErr := v.(error)
				if v == nil || isErr && !errors.Is(err, secretstore.ErrUnavailable) {
					t.Errorf("%s, %s: got %v, want ErrUnavailable", layout, what, v)
				}
				logged.Reset()
				log.Error("failed", "v", v)
				all := fmt.Sprintf("%v %+v %#v", v, v, v) + logged.String()
				for ; isErr && err != nil; err = errors.Unwrap(err) {
					all += err.Error()
				}
				if strings.Contains(all, canary) || strings.Contains(all, s.Token()) {
					t.Errorf("%s, %s: shows a value or a token", layout, what)
				}
			}
			undo()
		}
	}
}
