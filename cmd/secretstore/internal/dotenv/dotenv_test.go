package dotenv_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/mlsecrets/secretstore/cmd/secretstore/internal/dotenv"
)

// show writes entries as "line NAME=quoted value" lines.
func show(entries []dotenv.Entry) string {
	var b strings.Builder
	for _, e := range entries {
		fmt.Fprintf(&b, "%d %s=%q\n", e.Line, e.Name, e.Value)
	}
	return b.String()
}

var parseTests = []struct{ name, in, want string }{
	{"empty", "", ""},
	{"blank and comments", "\n  # c\n\t\n#d", ""},
	{"plain", "A=b\nC-d.e_1=f g", "1 A=\"b\"\n2 C-d.e_1=\"f g\"\n"},
	{"space", "  A =  b  \n\tC\t=\td\t", "1 A=\"b\"\n2 C=\"d\"\n"},
	{"no value", "A=\nB= # c\nC=", "1 A=\"\"\n2 B=\"\"\n3 C=\"\"\n"},
	{"hash", "A=b#c # d", "1 A=\"b#c\"\n"},
	{"equals and symbols", "A=b=c==:/?&@!%^*()+", "1 A=\"b=c==:/?&@!%^*()+\"\n"},
	{"dollar that nothing expands", "A=$5$", "1 A=\"$5$\"\n"},
	{"export", "export A=b\nexport\tB='c'\nexport=d\nexport =e",
		"1 A=\"b\"\n2 B=\"c\"\n3 export=\"d\"\n4 export=\"e\"\n"},
	{"single", `A='b $C \n " # d' # e`, "1 A=\"b $C \\\\n \\\" # d\"\n"},
	{"double", `A="b\n\r\t\\\"\$\` + "`" + ` '#" # c`, "1 A=\"b\\n\\r\\t\\\\\\\"$` '#\"\n"},
	{"several lines", "A=\"b\nc\"\nD='e\nf'\nG=h", "1 A=\"b\\nc\"\n3 D=\"e\\nf\"\n5 G=\"h\"\n"},
	{"byte order mark and CRLF", "\ufeffA=b\r\nC=\"d\r\ne\"\r\n", "1 A=\"b\"\n2 C=\"d\\ne\"\n"},
	{"empty quotes", `A=""` + "\n" + `B=''`, "1 A=\"\"\n2 B=\"\"\n"},
	{"twice", "A=b\nA=c", "1 A=\"b\"\n2 A=\"c\"\n"},
	{"unicode", "A=pässword", "1 A=\"pässword\"\n"},
}

func TestParse(t *testing.T) {
	t.Parallel()
	for _, tt := range parseTests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			entries, err := dotenv.Parse([]byte(tt.in))
			if got := show(entries); err != nil || got != tt.want {
				t.Errorf("got\n%s, %v, want\n%s", got, err, tt.want)
			}
		})
	}
}

// In these the word canary stands where a secret would.
var failTests = []struct {
	name, in string
	line     int
}{
	{"no equals", "A=b\ncanary", 2},
	{"no name", "=canary", 1},
	{"bad name", "A$=canary", 1},
	{"two words", "A=b\n\nexport A canary", 3},
	{"export alone", "export canary", 1},
	{"open single", "A=b\nC='canary\n\n", 2},
	{"open double", "A=b\nC=\"canary\n\\", 2},
	{"unknown escape", "A=\"x\n\\canary\"", 2},
	{"expansion", "A=canary$B", 1},
	{"expansion in quotes", "A=\"x\n${canary}\"", 2},
	{"command", "A=$(canary)", 1},
	{"backquote", "A=`canary`", 1},
	{"inner quote", "A=can'ary'", 1},
	{"backslash", `A=canary\n`, 1},
	{"text after quote", "A='b'canary", 1},
	{"comment against quote", "A='b'#canary", 1},
	{"colon", "canary: b", 1},
	{"JSON", `{"canary": "b"}`, 1},
	{"not UTF-8", "A=b\nC=canary\xff", 2},
	{"NUL", "A=canary\x00", 1},
}

func TestParseErrors(t *testing.T) {
	t.Parallel()
	for _, tt := range failTests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			entries, err := dotenv.Parse([]byte(tt.in))
			e, ok := errors.AsType[*dotenv.Error](err)
			if !ok || e.Line != tt.line || entries != nil {
				t.Fatalf("got %d entries, %v, want an error in line %d", len(entries), err, tt.line)
			}
			if strings.Contains(err.Error(), "canary") {
				t.Errorf("the error %q shows the file's text", err)
			}
		})
	}
}

// FuzzParse checks that what Parse reads, written in quotes, is read again as
// the same, and that errors show nothing.
func FuzzParse(f *testing.F) {
	for _, tt := range parseTests {
		f.Add(tt.in)
	}
	for _, tt := range failTests {
		f.Add(tt.in)
	}
	known := make(map[string]bool)
	f.Fuzz(func(t *testing.T, in string) {
		entries, err := dotenv.Parse([]byte(in))
		if err != nil {
			e, ok := errors.AsType[*dotenv.Error](err)
			if !ok || e.Line < 1 || e.Line > strings.Count(in, "\n")+1 {
				t.Fatalf("got %v, want an *Error with a line of the file", err)
			}
			if known[e.Reason] = true; len(known) > 16 {
				t.Errorf("the reason %q is not of a fixed set", e.Reason)
			}
			return
		}
		escape := strings.NewReplacer(`\`, `\\`, `"`, `\"`, "$", `\$`, "\r", `\r`)
		var again strings.Builder
		for _, e := range entries {
			if e.Name == "" || e.Line < 1 {
				t.Errorf("got the entry %q in line %d", e.Name, e.Line)
			}
			fmt.Fprintf(&again, "export %s=\"%s\"\n", e.Name, escape.Replace(string(e.Value)))
		}
		second, err := dotenv.Parse([]byte(again.String()))
		if err != nil || len(second) != len(entries) {
			t.Fatalf("%q, again: %d entries, %v, want %d", again.String(), len(second), err, len(entries))
		}
		for i, e := range entries {
			if got := second[i]; got.Name != e.Name || string(got.Value) != string(e.Value) {
				t.Errorf("again: got %s=%q, want %s=%q", got.Name, got.Value, e.Name, e.Value)
			}
		}
	})
}
