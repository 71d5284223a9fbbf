package sdk

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// TestModuleInPart: a module that was cut anywhere is known, but for one that lacks names alone.
func TestModuleInPart(t *testing.T) {
	module, err := os.ReadFile("../examples/hello/hello.wasm")
	require.NoError(t, err)
	require.True(t, isWhole(module))
	custom := len(module) // where the sections at the end begin that nothing needs
	for at := len(wasmMagic); at < len(module); {
		r := &reader{b: module[at:]}
		id := r.byte()
		r.bytes(r.uint())
		require.False(t, r.bad)
		if next := len(module) - len(r.b); id == customSection {
			custom = min(custom, at)
			at = next
		} else {
			at, custom = next, next
		}
	}
	for at := range custom {
		require.False(t, isWhole(module[:at]), "%d of %d bytes", at, len(module))
	}
	require.False(t, isWhole(module[:len(module)-1]))
}

// TestOutputInPart: wasm-opt does not look whether it could write: a link that it has left in part fails, and leaves nothing.
func TestOutputInPart(t *testing.T) {
	for _, kept := range []int{0, 4096} {
		dir := t.TempDir()
		tool := filepath.Join(dir, "wasm-opt")
		script := fmt.Sprintf("#!/bin/sh\nwasm-opt \"$@\" && for last; do :; done && truncate -s %d \"$last\"\n", kept)
		require.NoError(t, os.WriteFile(tool, []byte(script), 0o700)) //nolint:gosec // it is run
		code, _, stderr := buildBy(t, Toolchain{WasmOpt: tool}, C, map[string]string{"a.c": "int main(void) { return 0; }"}, "a.c", "-o", "a.wasm")
		require.Equal(t, 1, code)
		require.Contains(t, stderr, "output a.wasm: it was written in part")
		require.NoFileExists(t, "a.wasm")
	}
}

// TestOutputOfDevice: a device that is written to stays as it is.
func TestOutputOfDevice(t *testing.T) {
	device := filepath.Join(t.TempDir(), "null") // not the machine's own
	if err := unix.Mknod(device, unix.S_IFCHR|0o666, int(unix.Mkdev(1, 3))); err != nil {
		t.Skip("no device can be made here: ", err)
	}
	before, err := os.Stat(device)
	require.NoError(t, err)
	code, _, stderr := build(t, C, map[string]string{"a.c": "int main(void) { return 0; }"}, "a.c", "-o", device)
	require.Zero(t, code, stderr)
	after, err := os.Stat(device)
	require.NoError(t, err)
	require.Equal(t, before.Mode(), after.Mode())
}
