package conformance

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/anishathalye/porcupine"
	"github.com/mlsecrets/secretstore"
)

// register is one secret, for the linearizability checker.
type registerOp struct {
	write bool
	value string // written
}

var registerModel = porcupine.Model{
	Init: func() any { return "" },
	Step: func(state, input, output any) (bool, any) {
		op := input.(registerOp)
		if op.write {
			return true, op.value
		}
		return output.(string) == state.(string), state
	},
	Equal: func(a, b any) bool { return a == b },
}

// linearizable checks a history of reads and writes of one name by many callers,
// each with one of the stores.
func linearizable(ctx context.Context, e *env, stores []secretstore.Store) error {
	h := &history{name: e.name("register"), start: time.Now()}
	// Each store writes in turn, and all read: stores that share nothing can't pass,
	// however the callers below happen to run.
	for i, writer := range stores {
		if err := h.do(ctx, 0, writer, registerOp{write: true, value: fmt.Sprint("first ", i)}); err != nil {
			return err
		}
		for _, reader := range stores {
			if err := h.do(ctx, 0, reader, registerOp{}); err != nil {
				return err
			}
		}
	}
	const clients = 6
	var random [clients]*rand.Rand
	for client := range random {
		random[client] = rand.New(rand.NewPCG(uint64(client), 1))
	}
	// In rounds, so that a fast store is not done before a slow one has begun.
	const round = 8
	for first := 0; first < e.count(120); first += round {
		var errs [clients]error
		var wg sync.WaitGroup
		for client := range clients {
			wg.Go(func() {
				for i := first; i < first+round && errs[client] == nil; i++ {
					op := registerOp{write: random[client].IntN(3) == 0, value: fmt.Sprintf("%d.%d", client, i)}
					errs[client] = h.do(ctx, client, stores[client%len(stores)], op)
				}
			})
		}
		wg.Wait()
		if err := errors.Join(errs[:]...); err != nil {
			return err
		}
	}
	if porcupine.CheckOperationsTimeout(registerModel, h.ops, time.Minute) != porcupine.Ok {
		return fmt.Errorf("a history of %d operations on one name is not linearizable", len(h.ops))
	}
	e.operations = len(h.ops)
	return nil
}

// history is what callers did with one name, and when.
type history struct {
	name  string
	start time.Time

	mu  sync.Mutex
	ops []porcupine.Operation
}

func (h *history) do(ctx context.Context, client int, s secretstore.Store, op registerOp) error {
	call := time.Since(h.start)
	out, err := apply(ctx, s, h.name, op)
	if err != nil {
		return err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.ops = append(h.ops, porcupine.Operation{ClientId: client, Input: op, Call: int64(call), Output: out, Return: int64(time.Since(h.start))})
	return nil
}

func apply(ctx context.Context, s secretstore.Store, name string, op registerOp) (string, error) {
	if op.write {
		return "", s.Set(ctx, name, text(op.value))
	}
	v, err := s.Get(ctx, name)
	return string(v.Reveal()), err
}

// whole returns a value that names its secret and proves that it is whole.
func whole(name string, n int) secretstore.Value {
	body := fmt.Sprintf("%s %d %s", name, n, strings.Repeat("x", n%500))
	return text(fmt.Sprintf("%s %x", body, sha256.Sum256([]byte(body))))
}

func isWhole(name string, v secretstore.Value) error {
	s := string(v.Reveal())
	i := strings.LastIndexByte(s, ' ')
	if i < 0 || fmt.Sprintf("%x", sha256.Sum256([]byte(s[:i]))) != s[i+1:] {
		return fmt.Errorf("%q holds a torn value", name)
	}
	if !strings.HasPrefix(s, name+" ") {
		return fmt.Errorf("%q holds the value of another name", name)
	}
	return nil
}

// noTorn checks that no value is torn or crossed while many callers write and read.
func noTorn(ctx context.Context, e *env, stores []secretstore.Store) error {
	names := e.names(12)
	values := map[string]secretstore.Value{}
	for _, name := range names {
		values[name] = whole(name, 0)
	}
	if err := stores[0].SetBatch(ctx, values); err != nil {
		return err
	}
	errs := make([]error, 6)
	var wg sync.WaitGroup
	for client := range errs {
		wg.Go(func() {
			s := stores[client%len(stores)]
			for i := range e.count(120) {
				if errs[client] = tornRound(ctx, s, names, client, i); errs[client] != nil {
					return
				}
			}
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

func tornRound(ctx context.Context, s secretstore.Store, names []string, client, i int) error {
	name := names[(client*7+i)%len(names)]
	switch (client + i) % 4 {
	case 0:
		return s.Set(ctx, name, whole(name, client*1000+i))
	case 1:
		values := map[string]secretstore.Value{}
		for _, name := range names[i%6 : i%6+6] {
			values[name] = whole(name, client*1000+i)
		}
		return s.SetBatch(ctx, values)
	case 2:
		got, err := s.GetBatch(ctx, names)
		if err != nil || len(got) != len(names) {
			return fmt.Errorf("GetBatch: got %d values, %w", len(got), err)
		}
		for name, v := range got {
			if err := isWhole(name, v); err != nil {
				return err
			}
		}
		return nil
	}
	v, err := s.Get(ctx, name)
	if err != nil {
		return err
	}
	return isWhole(name, v)
}

// withSecond returns a store and a second handle on it.
func (e *env) withSecond(ctx context.Context) ([]secretstore.Store, error) {
	s, err := e.open(ctx)
	if err != nil {
		return nil, err
	}
	if err := s.Set(ctx, e.name("made"), text("v")); err != nil {
		return nil, err
	}
	second, err := e.second(ctx, s)
	return []secretstore.Store{s, second}, err
}

// withChild returns a store and one that another process has open.
func (e *env) withChild(ctx context.Context) ([]secretstore.Store, error) {
	s, err := e.open(ctx)
	if err != nil {
		return nil, err
	}
	if err := s.Set(ctx, e.name("made"), text("v")); err != nil {
		return nil, err
	}
	cmd, err := e.h.Child(ctx, s)
	if err != nil {
		return nil, err
	}
	child, err := startChild(cmd)
	if err != nil {
		return nil, err
	}
	e.closeLater(child)
	return []secretstore.Store{s, child}, nil
}

func (e *env) alone(ctx context.Context) ([]secretstore.Store, error) {
	s, err := e.open(ctx)
	return []secretstore.Store{s}, err
}

// with is the check over the stores that get returns.
func with(get func(*env, context.Context) ([]secretstore.Store, error),
	check func(context.Context, *env, []secretstore.Store) error) func(context.Context, *env) error {
	return func(ctx context.Context, e *env) error {
		stores, err := get(e, ctx)
		if err != nil {
			return err
		}
		return check(ctx, e, stores)
	}
}

// allOrNothing checks that a reader sees all of a batch or nothing of it, also if it is
// called off half way. Writer and reader go on until both have done their share, so that
// they meet on one core too.
func allOrNothing(ctx context.Context, e *env, stores []secretstore.Store) error {
	writer, reader := stores[0], stores[len(stores)-1]
	names := e.names(30)
	if err := writer.SetBatch(ctx, batch(names, "0 ")); err != nil {
		return err
	}
	var reads atomic.Int64
	var over atomic.Bool // the reader's loop
	return while(ctx, func(ctx context.Context) error {
		defer over.Store(true)
		for i := 0; ; i++ {
			short, cancel := ctx, func() {}
			if i%2 == 1 {
				short, cancel = context.WithTimeout(ctx, time.Duration(i%50)*20*time.Microsecond)
			}
			got, err := reader.GetBatch(short, names)
			calledOff := short.Err() != nil
			cancel()
			if err != nil && !calledOff {
				return err
			}
			var salt string
			for _, v := range got {
				salt, _, _ = strings.Cut(string(v.Reveal()), " ")
			}
			want := batch(slices.Collect(maps.Keys(got)), salt+" ")
			if !sameValues(got, want) || err == nil && len(got) < len(names) {
				return fmt.Errorf("GetBatch returned parts of different batches")
			}
			if ctx.Err() != nil {
				return nil
			}
			reads.Add(1)
			runtime.Gosched()
		}
	}, func() error {
		for i := 1; !over.Load() && (i <= e.count(40) || reads.Load() < int64(e.count(200))); i++ {
			if err := writer.SetBatch(ctx, batch(names, fmt.Sprint(i, " "))); err != nil {
				return err
			}
			runtime.Gosched()
		}
		return nil
	})
}

var concurrentRules = []Rule{
	{ID: "concurrent/linearizable", Sentence: "The history of one name under concurrent calls is linearizable.", check: with((*env).alone, linearizable)},
	{ID: "concurrent/linearizable-handles", Sentence: "The same, over two handles.", Needs: NeedsSecond, check: with((*env).withSecond, linearizable)},
	{ID: "concurrent/linearizable-processes", Sentence: "The same, over two processes.", Needs: NeedsChild, check: with((*env).withChild, linearizable)},
	{ID: "concurrent/whole", Sentence: "No value is torn or crossed under concurrent calls.", check: with((*env).alone, noTorn)},
	{ID: "concurrent/whole-handles", Sentence: "The same, over two handles.", Needs: NeedsSecond, check: with((*env).withSecond, noTorn)},
	{ID: "concurrent/whole-processes", Sentence: "The same, over two processes.", Needs: NeedsChild, check: with((*env).withChild, noTorn)},
	{ID: "concurrent/atomic", Sentence: "No reader sees a part of an atomic SetBatch.", Needs: NeedsAtomic, check: with((*env).alone, allOrNothing)},
	{ID: "concurrent/atomic-handles", Sentence: "The same, over two handles.", Needs: NeedsAtomic,
		check: func(ctx context.Context, e *env) error {
			if e.h.Second == nil {
				return errLeftOut(NeedsSecond)
			}
			return with((*env).withSecond, allOrNothing)(ctx, e)
		}},
	{ID: "concurrent/set-batch-delete", Sentence: "All methods are safe for concurrent use.",
		check: with((*env).alone, func(ctx context.Context, e *env, stores []secretstore.Store) error {
			s := stores[0]
			d, _ := s.(secretstore.Deleter)
			names := e.names(8)
			errs := make([]error, 6)
			var wg sync.WaitGroup
			for client := range errs {
				wg.Go(func() {
					for i := range e.count(100) {
						name := names[(client+i)%len(names)]
						var err error
						switch (client + i) % 5 {
						case 0:
							err = s.Set(ctx, name, whole(name, i))
						case 1:
							if d != nil {
								err = d.Delete(ctx, name)
							}
						case 2:
							_, err = s.List(ctx)
						case 3:
							var got map[string]secretstore.Value
							got, err = s.GetBatch(ctx, names)
							if errors.Is(err, secretstore.ErrNotFound) {
								err = nil
							}
							for name, v := range got {
								err = errors.Join(err, isWhole(name, v))
							}
						case 4:
							var v secretstore.Value
							if v, err = s.Get(ctx, name); err == nil {
								err = isWhole(name, v)
							} else if errors.Is(err, secretstore.ErrNotFound) {
								err = nil
							}
						}
						if err != nil {
							errs[client] = err
							return
						}
					}
				})
			}
			wg.Wait()
			return errors.Join(errs...)
		})},
}
