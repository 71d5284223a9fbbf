package wasm

import (
	"crypto/sha256"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
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

// Code that is offered is taken if it is what it is said to be, and better than what there is.
func TestOffer(t *testing.T) {
	made := inEngine(t, EngineNative, "heat2d") // or it is skipped
	name, why := made.Engine()
	require.Equal(t, EngineNative, name, why)
	object, err := native.Compiler{O: native.Quick}.Compile(t.Context(), read(t, "heat2d"))
	require.NoError(t, err)
	engine, err := NewEngine(t.Context(), Config{Engine: EngineAuto})
	require.NoError(t, err)
	module, err := engine.Compile(t.Context(), read(t, "heat2d"))
	require.NoError(t, err)
	defer func() {
		require.NoError(t, module.Close(t.Context()))
		require.NoError(t, engine.Close(t.Context()))
	}()
	is := func(engine, reason string) {
		t.Helper()
		name, why := module.Engine()
		require.Equal(t, engine, name)
		require.Contains(t, why, reason)
	}
	is(EngineWazero, "no code")
	require.NoError(t, module.Offer(Code{Why: "host a compiles it"}))
	is(EngineWazero, "host a compiles it")

	file := filepath.Join(t.TempDir(), "code")
	require.NoError(t, os.WriteFile(file, append([]byte("head"), object...), 0o600))
	code := Code{File: file, From: 4, Sum: sha256.Sum256(object), Grade: 1, Why: "better code is being made"}
	bad := code
	bad.Sum[3]++
	require.ErrorIs(t, module.Offer(bad), ErrCode)
	is(EngineWazero, "has changed since it was checked")
	bad = code
	bad.From = 1 << 40
	require.ErrorIs(t, module.Offer(bad), ErrCode)
	require.NoError(t, os.WriteFile(file+"2", []byte("no object"), 0o600))
	require.ErrorIs(t, module.Offer(Code{File: file + "2", Sum: sha256.Sum256([]byte("no object")), Grade: 1}), ErrCode)
	require.NoError(t, module.Offer(code))
	is(EngineNative, "better code is being made")
	require.NoError(t, module.Offer(Code{File: file + "2", Grade: 1, Why: "no better"}), "it is not looked at")
	is(EngineNative, "no better")
	code.Grade, code.Why = 2, ""
	require.NoError(t, module.Offer(code))
	is(EngineNative, "")
	require.Len(t, module.native.objects, 2)
	require.ErrorIs(t, module.Offer(Code{File: file + "3", Grade: 3}), ErrCode)
	require.EqualValues(t, 2, module.native.grade.Load())
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
