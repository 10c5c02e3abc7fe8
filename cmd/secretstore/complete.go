package main

import (
	"context"
	"os"
	"slices"
	"time"

	"github.com/mlsecrets/secretstore/runctx"
	"github.com/spf13/cobra"
)

// completeNames offers the names of the store's secrets to the shell. If they
// can't be had in a moment, it offers nothing and says nothing.
func (a *app) completeNames(cmd *cobra.Command, taken []string, _ string) ([]string, cobra.ShellCompDirective) {
	// The terminal is the shell's while it completes: nobody may be asked for a
	// passphrase.
	if null, err := os.Open(os.DevNull); err == nil {
		os.Stdin = null
	}
	a.timeout = 2 * time.Second
	var names []string
	_ = a.withStore(cmd.Context(), func(ctx context.Context, run *runctx.Run) error {
		var err error
		names, err = run.List(ctx)
		return err
	})
	names = slices.DeleteFunc(names, func(name string) bool { return slices.Contains(taken, name) })
	return names, cobra.ShellCompDirectiveNoFileComp
}

// completeName is completeNames for a command that takes one name.
func (a *app) completeName(cmd *cobra.Command, taken []string, part string) ([]string, cobra.ShellCompDirective) {
	if len(taken) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return a.completeNames(cmd, taken, part)
}
