package runctx

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"iter"
	"path/filepath"
	"syscall"

	"github.com/mlsecrets/secretstore"
)

// WorkspaceFile is the file, relative to a folder, that says which store belongs
// to the folder and those below it: {"url": "file:///…"}.
const WorkspaceFile = ".secretstore/config.json"

const workspaceSignal = "workspace file"

// byteOrderMark is what some editors on Windows put before a text.
var byteOrderMark = []byte("\ufeff")

// WorkspaceConfig returns the text of a [WorkspaceFile] that names the store.
func WorkspaceConfig(storeURL string) ([]byte, error) {
	if _, err := secretstore.ParseURL(storeURL); err != nil {
		return nil, err
	}
	text, err := json.MarshalIndent(map[string]string{"url": storeURL}, "", "  ")
	return append(text, '\n'), err
}

// workspaceFile is the signal of a workspace file: ours, else Azure ML's.
func workspaceFile(env Env) finding {
	for dir := range parents(env.Dir) {
		path := filepath.Join(dir, filepath.FromSlash(WorkspaceFile))
		text, err := env.ReadFile(path)
		if err != nil {
			if unreadable(err) {
				return wrong(workspaceSignal, configError("can't read %s", path))
			}
			continue
		}
		store, problem := parseWorkspace(text)
		if problem != "" {
			return wrong(workspaceSignal, configError(`%s %s; it is {"url": "file:///path/to/store.db"}, or the URL of another store`, path, problem))
		}
		return found(workspaceSignal, store, path, "the workspace file "+path+" names it")
	}
	return azureMLWorkspace(env)
}

func parseWorkspace(text []byte) (store, problem string) {
	d := json.NewDecoder(bytes.NewReader(bytes.TrimPrefix(text, byteOrderMark)))
	d.DisallowUnknownFields()
	var config struct {
		URL string `json:"url"`
	}
	if d.Decode(&config) != nil {
		return "", "can't be understood"
	}
	if _, err := d.Token(); err != io.EOF {
		return "", "has something behind its end"
	}
	if config.URL == "" {
		return "", "has no url"
	}
	if _, err := secretstore.ParseURL(config.URL); err != nil {
		return "", "has a wrong url: " + err.(*secretstore.Error).Detail
	}
	return config.URL, ""
}

// parents yields a folder and those above it.
func parents(dir string) iter.Seq[string] {
	return func(yield func(string) bool) {
		for yield(dir) {
			up := filepath.Dir(dir)
			if up == dir {
				return
			}
			dir = up
		}
	}
}

// unreadable reports whether an error of ReadFile means more than that there is no
// such file.
func unreadable(err error) bool {
	return !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, syscall.ENOTDIR)
}
