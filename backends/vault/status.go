package vault

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"strings"
	"syscall"

	"github.com/mlsecrets/secretstore"
)

// parse reads an answer as Vault's JSON.
func parse(a *answer, into any) error {
	if err := json.Unmarshal(a.body, into); err != nil {
		return unavailable(a, "the answer is not the JSON of a Vault; a proxy or a login page may stand before it")
	}
	return nil
}

// failure maps an answer that is no success to the closed set. The text of the server
// is looked at, and never passed on: it may repeat values.
func failure(a *answer) *secretstore.Error {
	said := func(text string) bool { return bytes.Contains(a.body, []byte(text)) }
	e := unavailable(a, "")
	switch a.status {
	case http.StatusBadRequest:
		e.Kind = secretstore.ErrConflict
		switch {
		case said("HTTP request to an HTTPS server"):
			e.Kind, e.Detail = secretstore.ErrUnavailable, "the server speaks HTTPS, and its address says http://"
		default:
			e.Detail = "the server found the request malformed"
		}
	case http.StatusUnauthorized, http.StatusForbidden:
		e.Kind = secretstore.ErrDenied
		e.Detail = "the token's policies don't allow it; the package's documentation has the policies that are needed"
		if saysInvalidToken(a) {
			e.Detail = "the token has expired or was revoked"
		}
	case http.StatusNotFound:
		e.Detail = "the server knows no such path; is it a Vault, and is the KV engine still mounted there?"
	case http.StatusMethodNotAllowed, http.StatusUnsupportedMediaType:
		e.Kind, e.Detail = errors.ErrUnsupported, "the server doesn't know this kind of request; the layout map needs Vault 1.9 or later"
	case http.StatusPreconditionFailed:
		e.Detail = "the server has not caught up with an earlier write yet"
	case http.StatusRequestEntityTooLarge:
		e.Kind, e.Detail = secretstore.ErrTooLarge, "the request is larger than the server takes"
	case http.StatusTooManyRequests:
		e.Kind, e.Detail = secretstore.ErrThrottled, "the server's rate limit is reached"
	case 472, 473:
		e.Detail = "the server is a standby that answers no requests"
	case http.StatusInternalServerError:
		if said("too large") || said("exceeds allowed") {
			e.Kind, e.Detail = secretstore.ErrTooLarge, "the Vault secret would be larger than the server's storage takes"
		} else {
			e.Detail = "the server failed"
		}
	case http.StatusServiceUnavailable:
		if said("Vault is sealed") {
			e.Detail = "the server is sealed"
		} else {
			e.Detail = "the server is not ready"
		}
	case http.StatusBadGateway, http.StatusGatewayTimeout:
		e.Detail = "a proxy has no answer of the server"
	default:
		e.Detail = "the answer is not one of a Vault"
	}
	return e
}

// unavailable is an error about an answer that is not what it should be.
func unavailable(a *answer, detail string) *secretstore.Error {
	return &secretstore.Error{Kind: secretstore.ErrUnavailable, Detail: detail, Status: a.status, RequestID: a.requestID()}
}

// noAnswer maps the error of an exchange that had no answer. It tells apart what the
// user can do something about.
func noAnswer(err error) *secretstore.Error {
	e := &secretstore.Error{Kind: secretstore.ErrUnavailable, Detail: "the server gave no answer"}
	var unknown x509.UnknownAuthorityError
	var invalid x509.CertificateInvalidError
	var host x509.HostnameError
	var dns *net.DNSError
	var record tls.RecordHeaderError
	switch {
	case err == nil:
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		e.Detail = "the server's certificate has expired or is not valid yet"
	case errors.As(err, &unknown):
		e.Detail = "the server's certificate is of an unknown authority; VAULT_CACERT names the file of one to trust"
	case errors.As(err, &host):
		e.Detail = "the server's certificate is for another host"
	case errors.As(err, &invalid):
		e.Detail = "the server's certificate is not valid"
	case errors.As(err, &record), strings.Contains(err.Error(), "server gave HTTP response to HTTPS client"):
		e.Detail = "the server doesn't speak HTTPS, and its address says https://"
	case errors.As(err, &dns):
		e.Detail = "the name of the server's host can't be resolved"
	case errors.Is(err, syscall.ECONNREFUSED):
		e.Detail = "nothing listens at the server's address"
	}
	return e
}
