//go:build amd64 || arm64

package localfile_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

// systemCall is a system call of a traced process that changes files.
type systemCall struct {
	Name string // "acknowledge" if it tells the parent that an operation has returned
	Path string // absolute; of the descriptor or of the argument
	To   string // the new name, of renameat and linkat
	Off  int64  // of a write; the new size, of ftruncate
	Data []byte // of a write
	New  bool   // of openat: the file is made by it

	args [6]uint64
}

// verdict says what becomes of a system call.
type verdict int

const (
	proceed verdict = iota
	kill            // the process dies before the call does anything
	tear            // half of a write is done, and then the process dies
	noSpace         // the call fails with ENOSPC
	ioFails         // the call fails with EIO
)

// tracer runs a process and stops it at every system call that writes below a
// folder.
type tracer struct {
	dir   string
	enter func(c *systemCall) verdict
	done  func(c *systemCall) // called when one has succeeded; may be nil

	pid     int
	stdout  string              // the file of the process's standard output
	pending map[int]*tracedCall // by thread
}

type tracedCall struct {
	*systemCall
	verdict verdict
}

var writingCalls = map[uint64]string{
	unix.SYS_WRITE: "write", unix.SYS_PWRITE64: "pwrite64", unix.SYS_WRITEV: "writev", unix.SYS_PWRITEV: "pwritev",
	unix.SYS_FTRUNCATE: "ftruncate", unix.SYS_FALLOCATE: "fallocate",
	unix.SYS_FSYNC: "fsync", unix.SYS_FDATASYNC: "fdatasync",
	unix.SYS_OPENAT: "openat", unix.SYS_MKDIRAT: "mkdirat", unix.SYS_UNLINKAT: "unlinkat",
	unix.SYS_RENAMEAT: "renameat", unix.SYS_RENAMEAT2: "renameat2", unix.SYS_LINKAT: "linkat",
}

const syscallTrap = syscall.SIGTRAP | 0x80 // of PTRACE_O_TRACESYSGOOD

// run runs the command to its end and returns its status, standard output and
// standard error.
func (tr *tracer) run(t *testing.T, cmd *exec.Cmd) (status syscall.WaitStatus, stdout, stderr string) {
	t.Helper()
	out, errs := outputFile(t), outputFile(t)
	cmd.Stdout, cmd.Stderr = out, errs
	// The tracer of a process is a thread; the group tells its threads from the
	// children of other tests.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	cmd.SysProcAttr = &syscall.SysProcAttr{Ptrace: true, Setpgid: true}
	if err := cmd.Start(); errors.Is(err, unix.EPERM) {
		if os.Getenv("CI") != "" {
			t.Fatal("ptrace is not permitted here, and CI must test kills at system calls")
		}
		t.Skip("NOT TESTED: ptrace is not permitted here, so no process can be killed at its system calls")
	} else if err != nil {
		t.Fatal(err)
	}
	tr.pid = cmd.Process.Pid
	tr.stdout = out.Name()
	tr.pending = map[int]*tracedCall{}
	status, err := tr.follow()
	if err != nil {
		unix.Kill(tr.pid, unix.SIGKILL)
		t.Fatalf("ptrace: %v", err)
	}
	cmd.Process.Release()
	return status, contents(t, out), contents(t, errs)
}

func outputFile(t *testing.T) *os.File {
	t.Helper()
	f, err := os.CreateTemp(t.TempDir(), "output")
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func contents(t *testing.T, f *os.File) string {
	t.Helper()
	b, err := os.ReadFile(f.Name())
	if err != nil {
		t.Fatal(err)
	}
	f.Close()
	return string(b)
}

func (tr *tracer) follow() (syscall.WaitStatus, error) {
	started := false
	for {
		var ws unix.WaitStatus
		tid, err := unix.Wait4(-tr.pid, &ws, unix.WALL|unix.WNOTHREAD, nil)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return 0, fmt.Errorf("wait: %w", err)
		}
		if !ws.Stopped() {
			if tid == tr.pid {
				return syscall.WaitStatus(ws), nil
			}
			continue
		}
		signal := 0
		switch stop := ws.StopSignal(); {
		case !started:
			started = true
			err := unix.PtraceSetOptions(tid, unix.PTRACE_O_TRACESYSGOOD|unix.PTRACE_O_TRACECLONE|unix.PTRACE_O_EXITKILL)
			if err != nil {
				return 0, fmt.Errorf("set options: %w", err)
			}
		case stop == syscallTrap:
			if err := tr.stopped(tid); err != nil && !errors.Is(err, unix.ESRCH) {
				return 0, err
			}
		case stop == unix.SIGTRAP, stop == unix.SIGSTOP: // of a new thread
		default:
			signal = int(stop)
		}
		if err := unix.PtraceSyscall(tid, signal); err != nil && err != unix.ESRCH {
			return 0, fmt.Errorf("resume: %w", err)
		}
	}
}

// stopInfo is struct ptrace_syscall_info of linux/ptrace.h.
type stopInfo struct {
	op   uint8
	_    [3]uint8
	arch uint32
	ip   uint64
	sp   uint64
	data [8]uint64 // at entry: number and arguments; at exit: result, and whether it is an error
}

// stopped handles a thread that is about to enter a system call, or leaves one.
func (tr *tracer) stopped(tid int) error {
	var info stopInfo
	_, _, errno := unix.RawSyscall6(unix.SYS_PTRACE, unix.PTRACE_GET_SYSCALL_INFO, uintptr(tid),
		unsafe.Sizeof(info), uintptr(unsafe.Pointer(&info)), 0, 0)
	if errno != 0 {
		return fmt.Errorf("get system call: %w", errno)
	}
	switch info.op {
	case unix.PTRACE_SYSCALL_INFO_ENTRY:
		c := &systemCall{Name: writingCalls[info.data[0]], args: [6]uint64(info.data[1:7])}
		if c.Name == "" || !tr.look(c) {
			return nil
		}
		v := tr.enter(c)
		tr.pending[tid] = &tracedCall{c, v}
		switch v {
		case kill:
			return unix.Kill(tr.pid, unix.SIGKILL)
		case tear:
			return change(tid, func(r *unix.PtraceRegs) { *argument(r, 2) = uint64(len(c.Data) / 2 / sectorSize * sectorSize) })
		case noSpace, ioFails:
			// With neither a descriptor nor a path the kernel does nothing.
			return change(tid, func(r *unix.PtraceRegs) { *argument(r, 0), *argument(r, 1) = ^uint64(0), 0 })
		}
	case unix.PTRACE_SYSCALL_INFO_EXIT:
		p := tr.pending[tid]
		if p == nil {
			return nil
		}
		delete(tr.pending, tid)
		switch returned := int64(info.data[0]); {
		case p.verdict == tear:
			return unix.Kill(tr.pid, unix.SIGKILL)
		case p.verdict == noSpace:
			return change(tid, func(r *unix.PtraceRegs) { *result(r) = negative(unix.ENOSPC) })
		case p.verdict == ioFails:
			return change(tid, func(r *unix.PtraceRegs) { *result(r) = negative(unix.EIO) })
		case returned >= 0 && tr.done != nil:
			if p.Data != nil {
				p.Data = p.Data[:returned]
			}
			tr.done(p.systemCall)
		}
	}
	return nil
}

// negative is how the kernel returns an error.
func negative(e unix.Errno) uint64 { return -uint64(e) }

// change edits the registers of a stopped thread.
func change(tid int, edit func(r *unix.PtraceRegs)) error {
	var r unix.PtraceRegs
	if err := unix.PtraceGetRegs(tid, &r); err != nil {
		return fmt.Errorf("get registers: %w", err)
	}
	edit(&r)
	if err := unix.PtraceSetRegs(tid, &r); err != nil {
		return fmt.Errorf("set registers: %w", err)
	}
	return nil
}

// look completes the system call, and reports whether it writes below the folder.
func (tr *tracer) look(c *systemCall) bool {
	switch c.Name {
	case "openat":
		if c.args[2]&unix.O_CREAT == 0 {
			return false
		}
		c.Path = tr.text(c.args[1])
		_, err := os.Lstat(c.Path)
		c.New = os.IsNotExist(err)
	case "mkdirat", "unlinkat":
		c.Path = tr.text(c.args[1])
	case "renameat", "renameat2", "linkat":
		c.Path, c.To = tr.text(c.args[1]), tr.text(c.args[3])
	default:
		c.Path, _ = os.Readlink(fmt.Sprintf("/proc/%d/fd/%d", tr.pid, int32(c.args[0])))
	}
	if c.Path == tr.stdout {
		c.Name = "acknowledge"
		return true
	}
	if c.Path != tr.dir && !strings.HasPrefix(c.Path, tr.dir+string(filepath.Separator)) {
		return false
	}
	switch c.Name {
	case "write", "pwrite64":
		c.Data = tr.memory(c.args[1], c.args[2])
		if c.Off = int64(c.args[3]); c.Name == "write" {
			c.Off = tr.position(c.args[0])
		}
	case "ftruncate":
		c.Off = int64(c.args[1])
	}
	return true
}

// text returns the string at the address.
func (tr *tracer) text(addr uint64) string {
	b := tr.memory(addr, unix.PathMax)
	s, _, _ := bytes.Cut(b, []byte{0})
	return string(s)
}

// memory returns n bytes of the process, or as many as are mapped.
func (tr *tracer) memory(addr, n uint64) []byte {
	f, err := os.Open(fmt.Sprintf("/proc/%d/mem", tr.pid))
	if err != nil {
		return nil
	}
	defer f.Close()
	b := make([]byte, n)
	got, _ := f.ReadAt(b, int64(addr))
	return b[:got]
}

// position returns where the descriptor writes next.
func (tr *tracer) position(fd uint64) int64 {
	b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/fdinfo/%d", tr.pid, fd))
	for line := range strings.Lines(string(b)) {
		if text, ok := strings.CutPrefix(line, "pos:"); ok {
			n, _ := strconv.ParseInt(strings.TrimSpace(text), 10, 64)
			return n
		}
	}
	return 0
}
