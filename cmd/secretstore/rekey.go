package main

import (
	"context"
	"fmt"
	"os"
	"strconv"

	"github.com/mlsecrets/secretstore/backends/localfile"
	"github.com/spf13/cobra"
)

const rekeyHelp = `Print the key slots of the encrypted file that is the store here, or change them. Each
slot holds the file's data key, wrapped by a passphrase or by a key file; any one of
them opens the file. add and remove don't rewrite the secrets. rotate does, under a
new data key: whoever has an old key and an old copy of the file can't read what is
set afterwards.

The current key comes from SECRETSTORE_KEY_FILE, SECRETSTORE_PASSPHRASE_FILE,
SECRETSTORE_PASSPHRASE, a prompt, or your own key file.`

// slotJSON is an element of the output of rekey --output json.
type slotJSON struct {
	ID   int    `json:"id"`
	Kind string `json:"kind"`
}

func (a *app) rekeyCommand() *cobra.Command {
	var output format
	cmd := &cobra.Command{
		Use:   "rekey",
		Short: "Print or change the keys of an encrypted file",
		Long:  rekeyHelp,
		Args:  cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return unknownCommand(cmd, args[0])
			}
			return a.rekey(cmd, output, func(context.Context, localfile.Config) error { return nil })
		},
	}
	output.flag(cmd)
	cmd.AddCommand(a.rekeyAddCommand(), a.rekeyRemoveCommand(), a.rekeyRotateCommand())
	return cmd
}

// rekey makes a change to the slots, and prints what they are then.
func (a *app) rekey(cmd *cobra.Command, output format, change func(context.Context, localfile.Config) error) error {
	config, err := a.fileConfig("rekey")
	if err != nil {
		return err
	}
	ctx, cancel, err := a.limit(cmd.Context())
	if err != nil {
		return err
	}
	defer cancel()
	if err := change(ctx, config); err != nil {
		return err
	}
	info, err := localfile.Inspect(ctx, config.Path)
	if err != nil {
		return err
	}
	if output.json {
		slots := []slotJSON{}
		for _, s := range info.Slots {
			slots = append(slots, slotJSON(s))
		}
		return writeJSON(os.Stdout, slots)
	}
	for _, s := range info.Slots {
		if _, err := fmt.Printf("%d\t%s\n", s.ID, s.Kind); err != nil {
			return writeError(err)
		}
	}
	return nil
}

func (a *app) rekeyAddCommand() *cobra.Command {
	var output format
	var keys keyFlags
	cmd := &cobra.Command{
		Use:   "add --passphrase | --passphrase-file PATH | --key-file PATH",
		Short: "Add a key",
		Args:  args(0, 0, "no arguments"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.rekey(cmd, output, func(ctx context.Context, config localfile.Config) error {
				key, given, err := keys.source(cmd)
				if err == nil && !given {
					err = usage("add needs --passphrase, --passphrase-file or --key-file")
				}
				if err != nil {
					return err
				}
				_, err = localfile.AddSlot(ctx, config, key)
				return err
			})
		},
	}
	keys.add(cmd)
	output.flag(cmd)
	return cmd
}

func (a *app) rekeyRemoveCommand() *cobra.Command {
	var output format
	cmd := &cobra.Command{
		Use:   "remove SLOT",
		Short: "Remove a key; the last one stays",
		Long: `Remove the key of a slot, whose number rekey prints. The last one stays. Who has
the key and an old copy of the file can still read both; rotate is the answer to a
key that others have.`,
		Args: args(1, 1, "the number of a slot"),
		RunE: func(cmd *cobra.Command, args []string) error {
			id, err := strconv.Atoi(args[0])
			if err != nil {
				return usage("remove takes the number of a slot; rekey prints them")
			}
			return a.rekey(cmd, output, func(ctx context.Context, config localfile.Config) error {
				return localfile.RemoveSlot(ctx, config, id)
			})
		},
	}
	output.flag(cmd)
	return cmd
}

func (a *app) rekeyRotateCommand() *cobra.Command {
	var output format
	var keys keyFlags
	cmd := &cobra.Command{
		Use:   "rotate [--passphrase | --passphrase-file PATH | --key-file PATH]",
		Short: "Rewrite all secrets under a new data key, with one key",
		Long: `Rewrite all secrets under a new data key, in one transaction. Afterwards the file
has one slot: the key of the flags, or without them the current key. A file with
several slots needs the flag, because the other keys are dropped; "rekey add" adds
them again.`,
		Args: args(0, 0, "no arguments"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.rekey(cmd, output, func(ctx context.Context, config localfile.Config) error {
				key, given, err := keys.source(cmd)
				if err != nil {
					return err
				}
				if given {
					defer progress("rewriting %s…", config.Path)()
					return localfile.Rotate(ctx, config, key)
				}
				info, err := localfile.Inspect(ctx, config.Path)
				if err != nil {
					return err
				}
				if n := len(info.Slots); n > 1 {
					return usage("the file has %d keys, and rotate keeps one: say which with --passphrase, --passphrase-file or --key-file", n)
				}
				defer progress("rewriting %s…", config.Path)()
				return localfile.Rotate(ctx, config)
			})
		},
	}
	keys.add(cmd)
	output.flag(cmd)
	return cmd
}
