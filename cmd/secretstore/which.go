package main

import (
	"fmt"
	"os"

	"github.com/mlsecrets/secretstore/runctx"
	"github.com/spf13/cobra"
)

// whichJSON is the output of which --output json.
type whichJSON struct {
	URL       string        `json:"url"`
	Submitted bool          `json:"submitted"`
	RunID     string        `json:"run_id,omitempty"`
	Reason    string        `json:"reason"`
	Signals   []whichSignal `json:"signals"`
}

type whichSignal struct {
	Name   string `json:"name"`
	Found  bool   `json:"found"`
	Used   bool   `json:"used"`
	Detail string `json:"detail,omitempty"`
}

func (a *app) whichCommand() *cobra.Command {
	var output format
	cmd := &cobra.Command{
		Use:   "which",
		Short: "Say which store is used here, and why",
		Long: `Say which store is used here, whether this is a submitted run, why, and all that
was looked at. The store is not opened. If no store can be chosen, what was looked
at is printed all the same, and the exit code is 2.`,
		Args: args(0, 0, "no arguments"),
		RunE: func(*cobra.Command, []string) error {
			env, err := a.env()
			if err != nil {
				return err
			}
			decision, err := runctx.Detect(env)
			if werr := printDecision(decision, output.json); werr != nil {
				return werr
			}
			return err
		},
	}
	output.flag(cmd)
	return cmd
}

func printDecision(d runctx.Decision, asJSON bool) error {
	if !asJSON {
		_, err := fmt.Fprintln(os.Stdout, d)
		return writeError(err)
	}
	out := whichJSON{URL: d.URL, Submitted: d.Submitted, RunID: d.RunID, Reason: d.Reason, Signals: []whichSignal{}}
	for _, s := range d.Signals {
		out.Signals = append(out.Signals, whichSignal(s))
	}
	return writeJSON(os.Stdout, out)
}
