package runctx

import (
	"fmt"
	"os"

	"github.com/mlsecrets/secretstore"
	"github.com/mlsecrets/secretstore/backends/localfile"
)

// Env is all that [Detect] looks at. [HostEnv] fills it from the process; a test
// fills it by hand. Getenv, Dir and ReadFile are required.
type Env struct {
	// Getenv returns an environment variable, or "".
	Getenv func(name string) string
	// Dir is the absolute path of the working directory.
	Dir string
	// ReadFile reads a file. Its error is fs.ErrNotExist if there is none.
	ReadFile func(path string) ([]byte, error)
	// DefaultStore is the path of the user's own local file, or "" if it is not
	// known.
	DefaultStore string
	// URL is an explicit choice, which outranks every signal: what a command
	// line says. Empty is no choice.
	URL string
}

// HostEnv returns the environment of the process.
func HostEnv() (Env, error) {
	dir, err := os.Getwd()
	if err != nil {
		return Env{}, configError("the working directory is not known: %v", err)
	}
	// A run may have no home, and then needs another store.
	path, err := localfile.DefaultPath()
	if err != nil {
		path = ""
	}
	return Env{Getenv: os.Getenv, Dir: dir, ReadFile: os.ReadFile, DefaultStore: path}, nil
}

func configError(format string, args ...any) *secretstore.Error {
	return &secretstore.Error{Op: "detect", Kind: secretstore.ErrInvalidConfig, Detail: fmt.Sprintf(format, args...)}
}
