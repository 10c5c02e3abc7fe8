package runctx_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/mlsecrets/secretstore"
	"github.com/mlsecrets/secretstore/runctx"
)

// TestParametersAreShown: what the bundled openers say that they take is shown where a
// choice is explained, and nothing else is.
func TestParametersAreShown(t *testing.T) {
	t.Parallel()
	for scheme, base := range map[string]string{
		"vault": "vault://vault.example.com/secret/team", "file": "file:///store.db", "azurekv": "azurekv://team",
		"azureml": "azureml://subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/g/workspaces/w",
	} {
		_, err := runctx.Openers().Open(t.Context(), base+"?no-such-parameter=hunter2")
		_, list, ok := strings.Cut(err.Error(), "it takes ")
		if !errors.Is(err, secretstore.ErrInvalidConfig) || !ok {
			t.Errorf("%s: got %v, want an error that says which parameters it takes", scheme, err)
			continue
		}
		for name := range strings.SplitSeq(list, ", ") {
			env := fakeEnv(t, nil, nil)
			env.URL = base + "?" + name + "=x&no-such-parameter=hunter2"
			d, err := runctx.Detect(env)
			if want := base + "?" + name + "=x&…"; err != nil || d.URL != want {
				t.Errorf("%s: got %q, %v, want %q", scheme, d.URL, err, want)
			}
		}
	}
}
