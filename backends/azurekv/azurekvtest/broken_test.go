package azurekvtest_test

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"time"
)

// edit returns a broken vault that changes the bodies of answers.
func edit(change func(body string) string) func(*replay, http.Handler) http.Handler {
	return rewrite(func(rec *httptest.ResponseRecorder) {
		rec.Body = bytes.NewBufferString(change(rec.Body.String()))
	})
}

// rewrite returns a broken vault that changes answers.
func rewrite(change func(*httptest.ResponseRecorder)) func(*replay, http.Handler) http.Handler {
	return func(_ *replay, vault http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			rec := httptest.NewRecorder()
			vault.ServeHTTP(rec, r)
			change(rec)
			for name, values := range rec.Header() {
				w.Header()[name] = values
			}
			w.WriteHeader(rec.Code)
			w.Write(rec.Body.Bytes())
		})
	}
}

// bend returns a broken vault that changes requests.
func bend(change func(*http.Request)) func(*replay, http.Handler) http.Handler {
	return func(_ *replay, vault http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			change(r)
			vault.ServeHTTP(w, r)
		})
	}
}

// encodeCase makes names that differ in case differ.
func encodeCase(r *http.Request) {
	parts := strings.Split(r.URL.Path, "/")
	if len(parts) > 2 && len(parts[2]) < 60 {
		name := []byte(nil)
		for _, c := range []byte(parts[2]) {
			if 'A' <= c && c <= 'Z' {
				name = append(name, "0-"...)
			}
			name = append(name, c)
		}
		parts[2] = string(name)
		r.URL.Path = strings.Join(parts, "/")
	}
}

// TestBrokenVaults breaks the vault in ways in which a double of the service could
// be wrong, most of which some emulator is, and wants the replay of our own table
// to notice each.
func TestBrokenVaults(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name  string
		broke func(*replay, http.Handler) http.Handler
	}{
		{"case distinguishes names", bend(encodeCase)},
		{"no inner error tells a disabled secret from a missing right", edit(func(body string) string {
			return regexp.MustCompile(`,"innererror":\{[^}]*\}`).ReplaceAllString(body, "")
		})},
		{"a disabled secret is not found", rewrite(func(rec *httptest.ResponseRecorder) {
			if strings.Contains(rec.Body.String(), "SecretDisabled") {
				rec.Code = http.StatusNotFound
			}
		})},
		{"the challenge has no authority", rewrite(func(rec *httptest.ResponseRecorder) {
			if rec.Code == http.StatusUnauthorized {
				rec.Header().Set("WWW-Authenticate", `Bearer resource="https://vault.azure.net"`)
			}
		})},
		{"a token that has expired is accepted", func(r *replay, vault http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
				if req.Header.Get("Authorization") != "" {
					req.Header.Set("Authorization", "Bearer "+r.token(nil))
				}
				vault.ServeHTTP(w, req)
			})
		}},
		{"deletion and recovery are at once", func(r *replay, vault http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
				vault.ServeHTTP(w, req)
				r.now = r.now.Add(lag)
			})
		}},
		{"deletion takes twice as long", func(r *replay, vault http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
				vault.ServeHTTP(w, req)
				r.now = r.now.Add(-lag / 2)
			})
		}},
		{"deletion is final", func(r *replay, vault http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
				vault.ServeHTTP(w, req)
				if req.Method == http.MethodDelete && strings.HasPrefix(req.URL.Path, "/secrets/") {
					r.now = r.now.Add(lag)
					req.URL.Path = "/deleted" + req.URL.Path[1:]
					vault.ServeHTTP(httptest.NewRecorder(), req)
					r.now = r.now.Add(lag)
				}
			})
		}},
		{"the answer to a delete has the value", edit(func(body string) string {
			return strings.Replace(body, `{"recoveryId"`, `{"value":"old","recoveryId"`, 1)
		})},
		{"tags are an empty object where there are none", edit(func(body string) string {
			if strings.HasPrefix(body, `{"value":"`) && !strings.Contains(body, `"tags"`) {
				return strings.TrimSuffix(body, "}") + `,"tags":{}}`
			}
			return body
		})},
		{"ids are folded", edit(func(body string) string {
			return regexp.MustCompile(`/secrets/[0-9A-Za-z-]+`).ReplaceAllStringFunc(body, strings.ToLower)
		})},
		{"ids in listings have a version", edit(func(body string) string {
			return regexp.MustCompile(`(/secrets/item-\d+)"`).ReplaceAllString(body, `$1/00000000000000000000000000000000"`)
		})},
		{"listings have values", edit(func(body string) string {
			return regexp.MustCompile(`\{("id":"[^"]*/secrets/item)`).ReplaceAllString(body, `{"value":"x",$1`)
		})},
		{"pages are smaller", bend(func(r *http.Request) {
			if r.URL.Path == "/secrets" && !strings.Contains(r.URL.RawQuery, "26") {
				query := r.URL.Query()
				query.Set("maxresults", "24")
				r.URL.RawQuery = query.Encode()
			}
		})},
		{"next links have no port", edit(func(body string) string { return strings.ReplaceAll(body, ":443/", "/") })},
		{"the last page has no next link at all", edit(func(body string) string {
			return strings.ReplaceAll(body, `,"nextLink":null`, "")
		})},
		{"an empty value is no value", edit(func(body string) string { return strings.ReplaceAll(body, `"value":"",`, "") })},
		{"versions of an absent name are not found", func(_ *replay, vault http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
				req.URL.Path = strings.TrimSuffix(req.URL.Path, "/versions")
				vault.ServeHTTP(w, req)
			})
		}},
		{"one version is kept", edit(func(body string) string {
			return regexp.MustCompile(`(\{"value":\[\{.*\}),\{.*\}(\],"nextLink":null\})`).ReplaceAllString(body, "$1$2")
		})},
		{"values may be a byte longer", bend(func(r *http.Request) {
			if body, err := io.ReadAll(r.Body); err == nil {
				r.Body = io.NopCloser(bytes.NewReader(bytes.Replace(body, []byte(`"rr`), []byte(`"r`), 1)))
			}
		})},
		{"an API version is not needed", bend(func(r *http.Request) { r.URL.RawQuery += "&api-version=1" })},
		{"throttling says for how long", rewrite(func(rec *httptest.ResponseRecorder) {
			if rec.Code == http.StatusTooManyRequests {
				rec.Header().Set("Retry-After", "1")
			}
		})},
		{"a start date is heeded", rewrite(func(rec *httptest.ResponseRecorder) {
			if strings.Contains(rec.Body.String(), `"nbf"`) {
				rec.Code = http.StatusForbidden
			}
		})},
		{"the secret of a certificate can be set", bend(func(r *http.Request) {
			if r.Method == http.MethodPut && r.URL.Path == "/secrets/certificate" {
				r.URL.Path = "/secrets/other"
			}
		})},
		{"no request id", rewrite(func(rec *httptest.ResponseRecorder) { rec.Header().Del("X-Ms-Request-Id") })},
		{"times are in milliseconds", edit(func(body string) string {
			return regexp.MustCompile(`"created":\d+`).ReplaceAllString(body, `"created":`+time.UnixMilli(1).Format("0.000"))
		})},
	}
	if len(tests) < 10 {
		t.Fatalf("%d broken vaults", len(tests))
	}
	rows := readExchanges(t, "testdata/golden.jsonl")
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			differences := newReplay(test.broke).run(t, rows)
			if len(differences) == 0 {
				t.Fatal("nobody noticed")
			}
			t.Logf("%d differences, the first: %s", len(differences), differences[0])
		})
	}
}
