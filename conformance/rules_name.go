package conformance

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/mlsecrets/secretstore"
)

// badNames break the grammar.
var badNames = []string{
	"", " ", "a b", " a", "a ", "a_b", "a.b", ".", "..", "../a", "a/b", "/a", "a/", `a\b`, "a%2Fb", "a%20b", "%00", "a+b",
	"a:b", "a?b", "a#b", "a&b=c", "a;b", "a*", "a'b", `a"b`, "a|b", "a~", "$a", "{a}", "a\x00", "a\n", "\ta", "a\x7f",
	"é", "\u017f", "\u212a", "\uff41", "a\u0301", "\u0430", "鍵", "🔑", "\xff", "a\u200b", strings.Repeat("a", 128), strings.Repeat("a", 5000),
}

// goodNames are at the edges of the grammar, and all distinct.
func goodNames() []string {
	return []string{
		"a", "0", "-", "--", "a-", "-a", "a--b", "a-b", "ab", "9lives", "con", "nul", "aux", "null", "true", "root", "g", "header",
		"config", "metadata", "data", "delete", "versions", "2f", "c3a9", "x2f", "a-2fb", "1e5", "0x10", "007", "7",
		strings.Repeat("a", 126), strings.Repeat("a", 127), strings.Repeat("a", 126) + "b", strings.Repeat("-", 127),
		strings.Repeat("0", 127), strings.Repeat("b", 100), strings.Repeat("b", 101), strings.Repeat("b", 64), strings.Repeat("b", 63),
		"l0", "lo", "i1", "ii", "rn", "m",
	}
}

var nameRules = []Rule{
	{ID: "name/grammar", Sentence: "A name has 1 to 127 characters of 0-9 a-z A-Z -.", Needs: NeedsOwn,
		check: func(ctx context.Context, e *env) error {
			s, err := e.open(ctx)
			if err != nil {
				return err
			}
			for _, name := range goodNames() {
				if err := s.Set(ctx, name, text("v")); err != nil {
					return fmt.Errorf("Set(%q): %w", name, err)
				}
				if err := expect(ctx, s, name, text("v")); err != nil {
					return err
				}
			}
			return nil
		}},
	{ID: "name/distinct", Sentence: "Different names are different secrets.", Needs: NeedsOwn,
		check: func(ctx context.Context, e *env) error {
			s, err := e.open(ctx)
			if err != nil {
				return err
			}
			names := goodNames()
			if err := s.SetBatch(ctx, batch(names, "value of ")); err != nil {
				return err
			}
			for _, name := range names {
				if err := expect(ctx, s, name, text("value of "+name)); err != nil {
					return err
				}
			}
			slices.Sort(names)
			return e.expectList(ctx, s, names)
		}},
	{ID: "name/invalid", Sentence: "Anything else is ErrInvalidName, and changes nothing.",
		check: func(ctx context.Context, e *env) error {
			s, err := e.open(ctx)
			if err != nil {
				return err
			}
			d, _ := s.(secretstore.Deleter)
			for _, name := range badNames {
				_, gerr := s.Get(ctx, name)
				_, berr := s.GetBatch(ctx, []string{name})
				errs := map[string]error{
					"Set":      s.Set(ctx, name, text("v")),
					"SetBatch": s.SetBatch(ctx, map[string]secretstore.Value{name: text("v")}),
					"Get":      gerr,
					"GetBatch": berr,
				}
				if d != nil {
					errs["Delete"] = d.Delete(ctx, name)
				}
				for method, err := range errs {
					if !errors.Is(err, secretstore.ErrInvalidName) {
						return fmt.Errorf("%s(%.40q): got %v, want ErrInvalidName", method, name, err)
					}
				}
			}
			return e.expectList(ctx, s, nil)
		}},
	{ID: "name/no-io", Sentence: "Bad names, values over the limit and empty batches are dealt with before any I/O.", Needs: NeedsRequests,
		check: func(ctx context.Context, e *env) error {
			s, err := e.open(ctx)
			if err != nil {
				return err
			}
			if err := s.Set(ctx, e.name("warm"), text("v")); err != nil {
				return err
			}
			before := e.h.Requests(s)
			large := secretstore.NewValue(patterned(secretstore.MaxTextLen + 1))
			for _, name := range badNames {
				s.Get(ctx, name)
				s.Set(ctx, name, text("v"))
				s.GetBatch(ctx, []string{name, name})
				s.SetBatch(ctx, map[string]secretstore.Value{e.name("good"): text("v"), name: text("v")})
				if d, ok := s.(secretstore.Deleter); ok {
					d.Delete(ctx, e.name("good"), name)
					d.Delete(ctx)
				}
			}
			s.Set(ctx, e.name("good"), large)
			s.SetBatch(ctx, map[string]secretstore.Value{e.name("good"): text("v"), e.name("other"): large})
			s.SetBatch(ctx, nil)
			s.GetBatch(ctx, nil)
			if after := e.h.Requests(s); after != before {
				return fmt.Errorf("%d requests were made", after-before)
			}
			return nil
		}},
	{ID: "name/case", Sentence: "Case does not distinguish: DB-Password and db-password are one secret.",
		check: func(ctx context.Context, e *env) error {
			s, err := e.open(ctx)
			if err != nil {
				return err
			}
			lower, mixed, upper := e.name("db-password"), e.name("DB-Password"), e.name("DB-PASSWORD")
			if err := s.Set(ctx, mixed, text("one")); err != nil {
				return err
			}
			for _, name := range []string{lower, mixed, upper} {
				if err := expect(ctx, s, name, text("one")); err != nil {
					return err
				}
			}
			if err := s.SetBatch(ctx, map[string]secretstore.Value{upper: text("two")}); err != nil {
				return err
			}
			return expect(ctx, s, lower, text("two"))
		}},
	{ID: "name/canonical", Sentence: "The canonical form of a name is lower case, and List returns it.",
		check: func(ctx context.Context, e *env) error {
			s, err := e.open(ctx)
			if err != nil {
				return err
			}
			if err := s.Set(ctx, e.name("ZEBRA"), text("v")); err != nil {
				return err
			}
			if err := s.SetBatch(ctx, map[string]secretstore.Value{e.name("Apple"): text("v"), e.name("mouse"): text("v")}); err != nil {
				return err
			}
			return e.expectList(ctx, s, []string{e.name("apple"), e.name("mouse"), e.name("zebra")})
		}},
}
