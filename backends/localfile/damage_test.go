package localfile_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// TestDamage spoils stores in thousands of ways and does everything with each that
// can be done with a store. What comes back is the right value or ErrCorrupt:
// never a wrong value, an absence, a panic, a fault or a hang.
//
// Each case runs in a child process. A child that dies or doesn't answer is
// charged to the case that it was on.
//
// SECRETSTORE_TEST_FULL=1 runs the full counts.
func TestDamage(t *testing.T) {
	if testing.Short() {
		t.Skip("thousands of cases")
	}
	share := count(16, 1)
	seed := testSeed(t)
	dir := t.TempDir()
	var cases []damage
	for i, k := range sampleKinds {
		s := newSample(t, k.name)
		s.save(t, filepath.Join(dir, k.name+".json"))
		cases = append(cases, damages(s, readFile(t, s.Path), seed+uint64(i)<<32, share)...)
		if k.name != "branches" {
			continue
		}
		for _, kind := range slices.Concat(slices.Collect(maps.Keys(places)), slices.Collect(maps.Keys(systemPlaces))) {
			cases = append(cases, damage{Sample: k.name, Kind: kind})
		}
	}
	answers := examineAll(t, dir, cases, 30*time.Second)

	table := map[string]*[outcomes]int{}
	for i, a := range answers {
		kind := cases[i].Kind
		if cases[i].Open {
			kind += underOpen
		}
		if table[kind] == nil {
			table[kind] = new([outcomes]int)
		}
		table[kind][a.Outcome]++
		if want := allowed(cases[i].Kind); !slices.Contains(want, a.Outcome) {
			t.Errorf("%v: %s, want one of %v: %s", cases[i], outcomeNames[a.Outcome], names(want), a.Detail)
		}
	}
	keepFull(t, "damage", fmt.Sprintf("```\n%s```\n\nSeed %d.", render(table), seed))
}

// TestDamageGuard shows that the guard of TestDamage sees what it is there for.
func TestDamageGuard(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	newSample(t, "three").save(t, filepath.Join(dir, "three.json"))
	var cases []damage
	var want []outcome
	for _, kind := range slices.Sorted(maps.Keys(plants)) {
		cases = append(cases, damage{Kind: kind}, damage{Sample: "three", Kind: "a link to the store"})
		switch kind {
		case "plant: hang", "plant: spin":
			want = append(want, hung, allRight)
		default:
			want = append(want, died, allRight)
		}
	}
	for i, a := range examineAll(t, dir, cases, 2*time.Second) {
		if a.Outcome != want[i] {
			t.Errorf("%s: %s, want %s: %s", cases[i].Kind, outcomeNames[a.Outcome], outcomeNames[want[i]], a.Detail)
		}
	}
}

const underOpen = ", file open"

// allowed are the outcomes that are right for a kind of damage.
func allowed(kind string) []outcome {
	switch kind {
	case "a link to the store", "a store with much behind it":
		return []outcome{allRight}
	case "a folder", "a fifo", "a device":
		return []outcome{isConfig}
	case "a link to nowhere", "a link to itself":
		return []outcome{isOtherError} // ErrUnavailable
	}
	if places[kind] != nil {
		return []outcome{isCorrupt}
	}
	return []outcome{allRight, isCorrupt}
}

// examineAll runs the cases in children, several at a time, and returns their
// answers in the same order.
func examineAll(t *testing.T, dir string, cases []damage, patience time.Duration) []answer {
	t.Helper()
	answers := make([]answer, len(cases))
	next := make(chan int)
	var wg sync.WaitGroup
	for range 2*runtime.GOMAXPROCS(0) + 2 { // children sleep most of the time
		wg.Go(func() {
			var c *child
			for i := range next {
				if c == nil {
					c = startChild(t, dir)
				}
				a, ok := c.ask(cases[i], patience)
				answers[i] = a
				if !ok {
					c.kill()
					c = nil
				}
			}
			if c != nil {
				c.kill()
			}
		})
	}
	for i := range cases {
		next <- i
	}
	close(next)
	wg.Wait()
	return answers
}

// child is a process that examines damaged files: a damageWorker.
type child struct {
	cmd    *exec.Cmd
	in     io.WriteCloser
	lines  chan string
	stderr *bytes.Buffer
}

func startChild(t *testing.T, dir string) *child {
	c := &child{lines: make(chan string), stderr: new(bytes.Buffer)}
	c.cmd = workerCommand(t, "damage", dir, dir)
	c.cmd.Stderr = c.stderr
	c.in, _ = c.cmd.StdinPipe()
	out, err := c.cmd.StdoutPipe()
	if err == nil {
		err = c.cmd.Start()
	}
	if err != nil {
		t.Error(err)
	}
	go func() {
		defer close(c.lines)
		for s := bufio.NewScanner(out); s.Scan(); {
			c.lines <- s.Text()
		}
	}()
	return c
}

// ask has the child examine a case. After a false it is of no more use.
func (c *child) ask(d damage, patience time.Duration) (answer, bool) {
	line, _ := json.Marshal(d)
	if _, err := c.in.Write(append(line, '\n')); err != nil {
		return answer{died, "the child takes no more cases"}, false
	}
	timer := time.NewTimer(patience)
	defer timer.Stop()
	said := ""
	for {
		select {
		case text, ok := <-c.lines:
			if !ok {
				c.cmd.Wait()
				return answer{died, said + c.stderr.String()}, false
			}
			if b, ok := strings.CutPrefix(text, outcomePrefix); ok {
				var a answer
				if err := json.Unmarshal([]byte(b), &a); err != nil {
					return answer{died, err.Error()}, false
				}
				return a, true
			}
			said += text + "\n"
		case <-timer.C:
			c.cmd.Process.Signal(syscall.SIGQUIT) // for the stacks
			c.cmd.Wait()
			return answer{hung, "no answer for " + patience.String() + "\n" + c.stderr.String()}, false
		}
	}
}

func (c *child) kill() {
	c.in.Close()
	c.cmd.Process.Kill()
	for range c.lines {
	}
	c.cmd.Wait()
}

func names(of []outcome) (out []string) {
	for _, o := range of {
		out = append(out, outcomeNames[o])
	}
	return out
}

// render returns the table of outcomes, a row for each kind of damage.
func render(table map[string]*[outcomes]int) string {
	kinds := slices.Sorted(maps.Keys(table))
	slices.SortStableFunc(kinds, func(a, b string) int { return rank(a) - rank(b) })
	var total [outcomes]int
	var b strings.Builder
	row := func(kind string, counts *[outcomes]int) {
		fmt.Fprintf(&b, "%-56s", kind)
		for _, n := range counts {
			fmt.Fprintf(&b, " %9d", n)
		}
		b.WriteByte('\n')
	}
	fmt.Fprintf(&b, "%-56s", "damage")
	for _, name := range outcomeNames {
		fmt.Fprintf(&b, " %9s", name)
	}
	b.WriteByte('\n')
	for _, kind := range kinds {
		row(kind, table[kind])
		for o, n := range table[kind] {
			total[o] += n
		}
	}
	row("all", &total)
	return b.String()
}

func rank(kind string) int {
	for i, k := range damageKinds {
		if k.kind == strings.TrimSuffix(kind, underOpen) {
			return i
		}
	}
	return len(damageKinds)
}
