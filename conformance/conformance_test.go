package conformance_test

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/mlsecrets/secretstore"
	"github.com/mlsecrets/secretstore/backends/memory"
	"github.com/mlsecrets/secretstore/conformance"
	"github.com/mlsecrets/secretstore/internal/figures"
)

// TestSoundService: the service of which the mutants are made passes, with every
// back door, when it is not broken. What needs another process is proven on the
// local file.
func TestSoundService(t *testing.T) { // alone: rules count the goroutines of the process
	for _, res := range conformance.Check(t.Context(), harness(nil)) {
		if res.Err != nil {
			t.Errorf("%s: %v", res.Rule.ID, res.Err)
		}
		if res.LeftOut != "" && res.LeftOut != string(conformance.NeedsChild) {
			t.Errorf("%s was left out: it needs %s", res.Rule.ID, res.LeftOut)
		}
	}
}

// TestMutants: every broken store is caught by the rule that it breaks, and every
// rule catches one.
func TestMutants(t *testing.T) { // alone: rules count the goroutines of the process
	killed := map[string]int{}
	for _, m := range mutants {
		results := conformance.Check(t.Context(), m.harness, m.rule)
		switch {
		case len(results) != 1:
			t.Errorf("there is no rule %q", m.rule)
		case results[0].LeftOut != "":
			t.Errorf("%s did not run on the store that %s: it needs %s", m.rule, m.what, results[0].LeftOut)
		case results[0].Err == nil:
			t.Errorf("%s passes a store that %s", m.rule, m.what)
		default:
			killed[m.rule]++
		}
	}
	total := 0
	for _, r := range conformance.Rules() {
		if killed[r.ID] == 0 {
			t.Errorf("no mutant proves the rule %s", r.ID)
		}
		total += killed[r.ID]
	}
	figures.Check(t, "mutants", fmt.Sprintf("%d rules; %d broken stores of %d found out, each by the rule that it breaks.", len(conformance.Rules()), total, len(mutants)))
}

// TestChildApart is the other process of the harness apart.
func TestChildApart(t *testing.T) {
	if os.Getenv("CONFORMANCE_APART") == "" {
		return // only the suite starts it as a child
	}
	s := memory.New()
	names := make([]string, 12)
	for i := range names {
		s.Set(t.Context(), fmt.Sprintf("n-%03d", i), val("stale"))
	}
	s.Set(t.Context(), "register", val("stale"))
	if err := conformance.ServeChild(t.Context(), s, os.Stdin, os.Stdout); err != nil {
		t.Fatal(err)
	}
	os.Exit(0)
}

func TestRules(t *testing.T) {
	t.Parallel()
	rules := conformance.Rules()
	seen := map[string]bool{}
	for _, r := range rules {
		if seen[r.ID] || r.ID == "" || r.ID != strings.ToLower(r.ID) {
			t.Errorf("the id %q is not new, or not well formed", r.ID)
		}
		seen[r.ID] = true
		if !strings.HasSuffix(r.Sentence, ".") {
			t.Errorf("%s: the rule is not a sentence: %q", r.ID, r.Sentence)
		}
	}
	if !slices.IsSortedFunc(rules, func(a, b conformance.Rule) int { return strings.Compare(a.ID, b.ID) }) {
		t.Error("the rules are not in order of their ids")
	}
}

// TestCheckLive: a store in use keeps what it holds, and nothing more.
func TestCheckLive(t *testing.T) {
	t.Parallel()
	s := memory.New()
	if err := s.Set(t.Context(), "mine", val("v")); err != nil {
		t.Fatal(err)
	}
	ran := 0
	for _, res := range conformance.CheckLive(t.Context(), s) {
		if res.Err != nil {
			t.Errorf("%s: %v", res.Rule.ID, res.Err)
		}
		if res.LeftOut == "" {
			ran++
		}
	}
	if ran < 35 {
		t.Errorf("only %d rules ran", ran)
	}
	if names, err := s.List(t.Context()); err != nil || !slices.Equal(names, []string{"mine"}) {
		t.Errorf("the store holds %q, %v; want what it held before", names, err)
	}
	if v, err := s.Get(t.Context(), "mine"); err != nil || !v.Equal(val("v")) {
		t.Errorf("got %v for the store's own secret", err)
	}
}

// TestPanic: a store that panics fails the rule, and not the program.
func TestPanic(t *testing.T) {
	t.Parallel()
	h := mutant(func(b *broken) {
		b.get = func(context.Context, string) (secretstore.Value, error) { panic("oops") }
	})
	res := conformance.Check(t.Context(), h, "get/absent")
	if len(res) != 1 || res[0].Err == nil || !strings.Contains(res[0].Err.Error(), "panic") {
		t.Errorf("got %+v, want a failure that says panic", res)
	}
}
