package vault

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/mlsecrets/secretstore"
)

// checkPath refuses a mount or prefix that would name another path than it says.
// vault/api joins paths with path.Join, so ".." would climb out of the mount, and
// the server answers 400 without a word to characters that don't print.
func checkPath(what, p string) error {
	if p == "" {
		return nil
	}
	for segment := range strings.SplitSeq(p, "/") {
		switch segment {
		case "":
			return badConfig("the %s has an empty segment (//, or a slash at its beginning or end)", what)
		case ".", "..":
			return badConfig("the %s has the segment %q", what, segment)
		}
		if why := notPlain(segment); why != "" {
			return badConfig("the %s has %s", what, why)
		}
	}
	return nil
}

// notPlain says what in the text can't stand in a path or a header of Vault, or "".
func notPlain(s string) string {
	if !utf8.ValidString(s) {
		return "bytes that are not UTF-8"
	}
	for _, r := range s {
		if !unicode.IsPrint(r) {
			return fmt.Sprintf("the character %U, which doesn't print", r)
		}
	}
	return ""
}

func badConfig(format string, args ...any) *secretstore.Error {
	return &secretstore.Error{Kind: secretstore.ErrInvalidConfig, Detail: fmt.Sprintf(format, args...)}
}
