//go:build linux && amd64

package native

import (
	"context"
	"errors"
	"os/exec"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"unsafe"

	"github.com/stretchr/testify/require"
)

func needsClang(t testing.TB) {
	if _, err := exec.LookPath("clang-19"); err != nil {
		t.Skip("needs clang-19")
	}
}

// small is a module with a memory of a page, an import and these functions:
//
//	(func (export "wait") (loop (br_if 0 (i32.eqz (i32.load (i32.const 0))))))
//	(func (export "load") (param i32) (result i32) (i32.load (local.get 0)))
//	(func (export "call") (param i32) (result i32) (call $import (local.get 0)))
//	(func (export "deep") (call 4))
var small = []byte("\x00asm\x01\x00\x00\x00" +
	sized("\x01", "\x02\x60\x00\x00\x60\x01\x7f\x01\x7f") +
	sized("\x02", "\x01\x01h\x02up\x00\x01") +
	sized("\x03", "\x04\x00\x01\x01\x00") +
	sized("\x05", "\x01\x00\x01") +
	sized("\x07", "\x04\x04wait\x00\x01\x04load\x00\x02\x04call\x00\x03\x04deep\x00\x04") +
	sized("\x0a", "\x04"+
		sized("", "\x00\x03\x40\x41\x00\x28\x02\x00\x45\x0d\x00\x0b\x0b")+
		sized("", "\x00\x20\x00\x28\x02\x00\x0b")+
		sized("", "\x00\x20\x00\x10\x00\x0b")+
		sized("", "\x00\x10\x04\x0b")))

func sized(id, content string) string { return id + string(rune(len(content))) + content }

func smallInstance(t *testing.T, host HostFunc) *Instance {
	needsClang(t)
	object, err := Compiler{}.Compile(t.Context(), small)
	require.NoError(t, err)
	o, err := Load(small, object)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, o.Close()) })
	i, err := newInstance(t, o, host)
	require.NoError(t, err)
	return i
}

// The runtime does not wait for a guest: entersyscall and exitsyscall, which are not of Go's API, do what they did when this was written. Whoever raises Go's
// version looks at both (runtime/proc.go), and at what the handler expects of Go's (signal.go), and raises it here.
func TestRuntime(t *testing.T) {
	require.True(t, strings.HasPrefix(runtime.Version(), "go1.26"), runtime.Version())
	i := smallInstance(t, nil)
	word := (*uint32)(unsafe.Add(unsafe.Pointer(i.shared), memoryAt))
	done := make(chan error)
	for range runtime.GOMAXPROCS(0) {
		go func() { runtime.Gosched() }()
	}
	go func() { done <- i.Function("wait").CallWithStack(context.Background(), nil) }()
	for range 10 {
		runtime.GC() // it would wait for the guest, which waits for this test
	}
	atomic.StoreUint32(word, 1)
	require.NoError(t, <-done)
}

// A fault in a guest is a trap of that guest, which can be called again; one of Go's own is a panic, as ever.
func TestFaults(t *testing.T) {
	i := smallInstance(t, nil)
	var trap *Trap
	for range 2 {
		require.ErrorAs(t, i.Function("load").CallWithStack(t.Context(), []uint64{1 << 16}), &trap)
		require.Equal(t, Trap{Why: trapBounds, Frames: []string{"$2"}}, *trap)
		require.ErrorAs(t, i.Function("deep").CallWithStack(t.Context(), nil), &trap)
		require.Equal(t, trapStack, trap.Why)
		require.Len(t, trap.Frames, maxFrames)
		require.Panics(t, func() {
			var nothing *Instance
			nothing.depth++
		})
	}
	stack := []uint64{1<<16 - 4}
	require.NoError(t, i.Function("load").CallWithStack(t.Context(), stack))
	require.Zero(t, stack[0])
}

// A host function may call the guest, and ends it with a panic.
func TestHostFunctions(t *testing.T) {
	var i *Instance
	gone := errors.New("gone")
	i = smallInstance(t, func(ctx context.Context, _ int, stack []uint64) {
		switch stack[0] {
		case 0:
			panic(gone)
		case 3:
			return
		}
		inner := []uint64{stack[0] - 1}
		if err := i.Function("call").CallWithStack(ctx, inner); err != nil {
			panic(err)
		}
		stack[0] = inner[0] * 2
	})
	stack := []uint64{5}
	require.NoError(t, i.Function("call").CallWithStack(t.Context(), stack))
	require.Equal(t, uint64(12), stack[0])
	require.ErrorIs(t, i.Function("call").CallWithStack(t.Context(), []uint64{2}), gone)
	require.NoError(t, i.Function("call").CallWithStack(t.Context(), stack[:1]))
}

// What is not an object of the module is refused.
func TestBadObjects(t *testing.T) {
	needsClang(t)
	object, err := Compiler{}.Compile(t.Context(), small)
	require.NoError(t, err)
	for cut := range len(object) {
		if cut%61 == 0 {
			if o, err := Load(small, object[:cut]); err == nil { // what is missing is of no use
				require.NoError(t, o.Close())
			}
		}
	}
	_, err = Load([]byte("\x00asm\x01\x00\x00\x00"), object)
	require.ErrorIs(t, err, errObject)
}
