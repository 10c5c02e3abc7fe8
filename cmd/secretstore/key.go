package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/mlsecrets/secretstore"
	"github.com/mlsecrets/secretstore/backends/localfile"
	"github.com/spf13/cobra"
)

// keyFlags are the flags that name a key for a slot of an encrypted file.
type keyFlags struct {
	passphrase              bool
	passphraseFile, keyFile string
}

func (k *keyFlags) add(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.BoolVar(&k.passphrase, "passphrase", false, "a passphrase, asked for on the terminal")
	flags.StringVar(&k.passphraseFile, "passphrase-file", "", "the passphrase in the file at `PATH`")
	flags.StringVar(&k.keyFile, "key-file", "", "the key file at `PATH`, which is made if there is none")
}

// source returns the key that the flags name; given is false if they name none.
func (k *keyFlags) source(cmd *cobra.Command) (key localfile.KeySource, given bool, err error) {
	n := 0
	for _, name := range []string{"passphrase", "passphrase-file", "key-file"} {
		if cmd.Flags().Changed(name) {
			n++
		}
	}
	if n > 1 {
		return key, false, usage("--passphrase, --passphrase-file and --key-file don't go together")
	}
	switch {
	case k.passphrase:
		key, err = askPassphrase(cmd)
	case k.passphraseFile != "":
		key = localfile.PassphraseFile(k.passphraseFile)
	case k.keyFile != "":
		key, err = keyFile(k.keyFile)
	case n == 1:
		return key, false, usage("the flag for the key is empty")
	default:
		return key, false, nil
	}
	return key, err == nil, err
}

// describe returns how another command finds the key, or "".
func (k *keyFlags) describe() string {
	switch {
	case k.passphraseFile != "":
		return fmt.Sprintf("; set %s to the passphrase file", localfile.EnvPassphraseFile)
	case k.keyFile != "":
		return fmt.Sprintf("; set %s to the key file, and keep a copy of it", localfile.EnvKeyFile)
	}
	return ""
}

func askPassphrase(cmd *cobra.Command) (localfile.KeySource, error) {
	if !isTerminal(os.Stdin) {
		return localfile.KeySource{}, usage("--passphrase asks on a terminal, and standard input is none; use --passphrase-file")
	}
	v, err := askTwice(cmd.Context(), "new passphrase")
	if err != nil {
		return localfile.KeySource{}, err
	}
	if v.Len() == 0 {
		return localfile.KeySource{}, usage("the passphrase is empty")
	}
	return localfile.Passphrase(v), nil
}

// keyFile returns the key file at the path, and makes it if there is none.
func keyFile(path string) (localfile.KeySource, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return localfile.KeySource{}, errors.New("the working folder is not known")
	}
	if err := localfile.NewKeyFile(path); err != nil && !errors.Is(err, secretstore.ErrConflict) {
		return localfile.KeySource{}, err
	}
	return localfile.KeyFile(path), nil
}
