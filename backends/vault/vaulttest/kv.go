package vaulttest

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"time"
)

// secret is a Vault secret: its versions, from 1 on.
type secret struct {
	versions    []version
	casRequired bool
}

type version struct {
	data      map[string]any
	created   time.Time
	deleted   time.Time // zero: not deleted
	destroyed bool
}

func (v version) metadata(n int) m {
	deletion := ""
	if !v.deleted.IsZero() {
		deletion = v.deleted.UTC().Format(time.RFC3339Nano)
	}
	return m{"version": n, "created_time": v.created.UTC().Format(time.RFC3339Nano), "deletion_time": deletion,
		"destroyed": v.destroyed, "custom_metadata": nil}
}

func (v version) gone() bool { return v.destroyed || !v.deleted.IsZero() }

// maxVersions is how many versions Vault keeps.
const maxVersions = 10

func (s *Server) kv(w http.ResponseWriter, r *http.Request, path string, text []byte) {
	kind, path, _ := strings.Cut(path, "/")
	s.mu.Lock()
	defer s.mu.Unlock()
	list := r.URL.Query().Get("list") == "true" || r.Method == "LIST"
	switch {
	case kind == "metadata" && list && r.Method != http.MethodDelete:
		s.list(w, path)
	case path == "":
		reply(w, 404, m{"data": nil, "errors": nil, "warnings": []string{"Invalid path for a versioned K/V secrets engine."}})
	case kind == "data":
		s.data(w, r, path, text)
	case kind == "metadata":
		s.metadata(w, r, path, text)
	case kind == "destroy" && (r.Method == http.MethodPost || r.Method == http.MethodPut):
		var in struct{ Versions []int }
		json.Unmarshal(text, &in)
		if sec := s.secrets[path]; sec != nil {
			for _, n := range in.Versions {
				if n >= 1 && n <= len(sec.versions) {
					sec.versions[n-1].destroyed, sec.versions[n-1].data = true, nil
				}
			}
		}
		reply(w, 204, nil)
	default:
		fail(w, 405, "1 error occurred:\n\t* unsupported operation\n\n")
	}
}

func (s *Server) data(w http.ResponseWriter, r *http.Request, path string, text []byte) {
	sec := s.secrets[path]
	switch r.Method {
	case http.MethodGet:
		if sec == nil || len(sec.versions) == 0 {
			fail(w, 404)
			return
		}
		n := len(sec.versions)
		v := sec.versions[n-1]
		body := m{"data": v.data, "metadata": v.metadata(n)}
		if v.gone() {
			body["data"] = nil
			reply(w, 404, m{"request_id": "0", "data": body, "warnings": nil})
			return
		}
		ok(w, body)
	case http.MethodPost, http.MethodPut, http.MethodPatch:
		s.write(w, r, path, text)
	case http.MethodDelete:
		if sec != nil && len(sec.versions) > 0 && !sec.versions[len(sec.versions)-1].gone() {
			sec.versions[len(sec.versions)-1].deleted = time.Now()
		}
		reply(w, 204, nil)
	default:
		fail(w, 405, "1 error occurred:\n\t* unsupported operation\n\n")
	}
}

func (s *Server) write(w http.ResponseWriter, r *http.Request, path string, text []byte) {
	sec := s.secrets[path]
	patch := r.Method == http.MethodPatch
	var in struct {
		Data    *map[string]any
		Options struct{ CAS *int }
	}
	if patch && r.Header.Get("Content-Type") != "application/merge-patch+json" {
		fail(w, 415, "PATCH requires Content-Type of application/merge-patch+json, provided "+r.Header.Get("Content-Type"))
		return
	}
	if err := json.Unmarshal(text, &in); err != nil {
		fail(w, 500, "error parsing JSON")
		return
	}
	if in.Data == nil {
		fail(w, 400, "no data provided")
		return
	}
	now := 0
	if sec != nil {
		now = len(sec.versions)
	}
	if patch && (now == 0 || sec.versions[now-1].gone()) {
		var data any // nothing to patch
		if now > 0 {
			data = sec.versions[now-1].metadata(now)
		}
		reply(w, 404, m{"request_id": "0", "data": data})
		return
	}
	switch {
	case in.Options.CAS == nil && sec != nil && sec.casRequired:
		fail(w, 400, "check-and-set parameter required for this call")
		return
	case in.Options.CAS != nil && *in.Options.CAS != now:
		fail(w, 400, "check-and-set parameter did not match the current version")
		return
	}
	fields := *in.Data
	if patch {
		fields = merged(sec.versions[now-1].data, fields)
	}
	if sec == nil {
		sec = &secret{}
		s.secrets[path] = sec
	}
	sec.versions = append(sec.versions, version{data: fields, created: time.Now()})
	for i := range len(sec.versions) - maxVersions {
		sec.versions[i] = version{destroyed: true}
	}
	ok(w, sec.versions[now].metadata(now+1))
}

// merged is RFC 7396's merge of flat objects.
func merged(old, patch map[string]any) map[string]any {
	out := map[string]any{}
	for k, v := range old {
		out[k] = v
	}
	for k, v := range patch {
		if v == nil {
			delete(out, k)
		} else {
			out[k] = v
		}
	}
	return out
}

func (s *Server) metadata(w http.ResponseWriter, r *http.Request, path string, text []byte) {
	switch r.Method {
	case http.MethodDelete:
		delete(s.secrets, path)
		reply(w, 204, nil)
	case http.MethodPost, http.MethodPut:
		var in struct {
			CASRequired bool `json:"cas_required"`
		}
		json.Unmarshal(text, &in)
		if s.secrets[path] == nil {
			s.secrets[path] = &secret{}
		}
		s.secrets[path].casRequired = in.CASRequired
		reply(w, 204, nil)
	default:
		fail(w, 405, "1 error occurred:\n\t* unsupported operation\n\n")
	}
}

func (s *Server) list(w http.ResponseWriter, folder string) {
	if folder != "" && !strings.HasSuffix(folder, "/") {
		folder += "/"
	}
	keys := []string{}
	for path := range s.secrets {
		rest, inside := strings.CutPrefix(path, folder)
		if !inside {
			continue
		}
		name, _, deeper := strings.Cut(rest, "/")
		if deeper {
			name += "/"
		}
		keys = append(keys, name)
	}
	if len(keys) == 0 {
		fail(w, 404)
		return
	}
	slices.Sort(keys)
	ok(w, m{"keys": slices.Compact(keys)})
}
