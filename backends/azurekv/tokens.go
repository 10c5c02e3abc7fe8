package azurekv

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/mlsecrets/secretstore"
	"github.com/mlsecrets/secretstore/backends/azurekv/internal/azfault"
)

// tokens is a credential that asks the caller's credential once for everyone who
// waits. azcore does so too, but its waiters can't be cancelled, and they share the
// context of the one that asks. A failure is remembered for a second: the command
// line tools among the credentials take seconds to fail, and a batch would ask once
// a name.
type tokens struct {
	cred azcore.TokenCredential

	mu       sync.Mutex
	request  *policy.TokenRequestOptions // what the vault wants; nil until it has said
	current  azcore.AccessToken
	got      time.Time // when current was got
	stale    bool      // the vault refused current
	flight   *asking
	failure  error
	failedAt time.Time
}

// asking is one call of the credential.
type asking struct {
	landed  chan struct{}
	cancel  context.CancelFunc
	waiters int
	token   azcore.AccessToken
	err     error
}

const (
	rememberFailure = time.Second
	// rememberToken is how soon after a token came no other is asked for, however
	// short its life.
	rememberToken = 5 * time.Second
)

func newTokens(cred azcore.TokenCredential) *tokens { return &tokens{cred: cred} }

// GetToken implements azcore.TokenCredential for the client.
func (t *tokens) GetToken(ctx context.Context, o policy.TokenRequestOptions) (azcore.AccessToken, error) {
	claims := o.Claims
	o.Claims = ""
	t.mu.Lock()
	if t.request == nil || t.request.TenantID != o.TenantID || !slices.Equal(t.request.Scopes, o.Scopes) {
		t.request, t.stale = &o, true
	}
	now := time.Now()
	refresh := t.current.RefreshOn
	if refresh.IsZero() {
		refresh = t.current.ExpiresOn.Add(-5 * time.Minute) // as azcore has it
	}
	fresh := !t.stale && claims == "" && now.Before(t.current.ExpiresOn) &&
		(now.Before(refresh) || now.Sub(t.got) < rememberToken)
	current := t.current
	t.mu.Unlock()
	if fresh {
		return current, nil
	}
	o.Claims = claims
	return t.ask(ctx, o)
}

// known reports whether the vault has said what it wants.
func (t *tokens) known() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.request != nil
}

// ensure gets a new token if the one there is has expired, so that the client finds
// one. It does nothing until the vault has said what it wants.
func (t *tokens) ensure(ctx context.Context) error {
	t.mu.Lock()
	if t.request == nil || !t.stale && time.Now().Before(t.current.ExpiresOn) {
		t.mu.Unlock()
		return nil
	}
	o := *t.request
	t.mu.Unlock()
	_, err := t.ask(ctx, o)
	return err
}

// renew gets a new token after the vault refused that one, unless that has
// happened already.
func (t *tokens) renew(ctx context.Context, refused string) error {
	t.mu.Lock()
	if t.request == nil || t.current.Token != refused {
		t.mu.Unlock()
		return nil
	}
	t.stale = true
	o := *t.request
	t.mu.Unlock()
	_, err := t.ask(ctx, o)
	return err
}

// ask calls the credential, or waits for the call under way.
func (t *tokens) ask(ctx context.Context, o policy.TokenRequestOptions) (azcore.AccessToken, error) {
	t.mu.Lock()
	if t.failure != nil && time.Since(t.failedAt) < rememberFailure {
		defer t.mu.Unlock()
		return azcore.AccessToken{}, t.failure
	}
	a := t.flight
	if a == nil || o.Claims != "" {
		// Nobody's context may end what others wait for.
		actx, cancel := context.WithTimeout(context.WithoutCancel(ctx), tryTimeout)
		a = &asking{landed: make(chan struct{}), cancel: cancel}
		t.flight = a
		go t.call(actx, a, o)
	}
	a.waiters++
	t.mu.Unlock()

	select {
	case <-a.landed:
		return a.token, a.err
	case <-ctx.Done():
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if a.waiters--; a.waiters == 0 {
		a.cancel()
		if t.flight == a {
			t.flight = nil
		}
	}
	return azcore.AccessToken{}, ctx.Err()
}

func (t *tokens) call(ctx context.Context, a *asking, o policy.TokenRequestOptions) {
	defer a.cancel()
	token, err := t.cred.GetToken(ctx, o)
	t.mu.Lock()
	defer t.mu.Unlock()
	if err != nil {
		a.err = azfault.Credential(err, "the vault's tenant")
		if ctx.Err() == nil {
			t.failure, t.failedAt = a.err, time.Now()
		}
	} else {
		a.token, t.failure = token, nil
		t.current, t.got, t.stale = token, time.Now(), false
	}
	if t.flight == a {
		t.flight = nil
	}
	close(a.landed)
}

// renewal is the policy behind the client's own authentication. It sees a refused
// token first, and gets a new one in a way that can be cancelled.
type renewal struct{ tokens *tokens }

func (p renewal) Do(req *policy.Request) (*http.Response, error) {
	resp, err := req.Next()
	if err != nil || resp.StatusCode != http.StatusUnauthorized {
		return resp, err
	}
	if !challengeParses(resp.Header.Get("WWW-Authenticate")) {
		return nil, &secretstore.Error{Kind: secretstore.ErrUnavailable, Status: resp.StatusCode,
			Detail: "the server's authentication challenge is not Key Vault's; check the vault's URL"}
	}
	if token, ok := strings.CutPrefix(req.Raw().Header.Get("Authorization"), "Bearer "); ok {
		if err := p.tokens.renew(req.Raw().Context(), token); err != nil {
			return nil, err
		}
	}
	return resp, nil
}

// challengeParses reports whether the client survives the challenge: it takes the
// fourth part of the authority's URL for the tenant, without looking.
func challengeParses(header string) bool {
	resource := false
	for part := range strings.FieldsSeq(header) {
		name, value, _ := strings.Cut(part, "=")
		resource = resource || name == "resource" || name == "scope"
		if name == "authorization" && strings.Count(value, "/") < 3 && strings.Trim(value, `",`) != "" {
			return false
		}
	}
	return resource
}
