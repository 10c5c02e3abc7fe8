package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/mlsecrets/secretstore"
	"github.com/mlsecrets/secretstore/conformance"
	"github.com/mlsecrets/secretstore/runctx"
	"github.com/spf13/cobra"
)

const doctorHelp = `Check that the store here keeps the contract: run those rules of the conformance suite
that do no harm to a store in use. It takes seconds on a file, and minutes on a service.

The rules set, read and delete a few thousand secrets of their own, whose names begin
with conformance- and a random part; no other is touched. A service counts and logs
those requests, Azure Key Vault keeps what was deleted until it purges it, and Vault's
layout map keeps it in older versions.

One line a rule, with tabs between: ok, FAIL or skip; the rule's id; what is wrong, or
what the rule needs. The exit code is 1 if a rule fails. Where the store can't be
written to, nothing is checked and the code is that of the error.`

// doctorJSON is an element of the output of doctor --output json.
type doctorJSON struct {
	Rule    string `json:"rule"`
	Outcome string `json:"outcome"`
	Detail  string `json:"detail,omitempty"`
}

func (a *app) doctorCommand() *cobra.Command {
	var output format
	cmd := &cobra.Command{
		Use:   "doctor [RULE]...",
		Short: "Check that the store keeps the contract",
		Long:  doctorHelp,
		Args:  cobra.ArbitraryArgs,
		ValidArgsFunction: func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
			return ruleIDs(), cobra.ShellCompDirectiveNoFileComp
		},
		RunE: func(cmd *cobra.Command, ids []string) error {
			for _, id := range ids {
				if !slices.Contains(ruleIDs(), id) {
					return usage("there is no such rule; docs/conformance.md lists them")
				}
			}
			if len(ids) == 0 {
				ids = ruleIDs()
			}
			return a.withStore(cmd.Context(), func(ctx context.Context, run *runctx.Run) error {
				if err := examinable(ctx, run); err != nil {
					return err
				}
				return examine(ctx, run, ids, output.json)
			})
		},
	}
	output.flag(cmd)
	return cmd
}

func ruleIDs() []string {
	var ids []string
	for _, r := range conformance.Rules() {
		ids = append(ids, r.ID)
	}
	return ids
}

// examinable returns an error if the store isn't there, or can't be written to: every
// rule would fail.
func examinable(ctx context.Context, run *runctx.Run) error {
	if path, ok, err := filePath(run.Decision().URL); err == nil && ok {
		if _, err := os.Stat(path); errors.Is(err, os.ErrNotExist) {
			return &secretstore.Error{Op: "doctor", Kind: secretstore.ErrUnavailable,
				Detail: "there is no store at " + path + "; make one with: secretstore init"}
		}
	}
	name := "conformance-" + strings.ToLower(rand.Text()[:10])
	if err := run.Set(ctx, name, secretstore.NewValue([]byte("written by secretstore doctor"))); err != nil {
		return err
	}
	if err := run.Delete(ctx, name); err != nil {
		return fmt.Errorf("%w; the secret %s is left behind", err, name)
	}
	return nil
}

// examine runs the rules and prints a line for each as it is done.
func examine(ctx context.Context, run *runctx.Run, ids []string, asJSON bool) error {
	all := []doctorJSON{}
	failed := 0
	for i, id := range ids {
		done := progress("rule %d of %d: %s…", i+1, len(ids), id)
		results := conformance.CheckLive(ctx, run, id)
		done()
		if err := ctx.Err(); err != nil {
			return err
		}
		for _, r := range results {
			line := doctorJSON{Rule: r.Rule.ID, Outcome: "ok"}
			switch {
			case r.LeftOut != "":
				line.Outcome, line.Detail = "skip", "needs "+r.LeftOut
			case r.Err != nil:
				line.Outcome, line.Detail = "FAIL", strings.ReplaceAll(r.Err.Error(), "\n", "; ")
				failed++
			}
			all = append(all, line)
			if !asJSON {
				if _, err := fmt.Println(strings.TrimSuffix(line.Outcome+"\t"+line.Rule+"\t"+line.Detail, "\t")); err != nil {
					return writeError(err)
				}
			}
		}
	}
	if asJSON {
		if err := writeJSON(os.Stdout, all); err != nil {
			return err
		}
	}
	if failed > 0 {
		return fmt.Errorf("%d of %d rules fail", failed, len(all))
	}
	return nil
}
