package conformance_test

import (
	"context"
	"testing"

	"github.com/mlsecrets/secretstore"
	"github.com/mlsecrets/secretstore/backends/memory"
	"github.com/mlsecrets/secretstore/conformance"
)

// The author of a backend tests it with one call.
func ExampleTest() {
	_ = func(t *testing.T) { // TestConformance
		conformance.Test(t, conformance.Harness{
			Open:  func(context.Context) (secretstore.StoreCloser, error) { return memory.New(), nil },
			Facts: conformance.Facts{AtomicBatch: true},
		})
	}
}
