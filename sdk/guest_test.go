package sdk

import (
	"bytes"
	"context"
	"errors"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/imports/wasi_snapshot_preview1"
	"github.com/tetratelabs/wazero/sys"
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
	hosts := make(map[string]wazero.HostModuleBuilder)
	for _, f := range compiled.ImportedFunctions() {
		module, name, _ := f.Import()
		if module == wasi_snapshot_preview1.ModuleName {
			continue
		}
		if hosts[module] == nil {
			hosts[module] = engine.NewHostModuleBuilder(module)
		}
		hosts[module].NewFunctionBuilder().WithGoFunction(api.GoFunc(func(_ context.Context, stack []uint64) { clear(stack) }), f.ParamTypes(), f.ResultTypes()).Export(name)
	}
	for _, host := range hosts {
		_, err := host.Instantiate(ctx)
		require.NoError(t, err)
	}
	var out bytes.Buffer
	config := wazero.NewModuleConfig().WithStdout(&out).WithStderr(&out).WithArgs("a.wasm").WithEnv("NAME", "value").WithFSConfig(wazero.NewFSConfig().WithDirMount(t.TempDir(), "/"))
	guest, end = engine.InstantiateModule(ctx, compiled, config)
	var exit *sys.ExitError
	if errors.As(end, &exit) && exit.ExitCode() == 0 {
		end = nil
	}
	return guest, out.String(), end
}
