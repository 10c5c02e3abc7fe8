package azurekvtest

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// pageSize is the most that a page of the service holds.
const pageSize = 25

// live returns the secret if it can be read, or nil.
func (v *Vault) live(name string) *secret {
	if s := v.find(name); s != nil && s.state == stateLive {
		return s
	}
	return nil
}

func (v *Vault) get(name, id string) answer {
	s := v.live(name)
	if s == nil {
		return notFound(name)
	}
	ver := s.version(id)
	if ver == nil {
		return notFound(name + "/" + id)
	}
	if !ver.enabled {
		return fail(http.StatusForbidden, "Forbidden", "SecretDisabled", "Operation get is not allowed on a disabled secret.")
	}
	b := v.bundle(s, ver)
	b.Value = &ver.value
	return answer{status: http.StatusOK, body: b}
}

// version returns the version of that id, the latest if it is empty, or nil.
func (s *secret) version(id string) *version {
	if id == "" {
		return s.latest()
	}
	for _, ver := range s.versions {
		if ver.id == strings.ToLower(id) {
			return ver
		}
	}
	return nil
}

// busy returns the conflict of a name that is not settled, or that is deleted.
func busy(s *secret, name string) (answer, bool) {
	switch s.state {
	case stateDeleting, statePurging:
		return fail(http.StatusConflict, "Conflict", "ObjectIsBeingDeleted",
			"Secret %s is currently being deleted and cannot be re-created; retry later.", name), true
	case stateRecovering:
		return fail(http.StatusConflict, "Conflict", "ObjectIsBeingRecovered",
			"Secret %s is currently being recovered and cannot be re-created; retry later.", name), true
	case stateDeleted:
		return fail(http.StatusConflict, "Conflict", "ObjectIsDeletedButRecoverable",
			"Secret %s is currently in a deleted but recoverable state, and its name cannot be reused; "+
				"in this state, the secret can only be recovered or purged.", name), true
	}
	return answer{}, false
}

func managed(op Operation) answer {
	return fail(http.StatusForbidden, "Forbidden", "SecretManagedByKeyVault",
		"Operation \"%s\" is not allowed as this object's lifetime is managed by Key Vault.", op)
}

func (v *Vault) set(name string, body []byte) answer {
	var req setRequest
	if err := json.Unmarshal(body, &req); err != nil || req.Value == nil {
		return fail(http.StatusBadRequest, "BadParameter", "", "Property value is required.")
	}
	if len(*req.Value) > maxValue {
		return fail(http.StatusBadRequest, "BadParameter", "",
			"Secret is beyond the maximum permitted length of %d characters.", maxValue)
	}
	if len(req.ContentType) > 255 || len(req.Tags) > 15 {
		return fail(http.StatusBadRequest, "BadParameter", "", "Property has invalid value")
	}
	if s := v.find(name); s != nil {
		if a, ok := busy(s, name); ok {
			return a
		}
		if s.latest().managed {
			return managed(Set)
		}
	}
	s := v.addVersion(name, req, false)
	b := v.bundle(s, s.latest())
	b.Value = req.Value
	return answer{status: http.StatusOK, body: b}
}

func (v *Vault) patch(name, id string, body []byte) answer {
	var req setRequest
	if err := json.Unmarshal(body, &req); err != nil {
		return fail(http.StatusBadRequest, "BadParameter", "", "Property has invalid value")
	}
	s := v.live(name)
	if s == nil {
		return notFound(name)
	}
	ver := s.version(id)
	if ver == nil {
		return notFound(name + "/" + id)
	}
	if req.ContentType != "" {
		ver.contentType = req.ContentType
	}
	if req.Attributes.Enabled != nil {
		ver.enabled = *req.Attributes.Enabled
	}
	if req.Attributes.NotBefore != nil {
		ver.nbf = req.Attributes.NotBefore
	}
	if req.Attributes.Expires != nil {
		ver.exp = req.Attributes.Expires
	}
	if req.Tags != nil {
		ver.tags = req.Tags
	}
	ver.updated = v.opts.Now()
	return answer{status: http.StatusOK, body: v.bundle(s, ver)}
}

func (v *Vault) delete(name string) answer {
	s := v.find(name)
	switch {
	case s == nil || s.state == stateDeleting || s.state == stateDeleted || s.state == statePurging:
		return notFound(name)
	case s.state == stateRecovering:
		a, _ := busy(s, name)
		return a
	case s.latest().managed:
		return managed(Delete)
	}
	s.delete(v.opts.Now(), v.opts.Lag)
	return answer{status: http.StatusOK, body: v.bundle(s, s.latest())}
}

func (v *Vault) getDeleted(name string) answer {
	s := v.find(name)
	if s == nil || s.state != stateDeleted {
		return deletedNotFound(name)
	}
	return answer{status: http.StatusOK, body: v.bundle(s, s.latest())}
}

func (v *Vault) recover(name string) answer {
	s := v.find(name)
	if s == nil || s.state != stateDeleted {
		return deletedNotFound(name)
	}
	s.state, s.until = stateRecovering, v.opts.Now().Add(v.opts.Lag)
	return answer{status: http.StatusOK, body: v.bundle(s, s.latest())}
}

func (v *Vault) purge(name string) answer {
	s := v.find(name)
	if s == nil || s.state == stateLive || s.state == statePurging {
		return deletedNotFound(name)
	}
	if s.state != stateDeleted {
		a, _ := busy(s, name)
		return a
	}
	s.state, s.until = statePurging, v.opts.Now().Add(v.opts.Lag)
	return answer{status: http.StatusNoContent}
}

func (v *Vault) listVersions(name string) answer {
	p := page{Value: []bundle{}}
	if s := v.live(name); s != nil {
		for _, ver := range s.versions {
			p.Value = append(p.Value, v.bundle(s, ver))
		}
	}
	return answer{status: http.StatusOK, body: p}
}

// list returns one page. The mark in its next link is the number of empty pages
// sent since the last secret, and that secret's name.
func (v *Vault) list(r *http.Request, deleted bool) answer {
	query := r.URL.Query()
	size := pageSize
	if text := query.Get("maxresults"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 || n > pageSize {
			return fail(http.StatusBadRequest, "BadParameter", "", "Invalid maxresults: %s", text)
		}
		size = n
	}
	empty, after := 0, ""
	if mark := query.Get("$skiptoken"); mark != "" {
		b, err := base64.RawURLEncoding.DecodeString(mark)
		if n, _ := fmt.Sscanf(string(b), "%d %s", &empty, &after); err != nil || n < 1 {
			return fail(http.StatusBadRequest, "BadParameter", "", "Invalid $skiptoken")
		}
	}

	var keys []string
	for _, key := range slices.Sorted(maps.Keys(v.secrets)) {
		if s := v.find(key); s != nil && key > after &&
			(s.state == stateLive && !deleted || s.state == stateDeleted && deleted) {
			keys = append(keys, key)
		}
	}
	p := page{Value: []bundle{}}
	link := func(empty int, after string) *string {
		mark := base64.RawURLEncoding.EncodeToString(fmt.Appendf(nil, "%d %s", empty, after))
		next := url.URL{Scheme: "https", Host: v.opts.Host + ":443", Path: r.URL.Path}
		next.RawQuery = fmt.Sprintf("api-version=%s&$skiptoken=%s&maxresults=%d",
			url.QueryEscape(query.Get("api-version")), mark, size)
		s := next.String()
		return &s
	}
	switch {
	case empty < v.opts.EmptyPages:
		p.NextLink = link(empty+1, after)
	default:
		n := min(size, len(keys))
		for _, key := range keys[:n] {
			p.Value = append(p.Value, v.item(v.secrets[key]))
		}
		if n < len(keys) {
			p.NextLink = link(0, keys[n-1])
		}
	}
	return answer{status: http.StatusOK, body: p}
}
