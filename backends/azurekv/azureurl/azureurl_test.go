package azureurl_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/mlsecrets/secretstore"
	"github.com/mlsecrets/secretstore/backends/azurekv/azurekvtest"
	"github.com/mlsecrets/secretstore/backends/azurekv/azureml"
	"github.com/mlsecrets/secretstore/backends/azurekv/azureml/azuremltest"
	"github.com/mlsecrets/secretstore/backends/azurekv/azureurl"
	"github.com/mlsecrets/secretstore/backends/azurekv/internal/loopback"
)

const subscription = "0a1b2c3d-1111-4222-8333-444455556666"

var workspaceURL = "azureml://subscriptions/" + subscription + "/resourceGroups/ml/workspaces/fraud"

// byHost is a transport that sends each request to the client of its host.
type byHost map[string]*http.Client

func (b byHost) Do(req *http.Request) (*http.Response, error) {
	if client := b[req.URL.Hostname()]; client != nil {
		return client.Do(req)
	}
	if req.URL.Hostname() == "127.0.0.1" {
		return http.DefaultClient.Do(req) // the double of an identity endpoint
	}
	return nil, fmt.Errorf("nothing stands for %s", req.URL.Hostname())
}

// lab is a vault and a Resource Manager that knows a workspace with that vault.
type lab struct {
	vault     *azurekvtest.Server
	manager   *azuremltest.Server
	transport byHost
}

func newLab(t *testing.T, host string) lab {
	t.Helper()
	l := lab{vault: azurekvtest.NewServer(azurekvtest.Options{Host: host}), manager: azuremltest.NewServer()}
	t.Cleanup(l.vault.Close)
	t.Cleanup(l.manager.Close)
	l.manager.Add(azureml.Workspace{Subscription: subscription, ResourceGroup: "ml", Name: "fraud"}, l.vault.URL())
	l.vault.Put("db-password", "s3cr3t")
	l.transport = byHost{host: l.vault.Client(), azuremltest.Host: l.manager.Client(),
		"management.chinacloudapi.cn": l.manager.Client()}
	return l
}

// identity gives out tokens that both services know, and keeps what was asked for.
func (l lab) identity() azcore.TokenCredential { return both(l) }

type both lab

func (b both) GetToken(ctx context.Context, o policy.TokenRequestOptions) (azcore.AccessToken, error) {
	if strings.HasPrefix(o.Scopes[0], "https://management.") {
		token, err := b.manager.GetToken(ctx, o)
		if err == nil {
			b.manager.Accept(token.Token)
		}
		return token, err
	}
	return b.vault.Credential().GetToken(ctx, o)
}

func openers(o *azureurl.Opener) secretstore.Openers {
	return secretstore.Openers{"azurekv": o.Open, "azureml": o.Open}
}

func wantSecret(t *testing.T, store secretstore.StoreCloser, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	}()
	if _, ok := store.(secretstore.Deleter); !ok {
		t.Error("the store can't delete")
	}
	got, err := store.Get(t.Context(), "db-password")
	if err != nil {
		t.Fatal(err)
	}
	if !got.Equal(secretstore.NewValue([]byte("s3cr3t"))) {
		t.Error("not the value")
	}
}

func TestOpen(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ host, url string }{
		{"lab.vault.azure.net", "azurekv://lab"},
		{"lab.vault.azure.net", "azurekv://lab.vault.azure.net/"},
		{"lab.vault.azure.cn", "azurekv://lab.vault.azure.cn"},
		{"lab.vault.usgovcloudapi.net", "azurekv://lab.vault.usgovcloudapi.net?api-version=7.6"},
		{"lab.vault.azure.net", workspaceURL},
		{"lab.vault.azure.cn", workspaceURL + "?cloud=china"},
	} {
		l := newLab(t, test.host)
		o := &azureurl.Opener{Credential: l.identity(), ClientOptions: azcore.ClientOptions{Transport: l.transport}}
		store, err := openers(o).Open(t.Context(), test.url)
		wantSecret(t, store, err)
	}
}

func TestWorkspaceIsLookedUpOnce(t *testing.T) {
	t.Parallel()
	l := newLab(t, "lab.vault.azure.net")
	o := &azureurl.Opener{Credential: l.identity(), ClientOptions: azcore.ClientOptions{Transport: l.transport}}
	for range 3 {
		store, err := openers(o).Open(t.Context(), workspaceURL)
		wantSecret(t, store, err)
	}
	if asked := l.manager.Asked(); len(asked) != 2 {
		t.Errorf("Resource Manager was asked for %q", asked)
	}
}

func TestBadURLs(t *testing.T) {
	t.Parallel()
	notPEM := filepath.Join(t.TempDir(), "hunter2.pem")
	if err := os.WriteFile(notPEM, []byte("hunter2"), 0o600); err != nil {
		t.Fatal(err)
	}
	o := &azureurl.Opener{Credential: newLab(t, "lab.vault.azure.net").identity()}
	for url, want := range map[string]string{
		"azurekv://":                                  "azurekv://name",
		"azurekv://lab/secrets/hunter2":               "without a path",
		"azurekv://ab":                                "3 to 24",
		"azurekv://hunter2_x":                         "3 to 24",
		"azurekv://user:hunter2@lab":                  "user or password",
		"azurekv://lab?token=hunter2":                 "unknown parameter",
		"azurekv://lab?api-version=hunter2%20":        "API version",
		"azurekv://lab?ca-file=/absent/hunter2":       "can't be read",
		"azurekv://lab?ca-file=" + notPEM:             "no certificate",
		"azurekv://lab.managedhsm.azure.net":          "managed HSM",
		"azurekv://l.privatelink.vaultcore.azure.net": "private endpoint",
		workspaceURL + "?cloud=hunter2":               "public, china or usgov",
		workspaceURL + "?x=hunter2":                   "unknown parameter",
		"azureml://hunter2":                           "azureml://subscriptions",
	} {
		_, err := openers(o).Open(t.Context(), url)
		if !errors.Is(err, secretstore.ErrInvalidConfig) || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: %v, want %q", url, err, want)
		}
	}
}

func TestCAFile(t *testing.T) {
	t.Parallel()
	l := newLab(t, "lab.vault.azure.net")
	file := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(file, l.vault.CertificatePEM(), 0o600); err != nil {
		t.Fatal(err)
	}
	o := &azureurl.Opener{Credential: l.identity()}
	store, err := openers(o).Open(t.Context(), "azurekv://"+l.vault.Addr().String()+"?ca-file="+file)
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	// The certificate is trusted. That a challenge from 127.0.0.1 names
	// vault.azure.net is not, and no URL can change that.
	_, err = store.Get(t.Context(), "db-password")
	if !errors.Is(err, secretstore.ErrUnavailable) || !strings.Contains(err.Error(), "another service") {
		t.Errorf("the error is %v", err)
	}
	if l.vault.TokenCalls() != 0 {
		t.Error("a token was asked for")
	}
}

// clearAzure takes every variable out of the environment that azidentity reads.
func clearAzure(t *testing.T) {
	t.Helper()
	for _, variable := range os.Environ() {
		name, _, _ := strings.Cut(variable, "=")
		if strings.HasPrefix(name, "AZURE") || strings.HasPrefix(name, "MSI_") || strings.HasPrefix(name, "IDENTITY_") ||
			name == "DEFAULT_IDENTITY_CLIENT_ID" || name == "IMDS_ENDPOINT" {
			t.Setenv(name, "")
			os.Unsetenv(name)
		}
	}
}

// On Azure ML compute the managed identity's endpoint is in MSI_ENDPOINT, and the
// chosen identity in DEFAULT_IDENTITY_CLIENT_ID. Nothing else is given here.
func TestManagedIdentityOnAzureMLCompute(t *testing.T) {
	clearAzure(t)
	l := newLab(t, "lab.vault.azure.net")
	var asked atomic.Int64
	endpoint := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		query := r.URL.Query()
		if r.Header.Get("secret") != "msi-secret" || query.Get("clientid") != "the-client-id" || query.Get("api-version") == "" {
			http.Error(w, "not as Azure ML's endpoint wants it", http.StatusBadRequest)
			return
		}
		token, err := l.identity().GetToken(r.Context(), policy.TokenRequestOptions{
			Scopes: []string{query.Get("resource") + "/.default"}, TenantID: azurekvtest.Tenant})
		if err != nil {
			t.Error(err)
		}
		// Of a short life, since MSAL keeps what has more than five minutes for the
		// whole process, so also for the test's next run.
		json.NewEncoder(w).Encode(map[string]string{
			"access_token": token.Token, "expires_on": fmt.Sprint(time.Now().Add(time.Minute).Unix()),
			"resource": query.Get("resource"), "token_type": "Bearer",
		})
	}))
	t.Cleanup(endpoint.Close)
	t.Setenv("MSI_ENDPOINT", endpoint.URL)
	t.Setenv("MSI_SECRET", "msi-secret")
	t.Setenv("DEFAULT_IDENTITY_CLIENT_ID", "the-client-id")

	o := &azureurl.Opener{ClientOptions: azcore.ClientOptions{Transport: l.transport}}
	store, err := openers(o).Open(t.Context(), workspaceURL)
	wantSecret(t, store, err)
	if asked.Load() != 2 { // Resource Manager and Key Vault are two audiences
		t.Errorf("the endpoint was asked %d times", asked.Load())
	}
}

// A person who has done az login needs nothing more.
func TestAzureCLI(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("the az of this test is a shell script")
	}
	clearAzure(t)
	l := newLab(t, "lab.vault.azure.net")
	login := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		token, err := l.identity().GetToken(r.Context(), policy.TokenRequestOptions{
			Scopes: []string{r.URL.Query().Get("resource") + "/.default"}, TenantID: azurekvtest.Tenant})
		if err != nil {
			t.Error(err)
		}
		fmt.Fprint(w, token.Token)
	}))
	t.Cleanup(login.Close)
	// The real command prints this for: az account get-access-token -o json --resource R …
	bin := t.TempDir()
	dir := t.TempDir()
	for i, resource := range []string{"https://vault.azure.net", "https://management.core.windows.net/"} {
		resp, err := http.Get(login.URL + "?resource=" + resource)
		if err != nil {
			t.Fatal(err)
		}
		text := make([]byte, 200)
		n, _ := resp.Body.Read(text)
		resp.Body.Close()
		body := fmt.Sprintf(`{"accessToken":%q,"expires_on":%d,"expiresOn":"2099-01-01 00:00:00.000000","tokenType":"Bearer"}`,
			text[:n], time.Now().Add(time.Hour).Unix())
		if err := os.WriteFile(filepath.Join(dir, []string{"vault", "manager"}[i]), []byte(body), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	script := "#!/bin/sh\ncase \"$*\" in\n*vault.azure.net*) cat " + dir + "/vault;;\n*) cat " + dir + "/manager;;\nesac\n"
	if err := os.WriteFile(filepath.Join(bin, "az"), []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", bin+string(os.PathListSeparator)+os.Getenv("PATH"))
	t.Setenv("AZURE_TOKEN_CREDENTIALS", "dev") // as the probe for a managed identity leaves the machine

	o := &azureurl.Opener{ClientOptions: azcore.ClientOptions{Transport: l.transport}}
	store, err := openers(o).Open(t.Context(), workspaceURL)
	wantSecret(t, store, err)
}

func TestNoIdentity(t *testing.T) {
	clearAzure(t)
	l := newLab(t, "lab.vault.azure.net")
	t.Setenv("PATH", t.TempDir())
	t.Setenv("AZURE_TOKEN_CREDENTIALS", "dev")
	o := &azureurl.Opener{ClientOptions: azcore.ClientOptions{Transport: l.transport}}
	store, err := openers(o).Open(t.Context(), "azurekv://lab")
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	_, err = store.Get(t.Context(), "db-password")
	if !errors.Is(err, secretstore.ErrDenied) || !strings.Contains(err.Error(), "az login") {
		t.Errorf("the error is %v", err)
	}
	t.Setenv("AZURE_TOKEN_CREDENTIALS", "hunter2")
	_, err = openers(new(azureurl.Opener)).Open(t.Context(), "azurekv://lab")
	if !errors.Is(err, secretstore.ErrInvalidConfig) || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("the error is %v", err)
	}
}

// A service principal that the login service refuses, whose answer repeats what it
// was sent.
func TestLoginServiceRefuses(t *testing.T) {
	for _, test := range []struct {
		status int
		want   error
	}{{http.StatusUnauthorized, secretstore.ErrDenied}, {http.StatusInternalServerError, secretstore.ErrUnavailable}} {
		clearAzure(t)
		l := newLab(t, "lab.vault.azure.net")
		var asked atomic.Bool
		login := loopback.Serve(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			base := "https://login.microsoftonline.com/" + azurekvtest.Tenant
			switch {
			case strings.Contains(r.URL.Path, "/discovery/instance"):
				fmt.Fprintf(w, `{"tenant_discovery_endpoint":"%s/v2.0/.well-known/openid-configuration","metadata":[]}`, base)
			case strings.Contains(r.URL.Path, "openid-configuration"):
				fmt.Fprintf(w, `{"token_endpoint":"%[1]s/token","authorization_endpoint":"%[1]s/authorize","issuer":"%[1]s/v2.0"}`, base)
			default:
				r.ParseForm()
				asked.Store(r.Form.Get("client_secret") == "hunter2")
				w.WriteHeader(test.status)
				fmt.Fprintf(w, `{"error":"invalid_client","error_description":"AADSTS7000215: %s"}`, r.Form.Get("client_secret"))
			}
		}), "login.microsoftonline.com")
		t.Cleanup(login.Close)
		l.transport["login.microsoftonline.com"] = login.Client()
		t.Setenv("AZURE_TENANT_ID", azurekvtest.Tenant)
		t.Setenv("AZURE_CLIENT_ID", "9a9a9a9a-1111-4222-8333-444455556666")
		t.Setenv("AZURE_CLIENT_SECRET", "hunter2")
		t.Setenv("AZURE_TOKEN_CREDENTIALS", "EnvironmentCredential")
		o := &azureurl.Opener{ClientOptions: azcore.ClientOptions{Transport: l.transport, Retry: policy.RetryOptions{MaxRetries: -1}}}
		store, err := openers(o).Open(t.Context(), "azurekv://lab")
		if err != nil {
			t.Fatal(err)
		}
		_, err = store.Get(t.Context(), "db-password")
		e, ok := errors.AsType[*secretstore.Error](err)
		if !asked.Load() {
			t.Error("the login service was not asked")
		}
		if !ok || e.Kind != test.want || e.Status != test.status || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("status %d: the error is %v", test.status, err)
		}
		store.Close()
	}
}
