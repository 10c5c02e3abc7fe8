package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// terminal is a pseudo-terminal with the program at its other end.
type terminal struct {
	t       *testing.T
	control *os.File
	cmd     *exec.Cmd
	done    chan struct{}

	mu   sync.Mutex
	seen bytes.Buffer
}

// startTerminal starts secretstore on a terminal of its own. Its standard output
// goes to stdout, or to the terminal if that is nil.
func startTerminal(t *testing.T, home string, stdout *bytes.Buffer, args ...string) *terminal {
	t.Helper()
	control, tty := openTerminal(t)
	program, err := exec.LookPath("secretstore")
	if err != nil {
		t.Fatalf("LookPath: %v", err)
	}
	term := &terminal{t: t, control: control, cmd: exec.Command(program, args...), done: make(chan struct{})}
	term.cmd.Dir = home
	term.cmd.Env = []string{"HOME=" + home, "PATH=" + os.Getenv("PATH")}
	term.cmd.Stdin, term.cmd.Stdout, term.cmd.Stderr = tty, tty, tty
	if stdout != nil {
		term.cmd.Stdout = stdout
	}
	term.cmd.SysProcAttr = &unix.SysProcAttr{Setsid: true, Setctty: true}
	if err := term.cmd.Start(); err != nil {
		t.Fatalf("Start: %v", err)
	}
	tty.Close()
	go func() {
		defer close(term.done)
		b := make([]byte, 1024)
		for {
			n, err := control.Read(b)
			term.mu.Lock()
			term.seen.Write(b[:n])
			term.mu.Unlock()
			if err != nil { // the program has closed its end
				return
			}
		}
	}()
	t.Cleanup(func() {
		term.cmd.Process.Kill()
		<-term.done
		control.Close()
	})
	return term
}

func openTerminal(t *testing.T) (control, tty *os.File) {
	t.Helper()
	control, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatalf("open a pseudo-terminal: %v", err)
	}
	if err := unix.IoctlSetPointerInt(int(control.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Fatalf("unlock the pseudo-terminal: %v", err)
	}
	n, err := unix.IoctlGetInt(int(control.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Fatalf("number of the pseudo-terminal: %v", err)
	}
	tty, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatalf("open the pseudo-terminal's other end: %v", err)
	}
	return control, tty
}

// text returns what the terminal shows.
func (term *terminal) text() string {
	term.mu.Lock()
	defer term.mu.Unlock()
	return term.seen.String()
}

// await waits until the terminal shows the text.
func (term *terminal) await(text string) {
	term.t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !strings.Contains(term.text(), text); {
		if time.Now().After(deadline) {
			term.t.Fatalf("the terminal shows %q, want %q", term.text(), text)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

func (term *terminal) write(text string) {
	term.t.Helper()
	if _, err := term.control.WriteString(text); err != nil {
		term.t.Fatalf("write to the terminal: %v", err)
	}
}

// wait returns the exit code.
func (term *terminal) wait() int {
	_ = term.cmd.Wait() // the code says it
	return term.cmd.ProcessState.ExitCode()
}

func TestPromptOnTerminal(t *testing.T) {
	t.Parallel()
	home := t.TempDir()

	term := startTerminal(t, home, nil, "set", "db-password")
	term.await("Type the value of db-password: ")
	awaitEcho(t, term, false)
	term.write("hunter2\n")
	term.await("Again: ")
	awaitEcho(t, term, false)
	term.write("hunter2\n")
	if code := term.wait(); code != 0 {
		t.Fatalf("got exit code %d, want 0; the terminal shows %q", code, term.text())
	}
	if got := term.text(); strings.Contains(got, "hunter2") {
		t.Errorf("the terminal shows the value: %q", got)
	}

	var out bytes.Buffer
	term = startTerminal(t, home, &out, "get", "db-password")
	if code := term.wait(); code != 0 || out.String() != "hunter2" {
		t.Errorf("get to a pipe: got %q and code %d, want the bytes alone", out.String(), code)
	}
	term = startTerminal(t, home, nil, "get", "db-password")
	term.await("hunter2\r\n")
}

func TestPromptMismatch(t *testing.T) {
	t.Parallel()
	home := t.TempDir()
	term := startTerminal(t, home, nil, "set", "db-password")
	term.await("Type the value")
	awaitEcho(t, term, false)
	term.write("hunter2\n")
	term.await("Again: ")
	awaitEcho(t, term, false)
	term.write("hunter3\n")
	term.await("secretstore: the two are not the same")
	if code := term.wait(); code != 1 {
		t.Errorf("got exit code %d, want 1", code)
	}
	if _, err := os.Stat(filepath.Join(home, ".local")); err == nil {
		t.Error("a store was made")
	}
}

func TestInterruptAtPrompt(t *testing.T) {
	t.Parallel()
	term := startTerminal(t, t.TempDir(), nil, "set", "db-password")
	term.await("Type the value")
	awaitEcho(t, term, false)
	term.write("hunt\x03")
	if code := term.wait(); code != 130 {
		t.Errorf("got exit code %d, want 130; the terminal shows %q", code, term.text())
	}
	awaitEcho(t, term, true)
}

// TestInterruptOnTerminal checks that an interrupt from the keyboard reaches the
// command once, and that run waits for what it makes of it.
func TestInterruptOnTerminal(t *testing.T) {
	t.Parallel()
	term := startTerminal(t, t.TempDir(), nil, "run", "--", "sh", "-c",
		`n=0; trap 'n=$((n+1))' INT; echo ready; i=0; while [ $i -lt 10 ]; do sleep 0.1; i=$((i+1)); done; echo "interrupts: $n"; exit 9`)
	term.await("ready")
	term.write("\x03")
	term.await("interrupts: 1")
	if code := term.wait(); code != 9 {
		t.Errorf("got exit code %d, want 9", code)
	}
}

// TestCompletionAsksNothing checks that completing a name doesn't ask for a
// passphrase on the terminal, which is the shell's.
func TestCompletionAsksNothing(t *testing.T) {
	t.Parallel()
	home := t.TempDir()
	pass := filepath.Join(home, "pass")
	if err := os.WriteFile(pass, []byte("correct horse\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if code := startTerminal(t, home, nil, "init", "--passphrase-file", pass).wait(); code != 0 {
		t.Fatalf("init: got exit code %d, want 0", code)
	}
	term := startTerminal(t, home, nil, "__complete", "get", "")
	if code := term.wait(); code != 0 || strings.Contains(strings.ToLower(term.text()), "passphrase") {
		t.Errorf("got exit code %d and %q, want no question", code, term.text())
	}
	// The same store asks where a person asks it something.
	term = startTerminal(t, home, nil, "list")
	term.await("assphrase")
	awaitEcho(t, term, false)
	term.write("correct horse\n")
	if code := term.wait(); code != 0 {
		t.Errorf("list: got exit code %d, want 0; the terminal shows %q", code, term.text())
	}
}

// awaitEcho waits until the terminal shows what is typed, or doesn't. Without it
// a test would type ahead, and see the echo of the time before the prompt.
func awaitEcho(t *testing.T, term *terminal, want bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		state, err := unix.IoctlGetTermios(int(term.control.Fd()), unix.TCGETS)
		if err != nil {
			t.Fatalf("state of the terminal: %v", err)
		}
		if got := state.Lflag&unix.ECHO != 0; got == want {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("the terminal's echo is %v, want %v", !want, want)
		}
	}
}
