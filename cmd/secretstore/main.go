// Secretstore sets, reads and hands on the secrets of a workspace.
//
//	printf %s "$PASSWORD" | secretstore set db-password
//	secretstore get db-password
//	secretstore run --env DB_PASSWORD=db-password -- python train.py
//
// It finds the store as package runctx does: the variable SECRETSTORE_URL, the
// submitted run, the workspace that the folder belongs to, or the user's own
// encrypted file. "secretstore which" says which one and why, and --store URL
// chooses another.
//
// A value never comes from the command line, where other users could see it: it
// comes from a prompt, standard input, a file or an environment variable.
// Standard output carries data and nothing else. An error is one line on standard
// error that begins with "secretstore: ". Progress is shown on a terminal alone.
//
// # Exit codes
//
//	0  done
//	1  failed
//	2  usage: a flag, an argument, a name, a file or a store's URL is wrong, or a value is too large
//	3  not found
//	4  denied, or the wrong key or passphrase
//	5  unavailable, throttled or locked, or the time is up: trying again may help
//	6  corrupt
//
// A command that a signal ended has 128 and the signal's number. "secretstore run"
// has the code of the command that it ran; 126 if that can't be run, and 127 if
// there is no such command.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"sync/atomic"
	"syscall"
)

func main() {
	os.Exit(run())
}

func run() int {
	ctx, interrupted, stop := untilSignal()
	defer stop()
	err := newRoot().ExecuteContext(ctx)
	if err == nil {
		return 0
	}
	if code, ok := childCode(err); ok {
		return code
	}
	fmt.Fprintln(os.Stderr, message(err))
	if code := interrupted(); code != 0 && ctx.Err() != nil {
		return code
	}
	return exitCode(err)
}

// message returns the one line that an error is shown as.
func message(err error) string {
	text := strings.Join(strings.FieldsFunc(err.Error(), func(r rune) bool { return r == '\n' || r == '\r' }), "; ")
	if !strings.HasPrefix(text, "secretstore: ") {
		text = "secretstore: " + text
	}
	return text
}

// untilSignal returns a context that ends at an interrupt or a request to end,
// and a function that returns the exit code for the signal, or 0. A second signal
// ends the process at once.
func untilSignal() (ctx context.Context, interrupted func() int, stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	var code atomic.Int32
	done := make(chan struct{})
	go func() {
		select {
		case s := <-signals:
			if n, ok := s.(syscall.Signal); ok {
				code.Store(128 + int32(n))
			}
			signal.Stop(signals)
			cancel()
		case <-done:
		}
	}()
	return ctx, func() int { return int(code.Load()) }, func() {
		signal.Stop(signals)
		close(done)
		cancel()
	}
}
