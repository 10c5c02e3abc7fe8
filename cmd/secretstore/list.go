package main

import (
	"bufio"
	"context"
	"os"

	"github.com/mlsecrets/secretstore/runctx"
	"github.com/spf13/cobra"
)

func (a *app) listCommand() *cobra.Command {
	var output format
	cmd := &cobra.Command{
		Use:   "list",
		Short: "Print the names of the secrets, one a line",
		Long: `Print the names of the secrets that can be read, sorted, one a line, or as a JSON
array. No value is read from the store.`,
		Args: args(0, 0, "no arguments"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.withStore(cmd.Context(), func(ctx context.Context, run *runctx.Run) error {
				names, err := run.List(ctx)
				if err != nil {
					return err
				}
				if output.json {
					return writeJSON(os.Stdout, names)
				}
				out := bufio.NewWriter(os.Stdout)
				for _, name := range names {
					out.WriteString(name + "\n")
				}
				return writeError(out.Flush())
			})
		},
	}
	output.flag(cmd)
	return cmd
}
