package azureml_test

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/cloud"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/mlsecrets/secretstore"
	"github.com/mlsecrets/secretstore/backends/azurekv/azureml"
	"github.com/mlsecrets/secretstore/backends/azurekv/azureml/azuremltest"
)

var workspace = azureml.Workspace{
	Subscription: "0a1b2c3d-1111-4222-8333-444455556666", ResourceGroup: "Team_(ML).1", Name: "fraud-Training",
}

func serve(t *testing.T) *azuremltest.Server {
	t.Helper()
	server := azuremltest.NewServer()
	t.Cleanup(server.Close)
	return server
}

func finder(server *azuremltest.Server) *azureml.Finder {
	return azureml.NewFinder(server, azcore.ClientOptions{
		Transport: server.Client(), Retry: policy.RetryOptions{RetryDelay: time.Millisecond}})
}

func TestVaultURL(t *testing.T) {
	t.Parallel()
	for _, want := range []string{"https://lab.vault.azure.net/", "https://lab.vault.azure.cn/"} {
		server := serve(t)
		server.Add(workspace, want)
		f := finder(server)
		got, err := f.VaultURL(t.Context(), workspace)
		if err != nil || got != want {
			t.Errorf("got %q, %v, want %q", got, err, want)
		}
	}
}

func TestFoundIsRemembered(t *testing.T) {
	t.Parallel()
	server := serve(t)
	f := finder(server)
	// An error is not.
	_, err := f.VaultURL(t.Context(), workspace)
	if !errors.Is(err, secretstore.ErrInvalidConfig) {
		t.Errorf("before there is a workspace: %v", err)
	}
	server.Add(workspace, "https://lab.vault.azure.net")
	var callers sync.WaitGroup
	for range 20 {
		callers.Go(func() {
			w := workspace
			w.Name = strings.ToUpper(w.Name)
			if got, err := f.VaultURL(t.Context(), w); err != nil || got != "https://lab.vault.azure.net/" {
				t.Errorf("got %q, %v", got, err)
			}
		})
	}
	callers.Wait()
	if asked := server.Asked(); len(asked) != 3 {
		t.Errorf("asked %q, want one failure and then once for the workspace and once for the vault", asked)
	}
}

// An identity that reads a vault's secrets, and not the vault's resource, is what
// the documentation advises for runs.
func TestVaultResourceMayNotBeRead(t *testing.T) {
	t.Parallel()
	server := serve(t)
	server.Add(workspace, "https://lab.vault.azure.net")
	server.Deny("Microsoft.KeyVault")
	got, err := finder(server).VaultURL(t.Context(), workspace)
	if err != nil || got != "https://lab.vault.azure.net" {
		t.Errorf("got %q, %v", got, err)
	}
	china := cloud.AzureChina
	china.Services = map[cloud.ServiceName]cloud.ServiceConfiguration{
		cloud.ResourceManager: {Endpoint: "https://management.chinacloudapi.cn", Audience: azuremltest.Audience}}
	got, err = azureml.NewFinder(server, azcore.ClientOptions{Transport: server.Client(), Cloud: china}).VaultURL(t.Context(), workspace)
	if err != nil || got != "https://lab.vault.azure.cn" {
		t.Errorf("in China: got %q, %v", got, err)
	}
}

func answer(status int, contentType, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", contentType)
		w.WriteHeader(status)
		w.Write([]byte(body))
	}
}

func TestErrors(t *testing.T) {
	t.Parallel()
	const js = "application/json"
	tests := []struct {
		name   string
		set    func(s *azuremltest.Server)
		want   error
		detail string
	}{
		{"no workspace", func(*azuremltest.Server) {}, secretstore.ErrInvalidConfig, "no such workspace"},
		{"no right", func(s *azuremltest.Server) { s.Deny("Microsoft.MachineLearningServices") }, secretstore.ErrDenied, "Reader"},
		{"another tenant", func(s *azuremltest.Server) {
			s.Answer(answer(401, js, `{"error":{"code":"InvalidAuthenticationTokenTenant","message":"hunter2"}}`))
		}, secretstore.ErrDenied, "another tenant"},
		{"a token that is refused", func(s *azuremltest.Server) {
			s.Answer(answer(401, js, `{"error":{"code":"ExpiredAuthenticationToken","message":"hunter2"}}`))
		}, secretstore.ErrDenied, "log in again"},
		{"throttled", func(s *azuremltest.Server) {
			s.Answer(answer(429, js, `{"error":{"code":"SubscriptionRequestsThrottled","message":"hunter2"}}`))
		}, secretstore.ErrThrottled, "throttling"},
		{"an error of its own", func(s *azuremltest.Server) {
			s.Answer(answer(500, js, `{"error":{"code":"InternalServerError","message":"hunter2"}}`))
		}, secretstore.ErrUnavailable, "error of its own"},
		{"a proxy's 404", func(s *azuremltest.Server) { s.Answer(answer(404, "text/html", "<html>hunter2</html>")) }, secretstore.ErrUnavailable, "proxy"},
		{"a login page", func(s *azuremltest.Server) { s.Answer(answer(200, "text/html", "<html>hunter2</html>")) }, secretstore.ErrUnavailable, "proxy"},
		{"a workspace without a vault", func(s *azuremltest.Server) { s.Answer(answer(200, js, `{"properties":{}}`)) }, secretstore.ErrInvalidConfig, "no key vault"},
		{"a vault that is none", func(s *azuremltest.Server) {
			s.Answer(answer(200, js, `{"properties":{"keyVault":"/subscriptions/s/resourceGroups/g/providers/Microsoft.Storage/storageAccounts/hunter2"}}`))
		}, secretstore.ErrUnavailable, "can't be understood"},
		{"a vault at a URL that is none", func(s *azuremltest.Server) {
			s.Answer(answer(200, js, `{"properties":{"keyVault":"/subscriptions/s/resourceGroups/g/providers/Microsoft.KeyVault/vaults/v","vaultUri":"http://hunter2"}}`))
		}, secretstore.ErrUnavailable, "can't be understood"},
		{"nobody there", func(s *azuremltest.Server) { s.Close() }, secretstore.ErrUnavailable, "no connection"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			server := serve(t)
			test.set(server)
			_, err := finder(server).VaultURL(t.Context(), workspace)
			e, ok := errors.AsType[*secretstore.Error](err)
			if !ok || e.Kind != test.want || !strings.Contains(e.Detail, test.detail) {
				t.Errorf("the error is %v, want %q", err, test.detail)
			}
			if strings.Contains(err.Error(), "hunter2") {
				t.Errorf("the error repeats the answer: %v", err)
			}
		})
	}
}

type failing struct{}

func (failing) GetToken(context.Context, policy.TokenRequestOptions) (azcore.AccessToken, error) {
	return azcore.AccessToken{}, errors.New("hunter2")
}

func TestCredentialFails(t *testing.T) {
	t.Parallel()
	server := serve(t)
	_, err := azureml.NewFinder(failing{}, azcore.ClientOptions{Transport: server.Client()}).VaultURL(t.Context(), workspace)
	if !errors.Is(err, secretstore.ErrDenied) || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("the error is %v", err)
	}
}

func TestCancel(t *testing.T) {
	t.Parallel()
	server := serve(t)
	server.Answer(answer(503, "application/json", `{"error":{"code":"ServiceUnavailable"}}`))
	f := azureml.NewFinder(server, azcore.ClientOptions{Transport: server.Client()}) // retries for seconds
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	done := make(chan error, 2)
	for range 2 {
		go func() {
			_, err := f.VaultURL(ctx, workspace)
			done <- err
		}()
	}
	<-ctx.Done()
	late := time.After(250 * time.Millisecond)
	for range 2 {
		select {
		case err := <-done:
			if !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("the error is %v", err)
			}
		case <-late:
			t.Fatal("a call went on for more than 250 ms after the context's end")
		}
	}
}

func TestParseURL(t *testing.T) {
	t.Parallel()
	const sub = "0a1b2c3d-1111-4222-8333-444455556666"
	want := azureml.Workspace{Subscription: sub, ResourceGroup: "Team_(ML).1", Name: "fraud-Training"}
	for _, good := range []string{
		"azureml://subscriptions/" + sub + "/resourceGroups/Team_(ML).1/workspaces/fraud-Training",
		"azureml://subscriptions/" + sub + "/resourcegroups/Team_%28ML%29.1/workspaces/fraud-Training/",
		"azureml://subscriptions/" + sub + "/resourceGroups/Team_(ML).1/providers/Microsoft.MachineLearningServices/workspaces/fraud-Training",
	} {
		u, err := secretstore.ParseURL(good)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := azureml.ParseURL(u); err != nil || got != want {
			t.Errorf("%s: got %v, %v", good, got, err)
		}
	}
	for _, bad := range []string{
		"azureml://", "azureml://hunter2", "azureml:///subscriptions/" + sub,
		"azureml://subscriptions/hunter2/resourceGroups/g/workspaces/w",
		"azureml://subscriptions/" + sub + "/resourceGroups/../workspaces/w",
		"azureml://subscriptions/" + sub + "/resourceGroups/a%2fb/workspaces/w",
		"azureml://subscriptions/" + sub + "/resourceGroups/g/workspaces/w%3fhunter2",
		"azureml://subscriptions/" + sub + "/resourceGroups/g/workspaces/w%0a",
		"azureml://subscriptions/" + sub + "/resourceGroups/g/workspaces/",
		"azureml://subscriptions/" + sub + "/resourceGroups/g/workspaces/w/datastores/d",
	} {
		u, err := url.Parse(bad)
		if err != nil {
			t.Fatal(err)
		}
		_, err = azureml.ParseURL(u)
		if !errors.Is(err, secretstore.ErrInvalidConfig) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: %v", bad, err)
		}
	}
}

func FuzzParseURL(f *testing.F) {
	f.Add("azureml://subscriptions/0a1b2c3d-1111-4222-8333-444455556666/resourceGroups/g/workspaces/w")
	f.Add("azureml://subscriptions/0a1b2c3d-1111-4222-8333-444455556666/resourceGroups/../workspaces/%2e%2e")
	f.Fuzz(func(t *testing.T, text string) {
		u, err := url.Parse(text)
		if err != nil {
			return
		}
		w, err := azureml.ParseURL(u)
		if err != nil {
			return
		}
		// What is accepted is one element of a path each.
		for _, part := range []string{w.Subscription, w.ResourceGroup, w.Name} {
			if part == "" || part == "." || part == ".." || strings.ContainsAny(part, "/?#%\\\n\r\x00 ") {
				t.Errorf("%q was accepted as part of an ARM id", part)
			}
		}
	})
}

func TestDependencies(t *testing.T) {
	t.Parallel()
	out, err := exec.CommandContext(t.Context(), "go", "list", "-deps", "github.com/mlsecrets/secretstore/backends/azurekv/azureml").Output()
	if err != nil {
		t.Fatal(err)
	}
	if deps := string(out); !strings.Contains(deps, "azcore/arm") || strings.Contains(deps, "azidentity") || strings.Contains(deps, "microsoft-authentication") {
		t.Errorf("azureml links azidentity, or the list is not its own")
	}
}
