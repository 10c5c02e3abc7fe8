package localfile

import (
	"errors"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/mlsecrets/secretstore"
)

// DefaultPath returns the path of the user's own store: secretstore/store.db in
// $XDG_DATA_HOME or ~/.local/share, in ~/Library/Application Support on macOS,
// in %LocalAppData% on Windows.
func DefaultPath() (string, error) {
	dir, err := dataDir()
	if err != nil {
		return "", badConfig("the user's data folder is not known: %v", err)
	}
	return filepath.Join(dir, "secretstore", "store.db"), nil
}

func dataDir() (string, error) {
	switch runtime.GOOS {
	case "windows":
		if dir := os.Getenv("LocalAppData"); dir != "" {
			return dir, nil
		}
		return "", errors.New("%LocalAppData% is not set")
	case "darwin":
		return os.UserConfigDir()
	}
	if dir := os.Getenv("XDG_DATA_HOME"); filepath.IsAbs(dir) {
		return dir, nil // the specification has relative paths ignored
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return "", err
	}
	return filepath.Join(home, ".local", "share"), nil
}

// DefaultKeyFile returns the path of the user's own key file: secretstore/key in
// [os.UserConfigDir], apart from the data, so that a copy of the one folder
// doesn't hold both.
func DefaultKeyFile() (string, error) {
	dir, err := os.UserConfigDir()
	if err != nil {
		return "", badConfig("the user's configuration folder is not known: %v; set %s", err, EnvKeyFile)
	}
	return filepath.Join(dir, "secretstore", "key"), nil
}

// FileURL returns the file:// URL of a path, which is made absolute.
func FileURL(path string) string {
	path = filepath.ToSlash(absolute(path))
	if !strings.HasPrefix(path, "/") {
		path = "/" + path // file:///C:/…
	}
	return (&url.URL{Scheme: "file", Path: path}).String()
}

// pathOf returns the path that a file:// URL names.
func pathOf(u *url.URL) (string, error) {
	if u.Host != "" && u.Host != "localhost" {
		return "", badConfig("a file URL has three slashes: file:///path/to/store.db")
	}
	path := u.Path
	if runtime.GOOS == "windows" {
		path = strings.TrimPrefix(path, "/")
	}
	path = filepath.FromSlash(path)
	if !filepath.IsAbs(path) || strings.HasSuffix(u.Path, "/") {
		return "", badConfig("a file URL names the absolute path of a file: file:///path/to/store.db")
	}
	return path, nil
}

func absolute(path string) string {
	if abs, err := filepath.Abs(path); err == nil {
		return abs
	}
	return path
}

// errNoFile is the cause of openRegular's error where there is no file.
var errNoFile error = &secretstore.Error{Kind: secretstore.ErrUnavailable, Detail: "the file does not exist"}

// openRegular opens a file that exists. Anything but a regular file is refused
// before it is opened: opening a fifo would wait.
func openRegular(path string, flag int) (*os.File, error) {
	info, err := os.Stat(path)
	if err == nil && !info.Mode().IsRegular() {
		return nil, badConfig("%s is not a regular file", path)
	}
	if err == nil {
		var f *os.File
		if f, err = os.OpenFile(path, flag, 0); err == nil {
			return f, nil
		}
	}
	if errors.Is(err, fs.ErrNotExist) {
		return nil, errNoFile
	}
	return nil, ioError("open the file", err)
}

// publish gives a finished temporary file its name, unless that is taken: then
// the error is fs.ErrExist, and the temporary file is still there.
func publish(temporary, path string) error {
	if err := renameNew(temporary, path); err != nil {
		return err
	}
	return syncPath(filepath.Dir(path))
}

// linkNew is renameNew where the system can't do it in one step.
func linkNew(temporary, path string) error {
	err := os.Link(temporary, path)
	switch {
	case err == nil:
		return os.Remove(temporary)
	case errors.Is(err, fs.ErrExist):
		return err
	}
	// A file system without links. All that this leaves open is another program
	// that makes the same file in the same instant.
	if _, serr := os.Lstat(path); serr == nil {
		return fs.ErrExist
	}
	return os.Rename(temporary, path)
}

// syncPath makes durable the names in a folder, and those of the folders that lead
// to it, which may be new.
func syncPath(dir string) error {
	if err := syncDir(dir); err != nil {
		return err
	}
	for parent := filepath.Dir(dir); parent != dir; dir, parent = parent, filepath.Dir(parent) {
		if syncDir(parent) != nil {
			break // not this user's, who has made nothing in it then
		}
	}
	return nil
}

// syncDir makes the names in a folder durable.
func syncDir(dir string) error {
	if runtime.GOOS == "windows" {
		return nil // folders can't be opened for that, and names are durable
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}
