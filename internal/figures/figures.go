// Package figures keeps docs/figures.md: what the tests have counted, in the words in
// which they print it. Only tests import it.
//
// The file has a section for each figure, between <!-- name --> and <!-- end -->. With
// SECRETSTORE_UPDATE_FIGURES=1 the tests write their sections anew.
package figures

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/mlsecrets/secretstore/conformance"
)

var updating = os.Getenv("SECRETSTORE_UPDATE_FIGURES") != ""

// Keep logs the text, and writes it into its section if the file is being updated. It
// is for figures in which chance has a part, so that those of the last full run stand in
// the file.
func Keep(tb testing.TB, section, text string) {
	tb.Helper()
	tb.Log(text)
	if updating && !tb.Failed() {
		if err := write(section, text); err != nil {
			tb.Error(err)
		}
	}
}

// Check is Keep for figures that are always the same. It fails if the file says
// something else.
func Check(tb testing.TB, section, text string) {
	tb.Helper()
	Keep(tb, section, text)
	_, old, _, err := read(section)
	if err != nil {
		tb.Error(err)
	} else if old != text && !tb.Failed() {
		tb.Errorf("docs/figures.md is not current: run this test with SECRETSTORE_UPDATE_FIGURES=1; it has %q, want %q", old, text)
	}
}

// Suite checks the section of a store that the conformance suite has been run on. A run
// of a part of the suite says nothing.
func Suite(tb testing.TB, store string, results []conformance.Result) {
	tb.Helper()
	if len(results) < len(conformance.Rules()) {
		return
	}
	kept, histories := 0, 0
	var leftOut []string
	for _, r := range results {
		switch {
		case r.LeftOut != "":
			leftOut = append(leftOut, fmt.Sprintf("`%s` (needs %s)", r.Rule.ID, r.LeftOut))
		case r.Err == nil:
			kept++
		}
		if r.Operations > 0 {
			histories++
		}
	}
	text := fmt.Sprintf("**%s**: %d rules kept; linearizable histories checked: %d", store, kept, histories)
	if len(leftOut) > 0 {
		text += fmt.Sprintf("; %d left out: %s", len(leftOut), strings.Join(leftOut, ", "))
	}
	Check(tb, "suite: "+store, text+".")
}

// mu is for the tests of one process; packages are to be updated one at a time.
var mu sync.Mutex

func write(section, text string) error {
	mu.Lock()
	defer mu.Unlock()
	before, _, after, err := read(section)
	if err != nil {
		return err
	}
	path, err := find()
	if err != nil {
		return err
	}
	return os.WriteFile(path, []byte(before+text+after), 0o644)
}

// read returns the file in three parts: up to the section's text, the text, and the rest.
func read(section string) (before, text, after string, err error) {
	path, err := find()
	if err != nil {
		return "", "", "", err
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return "", "", "", err
	}
	begin := "<!-- " + section + " -->\n"
	before, rest, ok := strings.Cut(strings.ReplaceAll(string(b), "\r\n", "\n"), begin)
	text, after, closed := strings.Cut(rest, "\n<!-- end -->")
	if !ok || !closed {
		return "", "", "", fmt.Errorf("docs/figures.md has no section %q; write its two marks", section)
	}
	return before + begin, text, "\n<!-- end -->" + after, nil
}

// find looks for the file upward from the folder of the test.
func find() (string, error) {
	dir, err := os.Getwd()
	for err == nil {
		path := filepath.Join(dir, "docs", "figures.md")
		if _, err := os.Stat(path); err == nil {
			return path, nil
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return "", fmt.Errorf("there is no docs/figures.md above the test")
		}
		dir = parent
	}
	return "", err
}
