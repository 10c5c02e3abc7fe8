package main

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/mlsecrets/secretstore"
	"github.com/mlsecrets/secretstore/backends/localfile"
	"github.com/mlsecrets/secretstore/runctx"
	"github.com/spf13/cobra"
)

const initHelp = `Make the encrypted file that is the store here (see which), empty. It is needed only
for a passphrase or a key file of its own: without init the first set makes the
file, with your own key file as its key.

With --workspace, make a store for the folder you are in: write
.secretstore/config.json, which names the store for this folder and all below it.
The store is the one of --store, of whatever kind, or else a new file in your data
folder. The configuration holds no secret; commit it if others reach the same store.

A passphrase or key file is found again by the variables SECRETSTORE_KEY_FILE,
SECRETSTORE_PASSPHRASE_FILE and SECRETSTORE_PASSPHRASE, or at a prompt.`

func (a *app) initCommand() *cobra.Command {
	var keys keyFlags
	var workspace bool
	cmd := &cobra.Command{
		Use:   "init",
		Short: "Make a store, or choose one for a folder",
		Long:  initHelp,
		Args:  args(0, 0, "no arguments"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if workspace {
				return a.initWorkspace(cmd, &keys)
			}
			return a.initStore(cmd, &keys)
		},
	}
	cmd.Flags().BoolVar(&workspace, "workspace", false, "make a store for this folder")
	keys.add(cmd)
	return cmd
}

// initStore makes the file that is the store here.
func (a *app) initStore(cmd *cobra.Command, keys *keyFlags) error {
	config, err := a.fileConfig("init")
	if err != nil {
		return err
	}
	if err := a.createFile(cmd, config.Path, keys); err != nil {
		return err
	}
	report("made the store %s%s", config.Path, keys.describe())
	return nil
}

// createFile makes an encrypted file with the key of the flags.
func (a *app) createFile(cmd *cobra.Command, path string, keys *keyFlags) error {
	if _, err := os.Lstat(path); err == nil { // before anybody types a passphrase
		return &secretstore.Error{Op: "create", Backend: "localfile", Kind: secretstore.ErrConflict,
			Detail: "there is a file at " + path + " already"}
	}
	key, _, err := keys.source(cmd)
	if err != nil {
		return err
	}
	ctx, cancel, err := a.limit(cmd.Context())
	if err != nil {
		return err
	}
	defer cancel()
	return localfile.Create(ctx, localfile.Config{Path: path, Key: key})
}

// initWorkspace makes a store for the working folder. The configuration comes
// last, so that it never names a store that couldn't be made.
func (a *app) initWorkspace(cmd *cobra.Command, keys *keyFlags) error {
	env, err := runctx.HostEnv()
	if err != nil {
		return err
	}
	config := filepath.Join(env.Dir, ".secretstore", "config.json")
	if _, err := os.Lstat(config); err == nil {
		return fmt.Errorf("%s exists already; edit or delete it", config)
	}
	url := a.store
	if url == "" {
		url = localfile.FileURL(workspaceFile(env))
	}
	path, isFile, err := filePath(url)
	switch {
	case err != nil:
		return err
	case isFile:
		err = a.createFile(cmd, path, keys)
		if errors.Is(err, secretstore.ErrConflict) && a.store != "" {
			err = nil // the store that was asked for is there
		}
	default:
		if _, given, kerr := keys.source(cmd); given || kerr != nil {
			err = usage("a key is for a store that is an encrypted file")
		}
	}
	if err != nil {
		return err
	}
	if err := writeConfig(config, url); err != nil {
		return err
	}
	report("wrote %s for the store %s%s", config, url, keys.describe())
	return nil
}

// workspaceFile returns the path of a workspace's own store, beside the user's.
// The digest tells folders of the same name apart.
func workspaceFile(env runctx.Env) string {
	digest := sha256.Sum256([]byte(env.Dir))
	name := filepath.Base(env.Dir) + "-" + hex.EncodeToString(digest[:4]) + ".db"
	return filepath.Join(filepath.Dir(env.DefaultStore), "workspaces", name)
}

func writeConfig(path, url string) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return fileError(filepath.Dir(path), err)
	}
	text, err := json.MarshalIndent(map[string]string{"url": url}, "", "  ")
	if err != nil {
		return err
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("%s exists already; edit or delete it", path)
	}
	if err != nil {
		return fileError(path, err)
	}
	_, err = f.Write(append(text, '\n'))
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return fileError(path, err)
	}
	return nil
}
