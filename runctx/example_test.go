package runctx_test

import (
	"context"
	"fmt"
	"io/fs"
	"log"

	"github.com/mlsecrets/secretstore/runctx"
)

// A program asks for a secret by name, wherever it runs.
func ExampleOpen() {
	ctx := context.Background()
	run, err := runctx.Open(ctx)
	if err != nil {
		log.Fatal(err)
	}
	defer run.Close()
	token, err := run.Get(ctx, "api-token")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(token) // [redacted]; token.Reveal() has the bytes
}

// Which store an environment leads to can be asked without opening it.
func ExampleDetect() {
	vars := map[string]string{"SECRETSTORE_URL": "memory://", "VAULT_ADDR": "https://vault.example.com:8200"}
	d, err := runctx.Detect(runctx.Env{
		Getenv:   func(name string) string { return vars[name] },
		Dir:      "/",
		ReadFile: func(string) ([]byte, error) { return nil, fs.ErrNotExist },
	})
	fmt.Println(d.URL, d.Reason, err)
	// Output: memory:// SECRETSTORE_URL names it <nil>
}
