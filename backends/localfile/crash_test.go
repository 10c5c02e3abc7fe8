//go:build unix

package localfile_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/mlsecrets/secretstore"
	"github.com/mlsecrets/secretstore/backends/localfile"
)

// kills counts what the crash tests did, for the line that sums them up.
type kills struct {
	all, atCalls atomic.Int64
}

// TestCrash kills processes that write, with SIGKILL, and looks at what they leave:
// every operation that returned must be there, the one under way whole or not at
// all, and the next writer must be able to go on.
func TestCrash(t *testing.T) {
	seed := testSeed(t)
	var k kills
	parts := 0
	for _, part := range []struct {
		name string
		test func(t *testing.T)
	}{
		{"at random instants", func(t *testing.T) { killAtRandom(t, seed, &k) }},
		{"in a loop of SetBatch", func(t *testing.T) { killInBatches(t, seed, &k) }},
		{"in the first Set", func(t *testing.T) { killFirstAtRandom(t, seed, &k) }},
		{"at every system call", func(t *testing.T) { killAtCalls(t, newEveryNth(seed), &k) }},
	} {
		t.Run(part.name, func(t *testing.T) {
			parts++
			part.test(t)
		})
	}
	keepFull(t, "crash", fmt.Sprintf("%d processes killed while they wrote, %d of them at a system call; all that was acknowledged was there, and every batch whole or absent. Seed %d.",
		k.all.Load(), k.atCalls.Load(), seed))
	if want := int64(count(300, 1000)); parts == 4 && k.all.Load() < want && !t.Failed() {
		t.Errorf("only %d kills; want at least %d", k.all.Load(), want)
	}
}

// inParallel runs n subtests, as many at once as there are processors.
func inParallel(t *testing.T, n int, fn func(t *testing.T, i int)) {
	t.Helper()
	for i := range n {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			t.Parallel()
			fn(t, i)
		})
	}
}

// killAtRandom has stores live through one kill after another, in a mix of all
// operations.
func killAtRandom(t *testing.T, seed uint64, k *kills) {
	inParallel(t, 4, func(t *testing.T, i int) {
		d, s := newSite(t, 60)
		r := rand.New(rand.NewPCG(seed, uint64(i)))
		for range count(10, 120) {
			task := operateTask{Site: d, State: s, Seed: r.Uint64() >> 32}
			acked := killed(t, workerCommand(t, "operate", string(d), task), r.IntN(30), time.Duration(r.IntN(4000))*time.Microsecond)
			before, under := task.after(acked)
			var err error
			if s, err = survivor(t.Context(), d, under, before); err != nil {
				t.Fatalf("after %d operations of seed %d: %v", acked, task.Seed, err)
			}
			k.all.Add(1)
		}
	})
}

// after returns the states after n operations, and after the next.
func (task operateTask) after(n int) (done, next state) {
	ops, s := task.operations(), task.State
	for i := range n {
		op, _ := ops(s, i)
		s = op.after(s)
	}
	op, ok := ops(s, n)
	if !ok {
		return s, s
	}
	return s, op.after(s)
}

// killed runs the command, kills it when it has acknowledged so many operations
// and the delay has passed, and returns how many it has acknowledged then.
func killed(t *testing.T, cmd *exec.Cmd, acks int, delay time.Duration) int {
	t.Helper()
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	n, lines := 0, bufio.NewReader(out)
	for ; n < acks; n++ {
		if _, err := lines.ReadString('\n'); err != nil {
			break
		}
	}
	time.Sleep(delay)
	cmd.Process.Kill()
	rest, _ := io.ReadAll(lines)
	n += bytes.Count(rest, []byte(acknowledgement))
	err = cmd.Wait()
	if e, ok := errors.AsType[*exec.ExitError](err); !ok || e.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
		t.Fatalf("the process ended before it was killed: %v\n%s", err, stderr.String())
	}
	return n
}

// killInBatches kills a process that does nothing but SetBatch of 50.
func killInBatches(t *testing.T, seed uint64, k *kills) {
	inParallel(t, 4, func(t *testing.T, i int) {
		d, s := newSite(t, 0)
		r := rand.New(rand.NewPCG(seed, uint64(100+i)))
		for range count(25, 50) {
			task := operateTask{Site: d, State: s, Seed: r.Uint64() >> 32, Batches: true}
			acked := killed(t, workerCommand(t, "operate", string(d), task), r.IntN(20), time.Duration(r.IntN(3000))*time.Microsecond)
			before, under := task.after(acked)
			var err error
			if s, err = survivor(t.Context(), d, under, before); err != nil {
				t.Fatalf("after %d batches: %v", acked, err)
			}
			k.all.Add(1)
		}
	})
}

// killFirstAtRandom kills processes that make the user's key file and store. Four
// do it at the same time, so that it also happens to those that wait.
func killFirstAtRandom(t *testing.T, seed uint64, k *kills) {
	inParallel(t, count(10, 60), func(t *testing.T, i int) {
		d := emptySite(t)
		r := rand.New(rand.NewPCG(seed, uint64(200+i)))
		acked := make([]int, 4)
		delays := make([]time.Duration, len(acked))
		for j := range delays {
			delays[j] = 5*time.Millisecond + time.Duration(r.IntN(40_000))*time.Microsecond
		}
		var wg sync.WaitGroup
		for j := range acked {
			wg.Go(func() {
				cmd := workerCommand(t, "operate", string(d), operateTask{Site: d, First: true})
				var died bool
				if acked[j], died = killedOrDone(t, cmd, delays[j]); died {
					k.all.Add(1)
				}
			})
		}
		wg.Wait()
		any := false
		for _, n := range acked {
			any = any || n > 0
		}
		if err := firstSurvives(t, d, any); err != nil {
			t.Fatal(err)
		}
	})
}

// killedOrDone is killed for a process that may be faster. It also returns whether
// it was killed.
func killedOrDone(t *testing.T, cmd *exec.Cmd, delay time.Duration) (acked int, died bool) {
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Start(); err != nil {
		t.Error(err)
		return 0, false
	}
	time.Sleep(delay)
	cmd.Process.Kill()
	err := cmd.Wait()
	if e, ok := errors.AsType[*exec.ExitError](err); ok && e.ExitCode() > 0 {
		t.Errorf("the process failed: %s", stderr.String())
	}
	return bytes.Count(stdout.Bytes(), []byte(acknowledgement)), err != nil
}

// firstSurvives looks at what was left of the making of a store, and makes it again
// as the next process would.
func firstSurvives(t *testing.T, d site, acknowledged bool) error {
	c := d.config(-1)
	c.Key = localfile.KeyFile(d.ownKey())
	if err := firstKept(t.Context(), c, acknowledged); err != nil {
		return err
	}
	cmd := workerCommand(t, "operate", string(d), operateTask{Site: d, First: true})
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("can't make the store after a kill: %w\n%s", err, out)
	}
	return firstAgain(t.Context(), d, c)
}

// firstKept returns an error if an acknowledged first Set is lost, or anything else
// is there than it or nothing.
func firstKept(ctx context.Context, c localfile.Config, acknowledged bool) error {
	if _, err := os.Stat(c.Path); err != nil {
		if acknowledged {
			return fmt.Errorf("the store of an acknowledged Set is lost: %w", err)
		}
		return nil
	}
	store, err := localfile.Open(ctx, c)
	if err != nil {
		return err
	}
	defer store.Close()
	value, err := store.Get(ctx, "first")
	if err != nil {
		if !acknowledged && errors.Is(err, secretstore.ErrNotFound) {
			return nil
		}
		return fmt.Errorf("acknowledged: %v, and Get: %w", acknowledged, err)
	}
	_, err = serialOf("first", value)
	return err
}

// firstAgain sets the secret again and looks at the store.
func firstAgain(ctx context.Context, d site, c localfile.Config) error {
	store, err := localfile.Open(ctx, c)
	if err != nil {
		return err
	}
	defer store.Close()
	if err := store.Set(ctx, "first", valueOf("first", 2)); err != nil {
		return err
	}
	if err := holds(ctx, store, map[string]uint64{"first": 2}); err != nil {
		return err
	}
	if r, err := localfile.Verify(ctx, c); err != nil {
		return fmt.Errorf("%w: %v", err, r.Damaged)
	}
	return onlyStore(d)
}

// existingKey takes a key file that is there already for no error.
func existingKey(err error) error {
	if errors.Is(err, secretstore.ErrConflict) {
		return nil
	}
	return err
}
