package azurekv

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/Azure/azure-sdk-for-go/sdk/security/keyvault/azsecrets"
	"github.com/mlsecrets/secretstore"
	"github.com/mlsecrets/secretstore/backends/azurekv/internal/azfault"
)

const backend = "azurekv"

// binaryType marks a value that is stored as base64, in the form of data URLs.
const binaryType = "application/octet-stream;base64"

type driver struct {
	client *azsecrets.Client
	gate   *gate
	tokens *tokens
	idle   idleCloser // nil if the client is the caller's
}

func (d *driver) Backend() string { return backend }

// Fanout implements secretstore.Fanout with the widest that the limiters open.
func (d *driver) Fanout() (gets, sets int) { return mostReads, mostWrites }

func (d *driver) Close() error {
	if d.idle != nil {
		d.idle.CloseIdleConnections()
	}
	return nil
}

func (d *driver) Get(ctx context.Context, name string) (secretstore.Value, error) {
	resp, err := d.client.GetSecret(ctx, name, "", nil)
	if err != nil {
		return secretstore.Value{}, explain(err)
	}
	if resp.Value == nil || resp.ID == nil || !strings.EqualFold(nameOf(*resp.ID), name) {
		return secretstore.Value{}, foreign()
	}
	binary := resp.ContentType != nil && strings.EqualFold(*resp.ContentType, binaryType)
	return secretstore.DecodeText(*resp.Value, binary)
}

// put sends one request that sets the secret.
func (d *driver) put(ctx context.Context, name string, value secretstore.Value) error {
	text, binary := secretstore.EncodeText(value)
	params := azsecrets.SetSecretParameters{Value: &text}
	if binary {
		mark := binaryType
		params.ContentType = &mark
	}
	resp, err := d.client.SetSecret(ctx, name, params, nil)
	if err != nil {
		return err
	}
	if resp.ID == nil || !strings.EqualFold(nameOf(*resp.ID), name) {
		return foreign() // nobody has said that it is written
	}
	return nil
}

func (d *driver) List(ctx context.Context) ([]string, error) {
	var names []string
	last := ""
	for pager := d.client.NewListSecretPropertiesPager(nil); pager.More(); {
		// A page may be empty and have a successor, also the first.
		page, err := pager.NextPage(ctx)
		if err != nil {
			return nil, explain(err)
		}
		if page.Value == nil {
			return nil, foreign()
		}
		for _, item := range page.Value {
			if item == nil || item.ID == nil {
				return nil, foreign()
			}
			if item.Attributes != nil && item.Attributes.Enabled != nil && !*item.Attributes.Enabled {
				continue
			}
			names = append(names, nameOf(*item.ID))
		}
		if page.NextLink != nil && *page.NextLink != "" {
			if *page.NextLink == last {
				return nil, &secretstore.Error{Kind: secretstore.ErrUnavailable, Detail: "the vault's listing leads from a page to the same page"}
			}
			last = *page.NextLink
		}
	}
	return names, nil
}

// nameOf returns the name in the id of a secret, or "".
func nameOf(id azsecrets.ID) string {
	u, err := url.Parse(string(id))
	if err != nil {
		return ""
	}
	parts := strings.Split(strings.Trim(u.Path, "/"), "/")
	if len(parts) < 2 || parts[0] != "secrets" {
		return ""
	}
	return parts[1]
}

// foreign is the error of a success that is not Key Vault's.
func foreign() *secretstore.Error {
	return &secretstore.Error{Kind: secretstore.ErrUnavailable, Detail: azfault.ForeignDetail}
}

// explain turns what the client returns into an error of the closed set.
func explain(err error) error {
	if below, ok := errors.AsType[*secretstore.Error](err); ok {
		return below
	}
	if r, ok := errors.AsType[*azfault.Refusal](err); ok {
		return refused(r)
	}
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	return foreign() // the client could not make sense of a success
}

// refused returns the error for an answer other than a success.
func refused(r *azfault.Refusal) *secretstore.Error {
	switch {
	case r.Foreign():
		return r.Kind(secretstore.ErrUnavailable, azfault.ForeignDetail)
	case r.Status == http.StatusNotFound && r.Code == "SecretNotFound":
		return r.Kind(secretstore.ErrNotFound, "")
	case r.Status == http.StatusUnauthorized:
		return r.Kind(secretstore.ErrDenied, unauthorized(r.Mark))
	case r.Status == http.StatusForbidden && r.Inner == "SecretManagedByKeyVault":
		return r.Kind(secretstore.ErrConflict, "the secret belongs to a certificate of that name, which alone changes it; choose another name")
	case r.Status == http.StatusForbidden:
		return r.Kind(secretstore.ErrDenied, forbidden(r.Inner))
	case r.Status == http.StatusConflict:
		return r.Kind(secretstore.ErrConflict, conflict(r.Inner))
	case r.Status >= 500 || r.Status == http.StatusRequestTimeout:
		return r.Kind(secretstore.ErrUnavailable, "the vault has an error of its own")
	}
	return r.Kind(secretstore.ErrUnavailable, "the vault did not accept the form of the request; an emulator may need another API version")
}

func unauthorized(mark string) string {
	switch {
	case mark == "TokenExpired":
		return "the vault says that the token has expired, and a new one as well; check this machine's clock, and log in again"
	case mark == "AKV10032":
		return "the identity is of another tenant than the vault; log in to the vault's tenant, or allow it with AZURE_ADDITIONALLY_ALLOWED_TENANTS"
	case mark == "AKV10022":
		return "the token is for another cloud or service; check the vault's URL and the cloud of the login"
	}
	return "the vault does not accept the token; log in again"
}

func forbidden(inner string) string {
	switch {
	case inner == "SecretDisabled":
		return "the secret is disabled; enable it, or set a new value"
	case slices.Contains([]string{"ForbiddenByFirewall", "ForbiddenByConnection"}, inner):
		return "the vault's firewall does not admit this network; use its private endpoint, or have the address added"
	case inner == "AccessDenied":
		return "no access policy of the vault gives the identity this right (get, list, set, delete or recover on secrets)"
	}
	return "the identity needs a role on the vault: Key Vault Secrets User to read, Key Vault Secrets Officer to write"
}

func conflict(inner string) string {
	switch inner {
	case innerDeleting:
		return "the name is still being deleted; try again later"
	case innerRecovering:
		return "the name is still being recovered; try again later"
	case innerDeleted:
		return "the name is soft-deleted; recover it first"
	}
	return "the vault can't do that in the secret's present state"
}
