package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/mlsecrets/secretstore"
	"github.com/mlsecrets/secretstore/cmd/secretstore/internal/dotenv"
	"github.com/mlsecrets/secretstore/runctx"
)

// maxBatch is the largest batch file, in bytes: 2,000 values of the largest size.
const maxBatch = 64 << 20

// batchFormat is the flag --format.
type batchFormat string

func (f *batchFormat) String() string {
	if *f == "" {
		return "auto"
	}
	return string(*f)
}

func (f *batchFormat) Set(s string) error {
	if !slices.Contains([]string{"auto", "dotenv", "json"}, s) {
		return errors.New("not auto, dotenv or json")
	}
	*f = batchFormat(s)
	return nil
}

// Type stands in errors and in the help.
func (f *batchFormat) Type() string { return "auto|dotenv|json" }

// batchEntry is a secret of a batch file.
type batchEntry struct {
	name  string
	value []byte
	line  int
}

func (a *app) setBatch(ctx context.Context, f setFlags) error {
	text, err := readBatch(f.batch)
	if err != nil {
		return err
	}
	entries, err := parseBatch(text, f.format)
	var values map[string]secretstore.Value
	if err == nil {
		values, err = batchValues(entries, f.rename)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", batchName(f.batch), err)
	}
	if len(values) == 0 {
		return usage("%s: no secrets", batchName(f.batch))
	}
	return a.withStore(ctx, func(ctx context.Context, run *runctx.Run) error {
		defer progress("setting %d secrets…", len(values))()
		return run.SetBatch(ctx, values)
	})
}

func readBatch(path string) ([]byte, error) {
	switch {
	case path != "-":
		return readFile(path, maxBatch)
	case isTerminal(os.Stdin):
		return nil, usage("--batch - reads from a pipe, and standard input is a terminal")
	}
	return readAll(os.Stdin, batchName(path), maxBatch)
}

func batchName(path string) string {
	if path == "-" {
		return "standard input"
	}
	return path
}

func parseBatch(text []byte, format batchFormat) ([]batchEntry, error) {
	text = bytes.TrimPrefix(text, []byte("\ufeff"))
	if format == "json" || format != "dotenv" && bytes.HasPrefix(bytes.TrimSpace(text), []byte("{")) {
		return parseJSON(text)
	}
	read, err := dotenv.Parse(text)
	if err != nil {
		return nil, usage("%v", err)
	}
	entries := make([]batchEntry, len(read))
	for i, e := range read {
		entries[i] = batchEntry{e.Name, e.Value, e.Line}
	}
	return entries, nil
}

// parseJSON reads an object of strings, and of {"base64": string}. Its errors are
// our own, because those of encoding/json show what they stumble over.
func parseJSON(text []byte) ([]batchEntry, error) {
	dec := json.NewDecoder(bytes.NewReader(text))
	line := func() int { return 1 + bytes.Count(text[:dec.InputOffset()], []byte("\n")) }
	bad := func(reason string) error { return usage("line %d: %s", line(), reason) }
	if t, err := dec.Token(); err != nil || t != json.Delim('{') {
		return nil, bad("not a JSON object")
	}
	var entries []batchEntry
	for dec.More() {
		key, err := dec.Token()
		name, ok := key.(string)
		if err != nil || !ok {
			return nil, bad("not valid JSON")
		}
		e := batchEntry{name: name, line: line()}
		var raw json.RawMessage
		if err := dec.Decode(&raw); err != nil {
			return nil, bad("not valid JSON")
		}
		if e.value, ok = jsonValue(raw); !ok {
			return nil, bad(`a value is a string, or {"base64": "…"}`)
		}
		entries = append(entries, e)
	}
	if _, err := dec.Token(); err != nil {
		return nil, bad("not valid JSON")
	}
	if _, err := dec.Token(); err != io.EOF {
		return nil, bad("text after the JSON object")
	}
	return entries, nil
}

func jsonValue(raw json.RawMessage) ([]byte, bool) {
	var text *string
	if json.Unmarshal(raw, &text) == nil && text != nil {
		return []byte(*text), true
	}
	var binary map[string][]byte
	if json.Unmarshal(raw, &binary) != nil || len(binary) != 1 || binary["base64"] == nil {
		return nil, false
	}
	return binary["base64"], true
}

// batchValues checks the names, and that none stands there twice.
func batchValues(entries []batchEntry, rename bool) (map[string]secretstore.Value, error) {
	values := make(map[string]secretstore.Value, len(entries))
	lines := make(map[string]int, len(entries))
	for _, e := range entries {
		name := e.name
		if rename {
			name = strings.ReplaceAll(name, "_", "-")
		}
		canonical, err := secretstore.CanonicalName(name)
		if err != nil {
			renamed := strings.ToLower(strings.ReplaceAll(name, "_", "-"))
			if _, rerr := secretstore.CanonicalName(renamed); rerr == nil {
				return nil, &lineError{e.line, usage("a name has no _; --rename-underscores sets %s as %s", name, renamed)}
			}
			return nil, &lineError{e.line, err}
		}
		if first, ok := lines[canonical]; ok {
			return nil, &lineError{e.line, usage("%s stands in line %d already (case does not distinguish)", canonical, first)}
		}
		lines[canonical] = e.line
		values[canonical] = secretstore.NewValue(e.value)
	}
	return values, nil
}

// lineError is an error in a line of a batch file.
type lineError struct {
	line int
	err  error
}

func (e *lineError) Error() string {
	return fmt.Sprintf("line %d: %s", e.line, strings.TrimPrefix(e.err.Error(), "secretstore: "))
}

func (e *lineError) Unwrap() error { return e.err }
