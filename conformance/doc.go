// Package conformance is the one test suite that every backend of secretstore is
// held to. A store that passes it can be put in the place of any other.
//
// The author of a backend calls [Test] from a test, with a [Harness] that says how
// to get a fresh store and what the test may do to it:
//
//	func TestConformance(t *testing.T) {
//		conformance.Test(t, conformance.Harness{
//			Open: func(context.Context) (secretstore.StoreCloser, error) {
//				return mybackend.New(t.TempDir())
//			},
//			Facts: conformance.Facts{AtomicBatch: true},
//		})
//	}
//
// Each [Rule] is one sentence of the contract in package secretstore, with an id
// and a check. Some rules need more than a store: a second handle on the same data,
// another process, a way to make the service fail. A rule whose need the harness
// doesn't meet is left out, and named at the end of the test.
//
// Every rule is itself tested: for each there is a store that breaks just that rule,
// and on which it must fail.
package conformance
