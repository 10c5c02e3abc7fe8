// Package azuremltest is as much of Azure Resource Manager in the process as leads
// from an Azure ML workspace to its key vault: one GET of the workspace, one of the
// vault. It is for tests.
package azuremltest

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/mlsecrets/secretstore/backends/azurekv/azureml"
	"github.com/mlsecrets/secretstore/backends/azurekv/internal/loopback"
)

// Host is the host that the server stands for. It answers for the other clouds' as
// well.
const Host = "management.azure.com"

// Audience is what tokens must be for.
const Audience = "https://management.core.windows.net/"

// Server is an HTTPS server on the loopback interface. Its methods may be called at
// any time.
type Server struct {
	server *loopback.Server

	mu        sync.Mutex
	resources map[string]any // by path in lower case
	denied    map[string]bool
	tokens    map[string]bool
	asked     []string
	answer    http.HandlerFunc // nil: the usual
}

// NewServer starts a server without workspaces. It panics if there is no loopback
// interface to listen on. The caller must close it.
func NewServer() *Server {
	s := &Server{resources: make(map[string]any), denied: make(map[string]bool), tokens: make(map[string]bool)}
	s.server = loopback.Serve(s, Host, "management.chinacloudapi.cn", "management.usgovcloudapi.net")
	return s
}

// Client returns a client that trusts the server alone, and connects to it whatever
// the host.
func (s *Server) Client() *http.Client { return s.server.Client() }

// Close stops the server.
func (s *Server) Close() { s.server.Close() }

// Add makes a workspace whose key vault has that URL.
func (s *Server) Add(w azureml.Workspace, vaultURL string) {
	host := strings.TrimPrefix(vaultURL, "https://")
	name, _, _ := strings.Cut(host, ".")
	vaultID := "/subscriptions/" + w.Subscription + "/resourceGroups/" + w.ResourceGroup + "/providers/Microsoft.KeyVault/vaults/" + name
	s.AddRaw(workspaceID(w), map[string]any{
		"id": workspaceID(w), "name": w.Name, "type": "Microsoft.MachineLearningServices/workspaces", "location": "westeurope",
		"properties": map[string]any{"friendlyName": w.Name, "keyVault": vaultID, "provisioningState": "Succeeded"},
	})
	s.AddRaw(vaultID, map[string]any{
		"id": vaultID, "name": name, "type": "Microsoft.KeyVault/vaults", "location": "westeurope",
		"properties": map[string]any{"sku": map[string]any{"family": "A", "name": "standard"}, "vaultUri": strings.TrimSuffix(vaultURL, "/") + "/"},
	})
}

// AddRaw makes a resource of that id with that JSON.
func (s *Server) AddRaw(id string, body any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.resources[strings.ToLower(id)] = body
}

func workspaceID(w azureml.Workspace) string {
	return "/subscriptions/" + w.Subscription + "/resourceGroups/" + w.ResourceGroup +
		"/providers/Microsoft.MachineLearningServices/workspaces/" + w.Name
}

// Deny refuses to show resources of that provider, such as Microsoft.KeyVault.
func (s *Server) Deny(provider string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.denied[strings.ToLower(provider)] = true
}

// Answer makes the server answer everything so from now on; nil is the usual.
func (s *Server) Answer(h http.HandlerFunc) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.answer = h
}

// Asked returns the path of every request so far.
func (s *Server) Asked() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string(nil), s.asked...)
}

// GetToken implements [azcore.TokenCredential]: the server takes tokens from itself
// alone, for its audience alone.
func (s *Server) GetToken(_ context.Context, o policy.TokenRequestOptions) (azcore.AccessToken, error) {
	token := "azuremltest." + rand.Text()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tokens[token] = len(o.Scopes) == 1 && o.Scopes[0] == Audience+"/.default"
	return azcore.AccessToken{Token: token, ExpiresOn: time.Now().Add(time.Hour)}, nil
}

// Accept makes the server take that token as well.
func (s *Server) Accept(token string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tokens[token] = true
}

// ServeHTTP answers one request.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked = append(s.asked, r.URL.Path)
	if s.answer != nil {
		s.answer(w, r)
		return
	}
	fail := func(status int, code, message string) {
		write(w, status, map[string]any{"error": map[string]string{"code": code, "message": message}})
	}
	token, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	parts := strings.Split(strings.ToLower(r.URL.Path), "/")
	provider := ""
	if len(parts) > 6 {
		provider = parts[6]
	}
	body := s.resources[strings.ToLower(r.URL.Path)]
	switch {
	case !ok:
		fail(http.StatusUnauthorized, "AuthenticationFailed", "Authentication failed. The 'Authorization' header is missing.")
	case !s.tokens[token]:
		fail(http.StatusUnauthorized, "InvalidAuthenticationToken", "The access token is invalid.")
	case r.Method != http.MethodGet:
		fail(http.StatusMethodNotAllowed, "HttpMethodNotSupported", "The request method is not supported.")
	case r.URL.Query().Get("api-version") == "":
		fail(http.StatusBadRequest, "MissingApiVersionParameter", "The api-version query parameter (?api-version=) is required for all requests.")
	case s.denied[provider]:
		fail(http.StatusForbidden, "AuthorizationFailed", "The client does not have authorization to perform action over scope or the scope is invalid.")
	case body == nil:
		fail(http.StatusNotFound, "ResourceNotFound", "The Resource was not found.")
	default:
		write(w, http.StatusOK, body)
	}
}

func write(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(status)
	if err := json.NewEncoder(w).Encode(body); err != nil {
		panic(http.ErrAbortHandler) // the client has gone
	}
}
