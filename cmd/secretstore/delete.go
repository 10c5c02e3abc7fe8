package main

import (
	"context"

	"github.com/mlsecrets/secretstore/runctx"
	"github.com/spf13/cobra"
)

func (a *app) deleteCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "delete NAME...",
		Aliases: []string{"rm"},
		Short:   "Delete secrets",
		Long: `Delete the named secrets, without asking. A name that is absent is no error: after
delete it is absent. All names are checked before any is deleted.`,
		Args:              args(1, -1, "one or more names"),
		ValidArgsFunction: a.completeNames,
		RunE: func(cmd *cobra.Command, names []string) error {
			return a.withStore(cmd.Context(), func(ctx context.Context, run *runctx.Run) error {
				defer progress("deleting %d secrets…", len(names))()
				return run.Delete(ctx, names...)
			})
		},
	}
}
