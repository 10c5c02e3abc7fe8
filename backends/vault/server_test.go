package vault_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/vault/api"
	"github.com/mlsecrets/secretstore/backends/vault"
)

// buildServer builds the real Vault server of the nested module vaultserver, once.
var buildServer = sync.OnceValues(func() (string, error) {
	dir, err := os.UserCacheDir()
	if err != nil {
		dir = os.TempDir()
	}
	bin := filepath.Join(dir, "secretstore-test", "vaultserver")
	if runtime.GOOS == "windows" {
		bin += ".exe"
	}
	cmd := exec.Command("go", "build", "-o", bin, ".")
	cmd.Dir = "vaultserver"
	cmd.Env = append(os.Environ(), "GOFLAGS=-buildvcs=false", "GOWORK=off")
	out, err := cmd.CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("build the Vault server: %w\n%s", err, out)
	}
	return bin, nil
})

// server is a real Vault server with a KV version 2 engine at secret/.
type server struct {
	addr, token, unseal string
	roots               *x509.CertPool // nil: plain HTTP
	http                *http.Client
	cmd                 *exec.Cmd
	version             string
}

// startServer starts a server of its own for the test. Where it can't be built, the
// test fails in CI; on a desk it says what was left out.
func startServer(t testing.TB, withTLS bool, args ...string) *server {
	t.Helper()
	bin, err := buildServer()
	if err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal(err)
		}
		t.Skipf("LEFT OUT: everything that needs a real Vault server, because it can't be built here: %v", err)
	}
	s := &server{}
	args = append([]string{"-stdin"}, args...)
	tr := &http.Transport{MaxIdleConnsPerHost: 64}
	if withTLS {
		var certFile, keyFile string
		certFile, keyFile, s.roots = selfSigned(t)
		args = append(args, "-cert", certFile, "-key", keyFile)
		tr.TLSClientConfig = &tls.Config{RootCAs: s.roots}
		tr.ForceAttemptHTTP2 = true
	}
	s.http = &http.Client{Transport: tr, Timeout: 20 * time.Second}
	s.cmd = exec.Command(bin, args...)
	s.cmd.Stderr = os.Stderr
	in, err := s.cmd.StdinPipe() // the server ends when we do
	if err != nil {
		t.Fatal(err)
	}
	out, err := s.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { in.Close(); s.cmd.Process.Kill(); s.cmd.Wait() })
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		name, value, _ := strings.Cut(lines.Text(), "=")
		switch name {
		case "VAULT_ADDR":
			s.addr = value
		case "VAULT_TOKEN":
			s.token = value
		case "VAULT_UNSEAL_KEY":
			s.unseal = value
		}
		if name == "VAULT_PID" {
			break
		}
	}
	go io.Copy(io.Discard, out)
	for range 200 {
		var health struct{ Version string }
		if status := s.call(t, "GET", "sys/health", "", nil, &health); status == 200 {
			s.version = health.Version
			return s
		}
		time.Sleep(20 * time.Millisecond)
	}
	t.Fatal("the Vault server does not get ready")
	return nil
}

// call sends a raw request, and returns the status, or 0.
func (s *server) call(t testing.TB, method, path, token string, body, out any) int {
	t.Helper()
	text, err := json.Marshal(body)
	if err != nil {
		t.Fatal(err)
	}
	if body == nil {
		text = nil
	}
	req, err := http.NewRequest(method, s.addr+"/v1/"+path, bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("X-Vault-Token", token)
	if method == "PATCH" {
		req.Header.Set("Content-Type", "application/merge-patch+json")
	}
	resp, err := s.http.Do(req)
	if err != nil {
		return 0
	}
	defer resp.Body.Close()
	b, _ := io.ReadAll(resp.Body)
	if out != nil {
		json.Unmarshal(b, out)
	}
	return resp.StatusCode
}

// must is call by root, which must succeed.
func (s *server) must(t testing.TB, method, path string, body, out any) {
	t.Helper()
	if status := s.call(t, method, path, s.token, body, out); status/100 != 2 {
		t.Fatalf("%s %s: status %d", method, path, status)
	}
}

type m = map[string]any

// tokenFor makes a token with the policy, and returns it.
func (s *server) tokenFor(t testing.TB, name, policy, ttl string) string {
	t.Helper()
	s.must(t, "POST", "sys/policies/acl/"+name, m{"policy": policy}, nil)
	var out struct {
		Auth struct {
			Token string `json:"client_token"`
		} `json:"auth"`
	}
	s.must(t, "POST", "auth/token/create", m{"policies": []string{name}, "ttl": ttl, "no_default_policy": false}, &out)
	return out.Auth.Token
}

// config is a store of the server for the token.
func (s *server) config(token string) vault.Config {
	conf := api.DefaultConfig()
	conf.Address = s.addr
	if s.roots != nil {
		conf.HttpClient.Transport.(*http.Transport).TLSClientConfig = &tls.Config{RootCAs: s.roots, MinVersion: tls.VersionTLS12}
	}
	return vault.Config{Mount: "secret", Prefix: "team/app", Auth: vault.Token{Token: val(token)}, Client: conf}
}

// selfSigned returns the files of a certificate for loopback.
func selfSigned(t testing.TB) (certFile, keyFile string, roots *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	certFile, keyFile = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	certPEM := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	os.WriteFile(certFile, certPEM, 0o600)
	os.WriteFile(keyFile, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER}), 0o600)
	roots = x509.NewCertPool()
	roots.AppendCertsFromPEM(certPEM)
	return certFile, keyFile, roots
}

func ctx(t testing.TB) context.Context { return t.Context() }
