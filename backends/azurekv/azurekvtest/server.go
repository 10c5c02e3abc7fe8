package azurekvtest

import (
	"net"
	"net/http"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/mlsecrets/secretstore/backends/azurekv"
	"github.com/mlsecrets/secretstore/backends/azurekv/internal/loopback"
)

// Server is a [Vault] that listens on the loopback interface.
type Server struct {
	*Vault
	server *loopback.Server
}

// NewServer starts a server, or panics if there is no loopback interface to listen
// on. The caller must close it.
func NewServer(o Options) *Server { return NewVault(o).Serve() }

// Serve starts a server for the vault, as NewServer does. One vault can have
// several.
func (v *Vault) Serve() *Server { return v.ServeHandler(v) }

// ServeHandler is Serve with another handler, such as one that passes most of its
// requests on to the vault.
func (v *Vault) ServeHandler(h http.Handler) *Server {
	return &Server{Vault: v, server: loopback.Serve(h, v.opts.Host)}
}

// Client returns a client that trusts the server alone, and connects to it whatever
// the host. Close shuts its connections.
func (s *Server) Client() *http.Client { return s.server.Client() }

// Addr returns the address that the server listens on.
func (s *Server) Addr() net.Addr { return s.server.Addr() }

// CertificatePEM returns the server's certificate, which is its own authority and
// holds for 127.0.0.1 and localhost as well.
func (s *Server) CertificatePEM() []byte { return s.server.CertificatePEM() }

// Config returns the configuration with which azurekv.Open opens the vault, as an
// identity that the vault knows.
func (s *Server) Config() azurekv.Config {
	return azurekv.Config{
		VaultURL:      s.URL(),
		Credential:    s.Credential(),
		ClientOptions: azcore.ClientOptions{Transport: s.Client()},
	}
}

// Close stops the server, breaks its connections off and waits until nothing is
// left of it. The vault stays as it is.
func (s *Server) Close() { s.server.Close() }
