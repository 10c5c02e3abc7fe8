package localfile_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/mlsecrets/secretstore"
	"github.com/mlsecrets/secretstore/backends/localfile"
)

const (
	writers       = 8
	readers       = 4
	setsPerWriter = 200
)

// processTask is the task of a process that shares a store with others.
type processTask struct {
	Path   string // with the user's own key
	Number int    // of the process
	// Impatient sets a time-out for the lock that is too short, and tries again
	// for as long as it is ErrLocked.
	Impatient bool
	Stop      string // a file that says that it is time to stop
}

func (task processTask) open(ctx context.Context, text []byte) (secretstore.StoreCloser, processTask, error) {
	if err := json.Unmarshal(text, &task); err != nil {
		return nil, task, err
	}
	c := localfile.Config{Path: task.Path}
	if task.Impatient {
		c.LockTimeout = time.Nanosecond
	}
	store, err := localfile.Open(ctx, c)
	return store, task, err
}

// Each writer sets names of its own, and one that all share.
func ownName(writer, i int) string { return fmt.Sprintf("w%d-%d", writer, i%(setsPerWriter/4)) }

const sharedName = "shared"

// writeWorker sets 200 values, and prints how often it was told ErrLocked.
func writeWorker(text []byte) error {
	ctx := context.Background()
	store, task, err := processTask{}.open(ctx, text)
	if err != nil {
		return err
	}
	defer store.Close()
	locked := 0
	for i := range setsPerWriter {
		name := ownName(task.Number, i)
		if i%10 == 9 {
			name = sharedName
		}
		for {
			err := store.Set(ctx, name, valueOf(name, uint64(i*writers+task.Number)))
			if task.Impatient && errors.Is(err, secretstore.ErrLocked) {
				locked++
				time.Sleep(time.Duration(task.Number+1) * 100 * time.Microsecond)
				continue
			}
			if err != nil {
				return err
			}
			break
		}
		// What was written is there at once.
		if name == sharedName {
			continue
		}
		value, err := store.Get(ctx, name)
		if err != nil {
			return err
		}
		if serial, err := serialOf(name, value); err != nil || serial != uint64(i*writers+task.Number) {
			return fmt.Errorf("%s is of write %d after write %d: %v", name, serial, i*writers+task.Number, err)
		}
	}
	fmt.Println(locked)
	return nil
}

// readWorker reads until it is told to stop. Every value must be whole, no name
// that was there may be gone, and no value may give way to an older one.
func readWorker(text []byte) error {
	ctx := context.Background()
	store, task, err := processTask{}.open(ctx, text)
	if err != nil {
		return err
	}
	defer store.Close()
	newest := map[string]uint64{}
	looks := 0
	for {
		_, stop := os.Stat(task.Stop)
		names, err := store.List(ctx)
		if err != nil {
			return err
		}
		values, err := store.GetBatch(ctx, names)
		if err != nil {
			return err
		}
		if len(names) < len(newest) {
			return fmt.Errorf("List has %d names, and had %d", len(names), len(newest))
		}
		for _, name := range names {
			serial, err := serialOf(name, values[name])
			if err != nil {
				return err
			}
			// Writers of the shared name are in no order.
			if name != sharedName && serial < newest[name] {
				return fmt.Errorf("%s went back from write %d to %d", name, newest[name], serial)
			}
			newest[name] = serial
			if v, err := store.Get(ctx, name); err != nil {
				return err
			} else if _, err := serialOf(name, v); err != nil {
				return err
			}
		}
		looks++
		if stop == nil {
			break
		}
		time.Sleep(time.Millisecond)
	}
	if want := writers*setsPerWriter/4 + 1; len(newest) > want {
		return fmt.Errorf("there are %d names, and %d were written", len(newest), want)
	}
	fmt.Println(looks)
	return nil
}

// TestProcesses has 8 processes make and fill one store, while 4 read it.
func TestProcesses(t *testing.T) {
	for _, impatient := range []bool{false, true} {
		t.Run(fmt.Sprint("impatient=", impatient), func(t *testing.T) {
			d := emptySite(t)
			stop := filepath.Join(t.TempDir(), "stop")
			task := processTask{Path: d.path(), Stop: stop}
			var writing, reading sync.WaitGroup
			outputs := make([]string, writers+readers)
			for i := range writers + readers {
				worker, group := "write", &writing
				if i >= writers {
					worker, group = "read", &reading
				}
				task.Number, task.Impatient = i, impatient && worker == "write"
				cmd := workerCommand(t, worker, string(d), task)
				group.Go(func() { outputs[i] = runWorker(t, cmd) })
			}
			writing.Wait()
			if err := os.WriteFile(stop, nil, 0o600); err != nil {
				t.Fatal(err)
			}
			reading.Wait()
			t.Logf("times that each writer was told ErrLocked: %q; looks of each reader: %q", outputs[:writers], outputs[writers:])

			want := map[string]uint64{}
			for w := range writers {
				for i := range setsPerWriter {
					if i%10 != 9 {
						want[ownName(w, i)] = uint64(i*writers + w)
					}
				}
			}
			c := localfile.Config{Path: d.path(), Key: localfile.KeyFile(d.ownKey())}
			store, err := localfile.Open(t.Context(), c)
			if err != nil {
				t.Fatal(err)
			}
			defer store.Close()
			shared, err := store.Get(t.Context(), sharedName)
			if err != nil {
				t.Fatal(err)
			}
			if want[sharedName], err = serialOf(sharedName, shared); err != nil {
				t.Error(err)
			}
			if i := want[sharedName] / writers; i%10 != 9 {
				t.Errorf("%s is of write %d, which never was", sharedName, want[sharedName])
			}
			if err := holds(t.Context(), store, want); err != nil {
				t.Errorf("an update is lost: %v", err)
			}
			if r, err := localfile.Verify(t.Context(), c); err != nil {
				t.Errorf("%v: %v", err, r.Damaged)
			}
			if err := onlyStore(d); err != nil {
				t.Error(err)
			}
		})
	}
}

// runWorker runs a process to its end and returns what it printed.
func runWorker(t testing.TB, cmd *exec.Cmd) string {
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		t.Errorf("%v: %s", err, stderr.String())
	}
	return string(bytes.TrimSpace(stdout.Bytes()))
}
