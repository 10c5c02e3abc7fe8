package main_test

import (
	"bytes"
	"errors"
	"io/fs"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"github.com/mlsecrets/secretstore/backends/localfile"
)

const password = "correct-horse-battery-staple"

// runExample runs the example in an empty home.
func runExample(t *testing.T, environ []string, args ...string) (home, output string, err error) {
	t.Helper()
	bin := filepath.Join(t.TempDir(), "training")
	if runtime.GOOS == "windows" {
		bin += ".exe"
	}
	build := exec.Command("go", "build", "-o", bin, ".")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	home = t.TempDir()
	cmd := exec.CommandContext(t.Context(), bin, args...)
	cmd.Dir = home
	cmd.Env = append([]string{"HOME=" + home, "USERPROFILE=" + home, "LocalAppData=" + home, "AppData=" + home,
		"TRAINING_DB_USER=etl", "TRAINING_DB_PASSWORD=" + password}, environ...)
	var both bytes.Buffer
	cmd.Stdout, cmd.Stderr = &both, &both
	err = cmd.Run()
	return home, both.String(), err
}

func TestTraining(t *testing.T) {
	t.Parallel()
	home, output, err := runExample(t, nil)
	if err != nil {
		t.Fatalf("%v\n%s", err, output)
	}
	m := regexp.MustCompile(`fitted y = (\S+) x \+ (\S+)`).FindStringSubmatch(output)
	if m == nil {
		t.Fatalf("got no fit:\n%s", output)
	}
	slope, _ := strconv.ParseFloat(m[1], 64)
	intercept, _ := strconv.ParseFloat(m[2], 64)
	if math.Abs(slope-3) > 0.01 || math.Abs(intercept+2) > 0.05 {
		t.Errorf("got y = %g x + %g, want about 3 x - 2", slope, intercept)
	}
	if strings.Contains(output, password) || !strings.Contains(output, "password [redacted]") {
		t.Errorf("want the password masked in:\n%s", output)
	}
	files := map[string]string{} // the store and its key, by base name
	err = filepath.WalkDir(home, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		files[d.Name()] = path
		b, err := os.ReadFile(path)
		if err != nil || bytes.Contains(b, []byte(password)) || bytes.Contains(b, []byte("example-training")) {
			t.Errorf("%s holds the password or its name in clear (%v)", path, err)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	store, err := localfile.Open(t.Context(), localfile.Config{Path: files["store.db"], Key: localfile.KeyFile(files["key"]), MustExist: true})
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	if names, err := store.List(t.Context()); err != nil || len(names) > 0 {
		t.Errorf("got %q, %v in the user's store afterwards, want nothing", names, err)
	}
}

// TestTrainingWithAStoreNotShared: a run that can't see what its launcher set fails,
// and names what is missing.
func TestTrainingWithAStoreNotShared(t *testing.T) {
	t.Parallel()
	_, output, err := runExample(t, []string{"SECRETSTORE_URL=memory://"})
	exit, ok := errors.AsType[*exec.ExitError](err)
	if !ok || exit.ExitCode() != 1 {
		t.Errorf("got %v, want exit code 1", err)
	}
	for _, want := range []string{"memory://", "example-training-db-user", "example-training-db-password", "not found"} {
		if !strings.Contains(output, want) {
			t.Errorf("want %q in:\n%s", want, output)
		}
	}
}

func TestTrainingWithWrongPassword(t *testing.T) {
	t.Parallel()
	_, output, err := runExample(t, nil, "-wrong-password")
	if exit, ok := errors.AsType[*exec.ExitError](err); !ok || exit.ExitCode() != 1 {
		t.Fatalf("got %v with the wrong password, want exit code 1:\n%s", err, output)
	}
	if strings.Contains(output, password) {
		t.Errorf("the password is in:\n%s", output)
	}
	if !strings.Contains(output, "refused the credentials") || strings.Contains(output, "fitted") {
		t.Errorf("want a clear error, got:\n%s", output)
	}
}
