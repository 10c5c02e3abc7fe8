package vault_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"github.com/mlsecrets/secretstore/backends/vault/vaulttest"
)

// rawExchanges are requests in a row that the double has to answer as the real server
// does, in status and body. {root} stands for the token.
var rawExchanges = []struct {
	method, path, token, body string
}{
	{"GET", "secret/data/a", "{root}", ""},
	{"GET", "secret/metadata?list=true", "{root}", ""},
	{"GET", "secret/metadata/team?list=true", "{root}", ""},
	{"PATCH", "secret/data/a", "{root}", `{"data":{"x":"1"}}`},
	{"POST", "secret/data/a", "{root}", `{"data":{"value":"one"}}`},
	{"GET", "secret/data/a", "{root}", ""},
	{"PUT", "secret/data/a", "{root}", `{"data":{"value":"two <&> \u0000 é","other":"kept"}}`},
	{"GET", "secret/data/a", "{root}", ""},
	{"GET", "secret/data/a?version=1", "{root}", ""},
	{"GET", "secret/data/a?version=9", "{root}", ""},
	{"PATCH", "secret/data/a", "{root}", `{"data":{"value":"three","new":"x","other":null,"absent":null},"options":{}}`},
	{"GET", "secret/data/a", "{root}", ""},
	{"PATCH", "secret/data/a", "{root}", `{"data":{"value":"four"},"options":{"cas":3}}`},
	{"PATCH", "secret/data/a", "{root}", `{"data":{"value":"five"},"options":{"cas":3}}`},
	{"POST", "secret/data/a", "{root}", `{"data":{"value":"x"},"options":{"cas":0}}`},
	{"POST", "secret/data/new", "{root}", `{"data":{"value":"x"},"options":{"cas":5}}`},
	{"POST", "secret/data/new", "{root}", `{"data":{"value":"x"},"options":{"cas":0}}`},
	{"POST", "secret/data/new", "{root}", `{}`},
	{"POST", "secret/data/new", "{root}", `{"data":{"value":`},
	{"POST", "secret/data/empty", "{root}", `{"data":{}}`},
	{"GET", "secret/data/empty", "{root}", ""},
	{"POST", "secret/data/null", "{root}", `{"data":null}`},
	{"GET", "secret/data/null", "{root}", ""},
	{"POST", "secret/data/team/one", "{root}", `{"data":{"n":42,"b":true,"l":["x"],"m":{"k":"v"}}}`},
	{"GET", "secret/data/team/one", "{root}", ""},
	{"PATCH", "secret/data/team/one", "{root}", `{"data":{"m":{"j":"w","k":null}}}`},
	{"GET", "secret/data/team/one", "{root}", ""},
	{"GET", "secret/metadata/?list=true", "{root}", ""},
	{"GET", "secret/metadata/team/?list=true", "{root}", ""},
	{"DELETE", "secret/data/a", "{root}", ""},
	{"DELETE", "secret/data/a", "{root}", ""},
	{"DELETE", "secret/data/never", "{root}", ""},
	{"GET", "secret/data/a", "{root}", ""},
	{"PATCH", "secret/data/a", "{root}", `{"data":{"value":"y"}}`},
	{"POST", "secret/data/a", "{root}", `{"data":{"value":"y"},"options":{"cas":0}}`},
	{"GET", "secret/metadata?list=true", "{root}", ""},
	{"POST", "secret/data/a", "{root}", `{"data":{"value":"y"},"options":{"cas":4}}`},
	{"GET", "secret/data/a", "{root}", ""},
	{"POST", "secret/destroy/a", "{root}", `{"versions":[5]}`},
	{"GET", "secret/data/a", "{root}", ""},
	{"DELETE", "secret/metadata/a", "{root}", ""},
	{"DELETE", "secret/metadata/a", "{root}", ""},
	{"GET", "secret/data/a", "{root}", ""},
	{"POST", "secret/data/a", "{root}", `{"data":{"value":"again"},"options":{"cas":0}}`},
	{"POST", "secret/metadata/strict", "{root}", `{"cas_required":true}`},
	{"GET", "secret/data/strict", "{root}", ""},
	{"POST", "secret/data/strict", "{root}", `{"data":{"value":"x"}}`},
	{"PATCH", "secret/data/strict", "{root}", `{"data":{"value":"x"}}`},
	{"POST", "secret/data/strict", "{root}", `{"data":{"value":"x"},"options":{"cas":0}}`},
	{"PATCH", "secret/data/strict", "{root}", `{"data":{"value":"y"}}`},
	{"PATCH", "secret/data/strict", "{root}", `{"data":{"value":"y"},"options":{"cas":1}}`},
	{"GET", "secret/data/", "", ""},
	{"GET", "secret/data/a", "wrong", ""},
	{"POST", "secret/data/a", "wrong", `{"data":{"value":"x"}}`},
	{"GET", "nomount/data/a", "{root}", ""},
	{"POST", "nomount/data/a", "{root}", `{"data":{"value":"x"}}`},
	{"GET", "sys/internal/ui/mounts/nomount", "{root}", ""},
	{"GET", "auth/token/lookup-self", "wrong", ""},
	{"POST", "auth/approle/login", "", `{"role_id":"no","secret_id":"no"}`},
}

var (
	ids   = regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}`)
	times = regexp.MustCompile(`\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z`)
)

// normal returns a body without what differs from one time to the next.
func normal(t *testing.T, x exchange) string {
	body := times.ReplaceAllString(ids.ReplaceAllString(x.body, "ID"), "TIME")
	if strings.TrimSpace(body) == "" {
		return fmt.Sprint(x.status, " -")
	}
	var v any
	if err := json.Unmarshal([]byte(body), &v); err != nil {
		t.Errorf("the body %q is no JSON", x.body)
	}
	if m, ok := v.(map[string]any); ok {
		delete(m, "mount_type") // varies with the kind of error, and nobody reads it
	}
	b, _ := json.Marshal(v)
	return fmt.Sprintf("%d %s", x.status, b)
}

func TestDoubleAnswersAsTheServer(t *testing.T) {
	t.Parallel()
	real := startServer(t)
	real.do(t, http.MethodPost, "sys/auth/approle", map[string]any{"type": "approle"})
	double := vaulttest.NewServer()
	t.Cleanup(double.Close)
	fake := &server{addr: double.URL, root: double.Token(), http: double.Client()}
	for i, x := range rawExchanges {
		ask := func(s *server) string {
			var body any
			if x.body != "" {
				body = rawBody(x.body)
			}
			return normal(t, s.raw(t, x.method, x.path, strings.ReplaceAll(x.token, "{root}", s.root), body))
		}
		got, want := ask(fake), ask(real)
		if got != want {
			t.Errorf("%d: %s %s %s:\nthe double says %s\nthe server says %s", i, x.method, x.path, x.body, got, want)
		}
	}
}

// rawBody is a body as it stands.
type rawBody string
