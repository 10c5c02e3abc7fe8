package main

import (
	"bytes"
	"context"
	"encoding/base64"
	"os"
	"unicode/utf8"

	"github.com/mlsecrets/secretstore"
	"github.com/mlsecrets/secretstore/runctx"
	"github.com/spf13/cobra"
)

func (a *app) getCommand() *cobra.Command {
	var output format
	cmd := &cobra.Command{
		Use:   "get NAME | get --output json NAME...",
		Short: "Print the value of a secret",
		Long: `Print the value of a secret: its bytes and nothing else. On a terminal a newline
follows, unless the value ends in one.

With --output json print an object of names and values. A value that is not UTF-8
text is {"base64": "…"} in it; "secretstore set --batch" reads the same. If some of
the names can't be read, the object has the others, and the exit code is not 0.`,
		Args:              args(1, -1, "a name"),
		ValidArgsFunction: a.completeNames,
		RunE: func(cmd *cobra.Command, names []string) error {
			if len(names) > 1 && !output.json {
				return usage("get prints one value; for several names add --output json")
			}
			return a.withStore(cmd.Context(), func(ctx context.Context, run *runctx.Run) error {
				if output.json {
					return getJSON(ctx, run, names)
				}
				return getBytes(ctx, run, names[0])
			})
		},
	}
	output.flag(cmd)
	return cmd
}

func getBytes(ctx context.Context, store secretstore.Store, name string) error {
	v, err := store.Get(ctx, name)
	if err != nil {
		return err
	}
	b := v.Reveal()
	if isTerminal(os.Stdout) && !bytes.HasSuffix(b, []byte("\n")) {
		b = append(b, '\n')
	}
	_, err = os.Stdout.Write(b)
	return writeError(err)
}

func getJSON(ctx context.Context, store secretstore.Store, names []string) error {
	done := progress("reading %d secrets…", len(names))
	values, err := store.GetBatch(ctx, names)
	done()
	if err != nil && len(values) == 0 {
		return single(err)
	}
	object := make(map[string]any, len(values))
	for name, v := range values {
		b := v.Reveal()
		if utf8.Valid(b) {
			object[name] = string(b)
		} else {
			object[name] = map[string]string{"base64": base64.StdEncoding.EncodeToString(b)}
		}
	}
	if werr := writeJSON(os.Stdout, object); werr != nil {
		return werr
	}
	return single(err)
}

// single returns the one cause of a batch of one name, which reads better.
func single(err error) error {
	if b, ok := err.(*secretstore.BatchError); ok && b.Asked == 1 && len(b.Errs) == 1 {
		return b.Errs[0]
	}
	return err
}
