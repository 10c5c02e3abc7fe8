package vault_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestDocumentedPolicies checks that the policies that the tests use are those of the
// package's documentation.
func TestDocumentedPolicies(t *testing.T) {
	t.Parallel()
	doc, err := os.ReadFile("doc.go")
	if err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob("policy/*.hcl")
	if err != nil || len(files) != 4 {
		t.Fatalf("got the policies %q, %v; want four", files, err)
	}
	for _, file := range files {
		policy, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		text := "//\n"
		for line := range strings.Lines(string(policy)) {
			text += "//\t" + line
		}
		if !strings.Contains(string(doc), text+"//\n") {
			t.Errorf("%s does not stand in the documentation as the tests use it", file)
		}
	}
}
