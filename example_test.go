package secretstore_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/mlsecrets/secretstore"
	"github.com/mlsecrets/secretstore/backends/memory"
)

// Code that needs a secret takes a Store, and reveals the value where it is
// used.
func ExampleStore() {
	ctx := context.Background()
	var store secretstore.StoreCloser = memory.New() // in a program: runctx.Open(ctx)
	defer store.Close()
	if err := store.Set(ctx, "DB-Password", secretstore.NewValue([]byte("correct horse"))); err != nil {
		fmt.Println(err)
		return
	}

	password, err := store.Get(ctx, "db-password")
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("have a password:", password)
	fmt.Println("bytes to log in with:", len(password.Reveal()))

	_, err = store.Get(ctx, "db-user")
	fmt.Println(errors.Is(err, secretstore.ErrNotFound), err)
	// Output:
	// have a password: [redacted]
	// bytes to log in with: 13
	// true secretstore: get "db-user" (memory): not found
}

// GetBatch returns what it could read, also when some names failed, and says of
// each of these why.
func ExampleBatchError() {
	ctx := context.Background()
	store := memory.New()
	defer store.Close()
	err := store.SetBatch(ctx, map[string]secretstore.Value{
		"db-user":     secretstore.NewValue([]byte("etl")),
		"db-password": secretstore.NewValue([]byte("correct horse")),
	})
	if err != nil {
		fmt.Println(err)
		return
	}

	values, err := store.GetBatch(ctx, []string{"db-user", "db-password", "db-host", "db_port"})
	if batch, ok := errors.AsType[*secretstore.BatchError](err); ok {
		for _, e := range batch.Errs {
			if errors.Is(e, secretstore.ErrNotFound) {
				fmt.Printf("%s is not set, so the default counts\n", e.Name)
				continue
			}
			fmt.Println(e)
		}
	} else if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("read", len(values))
	// Output:
	// db-host is not set, so the default counts
	// secretstore: get batch "db_port" (memory): invalid name: character '_' at position 3; a name has 1 to 127 characters of 0-9 a-z A-Z -
	// read 2
}

// mounted is a driver of secrets that the platform mounts as files, one a name.
type mounted struct{ dir string }

func (m mounted) Backend() string { return "mounted" }

func (m mounted) Get(_ context.Context, name string) (secretstore.Value, error) {
	// The name is canonical, so it can't leave the folder.
	b, err := os.ReadFile(filepath.Join(m.dir, name))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return secretstore.Value{}, &secretstore.Error{Kind: secretstore.ErrNotFound}
	case errors.Is(err, fs.ErrPermission):
		return secretstore.Value{}, &secretstore.Error{Kind: secretstore.ErrDenied, Detail: "the file can't be read by this user"}
	case err != nil:
		return secretstore.Value{}, &secretstore.Error{Kind: secretstore.ErrUnavailable, Detail: "the file can't be read"}
	}
	return secretstore.NewValue(b), nil
}

func (m mounted) Set(context.Context, string, secretstore.Value) error {
	return &secretstore.Error{Kind: errors.ErrUnsupported, Detail: "mounted secrets are set by the platform"}
}

func (m mounted) List(context.Context) ([]string, error) {
	entries, err := os.ReadDir(m.dir)
	if err != nil {
		return nil, &secretstore.Error{Kind: secretstore.ErrUnavailable, Detail: "the folder can't be read"}
	}
	var names []string
	for _, entry := range entries {
		if entry.Type().IsRegular() {
			names = append(names, entry.Name())
		}
	}
	return names, nil
}

// A backend is a Driver: it does the I/O and tells the kind of each error. New
// adds the rules that hold everywhere: here the checked names, the batch, and
// the operation, backend and name in the error.
func ExampleNew() {
	dir, err := os.MkdirTemp("", "mounted")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	for _, name := range []string{"db-user", "db-password", "..data"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("v"), 0o600); err != nil {
			fmt.Println(err)
			return
		}
	}

	ctx := context.Background()
	store := secretstore.New(mounted{dir})
	defer store.Close()
	names, err := store.List(ctx)
	fmt.Println(names, err)
	_, err = store.GetBatch(ctx, []string{"db-user", "DB-Host", "../db-user"})
	fmt.Println(err)
	fmt.Println(store.Set(ctx, "db-user", secretstore.NewValue(nil)))
	// Output:
	// [db-password db-user] <nil>
	// secretstore: get batch (mounted): 2 of 3 failed: "DB-Host": not found; "../db-user": invalid name: character '.' at position 1; a name has 1 to 127 characters of 0-9 a-z A-Z -
	// secretstore: set "db-user" (mounted): unsupported operation: mounted secrets are set by the platform
}

// dsn is code under test: it knows a Store, and no backend.
func dsn(ctx context.Context, store secretstore.Store) (string, error) {
	values, err := store.GetBatch(ctx, []string{"db-user", "db-password"})
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("postgres://%s:%s@db/train", values["db-user"].Reveal(), values["db-password"].Reveal()), nil
}

// In a test, memory.New takes the place of the store that a program opens.
func Example_testing() {
	ctx := context.Background()
	store := memory.New()
	defer store.Close()
	_, err := dsn(ctx, store)
	fmt.Println(err)

	err = store.SetBatch(ctx, map[string]secretstore.Value{
		"db-user":     secretstore.NewValue([]byte("etl")),
		"db-password": secretstore.NewValue([]byte("for-tests")),
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	got, err := dsn(ctx, store)
	fmt.Println(got, err)
	// Output:
	// secretstore: get batch (memory): 2 of 2 failed: "db-user": not found; "db-password": not found
	// postgres://etl:for-tests@db/train <nil>
}
