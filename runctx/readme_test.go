package runctx_test

import (
	"os"
	"strings"
	"testing"
)

// TestReadme: the README says how the environment chooses in the words of the
// package's documentation.
func TestReadme(t *testing.T) {
	t.Parallel()
	section := func(path, from, to string, clean func(string) string) string {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		_, rest, ok := strings.Cut(string(text), from)
		body, _, ok2 := strings.Cut(rest, to)
		if !ok || !ok2 {
			t.Fatalf("%s has no text from %q to %q", path, from, to)
		}
		var lines []string
		for line := range strings.Lines(body) {
			if line = strings.TrimSpace(clean(line)); line != "" {
				lines = append(lines, line)
			}
		}
		return strings.Join(lines, "\n")
	}
	doc := section("doc.go", "# How the environment chooses", "# URLs", func(s string) string { return strings.TrimPrefix(s, "//") })
	readme := section("../README.md", "## How the environment chooses", "A launcher hands", func(s string) string { return s })
	if doc != readme || len(doc) < 500 {
		t.Errorf("README.md and doc.go differ:\n--- README.md\n%s\n--- doc.go\n%s", readme, doc)
	}
}
