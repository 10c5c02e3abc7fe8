package azurekv

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/mlsecrets/secretstore"
	"github.com/mlsecrets/secretstore/backends/azurekv/internal/azfault"
)

// The states of a name in which it can't be set, as the service calls them.
const (
	innerDeleting   = "ObjectIsBeingDeleted"
	innerRecovering = "ObjectIsBeingRecovered"
	innerDeleted    = "ObjectIsDeletedButRecoverable"
)

// How often a name in between two states is asked after. The service takes about
// 10 s, emulators no time.
const (
	firstPoll = 50 * time.Millisecond
	lastPoll  = 2 * time.Second
)

// Set sets the secret, if need be after recovering it. The service gives no signal
// of when a deletion or a recovery is complete but that the set succeeds: reading
// the secret works earlier.
func (d *driver) Set(ctx context.Context, name string, value secretstore.Value) error {
	start, wait := time.Now(), firstPoll
	for {
		err := d.put(ctx, name, value)
		r, ok := errors.AsType[*azfault.Refusal](err)
		if err == nil || !ok || r.Status != http.StatusConflict {
			return explainOrNil(err)
		}
		switch r.Inner {
		case innerDeleting, innerRecovering:
		case innerDeleted:
			if err := d.recover(ctx, name); err != nil {
				return err
			}
			wait = firstPoll
		default:
			return refused(r)
		}
		if stop := d.pause(ctx, start, &wait); stop != nil {
			out := refused(r)
			if r.Inner == innerDeleted {
				out.Detail = conflict(innerRecovering)
			}
			out.Context = ctx.Err()
			return out
		}
	}
}

// Delete deletes the secret so that it can be recovered, as the service does.
func (d *driver) Delete(ctx context.Context, name string) error {
	start, wait := time.Now(), firstPoll
	for {
		resp, err := d.client.DeleteSecret(ctx, name, nil)
		if err == nil && resp.ID == nil {
			return foreign() // nobody has said that it is deleted
		}
		r, ok := errors.AsType[*azfault.Refusal](err)
		if !ok {
			return explainOrNil(err)
		}
		switch {
		case refused(r).Kind == secretstore.ErrNotFound, r.Inner == innerDeleting, r.Inner == innerDeleted:
			return nil
		case r.Inner != innerRecovering:
			return refused(r)
		}
		if stop := d.pause(ctx, start, &wait); stop != nil {
			out := refused(r)
			out.Context = ctx.Err()
			return out
		}
	}
}

// recover asks for the recovery of a soft-deleted name. Nil means that setting it
// is worth another try.
func (d *driver) recover(ctx context.Context, name string) error {
	_, err := d.client.RecoverDeletedSecret(ctx, name, nil)
	r, ok := errors.AsType[*azfault.Refusal](err)
	switch {
	case err == nil:
		return nil
	case !ok:
		return explain(err)
	case r.Status == http.StatusForbidden:
		return r.Kind(secretstore.ErrConflict, "the name is soft-deleted, and the identity may not recover it; "+
			"have it recovered (az keyvault secret recover) or purged, or get the right to recover secrets")
	case r.Status == http.StatusConflict, refused(r).Kind == secretstore.ErrNotFound:
		return nil // somebody else recovers or purges it
	}
	return refused(r)
}

// pause waits before the next look at a name, and returns an error when the
// context, or patience without one, has ended.
func (d *driver) pause(ctx context.Context, start time.Time, wait *time.Duration) error {
	if _, ok := ctx.Deadline(); !ok && time.Since(start) > patience {
		return context.DeadlineExceeded
	}
	err := sleep(ctx, *wait)
	*wait = min(2**wait, lastPoll)
	return err
}

func explainOrNil(err error) error {
	if err == nil {
		return nil
	}
	return explain(err)
}
