package secretstore_test

import (
	"errors"
	"regexp"
	"strings"
	"testing"

	"github.com/mlsecrets/secretstore"
)

func TestCanonicalName(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ name, want string }{
		{"a", "a"},
		{"A", "a"},
		{"0", "0"},
		{"-", "-"},
		{"--", "--"},
		{"db-password", "db-password"},
		{"DB-Password", "db-password"},
		{"0-9-a-z-A-Z", "0-9-a-z-a-z"},
		{strings.Repeat("a", secretstore.MaxNameLen), strings.Repeat("a", secretstore.MaxNameLen)},
		{strings.Repeat("Z", secretstore.MaxNameLen), strings.Repeat("z", secretstore.MaxNameLen)},
	} {
		got, err := secretstore.CanonicalName(tc.name)
		if got != tc.want || err != nil {
			t.Errorf("CanonicalName(%q) = %q, %v, want %q, nil", tc.name, got, err, tc.want)
		}
	}
}

// TestCanonicalNameRefuses checks that the error names the character, where it
// stands, and the rule.
func TestCanonicalNameRefuses(t *testing.T) {
	t.Parallel()
	const rule = "a name has 1 to 127 characters of 0-9 a-z A-Z -"
	for _, tc := range []struct{ name, what string }{
		{"", "it is empty"},
		{"db_password", `character '_' at position 3`},
		{"db.password", `character '.' at position 3`},
		{"db/password", `character '/' at position 3`},
		{"..", `character '.' at position 1`},
		{"../a", `character '.' at position 1`},
		{`a\b`, `character '\\' at position 2`},
		{" a", `character ' ' at position 1`},
		{"a ", `character ' ' at position 2`},
		{"a\n", `character '\n' at position 2`},
		{"a\x00b", `character '\x00' at position 2`},
		{"a\x7f", `character '\x7f' at position 2`},
		{"pässword", `character 'ä' at position 2`},
		{"a\u212a", "character '\u212a' at position 2"}, // the Kelvin sign folds to k elsewhere
		{"ſ", `character 'ſ' at position 1`},
		{"a\xffb", `byte 0xff at position 2`},
		{"a\xe4", `byte 0xe4 at position 2`},
		{"a\uFFFD", "character '\uFFFD' at position 2"},
		{"%41", `character '%' at position 1`},
		{"@", `character '@' at position 1`}, // the neighbors of each range
		{"[", `character '[' at position 1`},
		{"`", "character '`' at position 1"},
		{"{", `character '{' at position 1`},
		{":", `character ':' at position 1`},
		{strings.Repeat("a", secretstore.MaxNameLen+1), "it has 128 characters"},
		{strings.Repeat("a", 200) + "_", `character '_' at position 201`},
	} {
		got, err := secretstore.CanonicalName(tc.name)
		if got != "" || !errors.Is(err, secretstore.ErrInvalidName) {
			t.Errorf("CanonicalName(%q) = %q, %v, want ErrInvalidName", tc.name, got, err)
			continue
		}
		if text := err.Error(); !strings.Contains(text, tc.what+"; "+rule) {
			t.Errorf("CanonicalName(%q): error %q, want %q and the rule in it", tc.name, text, tc.what)
		}
	}
}

var grammar = regexp.MustCompile(`^[0-9A-Za-z-]{1,127}$`)

func FuzzCanonicalName(f *testing.F) {
	for _, seed := range []string{
		"", "a", "A", "db-password", "DB-PASSWORD", "a_b", "a\n", "\n", "é", "\xff", "\uFFFD", "\u0130", "..", "a/b",
		strings.Repeat("x", 126), strings.Repeat("X", 127), strings.Repeat("x", 128),
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, name string) {
		got, err := secretstore.CanonicalName(name)
		// Without the m flag, $ is the end of the text: a newline before it counts.
		if want := grammar.MatchString(name); want != (err == nil) {
			t.Fatalf("CanonicalName(%q) = %q, %v; in the grammar: %t", name, got, err, want)
		}
		if err != nil {
			if kind := kindsOf(err); len(kind) != 1 || kind[0] != secretstore.ErrInvalidName {
				t.Fatalf("CanonicalName(%q): kinds %v, want ErrInvalidName alone", name, kind)
			}
			return
		}
		if want := strings.ToLower(name); got != want {
			t.Fatalf("CanonicalName(%q) = %q, want %q", name, got, want)
		}
		if again, err := secretstore.CanonicalName(got); again != got || err != nil {
			t.Fatalf("CanonicalName(%q) = %q, %v, want itself", got, again, err)
		}
	})
}
