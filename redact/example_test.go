package redact_test

import (
	"fmt"
	"os"

	"github.com/mlsecrets/secretstore"
	"github.com/mlsecrets/secretstore/redact"
)

func ExampleNewWriter() {
	password := secretstore.NewValue([]byte(os.Getenv("HOME") + "-hunter2"))
	out := redact.NewWriter(os.Stdout, password)
	defer out.Close()
	fmt.Fprintf(out, "connecting with %s\n", password.Reveal())
	// Output: connecting with [redacted]
}
