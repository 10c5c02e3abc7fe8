package main

// The rules of everything that asks a person:
//
//   - It asks only if standard input is a terminal, and otherwise fails with a
//     sentence that says where else a value can come from. It never waits for a
//     person who isn't there.
//   - Questions go to standard error; standard output is for data.
//   - What is typed is not shown, and a new secret is typed twice.
//   - An interrupt leaves the terminal as it was.
//   - No yes or no questions: a flag says what is wanted.

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/mlsecrets/secretstore"
	"golang.org/x/term"
)

// askTwice asks for a new secret, such as "value of db-password".
func askTwice(ctx context.Context, what string) (secretstore.Value, error) {
	first, err := ask(ctx, "Type the "+what+": ")
	if err != nil {
		return secretstore.Value{}, err
	}
	second, err := ask(ctx, "Again: ")
	if err != nil {
		return secretstore.Value{}, err
	}
	if !bytes.Equal(first, second) {
		return secretstore.Value{}, errors.New("the two are not the same; nothing was changed")
	}
	return secretstore.NewValue(first), nil
}

func ask(ctx context.Context, question string) ([]byte, error) {
	fd := int(os.Stdin.Fd())
	state, err := term.GetState(fd)
	if err != nil {
		return nil, errors.New("the terminal can't be used")
	}
	fmt.Fprint(os.Stderr, question)
	defer fmt.Fprintln(os.Stderr)
	type answer struct {
		text []byte
		err  error
	}
	// A read from a terminal can't be called off. After an interrupt the reader
	// goes with the process.
	answered := make(chan answer, 1)
	go func() {
		text, err := term.ReadPassword(fd)
		answered <- answer{text, err}
	}()
	select {
	case a := <-answered:
		if errors.Is(a.err, io.EOF) {
			return nil, errors.New("nothing was typed; nothing was changed")
		}
		if a.err != nil {
			return nil, errors.New("the terminal can't be read")
		}
		return a.text, nil
	case <-ctx.Done():
		term.Restore(fd, state)
		return nil, ctx.Err()
	}
}
