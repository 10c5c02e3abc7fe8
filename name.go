package secretstore

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// MaxNameLen is the largest length of a name, in bytes. The limit, and the
// grammar, are Azure Key Vault's for the name of an object, the narrowest of the
// backends'.
const MaxNameLen = 127

const nameRule = "a name has 1 to 127 characters of 0-9 a-z A-Z -"

// CanonicalName returns the canonical form of a name, which is lower case, or an
// error of kind [ErrInvalidName] that names the offending character and the
// rule.
func CanonicalName(name string) (string, error) {
	if name == "" {
		return "", invalidName(name, "it is empty; "+nameRule)
	}
	upper := false
	for i := range len(name) {
		switch c := name[i]; {
		case 'a' <= c && c <= 'z', '0' <= c && c <= '9', c == '-':
		case 'A' <= c && c <= 'Z':
			upper = true
		default:
			r, size := utf8.DecodeRuneInString(name[i:])
			what := fmt.Sprintf("character %q", r)
			if r == utf8.RuneError && size == 1 {
				what = fmt.Sprintf("byte 0x%02x", c) // it starts no character
			}
			return "", invalidName(name, fmt.Sprintf("%s at position %d; %s", what, i+1, nameRule))
		}
	}
	if len(name) > MaxNameLen {
		return "", invalidName(name, fmt.Sprintf("it has %d characters; %s", len(name), nameRule))
	}
	if upper {
		return strings.ToLower(name), nil
	}
	return name, nil
}

func invalidName(name, detail string) *Error {
	return &Error{Name: name, Kind: ErrInvalidName, Detail: detail}
}
