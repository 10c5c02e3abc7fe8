package secretstore_test

import (
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/mlsecrets/secretstore"

// TestDependencies holds what each package may link. A row stands here for every
// package whose promise is to link little.
func TestDependencies(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		pkg string
		// allowed are the prefixes of import paths outside the standard library.
		allowed []string
		// forbidden are the prefixes that must not be reached, also in std.
		forbidden []string
	}{
		{module, []string{module}, []string{module + "/", "net/http", "testing"}},
		{module + "/backends/memory", []string{module}, []string{"net/http", "testing"}},
		{module + "/backends/localfile", []string{module, "go.etcd.io/bbolt", "golang.org/x"}, []string{"net/http", "testing"}},
		{module + "/backends/vault", []string{module, "github.com/hashicorp", "github.com/cenkalti/backoff", "github.com/go-jose/go-jose",
			"github.com/mitchellh/mapstructure", "github.com/ryanuber/go-glob", "golang.org/x"},
			[]string{module + "/backends/vault/", module + "/backends/localfile", "github.com/hashicorp/vault/sdk", "testing"}},
		{module + "/backends/vault/vaulttest", []string{module + "/backends/vault/vaulttest"}, []string{"testing"}},
	} {
		deps := list(t, tc.pkg)
		if !slices.Contains(deps, tc.pkg) || !slices.Contains(deps, "errors") {
			t.Fatalf("go list of %s has not even itself and errors: %q", tc.pkg, deps)
		}
		for _, dep := range deps {
			std := !strings.Contains(strings.Split(dep, "/")[0], ".")
			if !std && !slices.ContainsFunc(tc.allowed, func(p string) bool { return under(dep, p) }) {
				t.Errorf("%s links %s", tc.pkg, dep)
			}
			if slices.ContainsFunc(tc.forbidden, func(p string) bool { return under(dep, p) }) {
				t.Errorf("%s links %s, which it must not", tc.pkg, dep)
			}
		}
	}
}

// under reports whether the import path is the prefix, or stands below it. A
// prefix that ends in a slash stands for what is below it alone.
func under(path, prefix string) bool {
	return path == prefix || strings.HasPrefix(path, strings.TrimSuffix(prefix, "/")+"/")
}

// list returns the package and all that it links. What std vendors counts as
// std.
func list(t *testing.T, pkg string) []string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "go", "list", "-deps", pkg).Output()
	if err != nil {
		t.Fatalf("go list -deps %s: %v", pkg, err)
	}
	return slices.DeleteFunc(strings.Fields(string(out)), func(dep string) bool { return strings.HasPrefix(dep, "vendor/") })
}

func TestUnder(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		path, prefix string
		want         bool
	}{
		{"net/http", "net/http", true}, {"net/http/internal", "net/http", true}, {"net/httpx", "net/http", false},
		{"net", "net/http", false}, {module, module + "/", false}, {module + "/backends/memory", module + "/", true},
	} {
		if got := under(tc.path, tc.prefix); got != tc.want {
			t.Errorf("under(%q, %q) = %t, want %t", tc.path, tc.prefix, got, tc.want)
		}
	}
}
