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
	URL       string   // the store; it holds no credential
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
	where := "local"
	if d.Submitted {
		where = "submitted run " + d.RunID
	}
	fmt.Fprintf(&b, "store:  %s\nwhere:  %s\nwhy:    %s\n", d.URL, where, d.Reason)
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
	d := Decision{RunID: env.Getenv(EnvRunID)}
	if d.RunID == "" {
		d.RunID = env.Getenv("AZUREML_RUN_ID")
	}
	d.Submitted = d.RunID != ""

	// The first of these that is there decides.
	first := []func(Env) finding{explicit, storeURL, azureMLRun}
	// Of these, two that name different stores are an error.
	second := []func(Env) finding{workspaceFile, vaultAddr, keyVaultURL}

	var chosen *finding
	for _, look := range first {
		f := look(env)
		if f.signal.Name == "" {
			continue
		}
		if chosen == nil && (f.err != nil || f.url != "") {
			f.signal.Used = true
			chosen = &f
		} else if f.signal.Found {
			f.signal.Detail += "; outranked"
		}
		d.Signals = append(d.Signals, f.signal)
		if chosen != nil && chosen.err != nil {
			return d, chosen.err
		}
	}
	decided := chosen != nil
	for _, look := range second {
		f := look(env)
		switch {
		case decided && f.signal.Found:
			f.signal.Detail += "; outranked"
		case !decided && f.err != nil:
			d.Signals = append(d.Signals, f.signal)
			return d, f.err
		case !decided && f.url != "" && chosen == nil:
			f.signal.Used = true
			chosen = &f
		case !decided && f.url != "" && f.url != chosen.url:
			d.Signals = append(d.Signals, f.signal)
			return d, configError("%s names the store %s, and %s names %s: set %s to the one that is meant",
				chosen.signal.Name, chosen.url, f.signal.Name, f.url, EnvURL)
		}
		d.Signals = append(d.Signals, f.signal)
	}

	own := Signal{Name: "local file", Detail: env.DefaultStore}
	switch {
	case chosen != nil:
		d.URL, d.Reason = chosen.url, chosen.reason
	case d.Submitted:
		own.Detail = "not used in a submitted run"
		d.Signals = append(d.Signals, own)
		return d, configError("this is the submitted run %q, and nothing says which store is its own: "+
			"submit it with the variables of Run.Environ, or set %s", d.RunID, EnvURL)
	case env.DefaultStore == "":
		own.Detail = "the user has no home folder"
		d.Signals = append(d.Signals, own)
		return d, configError("nothing says which store to use, and the user has no home folder for a local file: set %s", EnvURL)
	default:
		own.Found, own.Used = true, true
		d.URL = localfile.FileURL(env.DefaultStore)
		d.Reason = "nothing names another store, so it is the user's own encrypted file"
	}
	d.Signals = append(d.Signals, own)
	return d, nil
}

func explicit(env Env) finding {
	if env.URL == "" {
		return finding{}
	}
	const name = "explicit choice"
	if _, err := secretstore.ParseURL(env.URL); err != nil {
		return wrong(name, fromURL(name, err))
	}
	return found(name, env.URL, env.URL, "it was chosen explicitly")
}

func storeURL(env Env) finding {
	raw := env.Getenv(EnvURL)
	if raw == "" {
		return absentSignal(EnvURL, "not set")
	}
	if _, err := secretstore.ParseURL(raw); err != nil {
		return wrong(EnvURL, fromURL(EnvURL, err))
	}
	return found(EnvURL, raw, raw, EnvURL+" names it")
}

// fromURL is the error of a signal whose URL is wrong.
func fromURL(signal string, err error) *secretstore.Error {
	return configError("%s: %s", signal, err.(*secretstore.Error).Detail)
}

func vaultAddr(env Env) finding {
	const name = "VAULT_ADDR"
	addr := env.Getenv(name)
	if addr == "" {
		return absentSignal(name, "not set")
	}
	u, err := url.Parse(addr)
	if err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") {
		return wrong(name, configError("VAULT_ADDR is not an address: it looks like https://vault.example.com:8200"))
	}
	if u.User != nil {
		return wrong(name, configError("VAULT_ADDR has a user or password in it; set VAULT_TOKEN, or another way to log in, instead"))
	}
	path := env.Getenv(EnvVaultPath)
	if path == "" {
		path = defaultVaultPath
	}
	path = strings.Trim(path, "/")
	for segment := range strings.SplitSeq(path, "/") {
		if segment == "" || segment == "." || segment == ".." {
			return wrong(name, configError("%s is not a path: it looks like %s, a mount and a prefix", EnvVaultPath, defaultVaultPath))
		}
	}
	store := "vault://" + (&url.URL{Path: "/" + path}).EscapedPath()
	return found(name, store, u.Scheme+"://"+u.Host+", path "+path, "VAULT_ADDR is set")
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
