package runctx

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"net/url"
	"slices"

	"github.com/mlsecrets/secretstore"
	"github.com/mlsecrets/secretstore/backends/localfile"
	"github.com/mlsecrets/secretstore/backends/vault"
)

// The variables of this package.
const (
	// EnvURL names a store, by its URL.
	EnvURL = "SECRETSTORE_URL"
	// EnvRunID is the id of a submitted run. That it is set makes the process one.
	EnvRunID = "SECRETSTORE_RUN_ID"
	// EnvVaultPath is the mount and prefix of the secrets in the Vault of VAULT_ADDR.
	EnvVaultPath = "SECRETSTORE_VAULT_PATH"

	envVaultAddr = "VAULT_ADDR"

	defaultVaultPath = "secret/secretstore"
)

// Run is the store of the place where the process runs. It is a
// [secretstore.StoreCloser] and a [secretstore.Deleter], and keeps their contracts.
type Run struct {
	secretstore.StoreCloser
	decision Decision
	url      string // as it was found
}

// Config says how to open a Run. The zero Config opens what [Open] opens.
type Config struct {
	// Env is what Detect looks at; nil is the process's own.
	Env *Env
	// Openers are the backends that there are; nil is [Openers].
	Openers secretstore.Openers
}

// Open opens the store that belongs where the process runs. The caller closes it.
//
// An environment that is contradictory, or a store of a kind that this program
// does not link, is [secretstore.ErrInvalidConfig]. Other errors are those of the
// backend's opener: no other store is tried.
func Open(ctx context.Context) (*Run, error) { return Config{}.Open(ctx) }

// Open is like the function [Open], with the configuration.
func (c Config) Open(ctx context.Context) (*Run, error) {
	var env Env
	var err error
	if c.Env != nil {
		env = *c.Env
	} else if env, err = HostEnv(); err != nil {
		return nil, err
	}
	decision, raw, err := detect(env)
	if err != nil {
		return nil, err
	}
	openers := c.Openers
	if openers == nil {
		openers = Openers()
	}
	store, err := openers.Open(ctx, openURL(raw, decision.Submitted))
	if err != nil {
		return nil, err
	}
	return &Run{StoreCloser: store, decision: decision, url: raw}, nil
}

// openURL returns the URL to open. A submitted run reads what was set before it: a
// file that isn't there is a mistake, and not an empty store, also where the
// launcher's own URL would have it made.
func openURL(raw string, submitted bool) string {
	u, err := url.Parse(raw)
	if err != nil || !submitted || u.Scheme != "file" {
		return raw
	}
	q, err := url.ParseQuery(u.RawQuery)
	if err != nil || len(q["create"]) > 1 || q.Get("create") != "" && q.Get("create") != "yes" {
		return raw // the opener says what is wrong with it
	}
	q.Set("create", "no")
	u.RawQuery = q.Encode()
	return u.String()
}

// Decision returns which store was chosen, and why.
func (r *Run) Decision() Decision {
	d := r.decision
	d.Signals = slices.Clone(d.Signals)
	return d
}

// Delete removes the names; see [secretstore.Deleter]. If the store can't delete,
// the error is [errors.ErrUnsupported].
func (r *Run) Delete(ctx context.Context, names ...string) error {
	d, ok := r.StoreCloser.(secretstore.Deleter)
	if !ok {
		return &secretstore.Error{Op: "delete", Kind: errors.ErrUnsupported, Detail: "this store can't delete"}
	}
	return d.Delete(ctx, names...)
}

// Environ returns what a launcher adds to the environment of a child process, a job
// or a pod, as "NAME=value", so that the run that it submits opens the same store:
// the store's URL, the id of the run, for a local file the path of its key file, and
// for Vault the server's address. It holds no secret.
//
// In a submitted run the id is this run's own; otherwise each call makes a new one.
// A passphrase that this process has in a variable is a secret and is not among
// them: hand the run a passphrase file or a key file. Neither is a token of Vault: let
// the run log in by itself (see package vault), or hand it the token on purpose. The
// key file's path helps only a process that sees the same files.
func (r *Run) Environ() []string {
	id := r.decision.RunID
	if id == "" {
		id = newRunID()
	}
	environ := []string{EnvURL + "=" + r.url, EnvRunID + "=" + id}
	u, err := url.Parse(r.url)
	if err != nil {
		return environ
	}
	switch u.Scheme {
	case "file":
		environ = append(environ, localfile.KeyEnviron()...)
	case "vault":
		environ = append(environ, vault.Environ()...)
	}
	return environ
}

func newRunID() string {
	b := make([]byte, 8)
	rand.Read(b)
	return "run-" + hex.EncodeToString(b)
}
