package azurekvtest_test

import (
	"context"
	"errors"
	"fmt"
	"log"

	"github.com/mlsecrets/secretstore"
	"github.com/mlsecrets/secretstore/backends/azurekv"
	"github.com/mlsecrets/secretstore/backends/azurekv/azurekvtest"
)

// A program is tested on a vault that holds what it needs, and on one that refuses.
func Example() {
	ctx := context.Background()
	server := azurekvtest.NewServer(azurekvtest.Options{})
	defer server.Close()
	server.Put("db-user", "etl")

	store, err := azurekv.Open(ctx, server.Config())
	if err != nil {
		log.Fatal(err)
	}
	defer store.Close()

	user, err := store.Get(ctx, "db-user")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%s\n", user.Reveal())

	server.Inject(azurekvtest.Fault{Kind: azurekvtest.Firewall})
	_, err = store.Get(ctx, "db-user")
	fmt.Println(errors.Is(err, secretstore.ErrDenied))
	// Output:
	// etl
	// true
}
