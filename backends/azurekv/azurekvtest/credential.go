package azurekvtest

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
)

// Tenant is the vault's tenant. A token of another is refused.
const Tenant = "72f988bf-0000-4000-8000-2d7cd011db47"

type token struct {
	tenant     string
	scope      string
	expires    time.Time
	generation int
}

// Credential is an identity that the vault knows. It mints a new token at every
// call, as no cache stands between.
type Credential struct {
	vault  *Vault
	tenant string
	life   time.Duration
	delay  time.Duration
	err    error
}

// Credential returns an identity of the vault's own tenant, whose tokens live an
// hour.
func (v *Vault) Credential() *Credential {
	return &Credential{vault: v, life: time.Hour}
}

// WithTenant returns a copy whose tokens are of that tenant, whatever tenant is
// asked for.
func (c *Credential) WithTenant(tenant string) *Credential {
	copied := *c
	copied.tenant = tenant
	return &copied
}

// WithLife returns a copy whose tokens live that long.
func (c *Credential) WithLife(d time.Duration) *Credential {
	copied := *c
	copied.life = d
	return &copied
}

// WithDelay returns a copy that takes that long for a token.
func (c *Credential) WithDelay(d time.Duration) *Credential {
	copied := *c
	copied.delay = d
	return &copied
}

// WithError returns a copy that fails.
func (c *Credential) WithError(err error) *Credential {
	copied := *c
	copied.err = err
	return &copied
}

// GetToken implements [azcore.TokenCredential].
func (c *Credential) GetToken(ctx context.Context, o policy.TokenRequestOptions) (azcore.AccessToken, error) {
	v := c.vault
	v.mu.Lock()
	v.tokenCalls++
	v.mu.Unlock()
	if c.delay > 0 {
		timer := time.NewTimer(c.delay)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-ctx.Done():
			return azcore.AccessToken{}, ctx.Err()
		}
	}
	if c.err != nil {
		return azcore.AccessToken{}, c.err
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	t := token{tenant: o.TenantID, expires: v.opts.Now().Add(c.life), generation: v.generation}
	if c.tenant != "" {
		t.tenant = c.tenant
	}
	if len(o.Scopes) > 0 {
		t.scope = o.Scopes[0]
	}
	text := "azurekvtest." + newID() + newID()
	v.tokens[text] = t
	return azcore.AccessToken{Token: text, ExpiresOn: t.expires}, nil
}

// TokenCalls returns how often a token was asked for since ResetRequests.
func (v *Vault) TokenCalls() int {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.tokenCalls
}

// Tokens returns every token handed out.
func (v *Vault) Tokens() []string {
	v.mu.Lock()
	defer v.mu.Unlock()
	all := make([]string, 0, len(v.tokens))
	for t := range v.tokens {
		all = append(all, t)
	}
	return all
}

// ExpireTokens makes the vault refuse every token handed out so far.
func (v *Vault) ExpireTokens() {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.generation++
}

// resource is what tokens must be for: https:// and the host without the vault's
// name.
func (v *Vault) resource() string {
	_, suffix, _ := strings.Cut(v.opts.Host, ".")
	return "https://" + suffix
}

func (v *Vault) authenticate(r *http.Request) (answer, bool) {
	refuse := func(message string) (answer, bool) {
		a := fail(http.StatusUnauthorized, "Unauthorized", "", "%s", message)
		a.header = map[string]string{"WWW-Authenticate": `Bearer authorization="https://login.microsoftonline.com/` +
			Tenant + `", resource="` + v.resource() + `"`}
		return a, false
	}
	text, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if !ok {
		return refuse("AKV10000: Request is missing a Bearer, PoP, or MTLS_POP token.")
	}
	t, ok := v.tokens[text]
	switch {
	case !ok:
		return refuse("AKV10046: Unable to resolve the key used for signature validation.")
	case t.tenant != Tenant:
		return refuse("AKV10032: Invalid issuer. Expected one of https://sts.windows.net/" + Tenant + "/, found https://sts.windows.net/" + t.tenant + "/.")
	case !slices.Contains([]string{v.resource() + "/.default", v.resource()}, t.scope):
		return refuse("AKV10022: Invalid audience. Expected " + v.resource() + ".")
	case t.generation != v.generation || v.opts.Now().After(t.expires):
		return refuse("[TokenExpired] Error validating token: 'S2S12086'.")
	}
	return answer{}, true
}
