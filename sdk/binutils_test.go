package sdk

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestBinutils(t *testing.T) {
	files := map[string]string{"a.c": "int twice(int x) { return 2 * x; }", "main.c": "int twice(int); int main(void) { return twice(0); }"}
	code, _, stderr := build(t, C, files, "-c", "a.c")
	require.Zero(t, code, stderr)
	tools := Toolchain{}
	run := func(name string, args ...string) string {
		var stdout, stderr bytes.Buffer
		require.Zero(t, tools.RunBinutil(context.Background(), name, args, &stdout, &stderr), stderr.String())
		return stdout.String()
	}
	if _, err := tools.binutil("nm"); err != nil {
		t.Skip(err)
	}
	run("ar", "rcS", "liba.a", "a.o")
	run("ranlib", "liba.a")
	require.Contains(t, run("nm", "liba.a"), "T twice")
	_, indexed, _ := members("liba.a", readFile("liba.a"))
	require.True(t, indexed)
	stderrBuf := new(bytes.Buffer)
	require.Zero(t, tools.Run(context.Background(), C, []string{"main.c", "-L.", "-la", "-o", "main.wasm"}, new(bytes.Buffer), stderrBuf), stderrBuf.String())
	run("strip", "main.wasm")
	require.NotContains(t, string(readFile("main.wasm")), "__wasm_call_ctors")
}

// Without LLVM's, the machine's own tools make archives, and what they cannot read has no tool.
func TestBinutilsOfTheMachine(t *testing.T) {
	bin := t.TempDir()
	for _, name := range []string{"clang", "ar", "ranlib", "nm"} {
		require.NoError(t, os.WriteFile(filepath.Join(bin, name), []byte("#!/bin/sh\n"), 0o700)) //nolint:gosec // it is run
	}
	t.Setenv("PATH", bin)
	path, err := Toolchain{}.binutil("ar")
	require.NoError(t, err)
	require.Equal(t, filepath.Join(bin, "ar"), path)
	_, err = Toolchain{}.binutil("nm")
	require.ErrorIs(t, err, ErrNoTool)
	require.ErrorContains(t, err, "llvm-19")
}
