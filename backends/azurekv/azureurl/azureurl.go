// Package azureurl opens the stores that azurekv:// and azureml:// URLs name, with
// Azure's default credential. It is apart from package azurekv because the library
// of identities more than doubles what a program links for Azure.
//
//	azure := new(azureurl.Opener)
//	openers := secretstore.Openers{"azurekv": azure.Open, "azureml": azure.Open}
//
// # URLs
//
//	azurekv://name                      the vault name.vault.azure.net
//	azurekv://name.vault.azure.cn       a vault by its whole host, in any cloud
//	azureml://subscriptions/S/resourceGroups/G/workspaces/W
//	                                    the key vault of that Azure ML workspace
//
// Parameters of azurekv: ?ca-file= names a file with certificates (PEM) to trust
// beside the system's, and ?api-version= another version of the interface, both
// for an emulator or a proxy. Of azureml: ?cloud=public, china or usgov; without it
// the cloud is that of AZURE_AUTHORITY_HOST, or the public one.
//
// # Identity
//
// The credential is azidentity's DefaultAzureCredential, which tries the service
// principal in AZURE_CLIENT_ID, workload identity, managed identity, and then the
// logins of the az, azd and PowerShell tools; AZURE_TOKEN_CREDENTIALS narrows it. On
// Azure ML compute the managed identity is asked for at MSI_ENDPOINT, and which one,
// if it has several, DEFAULT_IDENTITY_CLIENT_ID says. Who has done az login needs
// nothing more.
package azureurl

import (
	"context"
	"crypto/x509"
	"net/http"
	"net/url"
	"os"
	"regexp"
	"strings"
	"sync"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/cloud"
	"github.com/mlsecrets/secretstore"
	"github.com/mlsecrets/secretstore/backends/azurekv"
	"github.com/mlsecrets/secretstore/backends/azurekv/azureml"
	"github.com/mlsecrets/secretstore/backends/azurekv/internal/azclient"
)

// Opener opens stores. It remembers for as long as it lives which vault a workspace
// has, and keeps one credential a cloud, whose tokens the stores share. The zero
// Opener is ready for use, and safe for concurrent use. It must not be copied, nor
// changed after the first Open.
type Opener struct {
	// Credential is used instead of the default credential.
	Credential azcore.TokenCredential

	// ClientOptions are those of every client. Their Cloud is ignored: the URL
	// says it.
	ClientOptions azcore.ClientOptions

	mu      sync.Mutex
	finders map[string]*azureml.Finder
	creds   map[string]azcore.TokenCredential
}

// Open is the [secretstore.Opener] of both schemes. Opening azurekv:// does no I/O;
// azureml:// asks Azure Resource Manager once.
func (o *Opener) Open(ctx context.Context, u *url.URL) (secretstore.StoreCloser, error) {
	switch u.Scheme {
	case "azurekv":
		return o.openVault(ctx, u)
	case "azureml":
		return o.openWorkspace(ctx, u)
	}
	return nil, invalid(u.Scheme, "azureurl opens azurekv:// and azureml://")
}

var (
	vaultName  = regexp.MustCompile(`^[a-zA-Z][a-zA-Z0-9-]{1,22}[a-zA-Z0-9]$`) // Key Vault's rule
	apiVersion = regexp.MustCompile(`^[0-9A-Za-z.-]{1,32}$`)
)

func (o *Opener) openVault(ctx context.Context, u *url.URL) (secretstore.StoreCloser, error) {
	params, err := secretstore.Params(u, "api-version", "ca-file")
	if err != nil {
		return nil, err
	}
	host := u.Host
	switch {
	case host == "" || u.Path != "" && u.Path != "/":
		return nil, invalid(u.Scheme, "the URL of a vault is azurekv://name or azurekv://name.vault.azure.net, without a path")
	case !strings.ContainsAny(host, ".:"):
		if !vaultName.MatchString(host) {
			return nil, invalid(u.Scheme, "the name of a vault has 3 to 24 letters, digits and dashes, and begins with a letter")
		}
		host += ".vault.azure.net"
	}
	c := azurekv.Config{VaultURL: "https://" + host, ClientOptions: o.ClientOptions}
	hostname, _, _ := strings.Cut(host, ":")
	if c.Credential, err = o.credential(cloudOfHost(hostname)); err != nil {
		return nil, err
	}
	if version := params.Get("api-version"); apiVersion.MatchString(version) {
		c.ClientOptions.APIVersion = version
	} else if params.Has("api-version") {
		return nil, invalid(u.Scheme, "the API version looks like 7.6 or 2026-04-01")
	}
	if !params.Has("ca-file") {
		return azurekv.Open(ctx, c)
	}
	client, err := clientTrusting(params.Get("ca-file"))
	if err != nil {
		return nil, err
	}
	c.ClientOptions.Transport = client
	store, err := azurekv.Open(ctx, c)
	if err != nil {
		return nil, err
	}
	return closing{store, store.(secretstore.Deleter), client}, nil
}

func clientTrusting(path string) (*http.Client, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, invalid("azurekv", "the file that ca-file names can't be read")
	}
	roots, err := x509.SystemCertPool()
	if err != nil {
		roots = x509.NewCertPool()
	}
	if !roots.AppendCertsFromPEM(text) {
		return nil, invalid("azurekv", "the file that ca-file names has no certificate in PEM form")
	}
	return azclient.New(32, roots), nil
}

// closing is a store that has a client made for it.
type closing struct {
	secretstore.StoreCloser
	secretstore.Deleter
	client *http.Client
}

func (c closing) Close() error {
	err := c.StoreCloser.Close()
	c.client.CloseIdleConnections()
	return err
}

func (o *Opener) openWorkspace(ctx context.Context, u *url.URL) (secretstore.StoreCloser, error) {
	params, err := secretstore.Params(u, "cloud")
	if err != nil {
		return nil, err
	}
	workspace, err := azureml.ParseURL(u)
	if err != nil {
		return nil, err
	}
	name := params.Get("cloud")
	if !params.Has("cloud") {
		name = cloudOfLogin(os.Getenv("AZURE_AUTHORITY_HOST"))
	}
	conf, ok := clouds[name]
	if !ok {
		return nil, invalid(u.Scheme, "the cloud is public, china or usgov")
	}
	cred, err := o.credential(name)
	if err != nil {
		return nil, err
	}
	vault, err := o.finder(name, conf, cred).VaultURL(ctx, workspace)
	if err != nil {
		return nil, err
	}
	return azurekv.Open(ctx, azurekv.Config{VaultURL: vault, Credential: cred, ClientOptions: o.ClientOptions})
}

func (o *Opener) finder(name string, conf cloud.Configuration, cred azcore.TokenCredential) *azureml.Finder {
	o.mu.Lock()
	defer o.mu.Unlock()
	if f := o.finders[name]; f != nil {
		return f
	}
	if o.finders == nil {
		o.finders = make(map[string]*azureml.Finder)
	}
	options := o.ClientOptions
	options.Cloud = conf
	f := azureml.NewFinder(cred, options)
	o.finders[name] = f
	return f
}

func invalid(scheme, detail string) *secretstore.Error {
	return &secretstore.Error{Op: "open", Backend: scheme, Kind: secretstore.ErrInvalidConfig, Detail: detail}
}
