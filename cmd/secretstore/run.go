package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"slices"
	"strings"

	"github.com/mlsecrets/secretstore"
	"github.com/mlsecrets/secretstore/redact"
	"github.com/mlsecrets/secretstore/runctx"
	"github.com/spf13/cobra"
)

const runHelp = `Run a command as a submitted run: with the environment by which it, and all that it
starts, opens the same store. --env DB=db-password gives it the value of a secret in
the variable DB.

Secrets in what the command prints are replaced by [redacted], however its writes
split them. Encoded ones (base64, JSON escapes) are not found. Which are looked for:

  --mask all        every secret of the store that can be read, because the command
                    can read them too. It costs a list and a read of all of them,
                    which a service logs. Values under 4 bytes are masked only if
                    they are given with --env. This is the default.
  --mask injected   those given with --env

Both add the credentials of the store in the environment, such as
SECRETSTORE_PASSPHRASE. A secret that is set while the command runs is not masked.

If the store is a Vault, the command is led to it, but doesn't get VAULT_TOKEN: a
job should log in as itself (AppRole, Kubernetes, JWT, an agent's VAULT_TOKEN_FILE).
--vault-token hands it your token all the same. Other variables stay as they are.

The command has your standard input. Its output goes through a pipe, so it may write
in blocks where it would write lines to a terminal; for Python set
PYTHONUNBUFFERED=1. Bytes that may be the start of a secret are held until the next
ones show whether they are. Signals are passed on. The exit code is the command's,
or 128 and the number of the signal that ended it.`

// The limits of --mask all: a store that is larger would make every run slow.
const (
	maxMasked      = 10_000  // secrets
	maxMaskedBytes = 8 << 20 // of values, which take 24 times as much to look for
	minMasked      = 4       // bytes of a value that wasn't asked for by name
)

// masking is the flag --mask.
type masking struct{ injected bool }

func (m *masking) String() string {
	if m.injected {
		return "injected"
	}
	return "all"
}

func (m *masking) Set(s string) error {
	if s != "all" && s != "injected" {
		return errors.New("not all or injected")
	}
	m.injected = s == "injected"
	return nil
}

// Type stands in errors and in the help.
func (m *masking) Type() string { return "all|injected" }

// injection is a --env VAR=name.
type injection struct{ variable, name string }

func (a *app) runCommand() *cobra.Command {
	var env []string
	var mask masking
	var token bool
	cmd := &cobra.Command{
		Use:   "run [--env VAR=NAME]... -- COMMAND [ARGUMENT]...",
		Short: "Run a command with secrets, and mask them in its output",
		Long:  runHelp,
		Args:  args(1, -1, "a command, after --"),
		RunE: func(cmd *cobra.Command, command []string) error {
			injections, err := parseInjections(env)
			if err != nil {
				return err
			}
			return a.run(cmd.Context(), injections, mask, token, command)
		},
	}
	flags := cmd.Flags()
	flags.SetInterspersed(false) // what follows the command is the command's
	flags.StringArrayVar(&env, "env", nil, "put the value of the secret NAME into the variable VAR (`VAR=NAME`, repeatable)")
	flags.Var(&mask, "mask", "secrets to mask in the output")
	flags.BoolVar(&token, "vault-token", false, "leave VAULT_TOKEN in the command's environment, if the store is a Vault")
	// The error is that there is no such flag.
	_ = cmd.RegisterFlagCompletionFunc("env", a.completeInjection)
	_ = cmd.RegisterFlagCompletionFunc("mask", cobra.FixedCompletions([]string{"all", "injected"}, cobra.ShellCompDirectiveNoFileComp))
	return cmd
}

func parseInjections(env []string) ([]injection, error) {
	var out []injection
	for _, e := range env {
		variable, name, ok := strings.Cut(e, "=")
		if !ok || variable == "" || name == "" || strings.ContainsRune(variable, 0) {
			return nil, usage("--env takes VAR=NAME, where NAME is the name of a secret")
		}
		if _, err := secretstore.CanonicalName(name); err != nil {
			return nil, usage("--env %s takes the name of a secret after the =, never a value; a name has 1 to %d characters of 0-9 a-z A-Z -",
				variable, secretstore.MaxNameLen)
		}
		out = append(out, injection{variable, name})
	}
	return out, nil
}

// completeInjection offers VAR=NAME for the part after the =.
func (a *app) completeInjection(cmd *cobra.Command, _ []string, part string) ([]string, cobra.ShellCompDirective) {
	variable, _, ok := strings.Cut(part, "=")
	if !ok {
		return nil, cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveNoSpace
	}
	names, directive := a.completeNames(cmd, nil, "")
	for i, name := range names {
		names[i] = variable + "=" + name
	}
	return names, directive
}

func (a *app) run(ctx context.Context, injections []injection, mask masking, token bool, command []string) error {
	environ := os.Environ()
	secrets := credentials()
	err := a.withStore(ctx, func(ctx context.Context, run *runctx.Run) error {
		if strings.HasPrefix(run.Decision().URL, "vault:") && !token {
			environ = slices.DeleteFunc(environ, func(v string) bool { return strings.HasPrefix(v, "VAULT_TOKEN=") })
		}
		environ = append(environ, run.Environ()...)
		variables, values, err := inject(ctx, run, injections)
		if err != nil {
			return err
		}
		environ = append(environ, variables...)
		secrets = append(secrets, values...)
		if mask.injected {
			return nil
		}
		values, err = readable(ctx, run)
		secrets = append(secrets, values...)
		return err
	})
	if err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	return runChild(command, environ, secrets)
}

// inject returns the variables for the child, and the values in them.
func inject(ctx context.Context, store secretstore.Store, injections []injection) (environ []string, secrets []secretstore.Value, err error) {
	names := make([]string, len(injections))
	for i, in := range injections {
		names[i] = in.name
	}
	values, err := store.GetBatch(ctx, names)
	if err != nil {
		return nil, nil, single(err)
	}
	for _, in := range injections {
		value := string(values[in.name].Reveal())
		if strings.ContainsRune(value, 0) {
			return nil, nil, fmt.Errorf("the value of %s has a zero byte, which no variable can hold; let the command read it with secretstore get", in.name)
		}
		environ = append(environ, in.variable+"="+value)
		secrets = append(secrets, values[in.name])
	}
	return environ, secrets, nil
}

// readable returns the secrets that the command could read and print. If they
// can't be known it is an error: a mask with holes would look like a mask.
func readable(ctx context.Context, store secretstore.Store) ([]secretstore.Value, error) {
	const instead = "with --mask injected only secrets of --env are masked"
	names, err := store.List(ctx)
	if err != nil {
		return nil, fmt.Errorf("%w; all secrets are to be masked; %s", err, instead)
	}
	if len(names) > maxMasked {
		return nil, fmt.Errorf("the store has %d secrets, more than the %d that can be masked; %s", len(names), maxMasked, instead)
	}
	defer progress("reading %d secrets, to mask them…", len(names))()
	values, err := store.GetBatch(ctx, names)
	if batch, ok := errors.AsType[*secretstore.BatchError](err); ok {
		err = nil
		for _, e := range batch.Errs {
			// What can't be read for these reasons, the command can't read either.
			if !errors.Is(e, secretstore.ErrDenied) && !errors.Is(e, secretstore.ErrNotFound) {
				err = batch
			}
		}
	}
	if err != nil {
		return nil, fmt.Errorf("%w; all secrets are to be masked; %s", err, instead)
	}
	var secrets []secretstore.Value
	size := 0
	for _, v := range values {
		if v.Len() >= minMasked {
			secrets = append(secrets, v)
			size += v.Len()
		}
	}
	if size > maxMaskedBytes {
		return nil, fmt.Errorf("the store's values are too large to mask them all (%d bytes of %d); %s", size, maxMaskedBytes, instead)
	}
	return secrets, nil
}

// credentials returns what opens a store and may stand in the environment. The
// command inherits it, as it would without run, and may print its environment.
func credentials() []secretstore.Value {
	var out []secretstore.Value
	for _, name := range []string{"SECRETSTORE_PASSPHRASE", "VAULT_TOKEN", "VAULT_SECRET_ID", "VAULT_JWT", "AZURE_CLIENT_SECRET"} {
		if v := os.Getenv(name); len(v) >= minMasked {
			out = append(out, secretstore.NewValue([]byte(v)))
		}
	}
	return out
}

// runChild runs the command and returns its exit code as a codeError, or nil.
func runChild(command, environ []string, secrets []secretstore.Value) error {
	child := exec.Command(command[0], command[1:]...)
	child.Env = environ
	child.Stdin = os.Stdin
	stdout, stderr := redact.NewWriter(os.Stdout, secrets...), redact.NewWriter(os.Stderr, secrets...)
	child.Stdout, child.Stderr = stdout, stderr

	signals := catchSignals()
	defer signals.stop()
	if err := child.Start(); err != nil {
		return startError(err)
	}
	signals.forward(child.Process)
	err := child.Wait()
	if _, exited := errors.AsType[*exec.ExitError](err); exited {
		err = nil
	}
	if err := errors.Join(err, stdout.Close(), stderr.Close()); err != nil {
		return writeError(err)
	}
	if code := childExitCode(child.ProcessState); code != 0 {
		return codeError(code)
	}
	return nil
}

func startError(err error) error {
	if errors.Is(err, exec.ErrNotFound) || errors.Is(err, fs.ErrNotExist) {
		report("there is no such command")
		return codeError(exitNoCommand)
	}
	reason := err
	if e, ok := errors.AsType[*fs.PathError](err); ok {
		reason = e.Err
	}
	report("the command can't be run: %v", reason)
	return codeError(exitCantRun)
}
