package wasm

import (
	"os/exec"
	"runtime"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
)

// inEngine compiles a module in an engine; the test is skipped where there is no clang.
func inEngine(t *testing.T, engine, name string) *Module {
	if _, err := exec.LookPath("clang-19"); err != nil || runtime.GOARCH != "amd64" {
		t.Skip("the native engine needs clang-19, and amd64")
	}
	module, err := newEngine(t, Config{Engine: engine, MemoryLimitPages: 1024}).Compile(t.Context(), read(t, name))
	require.NoError(t, err)
	return module
}

// An image is the same in both engines: ranks that go to and fro between them print what those do that stay.
func TestMovesBetweenEngines(t *testing.T) {
	for name, args := range map[string][]string{"heat2d": {"48", "64", "200"}, "deep": {"200", "30"}} {
		t.Run(name, func(t *testing.T) {
			modules := []*Module{inEngine(t, EngineWazero, name), inEngine(t, EngineNative, name)}
			args := append([]string{name}, args...)
			want := (&world{t: t, module: modules[0], args: args}).run(3)
			native := (&world{t: t, module: modules[1], args: args}).run(3)
			w := &world{t: t, module: modules[0], args: args, every: 10, random: seed(t), others: modules}
			moved := w.run(3)
			for rank := range want {
				for _, got := range []*result{native[rank], moved[rank]} {
					require.Equal(t, Exit{}, got.exit, "rank %d: %s", rank, &got.stderr)
					require.Equal(t, want[rank].stdout.String(), got.stdout.String(), "rank %d", rank)
				}
			}
			require.Positive(t, w.crossed)
			t.Logf("%d moves, %d of them to the other engine", w.moves, w.crossed)
		})
	}
}

// A guest that runs in wazero goes on in the native engine when its code is there, and nobody sees it.
func TestGoesOnInNativeEngine(t *testing.T) {
	module := inEngine(t, EngineNative, "heat2d")
	args := []string{"heat2d", "48", "64", "200"}
	want := (&world{t: t, module: module, args: args}).run(2)
	code := module.native
	object := code.object
	code.object, code.why = nil, "the test has it"
	code.ready.Store(false)
	var calls atomic.Int64
	w := &world{t: t, module: module, args: args, onCall: func() {
		if calls.Add(1) == 100 {
			code.mu.Lock()
			code.object = object
			code.mu.Unlock()
			code.ready.Store(true)
		}
	}}
	for rank, got := range w.run(2) {
		require.Equal(t, Exit{}, got.exit, "rank %d: %s", rank, &got.stderr)
		require.Equal(t, want[rank].stdout.String(), got.stdout.String(), "rank %d", rank)
		require.Equal(t, EngineWazero, got.began)
		require.Equal(t, EngineNative, got.engine)
	}
}
