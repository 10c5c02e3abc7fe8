package conformance

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime/pprof"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mlsecrets/secretstore"
	"github.com/stretchr/testify/assert"
)

// Result is the outcome of one rule.
type Result struct {
	Rule    Rule
	Err     error         // nil: kept, or left out
	LeftOut string        // why the rule did not run, or ""
	Took    time.Duration // the check, with opening the store

	// Operations is how many operations the history had that was found to be
	// linearizable; 0 for a rule that checks none.
	Operations int
}

// watchdog is how long one rule may take before it counts as hung.
const watchdog = 3 * time.Minute

// Test runs every rule against the harness's stores, each as a subtest of its id.
// Rules that were left out are named at the end. It returns the results of the rules
// that -run lets run.
func Test(t *testing.T, h Harness) []Result {
	t.Helper()
	var results []Result
	var leftOut []string
	kept, histories, operations := 0, 0, 0
	for _, r := range Rules() {
		t.Run(r.ID, func(t *testing.T) {
			res := run(t.Context(), h, r)
			results = append(results, res)
			if res.Operations > 0 {
				histories++
				operations += res.Operations
			}
			if res.LeftOut != "" {
				leftOut = append(leftOut, r.ID+" (needs "+res.LeftOut+")")
				return
			}
			if assert.NoError(t, res.Err, "the rule: %s", r.Sentence) {
				kept++
			}
		})
	}
	t.Logf("conformance: %d rules kept of %d; %d linearizable histories of %d operations in all", kept, len(Rules()), histories, operations)
	if len(leftOut) > 0 {
		t.Logf("conformance: %d rules left out: %s", len(leftOut), strings.Join(leftOut, ", "))
	}
	return results
}

// Check runs the rules of the given ids, or all, without a testing.T.
func Check(ctx context.Context, h Harness, ids ...string) []Result {
	var results []Result
	for _, r := range Rules() {
		if len(ids) == 0 || slices.Contains(ids, r.ID) {
			results = append(results, run(ctx, h, r))
		}
	}
	return results
}

// CheckLive runs the rules of the given ids, or all, as far as they can do no harm,
// against a store that is in use. The rules keep to names that start with
// "conformance-" and a random number, and delete them; the store must be a
// [secretstore.Deleter]. A rule that needs more than the store is left out.
func CheckLive(ctx context.Context, s secretstore.Store, ids ...string) []Result {
	return Check(ctx, Harness{
		Open:   func(context.Context) (secretstore.StoreCloser, error) { return borrowed{s}, nil },
		Shared: true,
		Slow:   true,
	}, ids...)
}

// borrowed is a store that outlives the suite.
type borrowed struct{ secretstore.Store }

func (borrowed) Close() error { return nil }

func (b borrowed) Delete(ctx context.Context, names ...string) error {
	d, ok := b.Store.(secretstore.Deleter)
	if !ok {
		return errors.ErrUnsupported
	}
	return d.Delete(ctx, names...)
}

// errLeftOut is returned by a check that finds that it can't run.
type errLeftOut string

func (e errLeftOut) Error() string { return string(e) }

// run runs one rule, with a watchdog.
func run(ctx context.Context, h Harness, r Rule) (res Result) {
	res.Rule = r
	start := time.Now()
	defer func() { res.Took = time.Since(start) }()
	if missing := unmet(h, r); missing != "" {
		res.LeftOut = missing
		return res
	}
	ctx, cancel := context.WithTimeout(ctx, watchdog)
	defer cancel()
	e := newEnv(h)
	done := make(chan error, 1)
	go func() {
		var err error
		defer func() {
			if p := recover(); p != nil {
				err = fmt.Errorf("panic: %v", p)
			}
			done <- errors.Join(err, e.cleanUp())
		}()
		err = r.check(ctx, e)
	}()
	select {
	case res.Err = <-done:
		res.Operations = e.operations
	case <-ctx.Done():
		pprof.Lookup("goroutine").WriteTo(os.Stderr, 1)
		res.Err = fmt.Errorf("the check hangs; the stacks of all goroutines are on standard error")
		return res
	}
	if why, ok := errors.AsType[errLeftOut](res.Err); ok {
		res.Err, res.LeftOut = nil, string(why)
	}
	return res
}

// unmet returns what the rule needs and the harness doesn't have.
func unmet(h Harness, r Rule) string {
	met := true
	switch r.Needs {
	case NeedsOwn:
		met = !h.Shared
	case NeedsSecond:
		met = h.Second != nil
	case NeedsChild:
		met = h.Child != nil
	case NeedsAtomic:
		met = h.Facts.AtomicBatch
	case NeedsLock:
		met = h.Lock != nil
	case NeedsRequests:
		met = h.Requests != nil
	case NeedsNothing, NeedsDelete:
	default:
		met = h.Inject != nil
	}
	if met {
		return ""
	}
	return string(r.Needs)
}
