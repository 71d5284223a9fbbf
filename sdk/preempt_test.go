package sdk

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// TestPreemptibleObjects: an object that is compiled to be preemptible makes such a program, from an archive too.
func TestPreemptibleObjects(t *testing.T) {
	files := map[string]string{"a.c": "int main(int c, char **v) { volatile long s = 0; for (long i = 0; i < 1000; i++) s += i; return s != 499500; }\n"}
	made := func(args ...string) []byte {
		code, _, stderr := build(t, C, files, append(args, "-o", "a.wasm")...)
		require.Zero(t, code, stderr)
		require.Empty(t, stderr)
		return readFile("a.wasm")
	}
	plain, want := made("a.c"), made("--preemptible", "a.c")
	require.NotEqual(t, plain, want)
	files["a.o"] = string(made("--preemptible", "-c", "a.c"))
	require.Equal(t, want, made("a.o"))
	_, err := runGuest(t)
	require.NoError(t, err)
	library(t, C, files, "--preemptible", "liba.a", "a.c")
	files["liba.a"] = string(readFile("liba.a"))
	require.Equal(t, len(want), len(made("liba.a")), "the order is another")
	_, _, stderr := build(t, C, files, "-g", "a.o", "-o", "a.wasm")
	require.Contains(t, stderr, "tells no lines")
}
