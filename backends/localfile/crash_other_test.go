//go:build unix && !(linux && (amd64 || arm64))

package localfile_test

import (
	"os"
	"testing"
)

func killAtCalls(t *testing.T, _ everyNth, _ *kills) {
	if os.Getenv("CI") != "" {
		t.Fatal("CI must test kills at system calls, which takes linux on amd64 or arm64")
	}
	t.Skip("NOT TESTED: kills at system calls take linux on amd64 or arm64")
}
