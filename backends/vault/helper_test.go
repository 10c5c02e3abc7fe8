package vault_test

import (
	"encoding/base64"
	"encoding/json"
	"testing"
)

// encode returns one part of a JSON web token.
func encode(t testing.TB, v any) string {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return base64.RawURLEncoding.EncodeToString(b)
}
