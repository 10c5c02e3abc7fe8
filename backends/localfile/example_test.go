package localfile_test

import (
	"context"
	"fmt"
	"log"
	"os"
	"path/filepath"

	"github.com/mlsecrets/secretstore"
	"github.com/mlsecrets/secretstore/backends/localfile"
)

// A store with a key file of its own.
func Example() {
	ctx := context.Background()
	dir, err := os.MkdirTemp("", "example")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	key := filepath.Join(dir, "key")
	if err := localfile.NewKeyFile(key); err != nil {
		log.Fatal(err)
	}
	store, err := localfile.Open(ctx, localfile.Config{Path: filepath.Join(dir, "store.db"), Key: localfile.KeyFile(key)})
	if err != nil {
		log.Fatal(err)
	}
	defer store.Close()
	// In a program the value comes from a prompt, a pipe or a variable.
	if err := store.Set(ctx, "db-password", secretstore.NewValue([]byte(os.Getenv("DB_PASSWORD")))); err != nil {
		log.Fatal(err)
	}
	names, err := store.List(ctx)
	fmt.Println(names, err)
	// Output: [db-password] <nil>
}
