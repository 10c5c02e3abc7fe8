package conformance

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"sync"

	"github.com/mlsecrets/secretstore"
)

// The suite and its child process speak JSON: a request a call, and an answer.
type childRequest struct {
	Op     string
	Names  []string
	Values [][]byte
}

type childAnswer struct {
	Names  []string
	Values [][]byte
	Kind   string // of the error, or ""
	Text   string // of the error
}

// ServeChild lets the suite in another process work on the store, until in ends.
// The program that [Harness].Child starts calls it with its standard input and
// output.
func ServeChild(ctx context.Context, s secretstore.Store, in io.Reader, out io.Writer) error {
	requests, answers := json.NewDecoder(in), json.NewEncoder(out)
	for {
		var q childRequest
		if err := requests.Decode(&q); err == io.EOF {
			return nil
		} else if err != nil {
			return fmt.Errorf("conformance child: %w", err)
		}
		if err := answers.Encode(serve(ctx, s, q)); err != nil {
			return fmt.Errorf("conformance child: %w", err)
		}
	}
}

func serve(ctx context.Context, s secretstore.Store, q childRequest) (a childAnswer) {
	values := map[string]secretstore.Value{}
	for i, v := range q.Values {
		values[q.Names[i]] = secretstore.NewValue(v)
	}
	var err error
	switch q.Op {
	case "set":
		err = s.Set(ctx, q.Names[0], values[q.Names[0]])
	case "setbatch":
		err = s.SetBatch(ctx, values)
	case "get":
		var v secretstore.Value
		if v, err = s.Get(ctx, q.Names[0]); err == nil {
			a.Values = [][]byte{v.Reveal()}
		}
	case "getbatch":
		var got map[string]secretstore.Value
		got, err = s.GetBatch(ctx, q.Names)
		for name, v := range got {
			a.Names, a.Values = append(a.Names, name), append(a.Values, v.Reveal())
		}
	case "list":
		a.Names, err = s.List(ctx)
	default:
		err = errors.ErrUnsupported
	}
	if err != nil {
		a.Kind, a.Text = "unknown", err.Error()
		for _, k := range kinds {
			if errors.Is(err, k) {
				a.Kind = k.Error()
			}
		}
	}
	return a
}

// child is the store of another process. Its calls take turns.
type child struct {
	cmd *exec.Cmd
	in  io.WriteCloser

	mu       sync.Mutex
	requests *json.Encoder
	answers  *json.Decoder
}

func startChild(cmd *exec.Cmd) (*child, error) {
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start the child process: %w", err)
	}
	return &child{cmd: cmd, in: in, requests: json.NewEncoder(in), answers: json.NewDecoder(out)}, nil
}

func (c *child) call(q childRequest) (childAnswer, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	var a childAnswer
	if err := c.requests.Encode(q); err != nil {
		return a, fmt.Errorf("the child process: %w", err)
	}
	if err := c.answers.Decode(&a); err != nil {
		return a, fmt.Errorf("the child process: %w", err)
	}
	if a.Kind == "" {
		return a, nil
	}
	for _, k := range kinds {
		if k.Error() == a.Kind {
			return a, fmt.Errorf("in the child process: %s: %w", a.Text, k)
		}
	}
	return a, fmt.Errorf("in the child process: %s", a.Text)
}

func (c *child) Set(_ context.Context, name string, v secretstore.Value) error {
	_, err := c.call(childRequest{Op: "set", Names: []string{name}, Values: [][]byte{v.Reveal()}})
	return err
}

func (c *child) SetBatch(_ context.Context, values map[string]secretstore.Value) error {
	q := childRequest{Op: "setbatch"}
	for name, v := range values {
		q.Names, q.Values = append(q.Names, name), append(q.Values, v.Reveal())
	}
	_, err := c.call(q)
	return err
}

func (c *child) Get(_ context.Context, name string) (secretstore.Value, error) {
	a, err := c.call(childRequest{Op: "get", Names: []string{name}})
	if err != nil {
		return secretstore.Value{}, err
	}
	return secretstore.NewValue(a.Values[0]), nil
}

func (c *child) GetBatch(_ context.Context, names []string) (map[string]secretstore.Value, error) {
	a, err := c.call(childRequest{Op: "getbatch", Names: names})
	got := map[string]secretstore.Value{}
	for i, name := range a.Names {
		got[name] = secretstore.NewValue(a.Values[i])
	}
	return got, err
}

func (c *child) List(context.Context) ([]string, error) {
	a, err := c.call(childRequest{Op: "list"})
	return a.Names, err
}

func (c *child) Close() error {
	c.in.Close()
	return c.cmd.Wait()
}
