//go:build amd64 || arm64

package localfile_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/mlsecrets/secretstore/backends/localfile"
)

// recording is what processes did to the files below a folder, call by call.
type recording struct {
	dir   string
	start func() *disk
	calls []systemCall
}

// newRecording takes the present contents of the folder for durable.
func newRecording(t *testing.T, dir string) *recording {
	snapshot := filepath.Join(t.TempDir(), "snapshot")
	if err := os.CopyFS(snapshot, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	return &recording{dir: dir, start: func() *disk { return newDisk(t, snapshot) }}
}

// run runs a process and records what it does. It is killed before its killAt-th
// call, if that is not 0.
func (rec *recording) run(t *testing.T, cmd *exec.Cmd, killAt int) (died bool) {
	t.Helper()
	n := 0
	tr := tracer{dir: rec.dir, enter: func(c *systemCall) verdict {
		if n++; n == killAt {
			return kill
		}
		return proceed
	}, done: func(c *systemCall) { rec.calls = append(rec.calls, *c) }}
	status, _, stderr := tr.run(t, cmd)
	if status.Signaled() && status.Signal() == syscall.SIGKILL {
		return true
	}
	if status.ExitStatus() != 0 {
		t.Fatalf("the process failed: %s", stderr)
	}
	return false
}

// replay does a call on the model.
func (rec *recording) replay(d *disk, c systemCall) error {
	rel := func(path string) string { return path[len(rec.dir):] }
	if c.Name == "acknowledge" {
		return nil
	}
	n := d.at(rel(c.Path))
	parent, name := d.find(rel(c.Path))
	switch c.Name {
	case "openat":
		if c.New {
			d.create(rel(c.Path), &node{})
		}
		return nil
	case "mkdirat":
		d.create(rel(c.Path), newFolder())
		return nil
	}
	if n == nil {
		return fmt.Errorf("%s of %s, which the model doesn't have", c.Name, c.Path)
	}
	switch c.Name {
	case "write", "pwrite64":
		n.unsaved = append(n.unsaved, dataChange{off: c.Off, data: c.Data})
	case "ftruncate":
		n.unsaved = append(n.unsaved, dataChange{size: c.Off})
	case "fsync", "fdatasync":
		n.sync()
	case "unlinkat":
		parent.rename(nameChange{remove: name})
	case "renameat", "renameat2", "linkat":
		target, to := d.find(rel(c.To))
		if target != parent {
			return errors.New("the model has no moves between folders")
		}
		change := nameChange{remove: name, add: to, node: n}
		if c.Name == "linkat" {
			change.remove = ""
		}
		parent.rename(change)
	default:
		return fmt.Errorf("the model has no %s", c.Name)
	}
	return nil
}

// images makes what the disk may hold when the power fails, for each instant from
// the call first on, n times: with all lost that may be, or with parts at random.
// check looks at each, with the number of operations that were acknowledged.
func (rec *recording) images(t *testing.T, r *rand.Rand, first, n int, check func(d site, acked int) error) (made int) {
	t.Helper()
	model, acked := rec.start(), 0
	place := string(memorySite(t))
	for i := 0; ; i++ {
		for j := 0; i >= first && j < n; j++ {
			p := []float64{0, 0, r.Float64(), 0.05, 0.95, 0.5}[r.IntN(6)]
			d := site(filepath.Join(place, "image"))
			if err := model.lose(r, p, string(d)); err != nil {
				t.Fatal(err)
			}
			if err := check(d, acked); err != nil {
				at := "at the end"
				if i < len(rec.calls) {
					at = fmt.Sprintf("before call %d (%s %s)", i+1, rec.calls[i].Name, rec.calls[i].Path[len(rec.dir):])
				}
				t.Fatalf("power fails %s, after %d acknowledged operations, and %.2f of what is unsaved is kept: %v", at, acked, p, err)
			}
			os.RemoveAll(string(d))
			made++
		}
		if i == len(rec.calls) {
			return made
		}
		if rec.calls[i].Name == "acknowledge" {
			acked++
		} else if err := rec.replay(model, rec.calls[i]); err != nil {
			t.Fatal(err)
		}
	}
}

// TestPowerLoss records what operations write and sync, and looks at what a disk
// may hold of it when the power fails: every operation that was acknowledged must
// be there, and the one under way whole or not at all.
func TestPowerLoss(t *testing.T) {
	seed := testSeed(t)
	var made atomic.Int64
	t.Run("lose", func(t *testing.T) {
		run := func(name string, fn func(t *testing.T) int) {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				made.Add(int64(fn(t)))
			})
		}
		run("operations", func(t *testing.T) int { return loseOperations(t, seed, count(1, 25)) })
		for i := range count(1, 6) {
			run(fmt.Sprint("random operations ", i), func(t *testing.T) int { return loseRandomOperations(t, seed+uint64(i), count(1, 8)) })
		}
		run("first Set", func(t *testing.T) int { return loseFirst(t, seed, count(3, 30)) })
		run("first Set after a kill", func(t *testing.T) int { return loseFirstAfterKill(t, seed, count(1, 5)) })
	})
	keepFull(t, "power loss", fmt.Sprintf("%d disks as a loss of power may leave them; all opened, with every commit that was synced. Seed %d.", made.Load(), seed))
}

func loseOperations(t *testing.T, seed uint64, n int) int {
	d, s := newSite(t, 60)
	return loseTask(t, d, seed, n, operateTask{Site: d, State: s, Operations: []operation{
		{Kind: "set", Names: []string{"new"}, Serial: 2},
		{Kind: "set", Names: []string{modelName(7)}, Serial: 2},
		{Kind: "batch", Names: modelRange(30, 80), Serial: 3},
		{Kind: "delete", Names: modelRange(10, 30)},
		{Kind: "add", Keys: []int{1}},
		{Kind: "rotate", Keys: []int{2, 3}},
		{Kind: "batch", Names: modelRange(20, 200), Serial: 4},
		{Kind: "remove", Slot: 1},
		{Kind: "delete", Names: modelRange(0, 200)},
		{Kind: "set", Names: []string{"last"}, Serial: 5},
	}})
}

func loseRandomOperations(t *testing.T, seed uint64, n int) int {
	d, s := newSite(t, 60)
	task := operateTask{Site: d, State: s, Seed: seed}
	next := task.operations()
	var ops []operation
	for i := range 15 {
		op, _ := next(s, i)
		s = op.after(s)
		ops = append(ops, op)
	}
	task.Operations = ops
	return loseTask(t, d, seed, n, task)
}

func loseTask(t *testing.T, d site, seed uint64, n int, task operateTask) int {
	old, err := sealedParts(d.path())
	if err != nil {
		t.Fatal(err)
	}
	rotated := len(task.Operations)
	for i, op := range task.Operations {
		if op.Kind == "rotate" {
			rotated = min(rotated, i)
		}
	}
	rec := newRecording(t, string(d))
	rec.run(t, workerCommand(t, "operate", string(d), task), 0)
	return rec.images(t, rand.New(rand.NewPCG(seed, 0)), 0, n, func(d site, acked int) error {
		before, under := task.after(acked)
		if _, err := survivor(t.Context(), d, under, before); err != nil || acked <= rotated {
			return err
		}
		b, err := os.ReadFile(d.path())
		if n := old.in(b); n > 0 {
			return fmt.Errorf("%d pieces of records and slots from before a rotation are in the file", n)
		}
		return err
	})
}

func loseFirst(t *testing.T, seed uint64, n int) int {
	d := emptySite(t)
	rec := newRecording(t, string(d))
	task := operateTask{Site: d, First: true}
	rec.run(t, workerCommand(t, "operate", string(d), task), 0)
	return rec.images(t, rand.New(rand.NewPCG(seed, 1)), 0, n, func(d site, acked int) error { return firstOnDisk(t, d, acked > 0) })
}

// loseFirstAfterKill kills the process that makes the store at each of its calls,
// has another one take its place, and lets the power fail while that works.
func loseFirstAfterKill(t *testing.T, seed uint64, n int) (made int) {
	kills := newEveryNth(seed)
	for k, last := 1, false; !last; k++ {
		if !kills.has(k) {
			continue
		}
		d := emptySite(t)
		rec := newRecording(t, string(d))
		task := operateTask{Site: d, First: true}
		if last = !rec.run(t, workerCommand(t, "operate", string(d), task), k); last {
			continue
		}
		first := len(rec.calls)
		rec.run(t, workerCommand(t, "operate", string(d), task), 0)
		made += rec.images(t, rand.New(rand.NewPCG(seed, uint64(k))), first, n, func(d site, acked int) error {
			if err := firstOnDisk(t, d, acked > 0); err != nil {
				return fmt.Errorf("after a kill at call %d: %w", k, err)
			}
			return nil
		})
	}
	return made
}

// firstOnDisk is firstSurvives without a process of its own.
func firstOnDisk(t *testing.T, d site, acknowledged bool) error {
	ctx := t.Context()
	c := d.config(-1)
	c.Key = localfile.KeyFile(d.ownKey())
	if err := firstKept(ctx, c, acknowledged); err != nil {
		return err
	}
	if _, err := os.Stat(d.path()); err != nil {
		if err := existingKey(localfile.NewKeyFile(d.ownKey())); err != nil {
			return err
		}
	}
	return firstAgain(ctx, d, c)
}
