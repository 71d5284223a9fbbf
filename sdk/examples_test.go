package sdk

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// The committed modules are what their sources give. They are compared only where the tools are the ones
// that made them: other versions give other bytes.
func TestCommittedModules(t *testing.T) {
	if testing.Short() {
		t.Skip("builds every example")
	}
	for tool, version := range map[string]string{"clang-19": "clang version 19.1.7", "wasm-opt": "version 108"} {
		output, err := exec.CommandContext(context.Background(), tool, "--version").Output()
		if err != nil || !strings.Contains(string(output), version) {
			t.Skipf("needs %s, %s", tool, version)
		}
	}
	t.Chdir("..")
	sources, err := filepath.Glob("examples/*/*.c")
	require.NoError(t, err)
	guests, err := filepath.Glob("worker/wasm/testdata/src/*.c")
	require.NoError(t, err)
	require.NotEmpty(t, guests)
	toolchain, out := Toolchain{}, filepath.Join(t.TempDir(), "out.wasm")
	for _, source := range append(sources, guests...) {
		var stderr bytes.Buffer
		args := []string{"-Wall", "-Wextra", "-Werror", source, "-o", out}
		if filepath.Base(source) == "loops.c" {
			args = append(args, preemptible)
		}
		code := toolchain.Run(context.Background(), C, args, &stderr, &stderr)
		require.Zero(t, code, stderr.String())
		built, err := os.ReadFile(out)
		require.NoError(t, err)
		module := strings.TrimSuffix(strings.ReplaceAll(source, "/src/", "/"), ".c") + ".wasm"
		committed, err := os.ReadFile(module)
		require.NoError(t, err)
		require.True(t, bytes.Equal(built, committed), "%s is not what %s gives: run examples/build.sh GODWIT .", module, source)
	}
}
