package vault

import (
	"bytes"
	"context"
	"net/http"

	"github.com/mlsecrets/secretstore"
)

// open logs in and looks at the mount. Without that look a wrong mount and a KV
// engine of version 1 would be found empty: the server's answer for both is that of a
// secret that is not there.
func (c *client) open(ctx context.Context, mount string) error {
	if err := c.session.start(ctx); err != nil {
		return err
	}
	a, err := c.call(ctx, request{method: http.MethodGet, path: "sys/internal/ui/mounts/" + mount})
	if err != nil {
		return err
	}
	switch a.status {
	case http.StatusOK:
	case http.StatusForbidden:
		// The server says the same for a mount that is not there. With rights to
		// everything, reading below it tells.
		below, err := c.call(ctx, request{method: http.MethodGet, path: mount + "/config"})
		if err == nil && below.status == http.StatusNotFound && bytes.Contains(below.body, []byte("no handler for route")) {
			return badConfig("no engine is mounted at the path that the store names")
		}
		return &secretstore.Error{Kind: secretstore.ErrDenied, Status: a.status, RequestID: a.requestID(),
			Detail: "no engine is mounted there, or the token has no rights to anything below it"}
	case http.StatusBadRequest, http.StatusNotFound:
		return badConfig("no engine is mounted at the path that the store names")
	default:
		return failure(a)
	}
	var m struct {
		Data struct {
			Path    string            `json:"path"`
			Type    string            `json:"type"`
			Options map[string]string `json:"options"`
		} `json:"data"`
	}
	if err := parse(a, &m); err != nil {
		return err
	}
	switch {
	case m.Data.Type == "":
		return unavailable(a, "the server doesn't say what is mounted there")
	case m.Data.Path != mount+"/":
		return badConfig("an engine is mounted above or below the path that the store names; ?mount= says where the mount ends")
	case m.Data.Type != "kv" && m.Data.Type != "generic":
		return badConfig("the engine that is mounted there is no KV engine")
	case m.Data.Options["version"] != "2":
		return badConfig("the KV engine that is mounted there is of version 1; version 2 is needed")
	}
	return nil
}
