package localfile

import (
	"context"
	"fmt"
	"os"

	"github.com/mlsecrets/secretstore"
	"golang.org/x/term"
)

// askPassphrase asks for the passphrase on the terminal, without echo. It never
// waits for a person where there is none: standard input must be a terminal.
func askPassphrase(ctx context.Context) (credential, error) {
	fd := int(os.Stdin.Fd())
	if !term.IsTerminal(fd) {
		return credential{}, &secretstore.Error{Kind: secretstore.ErrWrongKey,
			Detail: fmt.Sprintf("the store has a passphrase, and there is no terminal to ask for it: set %s, or %s, or for a key file %s",
				EnvPassphraseFile, EnvPassphrase, EnvKeyFile)}
	}
	state, err := term.GetState(fd)
	if err != nil {
		return credential{}, ioError("use the terminal", err)
	}
	fmt.Fprint(os.Stderr, "Passphrase of the secret store: ")
	type answer struct {
		passphrase []byte
		err        error
	}
	// A read from a terminal can't be called off. If the context ends, the
	// terminal is put right, and the reader goes with the process.
	answered := make(chan answer, 1)
	go func() {
		p, err := term.ReadPassword(fd)
		answered <- answer{p, err}
	}()
	select {
	case a := <-answered:
		fmt.Fprintln(os.Stderr)
		if a.err != nil {
			return credential{}, ioError("read the passphrase", a.err)
		}
		return passphraseCredential(a.passphrase, "the passphrase")
	case <-ctx.Done():
		term.Restore(fd, state)
		fmt.Fprintln(os.Stderr)
		return credential{}, ctx.Err()
	}
}
