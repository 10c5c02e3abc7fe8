// Package azurekv keeps secrets in an Azure key vault.
//
// One secret of ours is one secret of the vault, under the same name, so that the
// portal, the az command and other libraries see what they expect. A value that is
// not UTF-8 text is stored as base64 with the content type
// application/octet-stream;base64; text is stored without a content type.
//
//	store, err := azurekv.Open(ctx, azurekv.Config{
//		VaultURL:   "https://training.vault.azure.net",
//		Credential: credential, // an azcore.TokenCredential
//	})
//
// This package links no identity library: the caller brings the credential.
// Package azurekv/azureurl opens azurekv:// and azureml:// URLs with Azure's
// default credential.
//
// # What the identity needs
//
// Key Vault Secrets User reads (data actions getSecret and readMetadata); Key Vault
// Secrets Officer does everything. With access policies: get and list to read; set,
// delete and recover to write. Without recover, a Set of a name that is soft-deleted
// is [secretstore.ErrConflict].
//
// # What the service does
//
// A deleted secret stays as soft-deleted for the vault's retention. Set of such a
// name recovers it, waits until the service is done with that (about 10 s), and
// sets the value; in between, the name holds the value that it had before it was
// deleted, and so it stays if the context ends then. Nothing is ever purged.
//
// A disabled secret is [secretstore.ErrDenied] to Get and left out of List; Set
// makes a new version, which is enabled. A secret that belongs to a certificate can
// be read, and is [secretstore.ErrConflict] to Set and Delete. Expiry and start
// dates are the service's notes and stop nobody, neither it nor us.
//
// The service allows 4,000 requests, and 300 that set a secret, in 10 s to a vault.
// At most 32 reads and 8 writes are under way at once over one store; when the
// service throttles, they become fewer, wait, and become more again. Throttling is
// waited out for as long as the context allows, or for two minutes without a
// success if the context has no deadline.
//
// # Emulators
//
// Set ClientOptions.Transport to a client that trusts the emulator's certificate,
// ClientOptions.APIVersion to a version that it knows (Lowkey Vault: 7.6), and
// DisableChallengeVerification if its URL has a port or its challenge names another
// resource. HTTPS is required. Emulators differ from the service, and what they say in
// a way of their own is ErrUnavailable here: an absent secret is one of which the
// answer says SecretNotFound. Package azurekv/azurekvtest is held to recorded
// exchanges.
package azurekv

import (
	"context"
	"net/http"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/security/keyvault/azsecrets"
	"github.com/mlsecrets/secretstore"
	"github.com/mlsecrets/secretstore/backends/azurekv/internal/azclient"
)

// Config says which vault to open and how.
type Config struct {
	// VaultURL is the vault's URL, as its overview in the portal shows it, such
	// as https://training.vault.azure.net. It is used as it is, in any cloud.
	// Required.
	VaultURL string

	// Credential gets tokens. Errors of it are shown by kind alone, unless they
	// are a *secretstore.Error. Required.
	Credential azcore.TokenCredential

	// ClientOptions are passed to the client. Transport nil means a client of
	// the store's own, which Close shuts. Retry is ignored, since the store
	// retries by itself, and Logging never includes bodies, which hold values.
	ClientOptions azcore.ClientOptions

	// DisableChallengeVerification lets a server at any host name the resource
	// that tokens are asked for. It is for emulators, whose hosts don't end in
	// the service's domain. With a real credential, a server that is not the
	// vault could ask for a token with which it can act in its stead.
	DisableChallengeVerification bool
}

// Open returns the store over the vault. It is a [secretstore.Deleter]. Open does
// no I/O: a vault that doesn't exist shows at the first use. A Config that can't
// be is [secretstore.ErrInvalidConfig].
func Open(_ context.Context, c Config) (secretstore.StoreCloser, error) {
	host, err := vaultHost(c.VaultURL)
	if err != nil {
		return nil, err
	}
	if c.Credential == nil {
		return nil, invalid("Config.Credential is nil; azidentity has credentials, and package azurekv/azureurl opens vaults with the default one")
	}
	d := &driver{tokens: newTokens(c.Credential)}
	options := c.ClientOptions
	if options.Transport == nil {
		client := azclient.New(mostReads, nil)
		options.Transport, d.idle = client, client
	}
	d.gate = newGate(host, d.tokens)
	options.Transport = screened{options.Transport}
	options.Retry = policy.RetryOptions{MaxRetries: -1} // the gate retries
	options.Logging.IncludeBody = false
	options.PerCallPolicies = append([]policy.Policy{d.gate}, options.PerCallPolicies...)
	options.PerRetryPolicies = append([]policy.Policy{renewal{d.tokens}}, options.PerRetryPolicies...)
	d.client, err = azsecrets.NewClient("https://"+host, d.tokens, &azsecrets.ClientOptions{
		ClientOptions:                        options,
		DisableChallengeResourceVerification: c.DisableChallengeVerification,
	})
	if err != nil {
		return nil, invalid("Config.ClientOptions were refused by the client")
	}
	return secretstore.New(d), nil
}

// idleCloser is a client with connections of its own.
type idleCloser interface{ CloseIdleConnections() }

var _ idleCloser = (*http.Client)(nil)
