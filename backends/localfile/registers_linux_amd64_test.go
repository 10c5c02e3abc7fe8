package localfile_test

import "golang.org/x/sys/unix"

// argument returns the register of argument i (0 to 2) of a system call.
func argument(r *unix.PtraceRegs, i int) *uint64 { return []*uint64{&r.Rdi, &r.Rsi, &r.Rdx}[i] }

// result returns the register of what a system call returns.
func result(r *unix.PtraceRegs) *uint64 { return &r.Rax }
