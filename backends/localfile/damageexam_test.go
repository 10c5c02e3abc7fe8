package localfile_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/mlsecrets/secretstore"
	"github.com/mlsecrets/secretstore/backends/localfile"
)

// outcome is what a spoiled file led to, from best to worst. The worst of all
// calls is the outcome of the case.
type outcome int

const (
	allRight      outcome = iota
	isCorrupt             // at least one call said ErrCorrupt; no call was wrong
	isWrongKey            // … ErrWrongKey
	isConfig              // … ErrInvalidConfig
	isUnsupported         // … errors.ErrUnsupported
	isOtherError          // … another kind
	verifyBlind           // Verify found nothing, and something is wrong
	absent                // a secret that is there is ErrNotFound or not listed
	wrong                 // a wrong value or name, or a write that cost another secret
	died                  // a panic or a fault: the process is gone
	hung                  // no answer
	outcomes
)

var outcomeNames = [outcomes]string{"all right", "corrupt", "wrong key", "config", "unsupp.", "other", "verify", "absent", "wrong", "died", "hung"}

// exam is the examination of one file that may be damaged.
type exam struct {
	sample *sample
	config localfile.Config
	open   bool // the file was spoiled under the store that writes
	worst  outcome
	detail string
	did    []string        // the writes that succeeded
	right  map[string]bool // the names whose values were right
}

// examine does everything that can be done with a store, and compares. It writes
// to the file.
func examine(ctx context.Context, s *sample, c localfile.Config) answer {
	e := &exam{sample: s, config: c, right: map[string]bool{}}
	e.run(ctx, nil)
	return answer{e.worst, e.detail}
}

func (e *exam) note(o outcome, format string, args ...any) {
	if o > e.worst {
		e.worst, e.detail = o, fmt.Sprintf(format, args...)
	}
}

// failed notes an error, which must be of a kind that fits.
func (e *exam) failed(what string, err error) {
	var o outcome
	_, single := errors.AsType[*secretstore.Error](err)
	_, batch := errors.AsType[*secretstore.BatchError](err)
	switch {
	case !single && !batch:
		o = wrong // not an error of the contract
	case errors.Is(err, secretstore.ErrNotFound):
		o = absent
	case errors.Is(err, secretstore.ErrCorrupt):
		o = isCorrupt
	case errors.Is(err, secretstore.ErrWrongKey):
		o = isWrongKey
	case errors.Is(err, secretstore.ErrInvalidConfig):
		o = isConfig
	case errors.Is(err, errors.ErrUnsupported):
		o = isUnsupported
	default:
		o = isOtherError
	}
	e.note(o, "%s: %v", what, err)
}

// examineOpen is examine for a store that is open, and has been read, before spoil
// spoils the file under it.
func examineOpen(ctx context.Context, s *sample, c localfile.Config, spoil func() error) answer {
	e := &exam{sample: s, config: c, right: map[string]bool{}}
	e.open = true
	opened, err := localfile.Open(ctx, c)
	if err != nil {
		return answer{wrong, fmt.Sprintf("open before the damage: %v", err)}
	}
	defer opened.Close()
	if e.readAll(ctx, opened, s.Secrets); e.worst != allRight {
		return answer{wrong, "before the damage: " + e.detail}
	}
	if err := spoil(); err != nil {
		return answer{wrong, fmt.Sprintf("spoil: %v", err)}
	}
	e.read(ctx, opened, s.Secrets, 1+len(s.Secrets)/20) // each call on a bad file waits a little
	e.run(ctx, opened)
	return answer{e.worst, e.detail}
}

// run reads with a store that it opens, and writes with the given one, or with
// its own.
func (e *exam) run(ctx context.Context, writer secretstore.Store) {
	clear(e.right)
	s, err := localfile.Open(ctx, e.config)
	if err != nil {
		e.failed("open", err)
		if _, err := localfile.Verify(ctx, e.config); err == nil {
			e.note(verifyBlind, "a store that can't be opened passes Verify")
		}
	} else {
		defer s.Close()
		e.readAll(ctx, s, e.sample.Secrets)
		before := e.worst
		if _, err := localfile.Verify(ctx, e.config); err != nil {
			e.failed("verify", err)
		} else if before != allRight {
			e.note(verifyBlind, "Verify passes, and yet: %s", e.detail)
		}
		if writer == nil {
			writer = s
		}
	}
	localfile.Inspect(ctx, e.config.Path)
	if writer != nil {
		e.write(ctx, writer, e.sample.Secrets)
	}
}

// readAll reads everything in every way.
func (e *exam) readAll(ctx context.Context, s secretstore.Store, want map[string][]byte) {
	e.read(ctx, s, want, 1)
}

// read reads one of so many secrets, and lists all.
func (e *exam) read(ctx context.Context, s secretstore.Store, want map[string][]byte, share int) {
	all := slices.Sorted(maps.Keys(want))
	var names []string
	for i, name := range all {
		if i%share == 0 {
			names = append(names, name)
		}
	}
	clear(e.right)
	for _, name := range names {
		v, err := s.Get(ctx, name)
		switch {
		case err != nil:
			e.failed("get "+name, err)
		case !bytes.Equal(v.Reveal(), want[name]):
			e.note(wrong, "get %s: a wrong value of %d bytes", name, v.Len())
		default:
			e.right[name] = true
		}
	}
	strangers := []string{"never-set", "a", "zz-9"}
	for _, name := range strangers {
		if v, err := s.Get(ctx, name); err == nil {
			e.note(wrong, "get %s: %d bytes for a name that was never set", name, v.Len())
		} else if !errors.Is(err, secretstore.ErrNotFound) {
			e.failed("get "+name, err)
		}
	}
	e.readBatch(ctx, s, want, slices.Concat(names, strangers))
	listed, err := s.List(ctx)
	if err != nil {
		e.failed("list", err)
	} else if !slices.Equal(listed, all) {
		e.note(wrong, "list: %d names of %d, or others; %s", len(listed), len(all), e.did)
	}
}

func (e *exam) readBatch(ctx context.Context, s secretstore.Store, want map[string][]byte, names []string) {
	got, err := s.GetBatch(ctx, names)
	causes := map[string]*secretstore.Error{}
	if b, ok := errors.AsType[*secretstore.BatchError](err); ok {
		for _, cause := range b.Errs {
			causes[cause.Name] = cause
		}
	}
	for _, name := range names {
		v, ok := got[name]
		cause := causes[name]
		b, exists := want[name]
		switch {
		case ok == (cause != nil):
			e.note(wrong, "get batch: %s is in the result and in the error, or in neither", name)
		case ok && (!exists || !bytes.Equal(v.Reveal(), b)):
			e.note(wrong, "get batch: a wrong value for %s", name)
		case !ok && (exists || !errors.Is(cause, secretstore.ErrNotFound)):
			e.failed("get batch "+name, cause)
		}
		if ok && !e.right[name] {
			e.note(wrong, "get batch reads %s, and get doesn't", name)
		}
	}
}

// write writes to the store. What could be read before must be there afterwards,
// and what was written as well.
func (e *exam) write(ctx context.Context, s secretstore.Store, before map[string][]byte) {
	want := maps.Clone(before)
	names := slices.Sorted(maps.Keys(before))
	steps := []struct {
		what string
		name string
		do   func(name string) error
	}{
		{"set", "new-one", func(name string) error {
			want[name] = []byte("new")
			return s.Set(ctx, name, secretstore.NewValue(want[name]))
		}},
	}
	if len(names) > 1 {
		steps = append(steps, steps[0], steps[0])
		steps[1].name = names[len(names)/2]
		steps[2].what, steps[2].name = "delete", names[len(names)/3]
		steps[2].do = func(name string) error {
			delete(want, name)
			return s.(secretstore.Deleter).Delete(ctx, name)
		}
	}
	for _, step := range steps {
		old, existed := want[step.name]
		if err := step.do(step.name); err != nil {
			e.failed(step.what+" "+step.name, err)
			if delete(want, step.name); existed {
				want[step.name] = old
			}
			continue
		}
		if want[step.name] != nil {
			e.right[step.name] = true
		} else {
			delete(e.right, step.name)
		}
		e.did = append(e.did, step.what+" "+step.name)
	}
	was := maps.Clone(e.right)
	if e.open {
		// The writer had checked the file's structure before it was spoiled. It
		// may write where it is not found again, but not without a word.
		clear(was)
	}
	fresh, err := localfile.Open(ctx, e.config)
	if err != nil {
		e.failed("open after the writes", err)
		if len(was) > 0 {
			e.note(wrong, "%s made the store unreadable: %v", e.did, err)
		}
		return
	}
	defer fresh.Close()
	e.readAll(ctx, fresh, want)
	for name, right := range was {
		if right && !e.right[name] {
			_, err := fresh.Get(ctx, name)
			e.note(wrong, "%s was right before the writes (%s), and isn't any more: %v", name, e.did, err)
		}
	}
}
