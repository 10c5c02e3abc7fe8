package localfile_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/mlsecrets/secretstore"
	"github.com/mlsecrets/secretstore/backends/localfile"
)

// paceTask is the task of a process that works at a pace and takes times.
type paceTask struct {
	Path, KeyFile string
	Secrets       int
	Write         bool          // set rather than get
	Pause         time.Duration // from one call to the next
	For           time.Duration // how long; 0: one call for each line of standard input
	Times         string        // the file for the times of the calls, in ns, 4 bytes each
}

// paceWorker prints a line when it is ready, and after each call that a line of
// its standard input asked for. Its first line starts it.
func paceWorker(text []byte) error {
	var task paceTask
	if err := json.Unmarshal(text, &task); err != nil {
		return err
	}
	ctx := context.Background()
	store, err := localfile.Open(ctx, localfile.Config{Path: task.Path, Key: localfile.KeyFile(task.KeyFile)})
	if err != nil {
		return err
	}
	defer store.Close()
	value := secretstore.NewValue(make([]byte, valueLen))
	call := func() error {
		n := name(rand.IntN(task.Secrets))
		if task.Write {
			return store.Set(ctx, n, value)
		}
		_, err := store.Get(ctx, n)
		return err
	}
	if _, err := store.Get(ctx, name(0)); err != nil {
		return err
	}
	fmt.Println("ready")
	lines := bufio.NewReader(os.Stdin)
	if _, err := lines.ReadString('\n'); err != nil {
		return err
	}
	if task.For == 0 {
		for {
			if err := call(); err != nil {
				return err
			}
			fmt.Println("done")
			if _, err := lines.ReadString('\n'); err != nil {
				return nil
			}
		}
	}
	var times []byte
	for end := time.Now().Add(task.For); time.Now().Before(end); time.Sleep(task.Pause) {
		start := time.Now()
		if err := call(); err != nil {
			return err
		}
		times = binary.LittleEndian.AppendUint32(times, uint32(time.Since(start)))
	}
	return os.WriteFile(task.Times, times, 0o600)
}

// pacer is a process that waits to be told.
type pacer struct {
	task  paceTask
	cmd   *exec.Cmd
	in    io.WriteCloser
	lines *bufio.Reader
	errs  bytes.Buffer
}

func startPacer(b *testing.B, task paceTask) *pacer {
	b.Helper()
	p := &pacer{task: task, cmd: workerCommand(b, "pace", b.TempDir(), task)}
	p.cmd.Stderr = &p.errs
	var err error
	if p.in, err = p.cmd.StdinPipe(); err != nil {
		b.Fatal(err)
	}
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	p.lines = bufio.NewReader(out)
	if err := p.cmd.Start(); err != nil {
		b.Fatal(err)
	}
	p.wait(b)
	return p
}

// tell sends the process a line.
func (p *pacer) tell(b *testing.B) {
	if _, err := io.WriteString(p.in, "\n"); err != nil {
		b.Fatal(err, p.errs.String())
	}
}

// wait waits for a line of the process.
func (p *pacer) wait(b *testing.B) {
	if _, err := p.lines.ReadString('\n'); err != nil {
		p.end(b)
		b.Fatal("the process ended: ", err)
	}
}

func (p *pacer) end(b *testing.B) {
	p.in.Close()
	if err := p.cmd.Wait(); err != nil {
		b.Fatal(err, p.errs.String())
	}
}

func readTimes(b *testing.B, path string) (times []time.Duration) {
	raw, err := os.ReadFile(path)
	if err != nil {
		b.Fatal(err)
	}
	for ; len(raw) > 0; raw = raw[4:] {
		times = append(times, time.Duration(binary.LittleEndian.Uint32(raw)))
	}
	return times
}

// quantile returns the q-th part of sorted times, in microseconds.
func quantile(times []time.Duration, q float64) float64 {
	if len(times) == 0 {
		return 0
	}
	return float64(times[min(int(q*float64(len(times))), len(times)-1)]) / 1e3
}

// BenchmarkProcesses has 4 processes read a store of 1,000 secrets without a pause
// while one writes every 10 ms, for 3 s.
func BenchmarkProcesses(b *testing.B) {
	const span = 3 * time.Second
	_, c := newFilled(b, 1000, valueLen)
	for b.Loop() {
		task := paceTask{Path: c.Path, KeyFile: filepath.Join(filepath.Dir(c.Path), "key"), Secrets: 1000, For: span}
		var processes []*pacer
		for i := range readers + 1 {
			task.Times = filepath.Join(b.TempDir(), fmt.Sprint("times", i))
			if task.Write = i == readers; task.Write {
				task.Pause = 10 * time.Millisecond
			}
			processes = append(processes, startPacer(b, task))
		}
		for _, p := range processes {
			p.tell(b)
		}
		for _, p := range processes {
			p.end(b)
		}
		var gets []time.Duration
		for i := range readers {
			gets = append(gets, readTimes(b, processes[i].task.Times)...)
		}
		sets := readTimes(b, processes[readers].task.Times)
		slices.Sort(gets)
		slices.Sort(sets)
		b.ReportMetric(float64(len(gets))/span.Seconds(), "gets/s")
		b.ReportMetric(quantile(gets, 0.5), "µs/get-p50")
		b.ReportMetric(quantile(gets, 0.99), "µs/get-p99")
		b.ReportMetric(quantile(gets, 0.9999), "µs/get-p99.99")
		b.ReportMetric(float64(len(sets))/span.Seconds(), "sets/s")
		b.ReportMetric(quantile(sets, 0.5), "µs/set-p50")
		b.ReportMetric(quantile(sets, 0.99), "µs/set-p99")
		b.ReportMetric(0, "ns/op")
	}
}

// BenchmarkAbsentAfterForeignWrite gets a name that is not there, each time right
// after another process has written.
func BenchmarkAbsentAfterForeignWrite(b *testing.B) {
	for _, n := range []int{1000, 100_000} {
		b.Run(fmt.Sprint("secrets=", n), func(b *testing.B) {
			s, c := newFilled(b, n, valueLen)
			other := startPacer(b, paceTask{Path: c.Path, KeyFile: filepath.Join(filepath.Dir(c.Path), "key"), Secrets: n, Write: true})
			ctx := b.Context()
			var times []time.Duration
			for i := 0; b.Loop(); i++ {
				other.tell(b)
				other.wait(b)
				absent := fmt.Sprint("absent-", i)
				start := time.Now()
				_, err := s.Get(ctx, absent)
				times = append(times, time.Since(start))
				if !errors.Is(err, secretstore.ErrNotFound) {
					b.Fatal(err)
				}
			}
			other.end(b)
			slices.Sort(times)
			b.ReportMetric(quantile(times, 0.5), "µs/get-p50")
			b.ReportMetric(quantile(times, 0.99), "µs/get-p99")
			b.ReportMetric(0, "ns/op")
		})
	}
}

// BenchmarkOpen opens a store with a key file, gets one value, and closes it.
func BenchmarkOpen(b *testing.B) {
	for _, n := range []int{1000, 100_000} {
		b.Run(fmt.Sprint("secrets=", n), func(b *testing.B) {
			_, c := newFilled(b, n, valueLen)
			ctx := b.Context()
			var opens, gets []time.Duration
			for b.Loop() {
				start := time.Now()
				s, err := localfile.Open(ctx, c)
				if err != nil {
					b.Fatal(err)
				}
				opened := time.Now()
				if _, err := s.Get(ctx, name(7)); err != nil {
					b.Fatal(err)
				}
				opens, gets = append(opens, opened.Sub(start)), append(gets, time.Since(opened))
				s.Close()
			}
			slices.Sort(opens)
			slices.Sort(gets)
			b.ReportMetric(quantile(opens, 0.5), "µs/open-p50")
			b.ReportMetric(quantile(opens, 0.99), "µs/open-p99")
			b.ReportMetric(quantile(gets, 0.5), "µs/first-get-p50")
		})
	}
}
