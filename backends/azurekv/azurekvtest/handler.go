package azurekvtest

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strings"
	"time"
)

// answer is what the vault says to one request.
type answer struct {
	status int
	body   any // nil: none
	header map[string]string
}

type serviceError struct {
	Code    string      `json:"code"`
	Message string      `json:"message"`
	Inner   *innerError `json:"innererror,omitempty"`
}

type innerError struct {
	Code string `json:"code"`
}

func fail(status int, code, inner, format string, args ...any) answer {
	e := serviceError{Code: code, Message: fmt.Sprintf(format, args...)}
	if inner != "" {
		e.Inner = &innerError{inner}
	}
	return answer{status: status, body: map[string]any{"error": e}}
}

func notFound(name string) answer {
	return fail(http.StatusNotFound, "SecretNotFound", "", "A secret with (name/id) %s was not found in this key vault. "+
		"If you recently deleted this secret you may be able to recover it using the correct recovery command. "+
		"For help resolving this issue, please see https://go.microsoft.com/fwlink/?linkid=2125182", name)
}

func deletedNotFound(name string) answer {
	return fail(http.StatusNotFound, "SecretNotFound", "", "Deleted Secret not found: %s", name)
}

func notAllowed(method string) answer {
	return fail(http.StatusMethodNotAllowed, "MethodNotAllowed", "", "HTTP %s not allowed", method)
}

// ServeHTTP answers one request of the service's REST interface. Backup and
// restore are left out.
func (v *Vault) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(io.LimitReader(r.Body, 1<<20))
	if err != nil {
		return // the client has gone
	}
	req := Request{Method: r.Method, Path: r.URL.Path, Proto: r.Proto, Authorized: r.Header.Get("Authorization") != ""}
	v.mu.Lock()
	v.inFlight++
	v.maxInFlight = max(v.maxInFlight, v.inFlight)
	latency := v.latency
	v.mu.Unlock()
	defer func() {
		v.mu.Lock()
		defer v.mu.Unlock()
		v.inFlight--
		v.requests = append(v.requests, req)
	}()

	if latency > 0 {
		timer := time.NewTimer(latency)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-r.Context().Done():
			return
		}
	}
	v.mu.Lock()
	fault := v.takeFault(r, req.Authorized)
	v.mu.Unlock()
	if fault != nil && fault.misbehave(w, r, body, &req) {
		return
	}
	v.mu.Lock()
	a := v.answer(r, body, fault)
	v.mu.Unlock()
	req.Status = a.status
	a.write(w)
}

func (a answer) write(w http.ResponseWriter) {
	h := w.Header()
	h.Set("Cache-Control", "no-cache")
	h.Set("X-Ms-Keyvault-Service-Version", "1.9.3347.1")
	if h.Get("X-Ms-Request-Id") == "" {
		id := newID()
		h.Set("X-Ms-Request-Id", id[:8]+"-"+id[8:12]+"-"+id[12:16]+"-"+id[16:20]+"-"+id[20:])
	}
	for k, val := range a.header {
		h.Set(k, val)
	}
	if a.body == nil {
		w.WriteHeader(a.status)
		return
	}
	b, err := json.Marshal(a.body)
	if err != nil {
		panic(err) // the bodies are our own structs
	}
	h.Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(a.status)
	w.Write(b)
}

// answer authenticates, throttles and routes. The lock is held.
func (v *Vault) answer(r *http.Request, body []byte, fault *Fault) answer {
	if a, ok := v.authenticate(r); !ok {
		return a
	}
	if fault != nil {
		return fault.answer(body, r.Header.Get("Authorization"))
	}
	if r.URL.Query().Get("api-version") == "" {
		return fail(http.StatusBadRequest, "BadParameter", "", "api-version must be specified")
	}
	now := v.opts.Now()
	creates := r.Method == http.MethodPut
	if !v.transactions.room(now) || creates && !v.creations.room(now) {
		return throttled(v.opts.RetryAfter)
	}
	v.transactions.take(now)
	if creates {
		v.creations.take(now)
	}
	return v.route(r, body)
}

func (v *Vault) route(r *http.Request, body []byte) answer {
	parts := strings.Split(strings.Trim(r.URL.Path, "/"), "/")
	collection := parts[0]
	var name, rest string
	if len(parts) > 1 {
		name = parts[1]
	}
	if len(parts) > 2 {
		rest = parts[2]
	}
	if collection != "secrets" && collection != "deletedsecrets" || len(parts) > 3 {
		return fail(http.StatusNotFound, "NotFound", "", "The requested resource does not exist.")
	}
	if name == "" {
		if r.Method != http.MethodGet {
			return notAllowed(r.Method)
		}
		return v.permit(List, "", func() answer { return v.list(r, collection == "deletedsecrets") })
	}
	if !validName.MatchString(name) {
		return fail(http.StatusBadRequest, "BadParameter", "", "The request URI contains an invalid name: %s", name)
	}
	if collection == "deletedsecrets" {
		switch {
		case r.Method == http.MethodGet && rest == "":
			return v.permit(Get, name, func() answer { return v.getDeleted(name) })
		case r.Method == http.MethodPost && rest == "recover":
			return v.permit(Recover, name, func() answer { return v.recover(name) })
		case r.Method == http.MethodDelete && rest == "":
			return v.permit(Purge, name, func() answer { return v.purge(name) })
		}
		return notAllowed(r.Method)
	}
	switch {
	case r.Method == http.MethodGet && rest == "versions":
		return v.permit(List, name, func() answer { return v.listVersions(name) })
	case r.Method == http.MethodGet:
		return v.permit(Get, name, func() answer { return v.get(name, rest) })
	case r.Method == http.MethodPut && rest == "":
		return v.permit(Set, name, func() answer { return v.set(name, body) })
	case r.Method == http.MethodPatch:
		return v.permit(Set, name, func() answer { return v.patch(name, rest, body) })
	case r.Method == http.MethodDelete && rest == "":
		return v.permit(Delete, name, func() answer { return v.delete(name) })
	}
	return notAllowed(r.Method)
}

var validName = regexp.MustCompile(`^[0-9a-zA-Z-]{1,127}$`)

// permit refuses the operation, or does it.
func (v *Vault) permit(op Operation, name string, do func() answer) answer {
	if v.denied[op] || name != "" && v.deniedNames[strings.ToLower(name)] {
		return fail(http.StatusForbidden, "Forbidden", "ForbiddenByRbac",
			"Caller is not authorized to perform action on resource.\r\nIf role assignments, deny assignments or role definitions "+
				"were changed recently, please observe propagation time.\r\nAction: 'Microsoft.KeyVault/vaults/secrets/%s/action'", op)
	}
	return do()
}
