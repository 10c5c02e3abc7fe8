package main

import (
	"fmt"
	"os"

	"github.com/mlsecrets/secretstore/backends/localfile"
	"github.com/spf13/cobra"
)

// verifyJSON is the output of verify --output json.
type verifyJSON struct {
	Secrets int      `json:"secrets"`
	Size    int64    `json:"size"`
	Damaged []string `json:"damaged"`
}

func (a *app) verifyCommand() *cobra.Command {
	var output format
	cmd := &cobra.Command{
		Use:   "verify",
		Short: "Read every secret of an encrypted file and report damage",
		Long: `Read everything in the encrypted file that is the store here, and check it. What is
damaged is named, one a line, and the exit code is then 6.`,
		Args: args(0, 0, "no arguments"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			config, err := a.fileConfig("verify")
			if err != nil {
				return err
			}
			ctx, cancel, err := a.limit(cmd.Context())
			if err != nil {
				return err
			}
			defer cancel()
			done := progress("reading %s…", config.Path)
			report, err := localfile.Verify(ctx, config)
			done()
			// The report of a damaged file says what is damaged.
			if err == nil || len(report.Damaged) > 0 {
				if werr := printReport(report, output.json); werr != nil {
					return werr
				}
			}
			return err
		},
	}
	output.flag(cmd)
	return cmd
}

func printReport(r localfile.Report, asJSON bool) error {
	if asJSON {
		return writeJSON(os.Stdout, verifyJSON{r.Secrets, r.Size, append([]string{}, r.Damaged...)})
	}
	for _, what := range r.Damaged {
		if _, err := fmt.Printf("damaged: %s\n", what); err != nil {
			return writeError(err)
		}
	}
	_, err := fmt.Printf("%d secrets in %d bytes, %d damaged\n", r.Secrets, r.Size, len(r.Damaged))
	return writeError(err)
}
