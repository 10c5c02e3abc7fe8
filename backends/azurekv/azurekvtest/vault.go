package azurekvtest

import (
	"net/http"
	"strings"
	"sync"
	"time"
)

// Options says how a vault behaves. The zero value is a vault without delays and
// limits.
type Options struct {
	// Host is the vault's host name, without a port. Empty means
	// lab.vault.azure.net.
	Host string

	// Lag is how long a secret stays in between after it was deleted,
	// recovered or purged. Of the service about 10 s were recorded.
	Lag time.Duration

	// Latency is added to every answer.
	Latency time.Duration

	// Transactions limits all requests, and Creations those that set a secret.
	// The service's published limits for one vault are 4,000 and 300 in 10 s.
	// Requests that are refused don't count.
	Transactions, Creations Limit

	// RetryAfter, if not 0, stands in the answers that Transactions and
	// Creations refuse. The service was not seen to send it.
	RetryAfter time.Duration

	// EmptyPages is the number of pages without a secret that come before each
	// page of a listing, as happens on the service.
	EmptyPages int

	// Now is the vault's clock. Nil means time.Now.
	Now func() time.Time
}

// Limit is a number of requests in any window of that length. The zero Limit is
// none.
type Limit struct {
	Requests int
	Per      time.Duration
}

// Vault is a key vault without a listener. Its methods may be called at any time,
// also while it serves.
type Vault struct {
	opts Options

	mu           sync.Mutex
	secrets      map[string]*secret // by name in lower case
	tokens       map[string]token
	tokenCalls   int
	generation   int // tokens of an earlier one are refused
	transactions window
	creations    window
	latency      time.Duration
	faults       []*Fault
	denied       map[Operation]bool
	deniedNames  map[string]bool
	requests     []Request
	inFlight     int
	maxInFlight  int
}

// NewVault returns an empty vault.
func NewVault(o Options) *Vault {
	if o.Host == "" {
		o.Host = "lab.vault.azure.net"
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return &Vault{
		opts:         o,
		secrets:      make(map[string]*secret),
		tokens:       make(map[string]token),
		transactions: window{limit: o.Transactions},
		creations:    window{limit: o.Creations},
		latency:      o.Latency,
		denied:       make(map[Operation]bool),
		deniedNames:  make(map[string]bool),
	}
}

// URL returns the vault's URL, which has no port.
func (v *Vault) URL() string { return "https://" + v.opts.Host }

// SetLatency changes what is added to every answer from now on.
func (v *Vault) SetLatency(d time.Duration) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.latency = d
}

// Put sets a secret as another tool would. It takes part in no limit.
func (v *Vault) Put(name, value string) { v.put(name, value, "", false) }

// PutManaged sets a secret that belongs to a certificate of the same name. It can
// be read, and neither set nor deleted.
func (v *Vault) PutManaged(name, value string) {
	v.put(name, value, "application/x-pkcs12", true)
}

func (v *Vault) put(name, value, contentType string, managed bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.addVersion(name, setRequest{Value: &value, ContentType: contentType}, managed)
}

// Disable makes the latest version of the secret refuse to be read. It does
// nothing if there is no such secret.
func (v *Vault) Disable(name string) { v.enable(name, false) }

// Enable undoes Disable.
func (v *Vault) Enable(name string) { v.enable(name, true) }

func (v *Vault) enable(name string, enabled bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if s := v.secrets[strings.ToLower(name)]; s != nil {
		s.latest().enabled = enabled
	}
}

// SoftDelete deletes a secret as another tool would have, long ago: no lag is
// left.
func (v *Vault) SoftDelete(name string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if s := v.secrets[strings.ToLower(name)]; s != nil {
		s.delete(v.opts.Now(), 0)
	}
}

// Value returns the text of the secret's latest version, and whether the name is
// live: neither absent nor deleted.
func (v *Vault) Value(name string) (text string, live bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	s := v.find(name)
	if s == nil || s.state != stateLive {
		return "", false
	}
	return s.latest().value, true
}

// Operation is a right on secrets, by the name that access policies give it.
type Operation string

// The rights on secrets that matter here.
const (
	Get     Operation = "get"
	List    Operation = "list"
	Set     Operation = "set"
	Delete  Operation = "delete"
	Recover Operation = "recover"
	Purge   Operation = "purge"
)

// Deny takes rights away: the vault refuses these operations.
func (v *Vault) Deny(ops ...Operation) {
	v.mu.Lock()
	defer v.mu.Unlock()
	for _, op := range ops {
		v.denied[op] = true
	}
}

// DenyName takes away every right on the secrets, as a role assignment on single
// secrets that leaves them out does. Listings show them still.
func (v *Vault) DenyName(names ...string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	for _, name := range names {
		v.deniedNames[strings.ToLower(name)] = true
	}
}

// Allow undoes every Deny and DenyName.
func (v *Vault) Allow() {
	v.mu.Lock()
	defer v.mu.Unlock()
	clear(v.denied)
	clear(v.deniedNames)
}

// Request is one request that the vault has answered.
type Request struct {
	Method     string
	Path       string
	Proto      string
	Authorized bool // it had a bearer token
	Status     int  // 0 if no answer was given
}

// Requests returns every request so far, in the order of their answers.
func (v *Vault) Requests() []Request {
	v.mu.Lock()
	defer v.mu.Unlock()
	return append([]Request(nil), v.requests...)
}

// ResetRequests forgets the requests so far, and the most that were under way.
func (v *Vault) ResetRequests() {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.requests, v.maxInFlight, v.tokenCalls = nil, 0, 0
}

// MaxInFlight returns the most requests that were under way at once.
func (v *Vault) MaxInFlight() int {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.maxInFlight
}

var _ http.Handler = (*Vault)(nil)
