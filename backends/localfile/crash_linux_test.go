//go:build amd64 || arm64

package localfile_test

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

// crashCases are operations to be cut short. setup is what is done before.
var crashCases = []struct {
	name       string
	values     int // that the store holds before
	setup      []operation
	operations []operation
}{
	{"set of a new name", 60, nil, []operation{{Kind: "set", Names: []string{"new"}, Serial: 2}}},
	{"set of an old name", 60, nil, []operation{{Kind: "set", Names: []string{modelName(7)}, Serial: 2}}},
	{"set in an empty store", 0, nil, []operation{{Kind: "set", Names: []string{"new"}, Serial: 2}}},
	{"batch of 50", 60, nil, []operation{{Kind: "batch", Names: modelRange(30, 80), Serial: 2}}},
	{"batch that makes the file grow", 0, nil, []operation{{Kind: "batch", Names: modelRange(0, 200), Serial: 2}}},
	{"delete of 20", 60, nil, []operation{{Kind: "delete", Names: modelRange(10, 30)}}},
	{"delete of all", 60, nil, []operation{{Kind: "delete", Names: modelRange(0, 60)}}},
	{"add a key", 60, nil, []operation{{Kind: "add", Keys: []int{1}}}},
	{"remove a key", 60, []operation{{Kind: "add", Keys: []int{1}}}, []operation{{Kind: "remove", Slot: 1}}},
	{"rotate to the same key", 60, []operation{{Kind: "delete", Names: modelRange(0, 9)}}, []operation{{Kind: "rotate", Keys: []int{0}}}},
	{"rotate to another key", 60, nil, []operation{{Kind: "rotate", Keys: []int{1}}}},
	{"rotate to two keys", 60, nil, []operation{{Kind: "rotate", Keys: []int{2, 3}}}},
	{"rotate an empty store", 0, nil, []operation{{Kind: "rotate", Keys: []int{1}}}},
}

// killAtCalls kills a process at every system call with which an operation writes:
// before the call, and in the middle of it if it is a write of bytes.
func killAtCalls(t *testing.T, calls everyNth, k *kills) {
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
			atEachCall(t, calls, k, func() site { return copySite(t, base) }, func(d site) any { task.Site = d; return task },
				func(t *testing.T, d site, acked int) error {
					candidates := []state{done, before}
					if acked == 1 {
						candidates = candidates[:1]
					}
					if _, err := survivor(t.Context(), d, candidates...); err != nil {
						return err
					}
					if kind := c.operations[0].Kind; kind == "rotate" || kind == "remove" {
						return wiped(base, d, acked == 1)
					}
					return nil
				})
		})
	}
	t.Run("first Set", func(t *testing.T) {
		t.Parallel()
		atEachCall(t, calls, k, func() site { return memorySite(t) }, func(d site) any { return operateTask{Site: d, First: true} },
			func(t *testing.T, d site, acked int) error { return firstSurvives(t, d, acked == 1) })
	})
}

// atEachCall runs a process again and again, each time on a site of its own, and
// kills it at one system call after the other, or at a sample of them. check looks
// at what is left.
func atEachCall(t *testing.T, calls everyNth, k *kills, place func() site, task func(site) any, check func(t *testing.T, d site, acked int) error) {
	for _, v := range []verdict{kill, tear} {
		for n, last := 1, false; !last; n++ {
			if !calls.has(n) {
				continue
			}
			d := place()
			seen, at := 0, ""
			acked := 0
			tr := tracer{dir: string(d), enter: func(c *systemCall) verdict {
				if v == tear && len(c.Data) <= sectorSize {
					return proceed
				}
				if seen++; seen == n {
					at = c.Name + " " + filepath.Base(c.Path)
					return v
				}
				return proceed
			}, done: func(c *systemCall) {
				if c.Name == "acknowledge" {
					acked++
				}
			}}
			status, _, stderr := tr.run(t, workerCommand(t, "operate", string(d), task(d)))
			if status.Exited() {
				if status.ExitStatus() != 0 || at != "" {
					t.Fatalf("call %d (%s): %s", n, at, stderr)
				}
				if n < 5 && v == kill {
					t.Errorf("the operation was only seen to make %d system calls", n-1)
				}
				os.RemoveAll(string(d))
				last = true
				continue
			}
			if status.Signal() != syscall.SIGKILL {
				t.Fatalf("call %d (%s): %v\n%s", n, at, status.Signal(), stderr)
			}
			k.all.Add(1)
			k.atCalls.Add(1)
			if err := check(t, d, acked); err != nil {
				t.Fatalf("%s call %d (%s): %v", map[verdict]string{kill: "killed before", tear: "killed within"}[v], n, at, err)
			}
			os.RemoveAll(string(d))
		}
	}
}

// copySite copies a site.
func copySite(t *testing.T, from site) site {
	t.Helper()
	d := memorySite(t)
	if err := os.CopyFS(string(d), os.DirFS(string(from))); err != nil {
		t.Fatal(err)
	}
	for k := range modelKeys {
		if err := os.Chmod(d.keyFile(k), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return d
}

// wiped returns an error if the site's store has anything in its file of records
// and key slots that it held when it was copied, and holds no more. If the
// operation was acknowledged there must be such.
func wiped(from, d site, acknowledged bool) error {
	old, err := sealedParts(from.path())
	if err != nil {
		return err
	}
	live, err := sealedParts(d.path())
	if err != nil {
		return err
	}
	maps.DeleteFunc(old, func(piece [fPiece]byte, _ bool) bool { return live[piece] })
	if acknowledged && len(old) == 0 {
		return errors.New("the operation changed nothing")
	}
	b, err := os.ReadFile(d.path())
	if err != nil {
		return err
	}
	if n := old.in(b); n > 0 {
		return fmt.Errorf("%d pieces of old records or key slots are left in the file", n)
	}
	return nil
}
