package localfile

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"

	"github.com/mlsecrets/secretstore"
)

// The environment variables that say where the key of a store is, in order of
// rank. Without any, a store that has a passphrase asks for it if standard input
// is a terminal, and one that has none uses the user's own key file.
const (
	EnvKeyFile        = "SECRETSTORE_KEY_FILE"
	EnvPassphraseFile = "SECRETSTORE_PASSPHRASE_FILE"
	EnvPassphrase     = "SECRETSTORE_PASSPHRASE"
)

// KeySource says where the key of a store comes from. The zero KeySource takes
// it from the environment; see [EnvKeyFile].
type KeySource struct {
	find func(slots []slot) (credential, error)
}

// credential opens the key slots of its kind.
type credential struct {
	kind   slotKind
	secret []byte
	from   string // for errors: "the passphrase", "the key file /…"
}

// Passphrase is a KeySource that is the passphrase itself. It must not be empty.
func Passphrase(passphrase secretstore.Value) KeySource {
	return KeySource{func([]slot) (credential, error) {
		return passphraseCredential(passphrase.Reveal(), "the passphrase")
	}}
}

// PassphraseFile is a KeySource that reads the passphrase from a file, which
// others must not be able to read. One line end at the end of the file is not
// part of the passphrase.
func PassphraseFile(path string) KeySource {
	return KeySource{func([]slot) (credential, error) {
		text, err := readPrivateFile(path, "passphrase file", 4096)
		if err != nil {
			return credential{}, err
		}
		return passphraseCredential(trimLineEnd(text), "the passphrase in "+path)
	}}
}

// KeyFile is a KeySource that reads a key file, which others must not be able to
// read. [NewKeyFile] makes one.
func KeyFile(path string) KeySource {
	return KeySource{func([]slot) (credential, error) { return readKeyFile(path) }}
}

func passphraseCredential(passphrase []byte, from string) (credential, error) {
	if len(passphrase) == 0 {
		return credential{}, badConfig("%s is empty", from)
	}
	return credential{kind: slotPassphrase, secret: passphrase, from: from}, nil
}

// credential returns the credential for a store with the slots; none means a
// store that is about to be made.
func (k KeySource) credential(ctx context.Context, slots []slot) (credential, error) {
	if k.find != nil {
		return k.find(slots)
	}
	return environmentKey(ctx, slots)
}

func environmentKey(ctx context.Context, slots []slot) (credential, error) {
	if path := os.Getenv(EnvKeyFile); path != "" {
		return readKeyFile(path)
	}
	if path := os.Getenv(EnvPassphraseFile); path != "" {
		return PassphraseFile(path).find(slots)
	}
	if p := os.Getenv(EnvPassphrase); p != "" {
		return passphraseCredential([]byte(p), "the passphrase in "+EnvPassphrase)
	}
	own, err := DefaultKeyFile()
	if err != nil {
		return credential{}, err
	}
	has := func(kind slotKind) bool {
		return slices.ContainsFunc(slots, func(s slot) bool { return s.kind == kind })
	}
	if len(slots) == 0 {
		if err := NewKeyFile(own); err != nil && !errors.Is(err, secretstore.ErrConflict) {
			return credential{}, err
		}
		return readKeyFile(own)
	}
	if has(slotPassphrase) {
		// A store with both kinds opens without a question where it can.
		if _, err := os.Stat(own); !has(slotKeyFile) || errors.Is(err, fs.ErrNotExist) {
			return askPassphrase(ctx)
		}
	}
	if _, err := os.Stat(own); errors.Is(err, fs.ErrNotExist) {
		return credential{}, &secretstore.Error{Kind: secretstore.ErrWrongKey,
			Detail: fmt.Sprintf("there is no key: set %s to the store's key file, or put it at %s", EnvKeyFile, own)}
	}
	return readKeyFile(own)
}

// KeyEnviron returns the variables, as "NAME=path", that lead a child process
// with the same files to the key that this process finds in its environment. It
// holds no key: a passphrase in [EnvPassphrase] is not handed on, and then
// nothing is returned.
func KeyEnviron() []string {
	for _, name := range []string{EnvKeyFile, EnvPassphraseFile} {
		if path := os.Getenv(name); path != "" {
			return []string{name + "=" + absolute(path)}
		}
	}
	if os.Getenv(EnvPassphrase) != "" {
		return nil
	}
	own, err := DefaultKeyFile()
	if err != nil {
		return nil
	}
	if _, err := os.Stat(own); err != nil {
		return nil
	}
	return []string{EnvKeyFile + "=" + absolute(own)}
}

func badConfig(format string, args ...any) error {
	return &secretstore.Error{Kind: secretstore.ErrInvalidConfig, Detail: fmt.Sprintf(format, args...)}
}
