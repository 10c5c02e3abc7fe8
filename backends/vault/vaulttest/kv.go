package vaulttest

import (
	"bytes"
	"encoding/json"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// maxVersions is how many versions Vault keeps if it isn't told otherwise.
const maxVersions = 10

// secret is a secret with its versions.
type secret struct {
	versions    []*version // the last is the latest
	casRequired bool
}

type version struct {
	number    int
	data      map[string]any
	created   time.Time
	deleted   time.Time // zero: it is not
	destroyed bool
}

func (s *secret) latest() *version {
	if s == nil || len(s.versions) == 0 {
		return nil
	}
	return s.versions[len(s.versions)-1]
}

func (v *version) gone() bool { return v == nil || v.destroyed || !v.deleted.IsZero() }

func (v *version) metadata() map[string]any {
	deletion := ""
	if !v.deleted.IsZero() {
		deletion = v.deleted.UTC().Format(time.RFC3339Nano)
	}
	return map[string]any{"created_time": v.created.UTC().Format(time.RFC3339Nano), "custom_metadata": nil,
		"deletion_time": deletion, "destroyed": v.destroyed, "version": v.number}
}

func ok(data any) reply { return reply{status: http.StatusOK, data: data, mount: "kv"} }

// kv answers a request below the mount.
func (s *Server) kv(method, path, number string, body []byte) reply {
	kind, name, _ := strings.Cut(path, "/")
	if method != "LIST" && strings.HasSuffix(name, "/") && method == http.MethodPost {
		return fail(http.StatusBadRequest, "cannot write to a path ending in '/'")
	}
	if kind == "metadata" && method == "LIST" {
		return s.list(name)
	}
	if name == "" {
		return fail(http.StatusNotFound)
	}
	switch kind + " " + method {
	case "data GET":
		return s.get(name, number)
	case "data POST", "data PATCH":
		return s.put(method, name, body)
	case "data DELETE":
		if v := s.secrets[name].latest(); !v.gone() {
			v.deleted = time.Now()
		}
		return reply{status: http.StatusNoContent}
	case "destroy POST":
		s.each(name, body, func(v *version) { v.destroyed = true })
		return reply{status: http.StatusNoContent}
	case "undelete POST":
		s.each(name, body, func(v *version) { v.deleted = time.Time{} })
		return reply{status: http.StatusNoContent}
	case "metadata POST":
		var in struct {
			CASRequired bool `json:"cas_required"`
		}
		json.Unmarshal(body, &in)
		if s.secrets[name] == nil {
			s.secrets[name] = &secret{}
		}
		s.secrets[name].casRequired = in.CASRequired
		return reply{status: http.StatusNoContent}
	case "metadata DELETE":
		delete(s.secrets, name)
		return reply{status: http.StatusNoContent}
	}
	return fail(http.StatusMethodNotAllowed, "1 error occurred:\n\t* unsupported operation\n\n")
}

func (s *Server) get(name, number string) reply {
	v := s.secrets[name].latest()
	if n, err := strconv.Atoi(number); err == nil && n > 0 && v != nil {
		i := slices.IndexFunc(s.secrets[name].versions, func(v *version) bool { return v.number == n })
		if i < 0 {
			return fail(http.StatusNotFound)
		}
		v = s.secrets[name].versions[i]
	}
	if v == nil {
		return fail(http.StatusNotFound)
	}
	data := map[string]any{"data": nil, "metadata": v.metadata()}
	if v.gone() {
		return reply{status: http.StatusNotFound, data: data, mount: "kv"}
	}
	if v.data != nil {
		data["data"] = v.data
	}
	return ok(data)
}

// put writes a version, or merges one into the latest.
func (s *Server) put(method, name string, body []byte) reply {
	var in struct {
		Data    *map[string]any `json:"data"`
		Options struct {
			CAS *int `json:"cas"`
		} `json:"options"`
	}
	var keys map[string]json.RawMessage
	if err := json.Unmarshal(body, &keys); err != nil {
		return fail(http.StatusInternalServerError, "malformed JSON, unclosed containers")
	}
	if _, ok := keys["data"]; !ok {
		return fail(http.StatusBadRequest, "no data provided")
	}
	if err := json.Unmarshal(body, &in); err != nil {
		return fail(http.StatusBadRequest, "error converting input for field \"data\"")
	}
	if in.Data == nil {
		in.Data = &map[string]any{}
		if bytes.Equal(keys["data"], []byte("null")) {
			*in.Data = nil
		}
	}
	old := s.secrets[name]
	latest := old.latest()
	if method == http.MethodPatch && old == nil {
		return reply{status: http.StatusNotFound}
	}
	last := 0
	if latest != nil {
		last = latest.number
	}
	if old != nil && old.casRequired && in.Options.CAS == nil {
		return fail(http.StatusBadRequest, "check-and-set parameter required for this call")
	}
	if in.Options.CAS != nil && *in.Options.CAS != last {
		return fail(http.StatusBadRequest, "check-and-set parameter did not match the current version")
	}
	data := *in.Data
	if method == http.MethodPatch {
		if latest == nil {
			return reply{status: http.StatusNotFound}
		}
		if latest.gone() {
			return reply{status: http.StatusNotFound, data: latest.metadata()}
		}
		data = merge(latest.data, data)
	}
	if old == nil {
		old = &secret{}
		s.secrets[name] = old
	}
	v := &version{number: last + 1, data: data, created: time.Now()}
	old.versions = append(old.versions, v)
	if n := len(old.versions); n > maxVersions {
		old.versions = old.versions[n-maxVersions:]
	}
	return ok(v.metadata())
}

// merge applies a merge patch (RFC 7396).
func merge(old, patch map[string]any) map[string]any {
	out := maps.Clone(old)
	if out == nil {
		out = map[string]any{}
	}
	for name, v := range patch {
		if v == nil {
			delete(out, name)
			continue
		}
		if inner, ok := v.(map[string]any); ok {
			below, _ := out[name].(map[string]any)
			v = merge(below, inner)
		}
		out[name] = v
	}
	return out
}

// each does something to the versions that a body names.
func (s *Server) each(name string, body []byte, do func(*version)) {
	var in struct {
		Versions []int `json:"versions"`
	}
	json.Unmarshal(body, &in)
	if s.secrets[name] == nil {
		return
	}
	for _, v := range s.secrets[name].versions {
		if slices.Contains(in.Versions, v.number) {
			do(v)
		}
	}
}

// list returns the names below a path, with folders, as Vault sorts them.
func (s *Server) list(path string) reply {
	path = strings.TrimSuffix(path, "/")
	if path != "" {
		path += "/"
	}
	found := map[string]bool{}
	for name := range s.secrets {
		if below, ok := strings.CutPrefix(name, path); ok {
			if folder, _, deeper := strings.Cut(below, "/"); deeper {
				below = folder + "/"
			}
			found[below] = true
		}
	}
	if len(found) == 0 {
		return fail(http.StatusNotFound)
	}
	return ok(map[string]any{"keys": slices.Sorted(maps.Keys(found))})
}
