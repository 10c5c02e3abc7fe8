package vault

import (
	"bytes"
	"context"
	"math/rand/v2"
	"net/http"
	"time"

	"github.com/mlsecrets/secretstore"
)

// casTries is how often a write with check-and-set is made again because another
// writer was first. Each time one of them has got on, so this is for a server that
// says so without end.
const casTries = 200

var errBeaten = &secretstore.Error{Kind: secretstore.ErrConflict, Detail: "other writers were faster each time"}

// Only their text tells these answers from others of status 400.
func casMismatch(a *answer) bool {
	return a.status == http.StatusBadRequest && bytes.Contains(a.body, []byte("check-and-set parameter did not match"))
}

func casRequired(a *answer) bool {
	return a.status == http.StatusBadRequest && bytes.Contains(a.body, []byte("check-and-set parameter required"))
}

// writeIf writes a version if the latest has the number. A deleted version has one
// too; 0 is for a secret that never was.
func (c *client) writeIf(ctx context.Context, path string, fields map[string]any, number int) (*answer, error) {
	return c.write(ctx, http.MethodPost, path, map[string]any{"data": fields, "options": map[string]any{"cas": number}})
}

// pauseForOthers lets other writers get on.
func pauseForOthers(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return &secretstore.Error{Kind: ctx.Err()}
	case <-time.After(rand.N(5 * time.Millisecond)):
		return nil
	}
}
