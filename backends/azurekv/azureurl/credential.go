package azureurl

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/cloud"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
	"github.com/mlsecrets/secretstore"
)

// clouds are the clouds by the names that URLs have for them. Which login and which
// Resource Manager each has is azcore's knowledge.
var clouds = map[string]cloud.Configuration{
	"public": cloud.AzurePublic,
	"china":  cloud.AzureChina,
	"usgov":  cloud.AzureGovernment,
}

// cloudOfHost returns the cloud of a vault's host. "" leaves it to
// AZURE_AUTHORITY_HOST, which azidentity reads.
func cloudOfHost(host string) string {
	host = strings.ToLower(host)
	switch {
	case strings.HasSuffix(host, ".vault.azure.cn"):
		return "china"
	case strings.HasSuffix(host, ".vault.usgovcloudapi.net"):
		return "usgov"
	}
	return ""
}

// cloudOfLogin returns the cloud whose login service has that URL, or the public
// one.
func cloudOfLogin(authority string) string {
	u, err := url.Parse(authority)
	if err != nil {
		return "public"
	}
	for name, conf := range clouds {
		if own, err := url.Parse(conf.ActiveDirectoryAuthorityHost); err == nil && own.Host == u.Host {
			return name
		}
	}
	return "public"
}

// credential returns the credential for a cloud, the same at every call.
func (o *Opener) credential(cloudName string) (azcore.TokenCredential, error) {
	if o.Credential != nil {
		return o.Credential, nil
	}
	if cloudName == "public" {
		cloudName = "" // a login of one's own may stand in for the public cloud's
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if cred := o.creds[cloudName]; cred != nil {
		return cred, nil
	}
	options := &azidentity.DefaultAzureCredentialOptions{ClientOptions: o.ClientOptions}
	options.ClientOptions.APIVersion = ""
	options.ClientOptions.Cloud = clouds[cloudName]
	cred, err := azidentity.NewDefaultAzureCredential(options)
	if err != nil {
		return nil, invalid("azurekv", "AZURE_TOKEN_CREDENTIALS is dev, prod or the name of one of azidentity's credentials")
	}
	if o.creds == nil {
		o.creds = make(map[string]azcore.TokenCredential)
	}
	o.creds[cloudName] = explained{cred}
	return explained{cred}, nil
}

// explained is a credential whose errors say in our words what to do. azidentity's
// hold answers of the login service.
type explained struct{ cred azcore.TokenCredential }

func (e explained) GetToken(ctx context.Context, o policy.TokenRequestOptions) (azcore.AccessToken, error) {
	token, err := e.cred.GetToken(ctx, o)
	if err == nil || ctx.Err() != nil {
		return token, err
	}
	const hint = "; AZURE_SDK_GO_LOGGING=all shows what was tried"
	out := &secretstore.Error{Kind: secretstore.ErrDenied,
		Detail: "no identity was found in the environment, in this machine or in the login of a tool; log in with az login" + hint}
	if failed, ok := errors.AsType[*azidentity.AuthenticationFailedError](err); ok {
		out.Detail = "an identity was found, and got no token; check its tenant, its secret or certificate, and the way to the login service" + hint
		if failed.RawResponse != nil {
			out.Status = failed.RawResponse.StatusCode
			if out.Status >= 500 || out.Status == http.StatusTooManyRequests {
				out.Kind, out.Detail = secretstore.ErrUnavailable, "the login service has an error of its own"
			}
		}
	}
	return azcore.AccessToken{}, out
}
