//go:build amd64 || arm64

package localfile_test

import (
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
)

// TestDiskFaults has each system call that writes fail, in turn, with ENOSPC and
// with EIO. The error must be of its kind and say truly whether something was
// written; old values must stand; and the same handle must be able to go on.
func TestDiskFaults(t *testing.T) {
	calls := newEveryNth(testSeed(t))
	var faults faultCounts
	t.Run("at every system call", func(t *testing.T) {
		for _, c := range crashCases {
			t.Run(c.name, func(t *testing.T) {
				t.Parallel()
				base, before := newSite(t, c.values)
				for _, op := range c.setup {
					if err := op.do(t.Context(), base, before); err != nil {
						t.Fatal(err)
					}
					before = op.after(before)
				}
				task := operateTask{State: before, Operations: c.operations}
				done, _ := task.after(1)
				failAtEachCall(t, calls, &faults, func() site { return copySite(t, base) }, func(d site) any { task.Site = d; return task },
					func(d site, acked bool) error {
						candidates := []state{done, before}
						if acked {
							candidates = candidates[:1]
						}
						_, err := survivor(t.Context(), d, candidates...)
						if kind := c.operations[0].Kind; err == nil && (kind == "rotate" || kind == "remove") {
							err = wiped(base, d, acked)
						}
						return err
					})
			})
		}
		t.Run("first Set", func(t *testing.T) {
			t.Parallel()
			failAtEachCall(t, calls, &faults, func() site { return memorySite(t) }, func(d site) any { return operateTask{Site: d, First: true} },
				func(d site, acked bool) error { return firstSurvives(t, d, acked) })
		})
	})
	t.Logf("disk faults: %d system calls failed; %d of the operations failed with them", faults.calls.Load(), faults.operations.Load())
	if faults.operations.Load() < faults.calls.Load()/2 {
		t.Error("most operations don't notice that the disk fails")
	}
}

type faultCounts struct{ calls, operations atomic.Int64 }

// failAtEachCall runs a process again and again, and has one system call after the
// other fail, or a sample of them.
func failAtEachCall(t *testing.T, calls everyNth, faults *faultCounts, place func() site, task func(site) any, check func(d site, acked bool) error) {
	for n := 1; ; n++ {
		for i, v := range []verdict{noSpace, ioFails} {
			if !calls.has(2*n + i) {
				continue
			}
			d := place()
			seen, at := 0, ""
			tr := tracer{dir: string(d), enter: func(c *systemCall) verdict {
				if c.Name == "acknowledge" {
					return proceed
				}
				if seen++; seen == n {
					at = c.Name + " " + filepath.Base(c.Path)
					return v
				}
				return proceed
			}}
			status, stdout, stderr := tr.run(t, workerCommand(t, "fail", string(d), task(d)))
			if !status.Exited() || status.ExitStatus() != 0 {
				t.Fatalf("call %d (%s) fails: status %#x: %s", n, at, status, stderr)
			}
			if at == "" {
				if n < 5 {
					t.Errorf("the operation was only seen to make %d system calls", seen)
				}
				return
			}
			faults.calls.Add(1)
			acked := strings.HasPrefix(stdout, acknowledgement)
			if !acked {
				faults.operations.Add(1)
			}
			if entries, _ := os.ReadDir(filepath.Dir(d.path())); len(entries) > 1 || len(entries) == 1 && entries[0].Name() != "store.db" {
				t.Errorf("call %d (%s) fails: %v is left behind", n, at, entries)
			}
			if err := check(d, acked); err != nil {
				t.Fatalf("call %d (%s) fails: %v", n, at, err)
			}
			os.RemoveAll(string(d))
		}
	}
}
