package wasm

import (
	"context"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/godwit-run/godwit/mpi"
)

// However a callback ends, the guest ends as if it had called the function itself.
func TestCallback(t *testing.T) {
	tests := []struct {
		how    string
		stdout string
		code   uint32
		reason string
	}{
		{how: "sum", stdout: "sum 13 24\n"},
		{how: "nested", stdout: "sum 13 4\n"},
		{how: "handler", stdout: "handler 1 6\ncode 6\n"},
		{how: "exit", code: 7},
		{how: "trap", code: 134, reason: "trap: unreachable"},
		{how: "abort", code: 9, reason: "MPI_Abort(errorcode=9)"},
		{how: "error", code: 6, reason: "MPI_ERR_RANK: rank 99 is not in 0..0"},
	}
	module := compile(t, "callback")
	for _, tt := range tests {
		t.Run(tt.how, func(t *testing.T) {
			w := &world{t: t, module: module, args: []string{"callback", tt.how}}
			r := w.run(1)[0]
			require.Equal(t, tt.code, r.exit.Code, r.exit.Reason)
			require.Contains(t, r.exit.Reason, tt.reason)
			require.Equal(t, tt.stdout, r.stdout.String())
			require.True(t, module.engine.Activity().Idle())
		})
	}
}

// A program whose stack pointer points anywhere, or that passes a function of another type, ends with a trap, and nothing else does.
func TestHostileCallback(t *testing.T) {
	module := compile(t, "hostile")
	for _, tt := range []struct {
		args   []string
		reason string
	}{
		{[]string{"stack", "0xfffff000"}, "trap: callback: the stack pointer 0xfffff000 is outside of the memory"},
		{[]string{"stack", "0xffffffff"}, "trap: callback: the stack pointer 0xffffffff is outside of the memory"},
		{[]string{"stack", "0x80000000"}, "trap: callback: the stack pointer 0x80000000 is outside of the memory"},
		{[]string{"stack", "8"}, "stack overflow"},
		{[]string{"stack", "0"}, "stack overflow"},
		{[]string{"types"}, "trap: callback: there is no function of 3 parameters at"},
	} {
		t.Run(strings.Join(tt.args, " "), func(t *testing.T) {
			w := &world{t: t, module: module, args: append([]string{"hostile"}, tt.args...)}
			r := w.run(1)[0]
			require.NotZero(t, r.exit.Code)
			require.Contains(t, r.exit.Reason, tt.reason)
			require.True(t, module.engine.Activity().Idle())
		})
	}
}

// A window of shared memory is one memory for all ranks of the host; ranks that are asked to move stay meanwhile.
func TestSharedMemory(t *testing.T) {
	w := &world{t: t, module: compile(t, "callback"), args: []string{"callback", "share"}}
	for _, r := range w.run(3) {
		require.Zero(t, r.exit.Code, r.exit.Reason)
		require.Equal(t, "shared 303 of 3\n", r.stdout.String())
	}
}

// What MPI gives back while an exception is on its way out of an operation is the program's again, as soon as there is none.
func TestFreedWhileThrown(t *testing.T) {
	ctx := context.Background()
	guest, err := compile(t, "callback").New(ctx, GuestConfig{})
	require.NoError(t, err)
	defer func() { require.NoError(t, guest.Close(ctx)) }()
	m := *guest.module // others run the same
	m.info.thrown = farMemory
	guest.module = &m
	guest.nested = nestedCaller(&guestContext{ctx, guest})
	throws := func(is byte) { guest.memory.Bytes()[farMemory] = is }
	size := 0
	for i := range 1000 {
		addr, err := guest.Alloc(1<<20, 16)
		require.NoError(t, err)
		throws(1)
		_, err = guest.Alloc(1, 1)
		require.ErrorIs(t, err, mpi.ErrThrown)
		require.NoError(t, guest.Free(addr))
		throws(0)
		if i == 10 {
			size = len(guest.memory.Bytes())
		}
	}
	require.Len(t, guest.memory.Bytes(), size)
	require.Len(t, guest.unfreed, 1)
	addr, err := guest.Alloc(1, 1)
	require.NoError(t, err)
	require.NoError(t, guest.Free(addr))
	require.Empty(t, guest.unfreed)
}
