package localfile_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/mlsecrets/secretstore/backends/localfile"
	bolt "go.etcd.io/bbolt"
)

const outcomePrefix = "outcome "

// answer is what the child says of one case.
type answer struct {
	Outcome outcome
	Detail  string
}

// damageWorker reads cases, one JSON a line, and answers each with a line. Its
// task is the folder with the samples.
func damageWorker(task []byte) error {
	var dir string
	if err := json.Unmarshal(task, &dir); err != nil {
		return err
	}
	work, err := os.MkdirTemp(dir, "child")
	if err != nil {
		return err
	}
	cases := bufio.NewScanner(os.Stdin)
	for i := 0; cases.Scan(); i++ {
		var d damage
		if err := json.Unmarshal(cases.Bytes(), &d); err != nil {
			return err
		}
		place := filepath.Join(work, strconv.Itoa(i))
		a, err := runDamage(dir, place, d)
		if err != nil {
			return err
		}
		os.RemoveAll(place) // early: there are thousands
		b, err := json.Marshal(a)
		if err != nil {
			return err
		}
		fmt.Printf("%s%s\n", outcomePrefix, b)
	}
	return cases.Err()
}

// plants are cases that prove the guard: the child really dies, and really hangs.
var plants = map[string]func(){
	"plant: panic": func() { panic("planted") },
	"plant: exit":  func() { os.Exit(3) },
	"plant: hang":  func() { select {} },
	"plant: spin": func() {
		for {
			runtime.Gosched()
		}
	},
	"plant: fault": plantFault,
}

func runDamage(dir, work string, d damage) (answer, error) {
	if plant := plants[d.Kind]; plant != nil {
		plant()
		return answer{allRight, "planted"}, nil
	}
	s, err := loadSample(filepath.Join(dir, d.Sample+".json"))
	if err == nil {
		err = os.Mkdir(work, 0o700)
	}
	if err != nil {
		return answer{}, err
	}
	ctx := context.Background()
	c := s.config()
	c.Path = filepath.Join(work, "store.db")
	c.LockTimeout = 3 * time.Second
	place := places[d.Kind]
	if place == nil {
		place = systemPlaces[d.Kind]
	}
	if place != nil {
		err := place(s, c.Path)
		return examine(ctx, s, c), err
	}
	was, err := os.ReadFile(s.Path)
	if err != nil {
		return answer{}, err
	}
	image, err := spoil(d, slices.Clone(was))
	if err != nil {
		return answer{}, err
	}
	if !d.Open {
		err := os.WriteFile(c.Path, image, 0o600)
		return examine(ctx, s, c), err
	}
	err = os.WriteFile(c.Path, was, 0o600)
	return examineOpen(ctx, s, c, func() error { return patch(c.Path, was, image) }), err
}

func spoil(d damage, image []byte) ([]byte, error) {
	for _, k := range damageKinds {
		if k.kind == d.Kind {
			return k.spoil(d, image), nil
		}
	}
	return nil, fmt.Errorf("no kind of damage %q", d.Kind)
}

// patch makes the file hold the image in place, page by page.
func patch(path string, was, image []byte) error {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	for off := 0; off < len(image); off += testPage {
		end := min(off+testPage, len(image))
		if bytes.Equal(was[off:end], image[off:end]) {
			continue
		}
		if _, err := f.WriteAt(image[off:end], int64(off)); err != nil {
			return err
		}
	}
	return f.Truncate(int64(len(image)))
}

// places are files that are not what they should be, and where another outcome
// than ErrCorrupt is right.
var places = map[string]func(s *sample, path string) error{
	"0 bytes":           func(_ *sample, path string) error { return os.WriteFile(path, nil, 0o600) },
	"a folder":          func(_ *sample, path string) error { return os.Mkdir(path, 0o700) },
	"a link to nowhere": func(_ *sample, path string) error { return os.Symlink(path+"-absent", path) },
	"a link to itself":  func(_ *sample, path string) error { return os.Symlink(path, path) },
	"a text":            func(_ *sample, path string) error { return fillWith(path, "key = value\n", 20_000) },
	"a short text":      func(_ *sample, path string) error { return fillWith(path, "key = value\n", 12) },
	"a database of SQLite": func(_ *sample, path string) error {
		return fillWith(path, "SQLite format 3\x00\x10\x00\x01\x01\x00\x40\x20\x20", 1<<16)
	},
	"a database of another program": func(_ *sample, path string) error { return foreignBolt(path, 4096) },
	"a database with larger pages":  func(_ *sample, path string) error { return foreignBolt(path, 16384) },
	"a key file":                    func(_ *sample, path string) error { return localfile.NewKeyFile(path) },
	"a device":                      func(_ *sample, path string) error { return os.Symlink(os.DevNull, path) },
	"a link to the store": func(s *sample, path string) error {
		b, err := os.ReadFile(s.Path)
		if err != nil {
			return err
		}
		if err := os.WriteFile(path+"-real", b, 0o600); err != nil {
			return err
		}
		return os.Symlink(path+"-real", path)
	},
	"a file without an end": func(_ *sample, path string) error {
		f, err := os.Create(path)
		if err != nil {
			return err
		}
		defer f.Close()
		return f.Truncate(1 << 42) // sparse
	},
	"a store with much behind it": func(s *sample, path string) error {
		b, err := os.ReadFile(s.Path)
		if err == nil {
			err = os.WriteFile(path, b, 0o600)
		}
		if err == nil {
			err = os.Truncate(path, 1<<40)
		}
		return err
	},
}

func fillWith(path, text string, size int) error {
	return os.WriteFile(path, []byte(strings.Repeat(text, size/len(text)+1)[:size]), 0o600)
}

// foreignBolt makes a database of bbolt that is none of ours.
func foreignBolt(path string, pageSize int) error {
	db, err := bolt.Open(path, 0o600, &bolt.Options{PageSize: pageSize, Timeout: time.Second})
	if err != nil {
		return err
	}
	defer db.Close()
	return db.Update(func(tx *bolt.Tx) error {
		for _, name := range []string{"users", "header", "records"} {
			b, err := tx.CreateBucket([]byte(name))
			if err != nil {
				return err
			}
			if err := b.Put([]byte("header"), []byte("of another program")); err != nil {
				return err
			}
		}
		return nil
	})
}
