// Command training shows the whole idea on one page: a launcher sets a database's
// user and password in the store of the place where it runs, and submits a training
// run, which asks for them by name.
//
//	go run ./examples/training
//
// Nothing has to be set up. Where nothing else is configured the store is the
// user's own encrypted file; with SECRETSTORE_URL, or in a workspace, the same
// program uses that store. The two secrets are deleted at the end.
//
// The database is a small data service on loopback that lets nobody in without the
// user and the password. They come from TRAINING_DB_USER and TRAINING_DB_PASSWORD,
// or are made up.
package main

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"

	"github.com/mlsecrets/secretstore"
	"github.com/mlsecrets/secretstore/runctx"
)

// The names that the launcher and the run agree on.
const (
	dbUser     = "example-training-db-user"
	dbPassword = "example-training-db-password"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	data := flag.String("train", "", "be the submitted run, on the data `service` at this address")
	wrong := flag.Bool("wrong-password", false, "store another password than the database's, to see the run fail")
	flag.Parse()
	var err error
	if *data != "" {
		err = train(ctx, *data)
	} else {
		err = launch(ctx, *wrong)
	}
	if exit, ok := err.(*exec.ExitError); ok { // and nothing else went wrong
		os.Exit(exit.ExitCode()) // the run has said why
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "training:", err)
		os.Exit(1)
	}
}

// launch starts the database, sets its credentials, and submits the run.
func launch(ctx context.Context, wrong bool) (err error) {
	user := secretstore.NewValue([]byte(cmp.Or(os.Getenv("TRAINING_DB_USER"), "user-"+rand.Text())))
	password := secretstore.NewValue([]byte(cmp.Or(os.Getenv("TRAINING_DB_PASSWORD"), rand.Text())))
	service, err := startService(user, password)
	if err != nil {
		return err
	}
	defer service.Close()
	if wrong {
		password = secretstore.NewValue([]byte(rand.Text()))
	}

	run, err := runctx.Open(ctx)
	if err != nil {
		return err
	}
	defer run.Close()
	fmt.Printf("launcher: the store is %s: %s\n", run.Decision().URL, run.Decision().Reason)
	if err := run.SetBatch(ctx, map[string]secretstore.Value{dbUser: user, dbPassword: password}); err != nil {
		return err
	}
	defer func() {
		// Also when the launcher was interrupted.
		err = errors.Join(err, run.Delete(context.WithoutCancel(ctx), dbUser, dbPassword))
	}()
	fmt.Printf("launcher: set %s to %v and %s to %v\n", dbUser, user, dbPassword, password)

	self, err := os.Executable()
	if err != nil {
		return err
	}
	child := exec.CommandContext(ctx, self, "-train", service.URL())
	child.Env = run.Environ() // and nothing else
	child.Stdout, child.Stderr = os.Stdout, os.Stderr
	return child.Run()
}
