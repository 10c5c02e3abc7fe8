package vault_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mlsecrets/secretstore"
	"github.com/mlsecrets/secretstore/backends/vault"
)

// TestMain takes Vault's variables away: a test must not reach the server of whoever
// runs it.
func TestMain(m *testing.M) {
	for _, env := range os.Environ() {
		if name, _, _ := strings.Cut(env, "="); strings.HasPrefix(name, "VAULT_") {
			os.Unsetenv(name)
		}
	}
	code := m.Run()
	if built.Load() {
		if path, _ := build(); path != "" {
			os.RemoveAll(filepath.Dir(path))
		}
	}
	os.Exit(code)
}

var built atomic.Bool

// build builds the server, once a test binary. What Go's build cache has is not
// compiled again.
var build = sync.OnceValues(func() (string, error) {
	built.Store(true)
	dir, err := os.MkdirTemp("", "vaultserver")
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, "vaultserver")
	cmd := exec.Command("go", "build", "-C", "vaultserver", "-o", path, ".")
	cmd.Env = append(os.Environ(), "GOWORK=off")
	if out, err := cmd.CombinedOutput(); err != nil {
		os.RemoveAll(dir)
		return "", fmt.Errorf("build the Vault server: %w\n%s", err, out)
	}
	return path, nil
})

// server is a process with a real Vault.
type server struct {
	addr, root, unsealKey string
	cert                  string // file of the authority, with HTTPS
	http                  *http.Client
	approle               sync.Once // enables it
}

// startServer starts a real Vault for the test. Where it can't be built, the test
// fails in CI, and says on a desk what it leaves out.
func startServer(t testing.TB, flags ...string) *server {
	t.Helper()
	path, err := build()
	if err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal(err)
		}
		t.Logf("LEFT OUT: %s did not run against a real Vault. %v", t.Name(), err)
		t.Skip("no Vault server")
	}
	s := &server{http: &http.Client{Transport: newTransport(nil)}}
	cmd := exec.Command(path, append([]string{"-stdin"}, flags...)...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	stdin, err := cmd.StdinPipe() // when it closes, the server ends
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		stdin.Close()
		cmd.Wait()
		s.http.CloseIdleConnections()
	})
	lines := bufio.NewScanner(stdout)
	for lines.Scan() {
		name, value, _ := strings.Cut(lines.Text(), "=")
		switch name {
		case "VAULT_ADDR":
			s.addr = value
		case "VAULT_TOKEN":
			s.root = value
		case "VAULT_UNSEAL_KEY":
			s.unsealKey = value
		case "VAULT_PID":
			return s
		}
	}
	t.Fatalf("the Vault server did not start: %s", stderr.String())
	return nil
}

func newTransport(edit func(*http.Transport)) *http.Transport {
	t := &http.Transport{MaxIdleConnsPerHost: 64, ForceAttemptHTTP2: true}
	if edit != nil {
		edit(t)
	}
	return t
}

// exchange is the outcome of a raw request.
type exchange struct {
	status int
	body   string
}

// raw makes one request with net/http alone.
func (s *server) raw(t testing.TB, method, path, token string, body any) exchange {
	t.Helper()
	var reader io.Reader
	if text, ok := body.(rawBody); ok {
		reader = strings.NewReader(string(text))
	} else if body != nil {
		b, err := json.Marshal(body)
		if err != nil {
			t.Fatal(err)
		}
		reader = bytes.NewReader(b)
	}
	req, err := http.NewRequestWithContext(context.Background(), method, s.addr+"/v1/"+path, reader)
	if err != nil {
		t.Fatal(err)
	}
	if token != "" {
		req.Header.Set("X-Vault-Token", token)
	}
	if method == http.MethodPatch {
		req.Header.Set("Content-Type", "application/merge-patch+json")
	}
	resp, err := s.http.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return exchange{resp.StatusCode, string(b)}
}

// do makes a request as root that has to succeed, and returns the answer.
func (s *server) do(t testing.TB, method, path string, body any) map[string]any {
	t.Helper()
	x := s.raw(t, method, path, s.root, body)
	if x.status >= 300 {
		t.Fatalf("%s %s: %d %s", method, path, x.status, x.body)
	}
	var out map[string]any
	if x.body != "" {
		if err := json.Unmarshal([]byte(x.body), &out); err != nil {
			t.Fatal(err)
		}
	}
	return out
}

// policyText returns a policy of the documentation, for another prefix.
func policyText(t testing.TB, kind, prefix string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("policy", kind+".hcl"))
	if err != nil {
		t.Fatal(err)
	}
	return strings.ReplaceAll(string(text), "/team/app", "/"+prefix)
}

var serial atomic.Int64

// unique returns a name that no other test has.
func unique() string { return fmt.Sprintf("s%d", serial.Add(1)) }

// token returns a token with a policy, good for a while.
func (s *server) token(t testing.TB, policy string, ttl time.Duration) string {
	t.Helper()
	name := unique()
	s.policy(t, name, policy)
	out := s.do(t, "POST", "auth/token/create", map[string]any{"policies": []string{name}, "ttl": ttl.String()})
	return out["auth"].(map[string]any)["client_token"].(string)
}

func (s *server) policy(t testing.TB, name, policy string) {
	t.Helper()
	s.do(t, "PUT", "sys/policies/acl/"+name, map[string]any{"policy": policy})
}

// appRole returns a role with a policy of the same name, whose tokens live for ttl and
// can be renewed up to most.
func (s *server) appRole(t testing.TB, policy string, ttl, most time.Duration) (auth vault.AppRole, name string) {
	t.Helper()
	s.approle.Do(func() { s.do(t, "POST", "sys/auth/approle", map[string]any{"type": "approle"}) })
	name = unique()
	s.policy(t, name, policy)
	role := "auth/approle/role/" + name
	s.do(t, "POST", role, map[string]any{"token_policies": name, "token_ttl": ttl.String(), "token_max_ttl": most.String()})
	roleID := s.do(t, "GET", role+"/role-id", nil)["data"].(map[string]any)["role_id"].(string)
	secretID := s.do(t, "POST", role+"/secret-id", nil)["data"].(map[string]any)["secret_id"].(string)
	return vault.AppRole{RoleID: roleID, SecretID: text(secretID)}, name
}

// layouts are both layouts, with the policies of each.
var layouts = []vault.Layout{vault.Paths, vault.Map}

// config returns the settings of a new store in a prefix of its own, with the minimal
// policy of the kind ("read" or "write").
func (s *server) config(t testing.TB, layout vault.Layout, kind string) vault.Config {
	t.Helper()
	prefix := unique()
	token := s.token(t, policyText(t, kind+"-"+string(layout), prefix), time.Hour)
	return vault.Config{Address: s.addr, Mount: "secret", Prefix: prefix, Layout: layout,
		Auth: vault.Token{Token: text(token)}, HTTPClient: s.http}
}

// open opens a store, for as long as the test.
func open(t testing.TB, config vault.Config) secretstore.StoreCloser {
	t.Helper()
	s, err := vault.Open(context.Background(), config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func text(s string) secretstore.Value { return secretstore.NewValue([]byte(s)) }

// wantError checks an error's kind, and that it says something of what it is about.
func wantError(t testing.TB, err, kind error, says string) {
	t.Helper()
	if !errors.Is(err, kind) || !strings.Contains(err.Error(), says) {
		t.Errorf("got the error %v, want %v with %q", err, kind, says)
	}
}

func TestServerVersion(t *testing.T) {
	s := startServer(t)
	var status struct{ Version string }
	if err := json.Unmarshal([]byte(s.raw(t, "GET", "sys/seal-status", "", nil).body), &status); err != nil {
		t.Fatal(err)
	}
	if status.Version == "" {
		t.Fatal("the server doesn't say its version")
	}
	// On standard output, so that it shows without -v.
	fmt.Printf("backends/vault: tested against a real HashiCorp Vault %s\n", status.Version)
}
