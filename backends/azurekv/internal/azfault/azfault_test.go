package azfault_test

import (
	"errors"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/mlsecrets/secretstore"
	"github.com/mlsecrets/secretstore/backends/azurekv/internal/azfault"
)

func refusal(body string, header ...string) *azfault.Refusal {
	resp := &http.Response{StatusCode: 403, Header: make(http.Header)}
	for i := 0; i < len(header); i += 2 {
		resp.Header.Set(header[i], header[i+1])
	}
	return azfault.NewRefusal(resp, []byte(body), time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC))
}

func TestNewRefusal(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		body              string
		code, inner, mark string
	}{
		{`{"error":{"code":"Forbidden","message":"no","innererror":{"code":"SecretDisabled"}}}`, "Forbidden", "SecretDisabled", ""},
		{`{"error":{"code":"Unauthorized","message":"AKV10032: Invalid issuer."}}`, "Unauthorized", "", "AKV10032"},
		{`{"error":{"code":"Unauthorized","message":"[TokenExpired] Error"}}`, "Unauthorized", "", "TokenExpired"},
		{`{"error":{"code":"X","message":"[not a mark] Error"}}`, "X", "", ""},
		{`{"error":"invalid_client"}`, "", "", ""},
		{`{"code":"Forbidden"}`, "", "", ""},
		{`[]`, "", "", ""},
		{``, "", "", ""},
		{`<html>`, "", "", ""},
	} {
		r := refusal(test.body)
		if r.Code != test.code || r.Inner != test.inner || r.Mark != test.mark {
			t.Errorf("%s: %q, %q, %q", test.body, r.Code, r.Inner, r.Mark)
		}
		if r.Foreign() != (test.code == "") {
			t.Errorf("%s: foreign is %v", test.body, r.Foreign())
		}
	}
}

func TestRetryAfter(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, value string
		want        time.Duration
	}{
		{"Retry-After", "7", 7 * time.Second},
		{"Retry-After", "Fri, 02 Jan 2026 03:04:15 GMT", 10 * time.Second},
		{"Retry-After", "Fri, 02 Jan 2026 03:04:00 GMT", 0},
		{"Retry-After", "-1", 0},
		{"Retry-After", "soon", 0},
		{"Retry-After", "99999999999999999999", 0},
		{"Retry-After-Ms", "1500", 1500 * time.Millisecond},
		{"X-Ms-Retry-After-Ms", "20", 20 * time.Millisecond},
	} {
		if got := refusal("", test.name, test.value).RetryAfter; got != test.want {
			t.Errorf("%s: %s is %v, want %v", test.name, test.value, got, test.want)
		}
	}
}

func TestRequestID(t *testing.T) {
	t.Parallel()
	const id = "0a1b2c3d-1111-4222-8333-444455556666"
	if got := refusal("", "X-Ms-Request-Id", id).RequestID; got != id {
		t.Errorf("got %q", got)
	}
	for _, bad := range []string{"", "hunter2", id + "x", id + "\n"} {
		if got := refusal("", "X-Ms-Request-Id", bad).RequestID; got != "" {
			t.Errorf("%q was taken for a request id", bad)
		}
	}
}

func TestTransport(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		err    error
		final  bool
		detail string
	}{
		{&net.DNSError{Err: "hunter2", IsNotFound: true}, true, "no such host"},
		{&net.DNSError{Err: "hunter2", IsTimeout: true}, false, "could not be resolved"},
		{&net.OpError{Op: "dial", Err: errors.New("hunter2")}, false, "no connection"},
		{&net.OpError{Op: "read", Err: errors.New("hunter2")}, false, "broke"},
		{errors.New("hunter2"), false, "broke"},
	} {
		got, final := azfault.Transport(test.err)
		if got.Kind != secretstore.ErrUnavailable || final != test.final || !strings.Contains(got.Detail, test.detail) {
			t.Errorf("%T: %v, %v", test.err, got, final)
		}
		if strings.Contains(got.Error(), "hunter2") {
			t.Errorf("%T: the text is passed on", test.err)
		}
	}
}

// Whatever a server says, the error of it shows nothing of that.
func FuzzRefusal(f *testing.F) {
	f.Add(`{"error":{"code":"Forbidden","message":"[Expired] no","innererror":{"code":"SecretDisabled"}}}`, "0a1b2c3d-1111-4222-8333-444455556666", "7")
	f.Add("canary", "canary", "canary")
	f.Fuzz(func(t *testing.T, body, id, after string) {
		resp := &http.Response{StatusCode: 400, Header: http.Header{"X-Ms-Request-Id": {id}, "Retry-After": {after}}}
		r := azfault.NewRefusal(resp, []byte(body), time.Now())
		if got := r.Error(); got != "azure: status 400" {
			t.Errorf("the error is %q", got)
		}
		if r.RequestID != "" && !azfault.IsRequestID(id) {
			t.Errorf("%q is shown as a request id", r.RequestID)
		}
		if r.RetryAfter < 0 {
			t.Errorf("a negative wait of %v", r.RetryAfter)
		}
	})
}
