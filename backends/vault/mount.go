package vault

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"sync/atomic"

	"github.com/mlsecrets/secretstore"
)

// mount is a secrets engine. That it is KV version 2 is asked once: an engine of
// version 1, or none, answers reads as if the secret were missing, and takes writes.
type mount struct {
	path    string
	session *session
	known   atomic.Bool
}

// check returns an error if the mount is known to be no KV version 2. at is a path
// that the token may use: with it, its policies let it look at the mount.
func (m *mount) check(ctx context.Context, at string) error {
	if m.known.Load() {
		return nil
	}
	a, err := m.session.do(ctx, request{method: "GET", path: "sys/internal/ui/mounts/" + at})
	if errors.Is(err, secretstore.ErrDenied) {
		// Vault hides a mount from who has no right on it, and then says the
		// same of the secrets in it.
		m.known.Store(true)
		return nil
	}
	if err != nil {
		return err
	}
	if a.status == http.StatusNotFound || a.status == http.StatusBadRequest {
		return a.unavailable("there is no KV version 2 secrets engine at the mount " + m.path)
	}
	var info struct {
		Type    string            `json:"type"`
		Path    string            `json:"path"`
		Options map[string]string `json:"options"`
	}
	if json.Unmarshal(a.Data, &info) != nil || info.Type == "" {
		return foreign()
	}
	switch {
	case info.Type != "kv" && info.Type != "generic":
		return a.unavailable("the secrets engine at the mount " + m.path + " is not KV")
	case info.Options["version"] != "2":
		return a.unavailable("the secrets engine at the mount " + m.path + " is KV version 1; this store needs version 2 (vault kv enable-versioning)")
	case info.Path != "" && info.Path != m.path+"/":
		return a.unavailable("the mount is " + info.Path + ", and not " + m.path + "; name it with the parameter mount")
	}
	m.known.Store(true)
	return nil
}
