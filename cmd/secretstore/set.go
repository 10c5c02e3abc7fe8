package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"

	"github.com/mlsecrets/secretstore"
	"github.com/mlsecrets/secretstore/runctx"
	"github.com/spf13/cobra"
)

const setHelp = `Set a secret to a value, whether or not it exists. The value comes from

  --from-env VAR     an environment variable
  --from-file PATH   a file
  standard input     printf %s "$VALUE" | secretstore set NAME
  a prompt           if standard input is a terminal; it is typed twice, unseen

and is stored byte for byte: echo adds a newline, printf doesn't. --trim-newline
drops one line end from the end of the value. An empty value is refused without
--allow-empty, because it is most often a variable or a pipe that failed.

  --batch FILE       set many secrets, all or none where the store can do that

FILE is a dotenv file (NAME=value lines) or a JSON object of strings, and - is
standard input. In JSON, {"base64": "…"} is a value that is not text. Every name and
value is checked before any is set. Names have no underscores; for files that do,
--rename-underscores sets DB_PASSWORD as db-password.`

// setFlags are the flags of set.
type setFlags struct {
	fromEnv, fromFile string
	trim, allowEmpty  bool
	batch             string
	format            batchFormat
	rename            bool
}

func (a *app) setCommand() *cobra.Command {
	var f setFlags
	cmd := &cobra.Command{
		Use:               "set NAME | set --batch FILE",
		Short:             "Set a secret from a prompt, standard input, a file or a variable",
		Long:              setHelp,
		ValidArgsFunction: a.completeName,
		Args:              cobra.ArbitraryArgs, // checked below: the reason depends on the flags
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := f.check(cmd, args); err != nil {
				return err
			}
			if f.batch != "" {
				return a.setBatch(cmd.Context(), f)
			}
			return a.set(cmd.Context(), args[0], f)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&f.fromEnv, "from-env", "", "take the value of the environment variable `VAR`")
	flags.StringVar(&f.fromFile, "from-file", "", "take the bytes of the file at `PATH`")
	flags.BoolVar(&f.trim, "trim-newline", false, "drop one line end from the end of the value")
	flags.BoolVar(&f.allowEmpty, "allow-empty", false, "let the value be empty")
	flags.StringVar(&f.batch, "batch", "", "set all secrets of `FILE`, or of standard input for -")
	flags.Var(&f.format, "format", "format of the batch")
	flags.BoolVar(&f.rename, "rename-underscores", false, "in a batch, set A_B as a-b")
	return cmd
}

// check refuses combinations of flags and arguments that mean nothing. It repeats
// no argument: a value may be among them.
func (f *setFlags) check(cmd *cobra.Command, args []string) error {
	const sources = "pipe it in, type it at the prompt, or use --from-env or --from-file"
	given := func(names ...string) string {
		for _, name := range names {
			if cmd.Flags().Changed(name) {
				return name
			}
		}
		return ""
	}
	if given("batch") != "" {
		switch one := given("from-env", "from-file", "trim-newline", "allow-empty"); {
		case f.batch == "":
			return usage("--batch needs a file, or - for standard input")
		case len(args) > 0:
			return usage("set takes a NAME or --batch, not both")
		case one != "":
			return usage("--batch and --%s don't go together", one)
		}
		return nil
	}
	switch batch := given("format", "rename-underscores"); {
	case len(args) == 0:
		return usage("set takes a NAME, or --batch FILE; see %s --help", cmd.CommandPath())
	case len(args) > 1 || strings.Contains(args[0], "="):
		return usage("set takes one NAME, and no value on the command line, where others can see it: %s", sources)
	case batch != "":
		return usage("--%s is for --batch", batch)
	case given("from-env") != "" && given("from-file") != "":
		return usage("--from-env and --from-file don't go together")
	}
	return nil
}

func (a *app) set(ctx context.Context, name string, f setFlags) error {
	// Before anybody is asked for a value that can't be stored.
	if _, err := secretstore.CanonicalName(name); err != nil {
		return err
	}
	value, err := f.value(ctx, name)
	if err != nil {
		return err
	}
	if f.trim {
		value = secretstore.NewValue(trimNewline(value.Reveal()))
	} else if b := value.Reveal(); bytes.IndexByte(b, '\n') == len(b)-1 && len(b) > 1 {
		note("note: the value ends in a newline, which is stored; --trim-newline drops it")
	}
	if value.Len() == 0 && !f.allowEmpty {
		return usage("the value is empty; --allow-empty stores it all the same")
	}
	return a.withStore(ctx, func(ctx context.Context, run *runctx.Run) error {
		return run.Set(ctx, name, value)
	})
}

// value returns the value from where the flags say.
func (f *setFlags) value(ctx context.Context, name string) (secretstore.Value, error) {
	var b []byte
	var err error
	switch {
	case f.fromEnv != "":
		text, ok := os.LookupEnv(f.fromEnv)
		if !ok {
			return secretstore.Value{}, usage("the variable of --from-env is not set")
		}
		b = []byte(text)
	case f.fromFile != "":
		b, err = readFile(f.fromFile, secretstore.MaxTextLen)
	case isTerminal(os.Stdin):
		return askTwice(ctx, "value of "+name)
	default:
		b, err = readAll(os.Stdin, "standard input", secretstore.MaxTextLen)
		if err == nil && len(b) == 0 && !f.allowEmpty {
			return secretstore.Value{}, usage(
				"standard input has no value; pipe one in, or use --from-env or --from-file (or --allow-empty for an empty one)")
		}
	}
	if err != nil {
		return secretstore.Value{}, err
	}
	return secretstore.NewValue(b), nil
}

func trimNewline(b []byte) []byte {
	if rest, ok := bytes.CutSuffix(b, []byte("\n")); ok {
		return bytes.TrimSuffix(rest, []byte("\r"))
	}
	return b
}

// readFile reads a file that the user named, of at most so many bytes.
func readFile(path string, most int64) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fileError(path, err)
	}
	defer f.Close()
	return readAll(f, path, most)
}

// readAll reads at most so many bytes: what is longer can't be stored, and may
// have no end.
func readAll(r io.Reader, what string, most int64) ([]byte, error) {
	b, err := io.ReadAll(io.LimitReader(r, most+1))
	if err != nil {
		return nil, fileError(what, err)
	}
	if int64(len(b)) > most {
		return nil, &secretstore.Error{Kind: secretstore.ErrTooLarge, Detail: fmt.Sprintf("%s has more than %d bytes", what, most)}
	}
	return b, nil
}

// fileError says what went wrong with a file, which is a matter of usage where
// the path is wrong.
func fileError(path string, err error) error {
	reason := err
	if e, ok := errors.AsType[*fs.PathError](err); ok {
		reason = e.Err
	}
	if errors.Is(err, fs.ErrNotExist) {
		return usage("%s: no such file", path)
	}
	return fmt.Errorf("%s: %w", path, reason)
}
