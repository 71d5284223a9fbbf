package wasm

import (
	"errors"
	"os/exec"
	"runtime"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/godwit-run/godwit/worker/native"
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

// A guest that runs in wazero goes on in the native engine when its code is there, and in better code when that is, and nobody sees it.
func TestGoesOnInBetterCode(t *testing.T) {
	module := inEngine(t, EngineNative, "heat2d")
	args := []string{"heat2d", "48", "64", "200"}
	want := (&world{t: t, module: module, args: args}).run(2)
	code := module.native
	object, err := native.Compiler{O: "-O2"}.Compile(t.Context(), code.wasm)
	require.NoError(t, err)
	better, err := native.Load(code.wasm, object)
	require.NoError(t, err)
	all := []*native.Object{code.objects[0], better}
	have := func(n int) {
		code.mu.Lock()
		defer code.mu.Unlock()
		code.objects = all[:n]
		code.grade.Store(int32(n))
	}
	for _, tt := range []struct {
		name   string
		grades []int // the first one, and those that come later
		began  string
	}{
		{"from wazero", []int{0, 1}, EngineWazero},
		{"from quick code", []int{1, 2}, EngineNative},
		{"through both", []int{0, 1, 2}, EngineWazero},
	} {
		t.Run(tt.name, func(t *testing.T) {
			have(tt.grades[0])
			var calls atomic.Int64
			w := &world{t: t, module: module, args: args, onCall: func() {
				if n := calls.Add(1); n%100 == 0 && int(n)/100 < len(tt.grades) {
					have(tt.grades[n/100])
				}
			}}
			for rank, got := range w.run(2) {
				require.Equal(t, Exit{}, got.exit, "rank %d: %s", rank, &got.stderr)
				require.Equal(t, want[rank].stdout.String(), got.stdout.String(), "rank %d", rank)
				require.Equal(t, tt.began, got.began)
				require.Equal(t, EngineNative, got.engine)
				require.EqualValues(t, tt.grades[len(tt.grades)-1], got.grade)
			}
		})
	}
}

// A module has code that is made quickly first, which guests begin in, and then better code. Both are kept, and the better one is taken.
func TestQuickCodeFirst(t *testing.T) {
	inEngine(t, EngineNative, "heat2d") // or it is skipped
	dir := t.TempDir()
	begin := func(engine string) *Module {
		e, err := NewEngine(t.Context(), Config{Engine: engine, CacheDir: dir})
		require.NoError(t, err)
		t.Cleanup(func() { require.NoError(t, e.Close(t.Context())) })
		module, err := e.Compile(t.Context(), read(t, "heat2d"))
		require.NoError(t, err)
		return module
	}
	module := begin(EngineNative)
	require.Positive(t, module.native.grade.Load(), "it waits for code")
	name, why := module.Engine()
	require.Equal(t, EngineNative, name)
	require.Equal(t, "compiled at -O1 until that is done at -O3", why)
	within(t, "code at -O3", module.native.doneCh)
	name, why = module.Engine()
	require.Equal(t, EngineNative, name)
	require.Empty(t, why)
	require.Len(t, module.native.objects, 2)

	again := begin(EngineAuto)
	within(t, "code that is kept", again.native.doneCh)
	require.Len(t, again.native.objects, 1)
	require.EqualValues(t, 2, again.native.grade.Load())
	require.NoError(t, again.Close(t.Context()))
	require.NoError(t, module.Close(t.Context()))
}

// A compiler that fails at better code leaves the code that there is, and why it is not better.
func TestNoBetterCode(t *testing.T) {
	module := inEngine(t, EngineNative, "heat2d")
	object, err := native.Compiler{O: "-O1"}.Compile(t.Context(), read(t, "heat2d"))
	require.NoError(t, err)
	c := &machineCode{wasm: read(t, "heat2d"), cancel: func() {}, usableCh: make(chan struct{}), doneCh: make(chan struct{})}
	compilers := []native.Compiler{{O: "-O1"}, {O: "--no-such-option"}}
	require.NoError(t, c.load(compilers, 0, object))
	c.compile(t.Context(), compilers, 1)
	within(t, "its end", c.doneCh)
	module.native, c = c, module.native
	name, why := module.Engine()
	require.Equal(t, EngineNative, name)
	require.Contains(t, why, "no-such-option")
	module.native, c = c, module.native
	require.NoError(t, c.close())
}

// A guest that computes without a call is cancelled at once, and no other ends with it.
func TestCancelSpinning(t *testing.T) {
	module := inEngine(t, EngineNative, "spin")
	const guests = 3
	var list []*Guest
	exits := make([]chan Exit, guests)
	for i := range guests {
		g, err := module.New(t.Context(), GuestConfig{Args: []string{"spin", "100000000"}})
		require.NoError(t, err)
		g.Bind(&alone{})
		list, exits[i] = append(list, g), make(chan Exit, 1)
		go func() { exits[i] <- g.Run(t.Context()) }()
	}
	for i, g := range list {
		why := errors.New("enough")
		g.Cancel(why)
		done := make(chan struct{})
		var exit Exit
		go func() { exit = <-exits[i]; close(done) }()
		within(t, "the end of a guest that spins", done)
		require.Equal(t, Exit{Code: codeHost, Reason: "enough", Err: why}, exit)
		for _, other := range exits[i+1:] {
			require.Empty(t, other, "it was not cancelled")
		}
		require.NoError(t, g.Close(t.Context()))
	}
}
