package main

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/mlsecrets/secretstore/runctx"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

const rootHelp = `Secretstore sets, reads and hands on the secrets of a workspace.

  printf %s "$PASSWORD" | secretstore set db-password
  secretstore get db-password
  secretstore run --env DB_PASSWORD=db-password -- python train.py

The store is the one that belongs to where you are: "secretstore which" says
which and why. Without any set-up it is an encrypted file of your own, made by the
first set.`

// app is what the commands share.
type app struct {
	store   string        // --store
	timeout time.Duration // --timeout
}

func newRoot() *cobra.Command {
	a := &app{}
	root := &cobra.Command{
		Use:           "secretstore",
		Short:         "Set, read and hand on the secrets of a workspace",
		Long:          rootHelp,
		Version:       version(),
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return cmd.Help()
			}
			return unknownCommand(cmd, args[0])
		},
	}
	root.SetFlagErrorFunc(flagError)
	flags := root.PersistentFlags()
	flags.StringVar(&a.store, "store", "", "`URL` of the store to use, instead of the one found")
	flags.DurationVar(&a.timeout, "timeout", 0, "most time for the store's work, such as 10s (default: no limit)")
	root.AddCommand(
		a.initCommand(), a.setCommand(), a.getCommand(), a.listCommand(), a.deleteCommand(),
		a.runCommand(), a.whichCommand(), a.verifyCommand(), a.doctorCommand(), a.rekeyCommand(), versionCommand(),
		&cobra.Command{Use: "exit-codes", Short: "What the exit codes mean", Long: exitCodesHelp},
	)
	return root
}

// open opens the store. The context that it returns has the time limit, and is
// for all work with the store.
func (a *app) open(ctx context.Context) (*runctx.Run, context.Context, context.CancelFunc, error) {
	env, err := a.env()
	if err != nil {
		return nil, nil, nil, err
	}
	ctx, cancel, err := a.limit(ctx)
	if err != nil {
		return nil, nil, nil, err
	}
	run, err := runctx.Config{Env: &env}.Open(ctx)
	if err != nil {
		cancel()
		return nil, nil, nil, err
	}
	return run, ctx, cancel, nil
}

// withStore opens the store, calls use with it, and closes it.
func (a *app) withStore(ctx context.Context, use func(context.Context, *runctx.Run) error) error {
	run, ctx, cancel, err := a.open(ctx)
	if err != nil {
		return err
	}
	defer cancel()
	err = use(ctx, run)
	if cerr := run.Close(); err == nil {
		err = cerr
	}
	return err
}

// env returns what the choice of the store is made of.
func (a *app) env() (runctx.Env, error) {
	env, err := runctx.HostEnv()
	env.URL = a.store
	return env, err
}

func (a *app) limit(ctx context.Context) (context.Context, context.CancelFunc, error) {
	switch {
	case a.timeout < 0:
		return nil, nil, usage("--timeout is negative")
	case a.timeout == 0:
		return ctx, func() {}, nil
	}
	ctx, cancel := context.WithTimeout(ctx, a.timeout)
	return ctx, cancel, nil
}

// flagError says what is wrong with a flag. The text of pflag is not used: it
// repeats what was typed, and that may be a value in the wrong place.
func flagError(cmd *cobra.Command, err error) error {
	help := "; see " + cmd.CommandPath() + " --help"
	var (
		unknown *pflag.NotExistError
		missing *pflag.ValueRequiredError
		invalid *pflag.InvalidValueError
	)
	switch {
	case errors.As(err, &unknown) && unknown.GetSpecifiedShortnames() != "":
		return usage("unknown short flag%s", help)
	case errors.As(err, &unknown):
		return usage("unknown flag --%s%s", unknown.GetSpecifiedName(), help)
	case errors.As(err, &missing):
		return usage("the flag --%s needs an argument%s", missing.GetFlag().Name, help)
	case errors.As(err, &invalid):
		return usage("the argument of --%s is not of the form %s%s", invalid.GetFlag().Name, invalid.GetFlag().Value.Type(), help)
	}
	return usage("a flag can't be read%s", help)
}

// unknownCommand suggests what was meant.
func unknownCommand(cmd *cobra.Command, arg string) error {
	cmd.SuggestionsMinimumDistance = 2
	if s := cmd.SuggestionsFor(arg); len(s) > 0 {
		return usage("unknown command; did you mean %s %s?", cmd.CommandPath(), strings.Join(s, " or "))
	}
	return usage("unknown command; see %s --help", cmd.CommandPath())
}

// args makes a check of the number of arguments. The error says what the command
// takes, and repeats no argument.
func args(least, most int, takes string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) < least || most >= 0 && len(args) > most {
			return usage("%s takes %s; see %s --help", cmd.Name(), takes, cmd.CommandPath())
		}
		return nil
	}
}
