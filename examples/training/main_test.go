package main_test

import (
	"bytes"
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
)

const password = "correct-horse-battery-staple"

// runExample runs the example in an empty home.
func runExample(t *testing.T, args ...string) (home, output string, err error) {
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
	cmd.Env = []string{"HOME=" + home, "USERPROFILE=" + home, "LocalAppData=" + home, "AppData=" + home,
		"TRAINING_DB_USER=etl", "TRAINING_DB_PASSWORD=" + password}
	var both bytes.Buffer
	cmd.Stdout, cmd.Stderr = &both, &both
	err = cmd.Run()
	return home, both.String(), err
}

func TestTraining(t *testing.T) {
	t.Parallel()
	home, output, err := runExample(t)
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
	filepath.WalkDir(home, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		if err != nil || bytes.Contains(b, []byte(password)) || bytes.Contains(b, []byte("example-training")) {
			t.Errorf("%s holds the password or its name in clear (%v)", path, err)
		}
		return nil
	})
}

func TestTrainingWithWrongPassword(t *testing.T) {
	t.Parallel()
	_, output, err := runExample(t, "-wrong-password")
	if err == nil {
		t.Fatalf("the run succeeded with the wrong password:\n%s", output)
	}
	if !strings.Contains(output, "refused the credentials") || strings.Contains(output, "fitted") {
		t.Errorf("want a clear error, got:\n%s", output)
	}
}
