package azurekvtest

import (
	"crypto/rand"
	"encoding/hex"
	"strings"
	"time"
)

// maxValue is the service's limit, "25k bytes" in its documentation. It is counted
// in bytes here, the stricter reading.
const maxValue = 25600

// recoverableDays is the default retention of a vault.
const recoverableDays = 90

// state is where a name stands. Each of the three in between ends by itself.
type state int

const (
	stateLive state = iota
	stateDeleting
	stateDeleted
	stateRecovering
	statePurging
)

type secret struct {
	name     string // in the casing of the latest set
	versions []*version
	state    state
	until    time.Time // the end of a state in between
	deleted  time.Time
}

type version struct {
	id               string
	value            string
	contentType      string
	enabled          bool
	managed          bool
	nbf, exp         *int64
	created, updated time.Time
	tags             map[string]string
}

func (s *secret) latest() *version { return s.versions[len(s.versions)-1] }

func (s *secret) delete(now time.Time, lag time.Duration) {
	s.state, s.until, s.deleted = stateDeleting, now.Add(lag), now
}

// find returns the secret of that name after settling what time has settled, or
// nil.
func (v *Vault) find(name string) *secret {
	key := strings.ToLower(name)
	s := v.secrets[key]
	if s == nil || v.opts.Now().Before(s.until) {
		return s
	}
	switch s.state {
	case stateDeleting:
		s.state = stateDeleted
	case stateRecovering:
		s.state = stateLive
	case statePurging:
		delete(v.secrets, key)
		return nil
	}
	return s
}

// addVersion makes the name live with a new latest version.
func (v *Vault) addVersion(name string, req setRequest, managed bool) *secret {
	now := v.opts.Now()
	ver := &version{
		id: newID(), value: *req.Value, contentType: req.ContentType, enabled: true, managed: managed,
		nbf: req.Attributes.NotBefore, exp: req.Attributes.Expires, created: now, updated: now, tags: req.Tags,
	}
	if req.Attributes.Enabled != nil {
		ver.enabled = *req.Attributes.Enabled
	}
	key := strings.ToLower(name)
	s := v.secrets[key]
	if s == nil {
		s = &secret{}
		v.secrets[key] = s
	}
	s.name, s.state, s.until = name, stateLive, time.Time{}
	s.versions = append(s.versions, ver)
	return s
}

func newID() string {
	var b [16]byte
	rand.Read(b[:]) // never fails
	return hex.EncodeToString(b[:])
}

// The JSON of the service.

type setRequest struct {
	Value       *string           `json:"value"`
	ContentType string            `json:"contentType"`
	Tags        map[string]string `json:"tags"`
	Attributes  struct {
		Enabled   *bool  `json:"enabled"`
		NotBefore *int64 `json:"nbf"`
		Expires   *int64 `json:"exp"`
	} `json:"attributes"`
}

type attributes struct {
	Enabled         bool   `json:"enabled"`
	NotBefore       *int64 `json:"nbf,omitempty"`
	Expires         *int64 `json:"exp,omitempty"`
	Created         int64  `json:"created"`
	Updated         int64  `json:"updated"`
	RecoveryLevel   string `json:"recoveryLevel"`
	RecoverableDays int    `json:"recoverableDays"`
}

type bundle struct {
	RecoveryID         string            `json:"recoveryId,omitempty"`
	DeletedDate        int64             `json:"deletedDate,omitempty"`
	ScheduledPurgeDate int64             `json:"scheduledPurgeDate,omitempty"`
	Value              *string           `json:"value,omitempty"`
	ContentType        string            `json:"contentType,omitempty"`
	ID                 string            `json:"id"`
	Managed            bool              `json:"managed,omitempty"`
	Attributes         attributes        `json:"attributes"`
	Tags               map[string]string `json:"tags,omitempty"`
}

type page struct {
	Value    []bundle `json:"value"`
	NextLink *string  `json:"nextLink"`
}

// bundle returns a version as the service shows it, without its value.
func (v *Vault) bundle(s *secret, ver *version) bundle {
	b := bundle{
		ContentType: ver.contentType,
		ID:          v.URL() + "/secrets/" + s.name + "/" + ver.id,
		Managed:     ver.managed,
		Attributes: attributes{
			Enabled: ver.enabled, NotBefore: ver.nbf, Expires: ver.exp,
			Created: ver.created.Unix(), Updated: ver.updated.Unix(),
			RecoveryLevel: "Recoverable+Purgeable", RecoverableDays: recoverableDays,
		},
		Tags: ver.tags,
	}
	if s.state == stateDeleting || s.state == stateDeleted {
		b.RecoveryID = v.URL() + "/deletedsecrets/" + s.name
		b.DeletedDate = s.deleted.Unix()
		b.ScheduledPurgeDate = s.deleted.AddDate(0, 0, recoverableDays).Unix()
	}
	return b
}

// item returns a secret as listings show it: under an id without a version.
func (v *Vault) item(s *secret) bundle {
	b := v.bundle(s, s.latest())
	b.ID = v.URL() + "/secrets/" + s.name
	return b
}
