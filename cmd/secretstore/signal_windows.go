package main

import (
	"os"
	"os/signal"
)

// forwarder keeps an interrupt from ending this process before its child. The
// console sends it to the child as well, so there is nothing to pass on.
type forwarder struct{ signals chan os.Signal }

func catchSignals() *forwarder {
	f := &forwarder{signals: make(chan os.Signal, 1)}
	signal.Notify(f.signals, os.Interrupt)
	return f
}

func (f *forwarder) forward(*os.Process) {}

func (f *forwarder) stop() { signal.Stop(f.signals) }

// childExitCode returns the child's exit code.
func childExitCode(state *os.ProcessState) int { return state.ExitCode() }
