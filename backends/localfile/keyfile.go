package localfile

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/mlsecrets/secretstore"
)

// A key file is one line: this prefix and 32 random bytes in unpadded base64url.
const keyFilePrefix = "secretstore-key-1:"

// NewKeyFile makes a key file with a new random key, mode 0600, and its folder if
// need be. It is [secretstore.ErrConflict] if there is a key file already; an
// empty file, or one of zeros, which a process that died or a loss of power may
// have left, is none.
func NewKeyFile(path string) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return opError("make key file", ioError("make the key file's folder", err))
	}
	return opError("make key file", newKeyFile(path))
}

func newKeyFile(path string) error {
	if info, err := os.Stat(path); err == nil && !info.Mode().IsRegular() {
		return badConfig("%s is not a regular file", path)
	}
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return ioError("make the key file", err)
	}
	defer f.Close()
	// The lock makes one process the maker; the others wait until the key is there.
	if err := lockFile(context.Background(), f, defaultLockTimeout); err != nil {
		return err
	}
	info, err := f.Stat()
	if err != nil {
		return ioError("stat the key file", err)
	}
	if info.Size() > 0 && !zeros(f) {
		// Whoever made it may have died before it was durable.
		if err := syncKeyFile(f); err != nil {
			return err
		}
		return &secretstore.Error{Kind: secretstore.ErrConflict, Detail: "the key file " + path + " exists already"}
	}
	text := keyFilePrefix + base64.RawURLEncoding.EncodeToString(randomBytes(keySize)) + "\n"
	if err := f.Truncate(0); err != nil {
		return ioError("write the key file", err)
	}
	if _, err := f.WriteString(text); err != nil {
		f.Truncate(0) // a part of a key is in the way of a whole one
		return ioError("write the key file", err)
	}
	return syncKeyFile(f)
}

// zeros reports whether there is nothing but zeros in the file. A loss of power
// may leave one that has its size and not its bytes.
func zeros(f *os.File) bool {
	b, err := io.ReadAll(io.NewSectionReader(f, 0, 257))
	return err == nil && len(b) <= 256 && len(bytes.Trim(b, "\x00")) == 0
}

func syncKeyFile(f *os.File) error {
	err := f.Sync()
	if err == nil {
		err = syncPath(filepath.Dir(f.Name()))
	}
	if err != nil {
		return ioError("write the key file", err)
	}
	return nil
}

func readKeyFile(path string) (credential, error) {
	text, err := readPrivateFile(path, "key file", 256)
	if err != nil {
		return credential{}, err
	}
	encoded, ok := bytes.CutPrefix(trimLineEnd(text), []byte(keyFilePrefix))
	key, err := base64.RawURLEncoding.DecodeString(string(encoded))
	if !ok || err != nil || len(key) != keySize {
		return credential{}, badConfig("%s is not a key file of secretstore", path)
	}
	return credential{kind: slotKeyFile, secret: key, from: "the key file " + path}, nil
}

// readPrivateFile reads a file that others must not be able to read.
func readPrivateFile(path, what string, most int64) ([]byte, error) {
	f, err := openRegular(path, os.O_RDONLY)
	if errors.Is(err, errNoFile) {
		if !strings.ContainsRune(path, filepath.Separator) {
			// It may be the passphrase itself, put where its file belongs.
			return nil, badConfig("the %s does not exist; name it by a path, such as ./name", what)
		}
		return nil, badConfig("the %s %s does not exist", what, path)
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, ioError("stat the "+what, err)
	}
	// Windows has no such modes; there the folder's rights decide.
	if mode := info.Mode().Perm(); mode&0o077 != 0 && runtime.GOOS != "windows" {
		return nil, badConfig("others can read the %s %s (mode %04o); run: chmod 600 %s", what, path, mode, path)
	}
	b, err := io.ReadAll(io.LimitReader(f, most+1))
	if err != nil {
		return nil, ioError("read the "+what, err)
	}
	if int64(len(b)) > most {
		return nil, badConfig("the %s %s is longer than %d bytes", what, path, most)
	}
	return b, nil
}

func trimLineEnd(b []byte) []byte {
	b = bytes.TrimSuffix(b, []byte("\n"))
	return bytes.TrimSuffix(b, []byte("\r"))
}
