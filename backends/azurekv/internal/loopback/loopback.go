// Package loopback serves HTTPS on the loopback interface under the name of another
// host, for the doubles of Azure's services.
package loopback

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"time"
)

// Server is an HTTPS server. Its certificate is its own authority.
type Server struct {
	server   *http.Server
	listener net.Listener
	served   chan struct{}
	cert     []byte // PEM
	client   *http.Client
}

// Serve starts a server of these host names. It panics if there is no loopback
// interface to listen on, as net/http/httptest does.
func Serve(h http.Handler, hosts ...string) *Server {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic("loopback: " + err.Error())
	}
	cert, text := newCertificate(hosts)
	s := &Server{
		listener: listener, cert: text, served: make(chan struct{}),
		server: &http.Server{
			Handler:   h,
			TLSConfig: &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12},
			ErrorLog:  log.New(io.Discard, "", 0), // faults break connections
		},
	}
	s.client = s.newClient()
	go func() {
		defer close(s.served)
		s.server.ServeTLS(listener, "", "")
	}()
	return s
}

// newClient returns a client that trusts the server alone, and connects to it
// whatever the host.
func (s *Server) newClient() *http.Client {
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(s.cert)
	return &http.Client{Transport: &http.Transport{
		TLSClientConfig:     &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12},
		ForceAttemptHTTP2:   true,
		MaxIdleConnsPerHost: 128,
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, network, s.listener.Addr().String())
		},
	}}
}

// Client returns a client that trusts the server alone, and connects to it whatever
// the host. Close shuts its connections.
func (s *Server) Client() *http.Client { return s.client }

// Addr returns the address that the server listens on.
func (s *Server) Addr() net.Addr { return s.listener.Addr() }

// CertificatePEM returns the server's certificate.
func (s *Server) CertificatePEM() []byte { return bytes.Clone(s.cert) }

// Close stops the server, breaks its connections off and waits until nothing is
// left of it.
func (s *Server) Close() {
	s.client.CloseIdleConnections()
	s.server.Close()
	<-s.served
}

// newCertificate returns a certificate for the hosts that has signed itself.
func newCertificate(hosts []string) (tls.Certificate, []byte) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err) // P-256 exists
	}
	template := &x509.Certificate{
		SerialNumber:          big.NewInt(1),
		Subject:               pkix.Name{CommonName: hosts[0]},
		DNSNames:              append(hosts, "localhost"),
		IPAddresses:           []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore:             time.Unix(0, 0),
		NotAfter:              time.Date(2100, 1, 1, 0, 0, 0, 0, time.UTC),
		KeyUsage:              x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		BasicConstraintsValid: true,
		IsCA:                  true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		panic(err) // the template is a constant
	}
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, text
}
