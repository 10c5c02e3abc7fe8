package vault

import (
	"context"
	"crypto/tls"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/hashicorp/vault/api"
	"github.com/mlsecrets/secretstore"
)

// Layout says how secrets lie in Vault.
type Layout string

const (
	// Paths keeps each secret at a path of its own, mount/prefix/name, in one field.
	Paths Layout = "paths"
	// Map keeps all secrets as fields of one Vault secret, mount/prefix: one request
	// reads any number of them, and SetBatch is atomic.
	Map Layout = "map"
)

// Config says which part of a Vault server is the store, and how to log in. Address,
// certificates and what else the vault command reads from the environment
// (VAULT_ADDR, VAULT_CACERT, VAULT_CLIENT_CERT, VAULT_NAMESPACE, …) holds here too,
// where a field is not set.
type Config struct {
	// Address is the server's URL. Empty means VAULT_ADDR.
	Address string
	// Mount is the path of the secrets engine, which must be KV version 2. Required.
	Mount string
	// Prefix is the path below the mount: the folder of the secrets, or with the
	// layout Map the one Vault secret. Required with Map.
	Prefix string
	// Layout is Paths if empty.
	Layout Layout
	// Field holds the value, with the layout Paths. Empty means "value".
	Field string
	// Namespace is Vault Enterprise's. Empty means VAULT_NAMESPACE.
	Namespace string
	// Auth logs in. Nil means Token{}.
	Auth Auth
	// Client configures the client, for tests and for what the environment can't
	// say. Nil means api.DefaultConfig, which reads the environment.
	Client *api.Config
}

// width is how many requests of one batch are under way at once. A Vault server on
// two cores gives no more beyond it.
const width = 32

// Open returns the store. It is a [secretstore.Deleter]. Open does no I/O: it logs in
// at the first use, and keeps the login alive until Close. A Config that can't be is
// [secretstore.ErrInvalidConfig].
func Open(_ context.Context, c Config) (secretstore.StoreCloser, error) {
	d, err := newDriver(c)
	if err != nil {
		return nil, err
	}
	if c.Layout == Map {
		return secretstore.New(&mapDriver{d}), nil
	}
	return secretstore.New(&pathDriver{d}), nil
}

// driver is what both layouts have in common.
type driver struct {
	session *session
	mount   mount
	prefix  string // without slashes at its ends; may be empty
	field   string
}

func newDriver(c Config) (*driver, error) {
	mountPath, err := cleanPath("mount", c.Mount)
	if err != nil {
		return nil, err
	}
	prefix, err := cleanPath("prefix", c.Prefix)
	if err != nil {
		return nil, err
	}
	switch {
	case mountPath == "":
		return nil, invalid("the mount is missing: it is the path of a KV version 2 secrets engine, such as secret")
	case c.Layout != "" && c.Layout != Paths && c.Layout != Map:
		return nil, invalid("the layout is paths or map")
	case c.Layout == Map && prefix == "":
		return nil, invalid("the layout map needs a prefix: the path of the one Vault secret")
	}
	client, timeout, err := newClient(c)
	if err != nil {
		return nil, err
	}
	auth := c.Auth
	if auth == nil {
		auth = Token{}
	}
	d := &driver{session: newSession(client, auth, timeout), prefix: prefix, field: c.Field}
	d.mount = mount{path: mountPath, session: d.session}
	if d.field == "" {
		d.field = "value"
	}
	return d, nil
}

// newClient returns a client that leaves retries, time limits and redirects of
// requests with a body to us, and the time limit for one try.
func newClient(c Config) (*api.Client, time.Duration, error) {
	conf := c.Client
	if conf == nil {
		conf = api.DefaultConfig()
		if conf.Error != nil {
			return nil, 0, invalid("the environment is wrong: one of VAULT_CACERT, VAULT_CAPATH, VAULT_CLIENT_CERT, VAULT_CLIENT_KEY, VAULT_SKIP_VERIFY " +
				"or VAULT_CLIENT_TIMEOUT can't be used")
		}
	}
	if c.Address != "" {
		conf.Address = c.Address
	}
	if err := checkAddress(conf.Address); err != nil {
		return nil, 0, err
	}
	timeout := conf.Timeout
	if timeout <= 0 {
		timeout = time.Minute
	}
	conf.Timeout, conf.MaxRetries = 0, 0
	if t, ok := conf.HttpClient.Transport.(*http.Transport); ok {
		// A pool narrower than the batch dials again and again.
		t.MaxIdleConns, t.MaxIdleConnsPerHost = 0, width
		t.ForceAttemptHTTP2 = true
		if t.TLSClientConfig == nil {
			t.TLSClientConfig = &tls.Config{MinVersion: tls.VersionTLS12}
		}
	}
	client, err := api.NewClient(conf)
	if err != nil {
		return nil, 0, invalid("the client's configuration was refused")
	}
	client.ClearToken() // the session's, below, decides
	if c.Namespace != "" {
		client.SetNamespace(c.Namespace)
	}
	// The raw PATCH of vault/api leaves out the type that Vault asks for.
	client = client.WithRequestCallbacks(func(r *api.Request) {
		if r.Method == http.MethodPatch {
			r.Headers.Set("Content-Type", "application/merge-patch+json")
		}
	})
	return client, timeout, nil
}

func (d *driver) Backend() string { return backend }

func (d *driver) Fanout() (gets, sets int) { return width, width }

func (d *driver) Close() error {
	d.session.close()
	return nil
}

const backend = "vault"

// data is the path of the values of what is at the path below the mount.
func (d *driver) data(path string) string { return join(d.mount.path, "data", path) }

// metadata is the path of all versions of what is at the path below the mount.
func (d *driver) metadata(path string) string { return join(d.mount.path, "metadata", path) }

func join(parts ...string) string {
	kept := parts[:0:0]
	for _, p := range parts {
		if p != "" {
			kept = append(kept, p)
		}
	}
	return strings.Join(kept, "/")
}

func invalid(format string, args ...any) *secretstore.Error {
	return &secretstore.Error{Op: "open", Backend: backend, Kind: secretstore.ErrInvalidConfig, Detail: fmt.Sprintf(format, args...)}
}
