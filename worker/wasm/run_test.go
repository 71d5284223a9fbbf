package wasm

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/godwit-run/godwit/mpi"
)

func TestExamples(t *testing.T) {
	for _, tt := range []struct {
		name string
		args []string
		size int
		want string
	}{
		{"hello", nil, 3, "hello from rank 0 of 3\nhello from rank 1 of 3\nhello from rank 2 of 3\n"},
		{"ring", []string{"20"}, 4, "ring of 4: token 200, correct\n"},
		{"pi", []string{"1000"}, 3, "round 1: pi is about 3.1415927369231"},
		{"heat2d", []string{"32", "32", "50"}, 3, "heat2d 32x32, 50 iterations: checksum "},
		{"alltoall", []string{"20", "8"}, 5, "alltoall of 5 ranks, 20 iterations of 8: checksum "},
		{"cg", []string{"200", "40"}, 3, "cg of 200 rows, 40 iterations: norm "},
		{"bigmem", []string{"1", "10"}, 2, "bigmem 131072 words, 10 rounds: checksum "},
		{"pingpong", []string{"100"}, 2, " us a message\n"},
		{"spin", []string{"1", "50"}, 3, "rank 0: "},
		{"output", []string{"10"}, 2, "rank 0, line 9\nrank 0, no end"},
		{"noasync", []string{"10"}, 2, "rank 0, line 9\nrank 0, no end"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := &world{t: t, module: compile(t, tt.name), args: append([]string{tt.name}, tt.args...)}
			results := w.run(tt.size)
			for rank, r := range results {
				require.Equal(t, Exit{}, r.exit, "rank %d: %s", rank, &r.stderr)
			}
			require.Contains(t, results[0].stdout.String(), tt.want)
		})
	}
}

// heat2d's checksum does not depend on the number of ranks.
func TestHeatOnAnyNumberOfRanks(t *testing.T) {
	module := compile(t, "heat2d")
	var want string
	for size := 1; size <= 4; size++ {
		w := &world{t: t, module: module, args: []string{"heat2d", "20", "20", "30"}}
		got := w.run(size)[0].stdout.String()
		if size == 1 {
			want = got
		}
		require.Equal(t, want, got)
	}
}

func TestExitCodes(t *testing.T) {
	for _, tt := range []struct {
		name   string
		args   []string
		code   uint32
		reason string
	}{
		{"exit", []string{"0"}, 0, ""},
		{"exit", []string{"1"}, 1, ""},
		{"exit", []string{"42"}, 42, ""},
		{"exit", []string{"255"}, 255, ""},
		{"nompi", []string{"7"}, 7, ""},
		{"nompi", nil, 0, ""},
		{"trap", []string{"bounds"}, codeSegv, "trap: out of bounds memory access"},
		{"trap", []string{"unreachable"}, codeAbort, "trap: unreachable"},
		{"trap", []string{"divide"}, codeFPE, "trap: integer divide by zero"},
		{"trap", []string{"recursion"}, codeSegv, "trap: stack overflow"},
		{"trap", []string{"stack"}, codeSegv, "trap: stack overflow"},
		{"trap", []string{"indirect"}, codeAbort, "trap: call through a null or wild function pointer (invalid table access)"},
		{"trap", []string{"fprintf"}, codeAbort, "fprintf was called with a FILE that is NULL: an fopen before it failed (nosuch: "},
		{"trap", []string{"fwprintf"}, codeAbort, "fwprintf was called with a FILE that is NULL: an fopen before it failed (nosuch: "},
		{"trap", []string{"getc_unlocked"}, codeAbort, "getc_unlocked was called with a FILE that is NULL: an fopen before it failed (nosuch: "},
		{"trap", []string{"fgetwc"}, codeAbort, "fgetwc was called with a FILE that is NULL: an fopen before it failed (nosuch: "},
		{"trap", []string{"freopen"}, codeAbort, "freopen was called with a FILE that is NULL: an fopen before it failed (nosuch: "},
		{"trap", []string{"abort"}, codeAbort, "abort was called\n  at main"},
		{"trap", []string{"raise"}, 143, "the program raised signal 15 (SIGTERM), and has no handler for it\n  at raise\n  at main"},
		{"abort", []string{"9"}, 9, "rank 0: MPI_Abort"},
		{"abort", []string{"-1"}, 0xffffffff, "rank 0: MPI_Abort"},
	} {
		t.Run(tt.name+" "+strings.Join(tt.args, " "), func(t *testing.T) {
			w := &world{t: t, module: compile(t, tt.name), args: append([]string{tt.name}, tt.args...)}
			r := w.run(1)[0]
			require.Equal(t, tt.code, r.exit.Code, r.exit.Reason)
			if tt.reason == "" {
				require.Empty(t, r.exit.Reason)
			}
			require.True(t, strings.HasPrefix(r.exit.Reason, tt.reason), r.exit.Reason)
			if strings.HasPrefix(tt.reason, "trap: ") && !strings.HasSuffix(tt.reason, "stack overflow") { // which has no frames
				require.Contains(t, r.exit.Reason, "\n  at main", "a trap says where it is")
			}
		})
	}
}

func TestStreamsArgumentsAndEnvironment(t *testing.T) {
	var out bytes.Buffer
	guest, err := compile(t, "nompi").New(context.Background(), GuestConfig{
		Args: []string{"nompi", "3", "a b", "c"}, Env: [][2]string{{"NOMPI", "x=y"}},
		Stdin: strings.NewReader("one\ntwo\n"), Stdout: &out,
	})
	require.NoError(t, err)
	require.Equal(t, Exit{Code: 3}, guest.Run(context.Background()))
	require.Equal(t, "a b\nc\nNOMPI=x=y\nstdin: one\n", out.String())
	require.NoError(t, guest.Close(context.Background()))

	_, err = guest.module.New(context.Background(), GuestConfig{Args: []string{"a\x00b"}})
	require.ErrorContains(t, err, "NUL")
}

func TestCancel(t *testing.T) {
	errGone := errors.New("cancelled by its owner")
	guest, err := compile(t, "nompi").New(context.Background(), GuestConfig{Args: []string{"nompi", "0", "word"}})
	require.NoError(t, err)
	guest.Cancel(errGone)
	exit := guest.Run(context.Background())
	require.Equal(t, Exit{Code: codeHost, Reason: errGone.Error(), Err: errGone}, exit)
	require.Panics(t, func() { guest.Run(context.Background()) })
	require.NoError(t, guest.Close(context.Background()))
}

// A guest that calls MPI where there is none, and one whose host has a bug.
func TestHosts(t *testing.T) {
	module := compile(t, "deep")
	guest, err := module.New(context.Background(), GuestConfig{Args: []string{"deep"}})
	require.NoError(t, err)
	require.ErrorIs(t, guest.Run(context.Background()).Err, errNoHost)
	require.NoError(t, guest.Close(context.Background()))

	guest, err = module.New(context.Background(), GuestConfig{Args: []string{"deep"}})
	require.NoError(t, err)
	guest.Bind(broken{})
	panicked := panicOf(func() { guest.Run(context.Background()) })
	require.Regexp(t, `^wasm: host function panicked: bug\n`, panicked)
	require.Contains(t, panicked, "broken.Invoke", "the stack shows where")
	require.True(t, module.engine.Activity().Idle())
	require.NoError(t, guest.Close(context.Background()))
}

// panicOf returns what f panics with.
func panicOf(f func()) (value any) {
	defer func() { value = recover() }()
	f()
	return nil
}

type broken struct{}

func (broken) Invoke(*mpi.Call, []uint64) (uint64, error) { panic("bug") }

func TestMemoryLimit(t *testing.T) {
	engine := newEngine(t, Config{MemoryLimitPages: 256})
	module, err := engine.Compile(context.Background(), read(t, "bigmem"))
	require.NoError(t, err)
	w := &world{t: t, module: module, args: []string{"bigmem", "16", "1"}}
	r := w.run(1)[0]
	require.EqualValues(t, 3, r.exit.Code, "malloc beyond the limit must fail, not trap")
	require.Contains(t, r.stderr.String(), "out of memory")
	require.Regexp(t, "^its memory was to grow to .* MiB, and may be 16 MiB$", r.refused)

	_, err = newEngine(t, Config{MemoryLimitPages: 4}).Compile(context.Background(), read(t, "bigmem"))
	require.ErrorIs(t, err, ErrModule)
	require.ErrorContains(t, err, "the limit is 256 KiB")
}

func TestActivity(t *testing.T) {
	var a Activity
	require.True(t, a.TryExclusive(func() {}))
	one, other := a.join(), a.join()
	one.enter()
	require.False(t, a.Idle())
	require.False(t, a.TryExclusive(func() { t.Error("ran beside a guest") }))
	one.leave()
	require.Panics(t, one.leave)
	require.True(t, a.Idle())

	// Nobody enters while an exclusive function runs.
	entered := make(chan struct{})
	require.True(t, a.TryExclusive(func() {
		go func() {
			other.enter()
			close(entered)
		}()
		select {
		case <-entered:
			t.Error("entered beside an exclusive function")
		default:
		}
	}))
	within(t, "enter after an exclusive function", entered)
	require.False(t, a.Idle())
	other.quit()
	require.True(t, a.Idle(), "who has quit is not looked at")
}

// While a guest is in a host call or writes output, the process may collect garbage.
func TestIdleInsideHostCalls(t *testing.T) {
	module := compile(t, "deep")
	activity := module.engine.Activity()
	watch := &watcher{t: t, activity: activity}
	guest, err := module.New(context.Background(), GuestConfig{Args: []string{"deep", "3", "2"}, Stdout: watch})
	require.NoError(t, err)
	guest.Bind(watch)
	require.Equal(t, Exit{}, guest.Run(context.Background()))
	require.Greater(t, watch.seen, 5)
	require.True(t, activity.Idle())
	require.NoError(t, guest.Close(context.Background()))
}

type watcher struct {
	t        *testing.T
	activity *Activity
	seen     int
}

func (w *watcher) Invoke(*mpi.Call, []uint64) (uint64, error) {
	w.seen++
	require.True(w.t, w.activity.Idle())
	require.True(w.t, w.activity.TryExclusive(runtime.GC))
	return 0, nil
}

func (w *watcher) Write(p []byte) (int, error) {
	_, err := w.Invoke(nil, nil)
	return len(p), err
}

// Sleeping is not computing: others may collect garbage, and Cancel wakes the guest.
func TestCancelWakesASleeper(t *testing.T) {
	guest, err := compile(t, "nompi").New(context.Background(), GuestConfig{})
	require.NoError(t, err)
	guest.presence.enter()
	asleep := make(chan struct{})
	go func() {
		for !guest.module.engine.activity.Idle() {
			runtime.Gosched()
		}
		guest.Cancel(io.ErrClosedPipe)
		close(asleep)
	}()
	require.PanicsWithValue(t, errEnded, func() { guest.system.sleep(int64(time.Hour)) })
	within(t, "the guest to sleep", asleep)
	require.Equal(t, io.ErrClosedPipe, guest.stopped)
	guest.presence.leave()
	require.NoError(t, guest.Close(context.Background()))
}

// TestRows: what compilers turn into vectors is right.
func TestRows(t *testing.T) {
	w := &world{t: t, module: compile(t, "rows"), args: []string{"rows"}}
	require.Equal(t, Exit{}, w.run(1)[0].exit)
}

// TestThrown: an exception that nobody takes ends the program with its type and what it says; one that leaves an error handler, an attribute's function or a local reduction's is caught by who made the call, and
// one that leaves another function that MPI called ends the program with a sentence.
func TestThrown(t *testing.T) {
	module := compile(t, "exceptions")
	for how, want := range map[string]string{
		"uncaught": "uncaught exception of type std::runtime_error: nobody takes this\n  at ",
		"int":      "uncaught exception of type int\n  at ",
		"noexcept": "uncaught exception of type std::runtime_error: out of noexcept\n",
		"at":       "uncaught exception of type std::out_of_range: vector\n",
		"again":    "std::terminate was called, without an exception\n",
		"cleanup":  "uncaught exception of type std::runtime_error: behind a destructor\n",
	} {
		r := (&world{t: t, module: module, args: []string{"exceptions", how}}).run(1)[0]
		require.EqualValues(t, codeAbort, r.exit.Code, how)
		require.True(t, strings.HasPrefix(r.exit.Reason, want), r.exit.Reason)
		require.NotContains(t, r.exit.Reason, "invoke_")
		require.Empty(t, r.stdout.String())
	}
	both := (&world{t: t, module: module, args: []string{"exceptions", "reduction"}}).run(2)
	require.Regexp(t, "rank [01]: an exception has left a function that MPI had called; only error handlers, attributes' functions, and operations in MPI_Reduce_local let one through", both[0].exit.Reason+both[1].exit.Reason)
	r := (&world{t: t, module: module, args: []string{"exceptions", "handler"}}).run(1)[0]
	require.Equal(t, Exit{}, r.exit)
	require.Equal(t, "code 1\ncode 1\ncode 1\ngoes on\n", r.stdout.String())
	r = (&world{t: t, module: module, args: []string{"exceptions", "attribute"}}).run(1)[0]
	require.Equal(t, Exit{}, r.exit)
	require.Equal(t, "copy\ncopied 1 0\ncopy\ndelete 9\ndelete 9\nset 5\nfreed\nlocal\n", r.stdout.String())
	r = (&world{t: t, module: compile(t, "jumps"), args: []string{"jumps", "nowhere"}}).run(1)[0]
	require.True(t, strings.HasPrefix(r.exit.Reason, "longjmp to a function that has returned"), r.exit.Reason)
}

// TestTrapsOnFiles: a trap in a function that takes a FILE says that it may be NULL, and no other does.
func TestTrapsOnFiles(t *testing.T) {
	for trace, want := range map[string]bool{
		"\t.fclose(i32) i32\n\t.main() i32":                                   true,
		"\t.__towrite(i32) i32\n\t.fwrite(i32,i32,i32,i32) i32\n\t.save(i32)": true,
		"\t.fclosed(i32) i32\n\t.main() i32":                                  false,
		"\t.a()\n\t.b()\n\t.c()\n\t.fclose(i32) i32":                          false,
		"\t.__overflow(i32,i32) i32\n\t\t0x14d42: src/stdio/__overflow.c:8:6 (inlined)\n\t\t     src/stdio/putc.h:18:9 (inlined)\n\t\t     src/stdio/fputc.c:5:9\n\t.fputc(i32,i32) i32\n\t.main() i32": true,
		"": false,
	} {
		reason := explainTrap("wasm error: integer overflow\nwasm stack trace:\n"+strings.ReplaceAll(trace, "\t.", "\tlinked.wasm."), "linked.wasm", "", false).Reason
		require.Equal(t, want, strings.Contains(reason, "of a FILE?"), reason)
		require.True(t, strings.HasPrefix(reason, "trap: integer overflow"), reason)
	}
}

// measuring is a host for one rank, rank 0, whose calls do nothing. It looks at the memory that is allocated between two of them.
type measuring struct {
	memory        *Memory
	calls         int
	from, to      int
	before, after runtime.MemStats
}

func (m *measuring) Invoke(call *mpi.Call, args []uint64) (uint64, error) {
	if call.Name == "MPI_Comm_rank" {
		binary.LittleEndian.PutUint32(m.memory.Bytes()[uint32(args[1]):], 0)
	}
	switch m.calls++; m.calls {
	case m.from:
		runtime.ReadMemStats(&m.before)
	case m.to:
		runtime.ReadMemStats(&m.after)
	}
	return 0, nil
}

// TestHostCallsMakeNoGarbage: a guest's call costs no memory, however many there are.
func TestHostCallsMakeNoGarbage(t *testing.T) {
	const rounds, few = 5000, 100 // of other goroutines
	guest, err := compile(t, "pingpong").New(context.Background(), GuestConfig{Args: []string{"pingpong", strconv.Itoa(rounds)}})
	require.NoError(t, err)
	m := &measuring{memory: guest.Memory(), from: rounds, to: 2 * rounds}
	guest.Bind(m)
	exit := guest.Run(context.Background())
	require.Zero(t, exit.Code, exit.Reason)
	require.Greater(t, m.calls, m.to)
	require.Less(t, m.after.Mallocs-m.before.Mallocs, uint64(few), "of %d calls", rounds)
	require.NoError(t, guest.Close(context.Background()))
}
