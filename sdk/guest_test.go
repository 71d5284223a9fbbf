package sdk

import (
	"bytes"
	"context"
	"errors"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/imports/wasi_snapshot_preview1"
	"github.com/tetratelabs/wazero/sys"
	"golang.org/x/sys/unix"
)

// runGuest runs a.wasm in an empty root, with the environment NAME=value, and returns what it prints and how it ends: what it asks of Godwit is nothing, and 0.
func runGuest(t *testing.T) (printed string, end error) {
	t.Helper()
	_, printed, end = startGuest(t)
	return printed, end
}

// startGuest is runGuest, and returns what is left to call.
func startGuest(t *testing.T) (guest api.Module, printed string, end error) {
	t.Helper()
	ctx := context.Background()
	engine := wazero.NewRuntime(ctx)
	t.Cleanup(func() { _ = engine.Close(ctx) })
	wasi_snapshot_preview1.MustInstantiate(ctx, engine)
	compiled, err := engine.CompileModule(ctx, readFile("a.wasm"))
	require.NoError(t, err)
	dir := t.TempDir()
	hosts := make(map[string]wazero.HostModuleBuilder)
	for _, f := range compiled.ImportedFunctions() {
		module, name, _ := f.Import()
		if module == wasi_snapshot_preview1.ModuleName {
			continue
		}
		if hosts[module] == nil {
			hosts[module] = engine.NewHostModuleBuilder(module)
		}
		if name == "godwit_access" {
			hosts[module].NewFunctionBuilder().WithGoModuleFunction(api.GoModuleFunc(func(_ context.Context, m api.Module, stack []uint64) { stack[0] = accessIn(dir, m, stack) }), f.ParamTypes(), f.ResultTypes()).Export(name)
			continue
		}
		hosts[module].NewFunctionBuilder().WithGoFunction(api.GoFunc(func(_ context.Context, stack []uint64) { clear(stack) }), f.ParamTypes(), f.ResultTypes()).Export(name)
	}
	for _, host := range hosts {
		_, err := host.Instantiate(ctx)
		require.NoError(t, err)
	}
	var out bytes.Buffer
	config := wazero.NewModuleConfig().WithStdout(&out).WithStderr(&out).WithArgs("a.wasm").WithEnv("NAME", "value").WithFSConfig(wazero.NewFSConfig().WithDirMount(dir, "/"))
	guest, end = engine.InstantiateModule(ctx, compiled, config)
	var exit *sys.ExitError
	if errors.As(end, &exit) && exit.ExitCode() == 0 {
		end = nil
	}
	return guest, out.String(), end
}

// accessIn is godwit_access, where "/" is a directory of this host.
func accessIn(dir string, m api.Module, args []uint64) uint64 {
	const noAccess, noEntry, failed = 2, 44, 29
	name, ok := m.Memory().Read(uint32(args[1]), uint32(args[2]))
	if !ok {
		return failed
	}
	switch err := unix.Access(filepath.Join(dir, string(name)), uint32(args[3])); {
	case err == nil:
		return 0
	case errors.Is(err, unix.ENOENT):
		return noEntry
	case errors.Is(err, unix.EACCES):
		return noAccess
	}
	return failed
}
