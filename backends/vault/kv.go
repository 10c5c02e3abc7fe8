package vault

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"

	"github.com/mlsecrets/secretstore"
)

// secretAt is one version of a Vault secret.
type secretAt struct {
	fields  map[string]json.RawMessage // nil: there is none, or its latest version is deleted
	version int                        // 0: it was never written
}

// read reads the latest version of the Vault secret at the path below the mount.
func (d *driver) read(ctx context.Context, path string) (secretAt, error) {
	if err := d.mount.check(ctx, d.data(path)); err != nil {
		return secretAt{}, err
	}
	a, err := d.session.do(ctx, request{method: "GET", path: d.data(path)})
	if err != nil {
		return secretAt{}, err
	}
	if len(a.Data) == 0 || bytes.Equal(a.Data, []byte("null")) {
		switch {
		case a.status == http.StatusNotFound && a.hasErrors && len(a.Errors) == 0:
			return secretAt{}, nil
		case a.status == http.StatusNotFound:
			d.mount.known.Store(false) // perhaps it was unmounted
			return secretAt{}, a.unavailable("there is no KV version 2 secrets engine at the mount " + d.mount.path)
		}
		return secretAt{}, foreign()
	}
	var body struct {
		Data     map[string]json.RawMessage `json:"data"`
		Metadata *struct {
			Version int `json:"version"`
		} `json:"metadata"`
	}
	if json.Unmarshal(a.Data, &body) != nil || body.Metadata == nil {
		return secretAt{}, foreign()
	}
	if a.status != http.StatusOK {
		body.Data = nil // deleted or destroyed: there is metadata alone
	}
	return secretAt{body.Data, body.Metadata.Version}, nil
}

// write writes a Vault secret at the path below the mount. It reports false if it was
// written by somebody else since the version.
func (d *driver) write(ctx context.Context, method, path string, fields map[string]any, version *int) (bool, error) {
	if err := d.mount.check(ctx, d.data(path)); err != nil {
		return false, err
	}
	body := map[string]any{"data": fields}
	if version != nil {
		body["options"] = map[string]int{"cas": *version}
	}
	text, err := encode(body)
	if err != nil {
		return false, err
	}
	a, err := d.session.do(ctx, request{method: method, path: d.data(path), body: text})
	if err != nil {
		return false, err
	}
	var written struct {
		Version int `json:"version"`
	}
	switch {
	case a.status == http.StatusOK && json.Unmarshal(a.Data, &written) == nil && written.Version > 0:
		return true, nil
	case a.status == http.StatusBadRequest && a.says("did not match the current version"):
		return false, nil
	case a.status == http.StatusBadRequest && a.says("check-and-set parameter required"):
		return false, &secretstore.Error{Kind: secretstore.ErrConflict, Status: a.status, RequestID: a.RequestID, Detail: detailCAS}
	case a.status == http.StatusNotFound && method == "PATCH" && a.hasErrors && len(a.Errors) == 0:
		return false, nil // there is nothing to patch any more
	case a.status == http.StatusNotFound && (a.hasErrors || len(a.Data) > 0):
		if method == "PATCH" && !a.says("no handler for route") {
			return false, nil // its latest version is deleted
		}
		return false, a.unavailable("there is no KV version 2 secrets engine at the mount " + d.mount.path)
	case a.status == http.StatusOK, a.status == http.StatusNoContent:
		return false, foreign() // nobody has said that it is written
	}
	return false, a.unavailable("the server did not accept the request")
}

const detailCAS = "the secret takes check-and-set writes alone"

// encode is json.Marshal without escapes for HTML, which would make values longer.
func encode(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return nil, &secretstore.Error{Kind: secretstore.ErrUnavailable, Detail: "the request can't be encoded"}
	}
	return b.Bytes(), nil
}

// value returns the value in a field. mark is the field that marks it as base64.
func (s secretAt) value(field, mark string) (secretstore.Value, error) {
	raw, ok := s.fields[field]
	if !ok || string(raw) == "null" {
		return secretstore.Value{}, &secretstore.Error{Kind: secretstore.ErrNotFound}
	}
	var text, encoding string
	if json.Unmarshal(raw, &text) != nil {
		return secretstore.Value{}, &secretstore.Error{Kind: secretstore.ErrCorrupt, Detail: "the field " + field + " is not a string"}
	}
	if m, ok := s.fields[mark]; ok && json.Unmarshal(m, &encoding) != nil {
		encoding = ""
	}
	return secretstore.DecodeText(text, encoding == markBase64)
}

// markBase64 is the text of the field that marks a value as base64.
const markBase64 = "base64"
