package vault_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mlsecrets/secretstore"
	"github.com/mlsecrets/secretstore/backends/vault"
)

// certificate makes a self-signed certificate of the loopback address.
func certificate(t testing.TB, notAfter time.Time) (certFile, keyFile string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "vaultserver"},
		NotBefore: time.Now().Add(-48 * time.Hour), NotAfter: notAfter, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}}
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
	for file, block := range map[string]*pem.Block{
		certFile: {Type: "CERTIFICATE", Bytes: der}, keyFile: {Type: "PRIVATE KEY", Bytes: keyDER},
	} {
		if err := os.WriteFile(file, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return certFile, keyFile
}

// startTLSServer starts a server with HTTPS and HTTP/2.
func startTLSServer(t testing.TB) *server {
	t.Helper()
	cert, key := certificate(t, time.Now().Add(time.Hour))
	s := startServer(t, "-cert", cert, "-key", key)
	s.cert = cert
	pool := x509.NewCertPool()
	text, err := os.ReadFile(cert)
	if err != nil {
		t.Fatal(err)
	}
	pool.AppendCertsFromPEM(text)
	s.http.Transport = newTransport(func(tr *http.Transport) { tr.TLSClientConfig = &tls.Config{RootCAs: pool} })
	return s
}

// trust makes the settings trust a certificate alone.
func trust(t testing.TB, config *vault.Config, certFile string) {
	t.Helper()
	text, err := os.ReadFile(certFile)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(text)
	config.HTTPClient = &http.Client{Transport: newTransport(func(tr *http.Transport) { tr.TLSClientConfig = &tls.Config{RootCAs: pool} })}
}

// TestEnvironment opens a store as a program does: everything from the environment,
// over HTTPS with an authority of its own.
func TestEnvironment(t *testing.T) {
	cert, key := certificate(t, time.Now().Add(time.Hour))
	s := startServer(t, "-cert", cert, "-key", key)
	trusting := vault.Config{}
	trust(t, &trusting, cert)
	s.http = trusting.HTTPClient
	t.Setenv("VAULT_ADDR", s.addr)
	t.Setenv("VAULT_CACERT", cert)
	t.Setenv("VAULT_TOKEN", s.root)
	openers := secretstore.Openers{"vault": vault.OpenURL}
	s.do(t, "POST", "sys/mounts/kv/team", map[string]any{"type": "kv", "options": map[string]string{"version": "2"}})
	host := strings.TrimPrefix(s.addr, "https://")
	for _, u := range []string{
		"vault:///secret", "vault:///secret/app", "vault://" + host + "/secret/app2", "vault:///secret/job?layout=map",
		"vault:///secret/app3?field=password", "vault:///kv/team/app?mount=kv/team", "vault:///kv/team?mount=kv/team",
		"vault:///secret/with%20space%3F%23%25/%C3%A9",
	} {
		store, err := openers.Open(t.Context(), u)
		if err != nil {
			t.Errorf("%s: %v", u, err)
			continue
		}
		if err := store.Set(t.Context(), "a", text(u)); err != nil {
			t.Errorf("%s: %v", u, err)
		}
		if v, err := store.Get(t.Context(), "a"); err != nil || !v.Equal(text(u)) {
			t.Errorf("%s: %v", u, err)
		}
		if names, err := store.List(t.Context()); err != nil || !slices.Equal(names, []string{"a"}) {
			t.Errorf("%s: List: %q, %v", u, names, err)
		}
		store.Close()
	}
	for u, says := range map[string]string{
		"vault:///":                                       "no mount is given",
		"vault:///secret/":                                "ends in a slash",
		"vault:///secret/a%2F..%2F..%2Fb":                 "an encoded slash",
		"vault:///secret/%2e%2e/sys":                      `the segment ".."`,
		"vault:///secret//app":                            "empty segment",
		"vault:///secret/a%00b":                           "U+0000",
		"vault:///secret/app?auth=approle&role=" + canary: "VAULT_ROLE_ID",
		"vault:///secret?layout=map":                      "needs the path",
		"vault:///secret/app?token=" + canary:             "unknown parameter",
		"vault://u:" + canary + "@h/secret/app":           "user or password",
		"vault:///secret/app?auth=" + canary:              "unknown ?auth=",
		"vault:///secret/app?role=r":                      "needs none",
		"vault:///secret/app?layout=":                     "layout of the store's URL is empty",
		"vault:///secret/app?layout=tree":                 "no such layout",
		"vault:///secret/app?mount=kv":                    "doesn't begin with the mount",
		"vault:///secret/app?auth=kubernetes":             "no role",
		"vault:///secret/app?auth=approle":                "no role id",
		"vault:///secret/app?auth=jwt":                    "VAULT_JWT",
	} {
		_, err := openers.Open(t.Context(), u)
		wantError(t, err, secretstore.ErrInvalidConfig, says)
		if err != nil && strings.Contains(err.Error(), canary) {
			t.Errorf("the error %v repeats what stands in the URL", err)
		}
	}
	t.Setenv("VAULT_CACERT", cert+"-absent")
	_, err := openers.Open(t.Context(), "vault:///secret/app")
	wantError(t, err, secretstore.ErrInvalidConfig, "VAULT_CACERT")
}
