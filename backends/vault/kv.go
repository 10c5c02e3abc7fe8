package vault

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"net/http"

	"github.com/mlsecrets/secretstore"
)

// version is the latest version of a Vault secret.
type version struct {
	number int // 0: there never was one
	// fields is nil if there is no secret, or its latest version was deleted.
	fields    map[string]json.RawMessage
	status    int
	requestID string
}

// read reads the latest version of a Vault secret.
func (c *client) read(ctx context.Context, path string) (*version, error) {
	a, err := c.call(ctx, request{method: http.MethodGet, path: path})
	if err != nil {
		return nil, err
	}
	if a.status == http.StatusNotFound {
		return absent(a)
	}
	v, err := parseVersion(a)
	if err != nil {
		return nil, err
	}
	if v.fields == nil {
		v.fields = map[string]json.RawMessage{} // somebody wrote "data": null
	}
	return v, nil
}

// parseVersion reads a version out of a success, or of the 404 of a deleted version.
func parseVersion(a *answer) (*version, error) {
	if a.status != http.StatusOK && a.status != http.StatusNotFound {
		return nil, failure(a)
	}
	var body struct {
		RequestID string `json:"request_id"`
		Data      struct {
			Data     map[string]json.RawMessage `json:"data"`
			Metadata struct {
				Version int `json:"version"`
			} `json:"metadata"`
		} `json:"data"`
	}
	if err := parse(a, &body); err != nil {
		return nil, err
	}
	if body.Data.Metadata.Version == 0 {
		return nil, unavailable(a, notVersion2)
	}
	return &version{number: body.Data.Metadata.Version, fields: body.Data.Data, status: a.status,
		requestID: cmp.Or(a.headerID(), cleanID(body.RequestID))}, nil
}

const notVersion2 = "the answer is not one of a KV engine of version 2; was another engine mounted there?"

// absent tells, of an answer 404, a secret that is not there from a path that the
// server doesn't know. Vault says {"errors":[]} of what was never written, and shows
// the metadata of a version that was deleted.
func absent(a *answer) (*version, error) {
	var r struct {
		Data     json.RawMessage `json:"data"`
		Errors   []string        `json:"errors"`
		Warnings []string        `json:"warnings"`
	}
	if err := parse(a, &r); err != nil {
		return nil, err
	}
	if len(r.Data) > 0 && !bytes.Equal(r.Data, []byte("null")) {
		v, err := parseVersion(a)
		if err != nil {
			return nil, err
		}
		v.fields = nil
		return v, nil
	}
	if r.Errors == nil || len(r.Errors) > 0 || len(r.Warnings) > 0 {
		return nil, failure(a)
	}
	return &version{status: a.status, requestID: a.headerID()}, nil
}

// write sends a new version and checks that there is one. A KV engine of version 1
// takes the same request for something else.
func (c *client) write(ctx context.Context, method, path string, body any) (*answer, error) {
	a, err := c.call(ctx, request{method: method, path: path, body: body})
	if err != nil || a.status == http.StatusNotFound || a.status == http.StatusBadRequest {
		return a, err
	}
	if a.status == http.StatusNoContent {
		return nil, &lostAnswer{unavailable(a, notVersion2)}
	}
	if a.status != http.StatusOK {
		return a, nil
	}
	var r struct {
		Data struct {
			Version int `json:"version"`
		} `json:"data"`
	}
	if json.Unmarshal(a.body, &r) != nil || r.Data.Version == 0 {
		return nil, &lostAnswer{unavailable(a, notVersion2)}
	}
	return a, nil
}

// markOf returns the field that says how another is encoded. It has a dot, so it is
// no name of a secret.
func markOf(field string) string { return field + ".encoding" }

const base64Mark = "base64"

// put adds a value to the fields of a Vault secret; in a patch, a mark that doesn't
// belong there any more has to go.
func put(fields map[string]any, field string, value secretstore.Value, patch bool) {
	text, binary := secretstore.EncodeText(value)
	fields[field] = text
	if binary {
		fields[markOf(field)] = base64Mark
	} else if patch {
		fields[markOf(field)] = nil
	}
}

// take returns the value in a field.
func (v *version) take(field string) (secretstore.Value, error) {
	fail := func(kind error, detail string) (secretstore.Value, error) {
		return secretstore.Value{}, &secretstore.Error{Kind: kind, Detail: detail, Status: v.status, RequestID: v.requestID}
	}
	if v.fields == nil {
		return fail(secretstore.ErrNotFound, "")
	}
	raw, ok := v.fields[field]
	if !ok || bytes.Equal(raw, []byte("null")) {
		return fail(secretstore.ErrNotFound, fmt.Sprintf("the Vault secret has no field %q", field))
	}
	var text string
	if json.Unmarshal(raw, &text) != nil {
		return fail(secretstore.ErrConflict, fmt.Sprintf("the field %q holds no string; write it as one", field))
	}
	var mark string
	if raw, ok := v.fields[markOf(field)]; ok && (json.Unmarshal(raw, &mark) != nil || mark != "" && mark != base64Mark) {
		return fail(secretstore.ErrCorrupt, fmt.Sprintf("the field %q says an encoding that is not known", markOf(field)))
	}
	return secretstore.DecodeText(text, mark == base64Mark)
}
