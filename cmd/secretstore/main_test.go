package main

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/mlsecrets/secretstore/backends/vault/vaulttest"
	"github.com/rogpeppe/go-internal/testscript"
)

// The test binary is also the program: under the name secretstore it runs main.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"secretstore": main})
}

func TestScripts(t *testing.T) {
	t.Parallel()
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup: func(env *testscript.Env) error {
			env.Setenv("HOME", filepath.Join(env.WorkDir, "home"))
			env.Setenv("LocalAppData", filepath.Join(env.WorkDir, "home", "local"))
			env.Setenv("AppData", filepath.Join(env.WorkDir, "home", "roaming"))
			return os.Mkdir(filepath.Join(env.WorkDir, "home"), 0o700)
		},
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
			"code":   cmdCode,
			"hidden": cmdHidden,
			"flip":   cmdFlip,
			"vault":  cmdVault,
		},
	})
}

// cmdCode is "code N program arg...": the program must end with the exit code N,
// and if that is not 0, with one line on standard error.
func cmdCode(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: code N program arg...")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	err = ts.Exec(args[1], args[2:]...)
	got := 0
	if e, ok := errors.AsType[*exec.ExitError](err); ok {
		got = e.ExitCode()
	} else {
		ts.Check(err)
	}
	if got != want {
		ts.Fatalf("got exit code %d, want %d", got, want)
	}
	text := ts.ReadFile("stderr")
	if strings.Contains(text, "panic") || strings.Contains(text, "goroutine ") {
		ts.Fatalf("a panic")
	}
	if args[1] == "secretstore" && want != 0 && want < 7 &&
		(!strings.HasPrefix(text, "secretstore: ") || strings.Count(text, "\n") != 1) {
		ts.Fatalf("got %q on standard error, want one line that begins with secretstore:", text)
	}
}

// cmdHidden is "hidden folder text...": no file in the folder has any of the
// texts, plain, in base64 or in hex. There must be files.
func cmdHidden(ts *testscript.TestScript, neg bool, args []string) {
	files := 0
	ts.Check(filepath.WalkDir(ts.MkAbs(args[0]), func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		files++
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		for _, text := range args[1:] {
			for _, form := range []string{
				text, hex.EncodeToString([]byte(text)),
				base64.RawStdEncoding.EncodeToString([]byte(text))[:len(text)],
				base64.RawURLEncoding.EncodeToString([]byte(text))[:len(text)],
			} {
				if bytes.Contains(bytes.ToLower(b), bytes.ToLower([]byte(form))) {
					ts.Fatalf("%s has %s", path, form)
				}
			}
		}
		return nil
	}))
	if files == 0 {
		ts.Fatalf("no files in %s", args[0])
	}
}

// cmdVault is "vault": a Vault runs until the end of the script, and VAULT_ADDR and
// VAULT_TOKEN lead to it.
func cmdVault(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) > 0 {
		ts.Fatalf("usage: vault")
	}
	server := vaulttest.NewServer()
	ts.Defer(server.Close)
	server.AddAppRole("trainer", "trainers-secret-id", 0)
	ts.Setenv("VAULT_ADDR", server.URL)
	ts.Setenv("VAULT_TOKEN", server.Token())
}

// cmdFlip is "flip file": a bit of each byte of the file changes, from the third
// kilobyte on.
func cmdFlip(ts *testscript.TestScript, neg bool, args []string) {
	path := ts.MkAbs(args[0])
	b, err := os.ReadFile(path)
	ts.Check(err)
	for i := 2048; i < len(b); i++ {
		b[i] ^= 1
	}
	ts.Check(os.WriteFile(path, b, 0o600))
}
