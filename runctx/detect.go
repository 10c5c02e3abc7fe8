package runctx

import (
	"fmt"
	"net/url"
	"strings"

	"github.com/mlsecrets/secretstore"
	"github.com/mlsecrets/secretstore/backends/localfile"
)

// Decision is what [Detect] found out.
type Decision struct {
	URL       string   // the store; parameters that no bundled store takes show as "…"
	Submitted bool     // whether this is a submitted run, or else a local process
	RunID     string   // of the submitted run, or ""
	Reason    string   // why this store, in one sentence
	Signals   []Signal // everything that was looked at, in order of rank
}

// Signal is one thing that Detect looked at.
type Signal struct {
	Name   string // a variable, or a kind of file
	Found  bool   // it is there
	Used   bool   // it made the decision
	Detail string // what it says, or why it was left aside; never a credential
}

// String returns the decision in a few lines, for a log.
func (d Decision) String() string {
	var b strings.Builder
	where, store, why := "local", d.URL, d.Reason
	if d.Submitted {
		where = "submitted run " + d.RunID
	}
	if store == "" {
		store, why = "none", "no store could be chosen"
	}
	fmt.Fprintf(&b, "store:  %s\nwhere:  %s\nwhy:    %s\n", store, where, why)
	b.WriteString("looked at:\n")
	width := 0
	for _, s := range d.Signals {
		width = max(width, len(s.Name))
	}
	for _, s := range d.Signals {
		mark := " "
		if s.Used {
			mark = "*"
		}
		fmt.Fprintf(&b, "  %s %-*s  %s\n", mark, width, s.Name, s.Detail)
	}
	return b.String()
}

// finding is what one signal says.
type finding struct {
	signal Signal
	url    string // the store that it names, or ""
	reason string
	err    error // the signal is there, and is wrong

	// serverOnly says that the path in the URL is a default: any store on that
	// server agrees with it.
	serverOnly bool
}

func absentSignal(name, detail string) finding {
	return finding{signal: Signal{Name: name, Detail: detail}}
}

func found(name, url, detail, reason string) finding {
	return finding{signal: Signal{Name: name, Found: true, Detail: detail}, url: url, reason: reason}
}

func wrong(name string, err *secretstore.Error) finding {
	return finding{signal: Signal{Name: name, Found: true, Detail: err.Detail}, err: err}
}

// Detect decides which store belongs to the environment. It looks at the
// environment alone: it opens nothing and asks no service. The rules are in the
// package documentation.
//
// An error is of kind [secretstore.ErrInvalidConfig]; the Decision beside it says
// what was looked at.
func Detect(env Env) (Decision, error) {
	d, _, err := detect(env)
	return d, err
}

// detect is Detect, and returns the URL as it was found.
func detect(env Env) (d Decision, raw string, err error) {
	d.RunID = env.Getenv(EnvRunID)
	if d.RunID == "" {
		d.RunID = env.Getenv("AZUREML_RUN_ID")
	}
	d.Submitted = d.RunID != ""
	chosen, err := choose(env, &d)
	if err != nil {
		return d, "", err
	}
	own := Signal{Name: "local file", Detail: env.DefaultStore}
	switch {
	case chosen != nil:
		raw, d.Reason = chosen.url, chosen.reason
	case d.Submitted:
		own.Detail = "not used in a submitted run"
		err = configError("this is the submitted run %q, and nothing says which store is its own: "+
			"submit it with the variables of Run.Environ, or set %s", d.RunID, EnvURL)
	case env.DefaultStore == "":
		own.Detail = "the user has no home folder"
		err = configError("nothing says which store to use, and the user has no home folder for a local file: set %s", EnvURL)
	default:
		own.Found, own.Used = true, true
		raw = localfile.FileURL(env.DefaultStore)
		d.Reason = "nothing names another store, so it is the user's own encrypted file"
	}
	d.Signals = append(d.Signals, own)
	d.URL = display(raw)
	return d, raw, err
}

// choose returns the finding that decides, or nil if nothing names a store, and
// writes down in d what it looked at.
func choose(env Env, d *Decision) (*finding, error) {
	var chosen *finding
	at := 0 // of the chosen signal
	use := func(f finding) {
		f.signal.Used = true
		chosen, at = &f, len(d.Signals)
		d.Signals = append(d.Signals, f.signal)
	}
	// The first of these that is there decides.
	for _, look := range []func(Env) finding{explicit, storeURL, azureMLRun} {
		f := look(env)
		switch {
		case f.signal.Name == "":
			continue
		case chosen == nil && f.url != "":
			use(f)
			continue
		case chosen != nil && f.signal.Found:
			f.signal.Detail += "; outranked"
		}
		d.Signals = append(d.Signals, f.signal)
		if chosen == nil && f.err != nil {
			return nil, f.err
		}
	}
	decided := chosen != nil
	// Of these, two that name different stores are an error.
	for _, look := range []func(Env) finding{workspaceFile, vaultAddr, keyVaultURL} {
		f := look(env)
		var err error
		switch {
		case decided && f.signal.Found:
			f.signal.Detail += "; outranked"
		case decided:
		case f.err != nil:
			err = f.err
		case f.url == "":
		case chosen == nil:
			use(f)
			continue
		case sameStore(env, chosen.url, f):
			f.signal.Detail += "; agrees"
		default:
			err = configError("%s names the store %s, and %s names %s (%s): set %s to the one that is meant",
				chosen.signal.Name, display(chosen.url), f.signal.Name, display(f.url), f.signal.Detail, EnvURL)
		}
		d.Signals = append(d.Signals, f.signal)
		if err != nil {
			if chosen != nil {
				d.Signals[at].Used = false
			}
			return nil, err
		}
	}
	return chosen, nil
}

func explicit(env Env) finding {
	if env.URL == "" {
		return finding{}
	}
	const name = "explicit choice"
	if _, err := secretstore.ParseURL(env.URL); err != nil {
		return wrong(name, fromURL(name, err))
	}
	return found(name, env.URL, display(env.URL), "it was chosen explicitly")
}

func storeURL(env Env) finding {
	raw := env.Getenv(EnvURL)
	if raw == "" {
		return absentSignal(EnvURL, "not set")
	}
	if _, err := secretstore.ParseURL(raw); err != nil {
		return wrong(EnvURL, fromURL(EnvURL, err))
	}
	return found(EnvURL, raw, display(raw), EnvURL+" names it")
}

// fromURL is the error of a signal whose URL is wrong.
func fromURL(signal string, err error) *secretstore.Error {
	return configError("%s: %s", signal, err.(*secretstore.Error).Detail)
}

func vaultAddr(env Env) finding {
	raw, path := env.Getenv(envVaultAddr), env.Getenv(EnvVaultPath)
	switch {
	case raw == "" && path != "":
		return absentSignal(envVaultAddr, "not set; "+EnvVaultPath+" alone names no store")
	case raw == "":
		return absentSignal(envVaultAddr, "not set")
	}
	addr, err := parseVaultAddr(raw)
	if err != nil {
		return wrong(envVaultAddr, err)
	}
	detail := addr.Scheme + "://" + addr.Host + addr.Path
	serverOnly := path == ""
	if serverOnly {
		path = defaultVaultPath
	} else {
		detail += ", path " + path
	}
	path = strings.Trim(path, "/")
	for segment := range strings.SplitSeq(path, "/") {
		if segment == "" || segment == "." || segment == ".." {
			return wrong(envVaultAddr, configError("%s is not a path: it looks like %s, a mount and a prefix", EnvVaultPath, defaultVaultPath))
		}
	}
	f := found(envVaultAddr, "vault://"+(&url.URL{Path: "/" + path}).EscapedPath(), detail, envVaultAddr+" is set")
	f.serverOnly = serverOnly
	return f
}

// parseVaultAddr parses the address of a Vault server. The error doesn't repeat it.
func parseVaultAddr(raw string) (*url.URL, *secretstore.Error) {
	u, err := url.Parse(raw)
	switch {
	case err == nil && u.User != nil:
		return nil, configError("VAULT_ADDR has a user or password in it; set VAULT_TOKEN, or another way to log in, instead")
	case err == nil && u.Scheme == "unix" && u.Host == "" && u.Path != "":
	case err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https"):
		return nil, configError("VAULT_ADDR is not an address: it looks like https://vault.example.com:8200")
	}
	if u.RawQuery != "" || u.ForceQuery || u.Fragment != "" {
		return nil, configError("VAULT_ADDR has parameters; it is the server's address alone, like https://vault.example.com:8200")
	}
	return u, nil
}

func keyVaultURL(env Env) finding {
	const name = "KEY_VAULT_URL"
	raw := env.Getenv(name)
	if raw == "" {
		return absentSignal(name, "not set")
	}
	u, err := url.Parse(raw)
	if err != nil || u.Scheme != "https" || u.Host == "" || u.User != nil || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" {
		return wrong(name, configError("KEY_VAULT_URL is not the URL of a key vault: it looks like https://name.vault.azure.net"))
	}
	return found(name, "azurekv://"+u.Host, "https://"+u.Host, "KEY_VAULT_URL names it")
}
