package main

import (
	"path/filepath"
	"runtime"
	"strings"

	"github.com/mlsecrets/secretstore"
	"github.com/mlsecrets/secretstore/backends/localfile"
	"github.com/mlsecrets/secretstore/runctx"
)

// filePath returns the path of the encrypted file that the URL names; ok is false
// if the store is of another kind.
func filePath(rawURL string) (path string, ok bool, err error) {
	u, err := secretstore.ParseURL(rawURL)
	if err != nil {
		return "", false, err
	}
	if u.Scheme != "file" {
		return "", false, nil
	}
	path = u.Path
	if runtime.GOOS == "windows" {
		path = strings.TrimPrefix(path, "/") // /C:/…
	}
	return filepath.FromSlash(path), true, nil
}

// fileConfig returns the encrypted file that is the store here, for the commands
// that are about such files alone.
func (a *app) fileConfig(op string) (localfile.Config, error) {
	env, err := a.env()
	if err != nil {
		return localfile.Config{}, err
	}
	decision, err := runctx.Detect(env)
	if err != nil {
		return localfile.Config{}, err
	}
	path, ok, err := filePath(decision.URL)
	if err != nil {
		return localfile.Config{}, err
	}
	if !ok {
		return localfile.Config{}, usage("%s is for stores that are an encrypted file, and the store here is %s", op, decision.URL)
	}
	return localfile.Config{Path: path, MustExist: true}, nil
}
