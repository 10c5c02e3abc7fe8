package conformance_test

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/mlsecrets/secretstore/conformance"
)

//go:generate go test -run ^TestDocs$ -update .

var update = flag.Bool("update", false, "write docs/conformance.md")

// TestDocs: docs/conformance.md lists the rules that there are.
func TestDocs(t *testing.T) {
	const path = "../docs/conformance.md"
	var b strings.Builder
	count := map[string]int{}
	for _, m := range mutants {
		count[m.rule]++
	}
	fmt.Fprintf(&b, "# The rules of the conformance suite\n\nGenerated from package conformance by `go generate ./conformance`. "+
		"Each of the %d rules is proven on stores that break it, %d in all; the last column counts them.\n\n", len(conformance.Rules()), len(mutants))
	b.WriteString("| id | rule | needs | broken stores |\n|---|---|---|---|\n")
	for _, r := range conformance.Rules() {
		fmt.Fprintf(&b, "| `%s` | %s | %s | %d |\n", r.ID, r.Sentence, r.Needs, count[r.ID])
	}
	if *update {
		if err := os.WriteFile(path, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if strings.ReplaceAll(string(got), "\r\n", "\n") != b.String() {
		t.Errorf("%s is not current: run go generate ./conformance", path)
	}
}
