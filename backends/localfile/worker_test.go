package localfile_test

import (
	"encoding/json"
	"fmt"
	"github.com/mlsecrets/secretstore/internal/figures"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// Tests that need processes of their own run this test binary again: the variable
// envWorker names a worker, which runs in place of the tests, and
// envTask holds what it is told, as JSON.
const (
	envWorker = "SECRETSTORE_TEST_WORKER"
	envTask   = "SECRETSTORE_TEST_TASK"
)

// workers are what a process can be told to do, with its task in JSON. The error
// ends up in its standard error, and makes it exit with 1.
var workers = map[string]func(task []byte) error{
	"operate": operateWorker,
	"fail":    failWorker,
	"write":   writeWorker,
	"read":    readWorker,
	"pace":    paceWorker,
	"damage":  damageWorker,
}

// worker returns the worker of the name, also of those that this system alone has.
func worker(name string) func(task []byte) error {
	if w := workers[name]; w != nil {
		return w
	}
	return systemWorkers[name]
}

func TestMain(m *testing.M) {
	if name := os.Getenv(envWorker); name != "" {
		if err := worker(name)([]byte(os.Getenv(envTask))); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// workerCommand returns the command of a process that does the task. Of the
// environment it gets what a Go program needs, and a home of its own.
func workerCommand(tb testing.TB, name, home string, task any) *exec.Cmd {
	tb.Helper()
	if worker(name) == nil {
		tb.Fatalf("no worker %q", name)
	}
	text, err := json.Marshal(task)
	if err != nil {
		tb.Fatal(err)
	}
	cmd := exec.Command(os.Args[0])
	if filepath.Base(os.Args[0]) == os.Args[0] {
		cmd.Path = filepath.Join(".", os.Args[0])
	}
	for _, v := range os.Environ() {
		if !strings.HasPrefix(v, "SECRETSTORE_") && !strings.HasPrefix(v, "XDG_") && !strings.HasPrefix(v, "HOME=") {
			cmd.Env = append(cmd.Env, v)
		}
	}
	cmd.Env = append(cmd.Env, envWorker+"="+name, envTask+"="+string(text),
		"HOME="+home, "XDG_CONFIG_HOME="+filepath.Join(home, "config"), "XDG_DATA_HOME="+filepath.Join(home, "data"),
		"AppData="+filepath.Join(home, "config"))
	return cmd
}

// fullCounts reports whether the tests are to run in their full numbers, as in CI.
func fullCounts() bool { return os.Getenv("SECRETSTORE_TEST_FULL") == "1" }

// count returns the number of cases: bounded in a plain run.
func count(bounded, full int) int {
	if fullCounts() {
		return full
	}
	return bounded
}

// keepFull logs figures, and keeps those of a full run in docs/figures.md.
func keepFull(t *testing.T, section, text string) {
	t.Helper()
	if fullCounts() {
		figures.Keep(t, section, text)
	} else {
		t.Log(section + ": " + text)
	}
}

// everyNth is which of the cases of a long row a plain run takes: every third, from a
// start that the seed gives. In full it is all.
type everyNth struct{ every, start uint64 }

func newEveryNth(seed uint64) everyNth { return everyNth{uint64(count(3, 1)), seed} }

func (s everyNth) has(i int) bool { return (uint64(i)+s.start)%s.every == 0 }

// testSeed returns the seed of a test: of the variable SECRETSTORE_TEST_SEED, to
// repeat a run, or a new one.
func testSeed(t *testing.T) uint64 {
	seed := rand.Uint64() >> 40
	if text := os.Getenv("SECRETSTORE_TEST_SEED"); text != "" {
		if _, err := fmt.Sscan(text, &seed); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("to repeat: SECRETSTORE_TEST_SEED=%d", seed)
		}
	})
	return seed
}
