// Package azureml finds the key vault of an Azure Machine Learning workspace. It
// asks Azure Resource Manager for the workspace, whose answer names the vault's
// resource, and then for that, whose answer has the vault's URL.
//
// The identity needs to read the workspace (any of Reader, AzureML Data Scientist
// and AzureML Compute Operator). Most identities that may read a vault's secrets
// may not read its resource; then the URL is the vault's name under the cloud's
// domain, which is how Azure makes it.
package azureml

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/arm"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/cloud"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/runtime"
	"github.com/mlsecrets/secretstore"
	"github.com/mlsecrets/secretstore/backends/azurekv/internal/azclient"
	"github.com/mlsecrets/secretstore/backends/azurekv/internal/azfault"
)

// Workspace names a workspace. ARM does not distinguish case in any of it.
type Workspace struct {
	Subscription  string // a GUID
	ResourceGroup string
	Name          string
}

var (
	guid   = regexp.MustCompile(`^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$`)
	inPath = regexp.MustCompile(`^[\p{L}\p{N}_().-]{1,90}$`) // ARM's rule for resource groups, the wider one
)

// ParseURL returns the workspace that a URL names:
//
//	azureml://subscriptions/S/resourceGroups/G/workspaces/W
//
// The provider may stand before the workspace, as it does in ARM's ids. An error is
// [secretstore.ErrInvalidConfig] and doesn't repeat the URL.
func ParseURL(u *url.URL) (Workspace, error) {
	parts := strings.Split(u.Host+strings.TrimSuffix(u.Path, "/"), "/")
	if len(parts) == 8 && strings.EqualFold(parts[4], "providers") && strings.EqualFold(parts[5], "Microsoft.MachineLearningServices") {
		parts = append(parts[:4], parts[6:]...)
	}
	if len(parts) != 6 || !strings.EqualFold(parts[0], "subscriptions") ||
		!strings.EqualFold(parts[2], "resourceGroups") || !strings.EqualFold(parts[4], "workspaces") {
		return Workspace{}, invalid("the URL of a workspace is azureml://subscriptions/S/resourceGroups/G/workspaces/W")
	}
	w := Workspace{Subscription: parts[1], ResourceGroup: parts[3], Name: parts[5]}
	return w, w.check()
}

func (w Workspace) check() error {
	switch {
	case !guid.MatchString(w.Subscription):
		return invalid("the subscription of the workspace is not a GUID")
	case !inPath.MatchString(w.ResourceGroup) || strings.Trim(w.ResourceGroup, ".") == "":
		return invalid("the resource group of the workspace has characters that no resource group has")
	case !inPath.MatchString(w.Name) || strings.Trim(w.Name, ".") == "":
		return invalid("the name of the workspace has characters that no workspace has")
	}
	return nil
}

func invalid(detail string) *secretstore.Error {
	return &secretstore.Error{Op: "open", Backend: "azureml", Kind: secretstore.ErrInvalidConfig, Detail: detail}
}

// Finder finds vaults. It remembers what it has found for as long as it lives,
// since the vault of a workspace is fixed when the workspace is made, but no errors.
// It is safe for concurrent use, and must not be copied.
type Finder struct {
	cred    azcore.TokenCredential
	options arm.ClientOptions
	turn    chan struct{} // held by the one that asks
	found   map[Workspace]string
}

// NewFinder returns a Finder. The options' Cloud says which Resource Manager to ask
// (zero: the public cloud's); Transport nil means a client of the Finder's own, which
// keeps no connection open.
func NewFinder(cred azcore.TokenCredential, options azcore.ClientOptions) *Finder {
	options.Logging.IncludeBody = false
	options.Retry.ShouldRetry = worthARetry
	return &Finder{
		cred:    credential{cred},
		options: arm.ClientOptions{ClientOptions: options, DisableRPRegistration: true},
		turn:    make(chan struct{}, 1),
		found:   make(map[Workspace]string),
	}
}

func worthARetry(resp *http.Response, err error) bool {
	if err != nil {
		_, final := azfault.Transport(err)
		return !final
	}
	return runtime.HasStatusCode(resp, http.StatusRequestTimeout, http.StatusTooManyRequests, http.StatusInternalServerError,
		http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout)
}

// credential keeps the texts of another one's errors to itself.
type credential struct{ azcore.TokenCredential }

func (c credential) GetToken(ctx context.Context, o policy.TokenRequestOptions) (azcore.AccessToken, error) {
	token, err := c.TokenCredential.GetToken(ctx, o)
	if err != nil && ctx.Err() == nil {
		err = azfault.Credential(err, "Azure Resource Manager")
	}
	return token, err
}

// VaultURL returns the URL of the workspace's key vault. A workspace that doesn't
// exist, or has no vault, is [secretstore.ErrInvalidConfig]; one that the identity
// may not read is [secretstore.ErrDenied].
func (f *Finder) VaultURL(ctx context.Context, w Workspace) (string, error) {
	if err := w.check(); err != nil {
		return "", err
	}
	select {
	case f.turn <- struct{}{}:
		defer func() { <-f.turn }()
	case <-ctx.Done():
		return "", ctx.Err()
	}
	key := Workspace{strings.ToLower(w.Subscription), strings.ToLower(w.ResourceGroup), strings.ToLower(w.Name)}
	if vault, ok := f.found[key]; ok {
		return vault, nil
	}
	vault, err := f.ask(ctx, w)
	if err != nil {
		return "", err
	}
	f.found[key] = vault
	return vault, nil
}

// The versions of the two interfaces.
const (
	workspaceAPI = "2024-10-01"
	vaultAPI     = "2023-07-01"
)

func (f *Finder) ask(ctx context.Context, w Workspace) (string, error) {
	options := f.options
	if options.Transport == nil {
		client := azclient.New(1, nil)
		defer client.CloseIdleConnections()
		options.Transport = client
	}
	client, err := arm.NewClient("secretstore/azureml", "v1.0.0", f.cred, &options)
	if err != nil {
		return "", invalid("the client options for Azure Resource Manager were refused")
	}

	var workspace struct {
		Properties struct {
			KeyVault string `json:"keyVault"`
		} `json:"properties"`
	}
	path := fmt.Sprintf("/subscriptions/%s/resourceGroups/%s/providers/Microsoft.MachineLearningServices/workspaces/%s",
		w.Subscription, url.PathEscape(w.ResourceGroup), url.PathEscape(w.Name))
	if err := get(ctx, client, path, workspaceAPI, &workspace); err != nil {
		return "", explain(err, "workspace")
	}
	if workspace.Properties.KeyVault == "" {
		return "", invalid("the workspace has no key vault of its own; name one with azurekv://")
	}
	id, err := arm.ParseResourceID(workspace.Properties.KeyVault)
	if err != nil || !strings.EqualFold(id.ResourceType.String(), "Microsoft.KeyVault/vaults") || !inPath.MatchString(id.Name) {
		return "", unreadable("workspace")
	}

	var vault struct {
		Properties struct {
			VaultURI string `json:"vaultUri"`
		} `json:"properties"`
	}
	err = get(ctx, client, (&url.URL{Path: id.String()}).EscapedPath(), vaultAPI, &vault)
	if r, ok := errors.AsType[*azfault.Refusal](err); ok && r.Status == http.StatusForbidden && !r.Foreign() {
		if domain := vaultDomain(f.options.Cloud); domain != "" {
			return "https://" + id.Name + "." + domain, nil
		}
	}
	if err != nil {
		return "", explain(err, "workspace's key vault")
	}
	if u, err := url.Parse(vault.Properties.VaultURI); err != nil || u.Scheme != "https" || u.Host == "" {
		return "", unreadable("workspace's key vault")
	}
	return vault.Properties.VaultURI, nil
}

// vaultDomain returns the domain of the cloud's vaults, or "" for a cloud of its
// own kind.
func vaultDomain(c cloud.Configuration) string {
	switch c.ActiveDirectoryAuthorityHost {
	case "", cloud.AzurePublic.ActiveDirectoryAuthorityHost:
		return "vault.azure.net"
	case cloud.AzureChina.ActiveDirectoryAuthorityHost:
		return "vault.azure.cn"
	case cloud.AzureGovernment.ActiveDirectoryAuthorityHost:
		return "vault.usgovcloudapi.net"
	}
	return ""
}

// get reads a resource. Its error is an *azfault.Refusal, the context's or an
// *secretstore.Error.
func get(ctx context.Context, client *arm.Client, path, version string, into any) error {
	req, err := runtime.NewRequest(ctx, http.MethodGet, runtime.JoinPaths(client.Endpoint(), path))
	if err != nil {
		return invalid("the endpoint of Azure Resource Manager is not a URL")
	}
	req.Raw().URL.RawQuery = url.Values{"api-version": {version}}.Encode()
	req.Raw().Header.Set("Accept", "application/json")
	resp, err := client.Pipeline().Do(req)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if below, ok := errors.AsType[*secretstore.Error](err); ok {
		return below // the credential's
	} else if err != nil {
		below, _ := azfault.Transport(err)
		return below
	}
	if resp.StatusCode != http.StatusOK {
		body, err := runtime.Payload(resp)
		if err != nil {
			body = nil // then it is in nobody's form
		}
		return azfault.NewRefusal(resp, body, time.Now())
	}
	if err := runtime.UnmarshalAsJSON(resp, into); err != nil {
		return &secretstore.Error{Kind: secretstore.ErrUnavailable, Detail: azfault.ForeignDetail}
	}
	return nil
}

func unreadable(what string) *secretstore.Error {
	return &secretstore.Error{Kind: secretstore.ErrUnavailable,
		Detail: "Azure Resource Manager's answer about the " + what + " can't be understood"}
}

// explain turns the error of get into one of the closed set.
func explain(err error, what string) error {
	r, ok := errors.AsType[*azfault.Refusal](err)
	if !ok {
		return err
	}
	switch {
	case r.Foreign():
		return r.Kind(secretstore.ErrUnavailable, azfault.ForeignDetail)
	case r.Status == http.StatusNotFound:
		return r.Kind(secretstore.ErrInvalidConfig, "there is no such "+what+"; check subscription, resource group and name, and the cloud")
	case r.Status == http.StatusUnauthorized && strings.HasPrefix(r.Code, "InvalidAuthenticationTokenTenant"):
		return r.Kind(secretstore.ErrDenied, "the identity is of another tenant than the "+what+"'s subscription; log in to that tenant")
	case r.Status == http.StatusUnauthorized:
		return r.Kind(secretstore.ErrDenied, "Azure Resource Manager does not accept the token; log in again")
	case r.Status == http.StatusForbidden:
		return r.Kind(secretstore.ErrDenied, "the identity may not read the "+what+"; it needs Reader or AzureML Data Scientist on it, or name the vault with azurekv://")
	case r.Status == http.StatusTooManyRequests:
		return r.Kind(secretstore.ErrThrottled, "Azure Resource Manager is throttling; name the vault with azurekv:// to do without it")
	}
	return r.Kind(secretstore.ErrUnavailable, "Azure Resource Manager has an error of its own")
}
