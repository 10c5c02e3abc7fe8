package vault

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"

	"github.com/hashicorp/vault/api"
	"github.com/mlsecrets/secretstore"
)

// Layout says how secrets lie in the KV engine.
type Layout string

const (
	// Paths keeps each secret in a Vault secret of its own.
	Paths Layout = "paths"
	// Map keeps all secrets as fields of one Vault secret.
	Map Layout = "map"
)

// How many requests one batch has under way. A Vault on two cores is busy with 32, and
// no worse off with 64, which at 10 ms of latency reads 100 names in two round trips.
const getWidth, setWidth = 64, 32

// Config says which secrets of which server the store holds. What is left empty is
// taken from the environment as package github.com/hashicorp/vault/api reads it:
// VAULT_ADDR, VAULT_NAMESPACE, VAULT_CACERT, VAULT_CLIENT_CERT, VAULT_CLIENT_TIMEOUT,
// VAULT_RATE_LIMIT and so on.
type Config struct {
	// Address is the URL of the server, such as https://vault.example.com:8200.
	// Empty is VAULT_ADDR.
	Address string
	// Mount is the path of a KV engine of version 2, such as "secret". It is
	// required.
	Mount string
	// Prefix is the path below the mount under which secrets lie. With Map it
	// is the path of the one Vault secret, and required.
	Prefix string
	// Layout is Paths if empty.
	Layout Layout
	// Field is the field of a Vault secret that holds the value, with Paths.
	// Empty is "value".
	Field string
	// Namespace is a namespace of Vault Enterprise. Empty is VAULT_NAMESPACE.
	Namespace string
	// Auth is how to log in. Nil is Token{}.
	Auth Auth
	// HTTPClient sends the requests. Nil is a client of the store's own, with the TLS
	// settings and the proxy of the environment. The store doesn't change it; its
	// transport should keep as many idle connections a host as a batch is wide (64).
	HTTPClient *http.Client
}

// Open logs in, finds out whether the mount is what it should be, and returns the
// store. The store is a [secretstore.Deleter]. With Map its batches are atomic.
//
// It renews its token in the background until Close. A wrong setting, a mount that
// is not there or has another engine are [secretstore.ErrInvalidConfig]; a login
// that is refused is [secretstore.ErrDenied].
func Open(ctx context.Context, config Config) (secretstore.StoreCloser, error) {
	d, err := open(ctx, config)
	if err != nil {
		return nil, opening(ctx, err)
	}
	return secretstore.New(d), nil
}

func open(ctx context.Context, config Config) (secretstore.Driver, error) {
	if config.Layout == "" {
		config.Layout = Paths
	}
	if config.Field == "" {
		config.Field = "value"
	} else if config.Layout == Map {
		return nil, badConfig("a field is given, and with the layout map each secret is a field")
	}
	if config.Auth == nil {
		config.Auth = Token{}
	}
	if err := config.check(); err != nil {
		return nil, err
	}
	c, err := newClient(config)
	if err != nil {
		return nil, err
	}
	if err := c.open(ctx, config.Mount); err != nil {
		c.close()
		return nil, err
	}
	if config.Layout == Map {
		return &mapDriver{client: c, path: config.Mount + "/data/" + config.Prefix}, nil
	}
	d := &pathDriver{client: c, field: config.Field, data: config.Mount + "/data/", metadata: config.Mount + "/metadata/"}
	if config.Prefix != "" {
		d.data += config.Prefix + "/"
		d.metadata += config.Prefix + "/"
	}
	return d, nil
}

func (config Config) check() error {
	switch config.Layout {
	case Paths:
	case Map:
		if config.Prefix == "" {
			return badConfig("the layout map needs the path of a Vault secret below the mount")
		}
	default:
		return badConfig("there is no such layout; the layouts are paths and map")
	}
	if config.Mount == "" {
		return badConfig("no mount is given; a store looks like vault://host:port/mount/prefix")
	}
	for what, p := range map[string]string{"mount": config.Mount, "prefix": config.Prefix, "namespace": strings.Trim(config.Namespace, "/")} {
		if err := checkPath(what, p); err != nil {
			return err
		}
	}
	if why := notPlain(config.Field); why != "" {
		return badConfig("the field's name has %s", why)
	}
	return config.Auth.check()
}

// newClient makes the client, without I/O.
func newClient(config Config) (*client, error) {
	conf := api.DefaultConfig()
	if conf.Error != nil {
		// Its text may have contents of files and variables.
		return nil, badConfig("vault's environment variables can't be used (VAULT_CACERT, VAULT_CLIENT_CERT, VAULT_CLIENT_KEY, …): a file is missing, or a value is malformed")
	}
	if config.Address != "" {
		conf.Address, conf.AgentAddress = config.Address, ""
	}
	address := conf.Address
	if conf.AgentAddress != "" {
		address = conf.AgentAddress
	}
	if err := checkAddress(address); err != nil {
		return nil, err
	}
	pool := conf.HttpClient
	if config.HTTPClient != nil {
		own := *config.HTTPClient
		pool = nil
		own.CheckRedirect = conf.HttpClient.CheckRedirect // vault/api follows by itself
		conf.HttpClient = &own
	} else if t, ok := conf.HttpClient.Transport.(*http.Transport); ok {
		t.MaxIdleConnsPerHost = getWidth
		t.MaxIdleConns = 2 * getWidth
	}
	conf.MaxRetries = 0 // see retry.go
	conf.ReadYourWrites = true
	a, err := api.NewClient(conf)
	if err != nil {
		return nil, badConfig("vault's environment variables can't be used (VAULT_ADDR, VAULT_HEADERS, …)")
	}
	a.ClearToken() // each request carries its own
	if config.Namespace != "" {
		a.SetNamespace(config.Namespace)
	}
	c := &client{api: a, timeout: conf.Timeout, pool: pool}
	c.session = newSession(c, config.Auth)
	return c, nil
}

func checkAddress(address string) error {
	if strings.HasPrefix(address, "unix://") {
		return nil
	}
	u, err := url.Parse(address)
	switch {
	case err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "":
		return badConfig("the address of the server (VAULT_ADDR) is no URL with http:// or https:// and a host")
	case u.User != nil:
		return badConfig("the address of the server (VAULT_ADDR) has a user or password in it")
	case u.RawQuery != "" || u.Fragment != "":
		return badConfig("the address of the server (VAULT_ADDR) has a query or fragment")
	}
	return nil
}

// opening completes an error of Open.
func opening(ctx context.Context, err error) error {
	out := &secretstore.Error{Kind: secretstore.ErrUnavailable}
	if e, ok := errors.AsType[*secretstore.Error](err); ok {
		*out = *e
	}
	if out.Kind == secretstore.ErrUnavailable && ctx.Err() != nil {
		out.Kind = ctx.Err()
	}
	out.Op, out.Backend = "open", backend
	return out
}
