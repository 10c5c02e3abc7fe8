package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"
)

// format is the flag --output.
type format struct{ json bool }

func (f *format) String() string {
	if f.json {
		return "json"
	}
	return "text"
}

func (f *format) Set(s string) error {
	switch s {
	case "text":
		f.json = false
	case "json":
		f.json = true
	default:
		return fmt.Errorf("not text or json")
	}
	return nil
}

// Type stands in errors and in the help.
func (f *format) Type() string { return "text|json" }

func (f *format) flag(cmd *cobra.Command) {
	cmd.Flags().VarP(f, "output", "o", "format of the output")
	// The error is that there is no such flag.
	_ = cmd.RegisterFlagCompletionFunc("output", cobra.FixedCompletions([]string{"text", "json"}, cobra.ShellCompDirectiveNoFileComp))
}

// writeJSON writes v and a newline. It doesn't escape &, < and >: nothing here is
// for a web page.
func writeJSON(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	return writeError(enc.Encode(v))
}

// writeError says that the output can't be written. The cause is of the system.
func writeError(err error) error {
	if err != nil {
		return fmt.Errorf("write the output: %w", err)
	}
	return nil
}

func isTerminal(f *os.File) bool { return term.IsTerminal(int(f.Fd())) }

// note says something that is not an error to a person, and nothing in a pipe.
func note(format string, args ...any) {
	if isTerminal(os.Stderr) {
		fmt.Fprintf(os.Stderr, "secretstore: "+format+"\n", args...)
	}
}

// report says something on standard error, also in a pipe: what is worth a line
// in a log.
func report(format string, args ...any) {
	fmt.Fprintf(os.Stderr, "secretstore: "+format+"\n", args...)
}

// progress says what is going on if it takes longer than a moment. The caller
// must call the function that it returns when it is over.
func progress(format string, args ...any) (done func() bool) {
	return time.AfterFunc(time.Second, func() { note(format, args...) }).Stop
}
