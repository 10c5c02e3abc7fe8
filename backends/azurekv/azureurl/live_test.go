package azureurl_test

import (
	"os"
	"testing"
	"time"

	"github.com/mlsecrets/secretstore/backends/azurekv/azureurl"
	"github.com/mlsecrets/secretstore/conformance"
)

// TestLive runs the suite on a real vault, if SECRETSTORE_LIVE_AZUREKV_URL names
// one (azurekv:// or azureml://) and the default credential may get, list, set,
// delete and recover secrets there. It keeps to names with a random prefix and
// deletes them; as soft-deleted they stay for the vault's retention.
func TestLive(t *testing.T) {
	url := os.Getenv("SECRETSTORE_LIVE_AZUREKV_URL")
	if url == "" {
		t.Skip("SECRETSTORE_LIVE_AZUREKV_URL names no real vault; this test is for a desk with an Azure login")
	}
	store, err := openers(new(azureurl.Opener)).Open(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	for _, result := range conformance.CheckLive(t.Context(), store) {
		switch {
		case result.LeftOut != "":
			t.Logf("%s is left out: needs %s", result.Rule.ID, result.LeftOut)
		case result.Err != nil:
			t.Errorf("%s (%s): %v", result.Rule.ID, result.Rule.Sentence, result.Err)
		default:
			t.Logf("%s in %v", result.Rule.ID, result.Took.Round(time.Millisecond))
		}
	}
}
