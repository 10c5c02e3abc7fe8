package vault

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net/http"
	"strings"

	"github.com/mlsecrets/secretstore"
)

const (
	detailCertificate = "the server's certificate is not trusted, has expired or is another host's; see VAULT_CACERT"
	detailNotTLS      = "the server does not speak HTTPS at this address; a dev server has VAULT_ADDR=http://…"
)

// unreachable is the error of a request that got no answer.
func unreachable(err error) error {
	e := &secretstore.Error{Kind: secretstore.ErrUnavailable, Detail: "the server can't be reached"}
	var invalid x509.CertificateInvalidError
	var unknown x509.UnknownAuthorityError
	var host x509.HostnameError
	var verify *tls.CertificateVerificationError
	var record tls.RecordHeaderError
	switch {
	case errors.As(err, &invalid), errors.As(err, &unknown), errors.As(err, &host), errors.As(err, &verify):
		e.Detail = detailCertificate
	case errors.As(err, &record), err != nil && strings.Contains(err.Error(), "server gave HTTP response to HTTPS client"):
		e.Detail = detailNotTLS
	}
	return e
}

// notVault is the error of an answer that no Vault gives: a proxy's page, for instance.
func notVault(status int) *secretstore.Error {
	kind := secretstore.ErrUnavailable
	if status == http.StatusTooManyRequests {
		kind = secretstore.ErrThrottled
	}
	return &secretstore.Error{Kind: kind, Status: status, Detail: "the answer is not Vault's; a proxy may stand in between"}
}

func foreign() *secretstore.Error { return notVault(http.StatusOK) }

// judge returns the error for an answer, or nil for a success and for what only its
// caller can judge: 404, and 400 of a write.
func (s *session) judge(r request, a *answer) error {
	e := &secretstore.Error{Status: a.status, RequestID: a.RequestID}
	switch a.status {
	case http.StatusOK, http.StatusNoContent:
		return nil
	case http.StatusNotFound:
		if !a.hasErrors && len(a.Data) == 0 {
			return notVault(a.status)
		}
		return nil
	case http.StatusBadRequest:
		if !a.hasErrors {
			return notVault(a.status)
		}
		if r.login {
			e.Kind, e.Detail = secretstore.ErrDenied, "the login was refused; check the role, its id and the secret id"
			return e
		}
		if r.method == "POST" || r.method == "PATCH" {
			return nil
		}
		e.Kind, e.Detail = secretstore.ErrUnavailable, "the server did not accept the request"
	case http.StatusForbidden:
		e.Kind, e.Detail = secretstore.ErrDenied, "the token's policies don't allow it"
		if r.login {
			e.Detail = "the login was refused; check the role, the mount of the method, and the credential"
		}
	case http.StatusMethodNotAllowed, http.StatusUnsupportedMediaType:
		e.Kind, e.Detail = secretstore.ErrUnavailable, "the server does not know the request; the mount may be of another kind than KV version 2"
	case http.StatusRequestEntityTooLarge:
		e.Kind, e.Detail = secretstore.ErrTooLarge, "the request is over the server's limit"
	case http.StatusTooManyRequests:
		e.Kind, e.Detail = secretstore.ErrThrottled, "a rate limit of the server is reached"
	case 472, 473:
		e.Kind, e.Detail = secretstore.ErrUnavailable, "the server is a standby"
	case http.StatusServiceUnavailable:
		e.Kind, e.Detail = secretstore.ErrUnavailable, "the server is sealed, or a standby"
	default:
		e.Kind, e.Detail = secretstore.ErrUnavailable, "the server has an error of its own"
	}
	return e
}

// says reports whether one of the answer's errors or warnings has the text. It is our
// only use of the server's words, which go no further.
func (a *answer) says(text string) bool {
	for _, list := range [][]string{a.Errors, a.Warnings} {
		for _, line := range list {
			if strings.Contains(line, text) {
				return true
			}
		}
	}
	return false
}

// unavailable is the error of an answer that is Vault's, and none that we expect.
func (a *answer) unavailable(detail string) error {
	return &secretstore.Error{Kind: secretstore.ErrUnavailable, Status: a.status, RequestID: a.RequestID, Detail: detail}
}
