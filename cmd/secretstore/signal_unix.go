//go:build unix

package main

import (
	"os"
	"os/signal"
	"syscall"

	"golang.org/x/sys/unix"
)

// forwarder passes signals on to a child.
//
// An interrupt or quit from the keyboard reaches the child by itself, because it
// goes to all processes in the terminal's foreground; passing it on would
// interrupt the child twice. Stop, continue and window change stay with the
// terminal as well.
type forwarder struct {
	signals chan os.Signal
	done    chan struct{}
}

// catchSignals begins to catch signals, which wait until there is a child.
func catchSignals() *forwarder {
	f := &forwarder{signals: make(chan os.Signal, 16), done: make(chan struct{})}
	signal.Notify(f.signals, unix.SIGINT, unix.SIGQUIT, unix.SIGTERM, unix.SIGHUP, unix.SIGUSR1, unix.SIGUSR2)
	return f
}

// forward passes on the signals caught, and all that follow, until stop.
func (f *forwarder) forward(child *os.Process) {
	go func() {
		for {
			select {
			case s := <-f.signals:
				if (s == unix.SIGINT || s == unix.SIGQUIT) && inForeground() {
					continue
				}
				_ = child.Signal(s) // it may have ended already
			case <-f.done:
				return
			}
		}
	}()
}

func (f *forwarder) stop() {
	signal.Stop(f.signals)
	close(f.done)
}

// inForeground reports whether the process is in the foreground of its terminal.
func inForeground() bool {
	tty, err := os.Open("/dev/tty")
	if err != nil {
		return false
	}
	defer tty.Close()
	group, err := unix.IoctlGetInt(int(tty.Fd()), unix.TIOCGPGRP)
	return err == nil && group == unix.Getpgrp()
}

// childExitCode returns the exit code as a shell gives it.
func childExitCode(state *os.ProcessState) int {
	if status, ok := state.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		return 128 + int(status.Signal())
	}
	return state.ExitCode()
}
