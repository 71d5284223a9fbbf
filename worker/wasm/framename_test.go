package wasm

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestFrameName(t *testing.T) {
	for frame, want := range map[string]string{
		".$22()": "function 22", ".3()": "function 3", ".$7(i32,i32) i32": "function 7", ".main(i32,i32) i32": "main", ".ns::f(int, char const*)(i32,i32)": "ns::f(int, char const*)",
		".Grid<double>::at(unsigned long)(i32,i64) (f64,i32)": "Grid<double>::at(unsigned long)", ".f(int)": "f", ".$name()": "$name", "env.read()": "env.read",
	} {
		require.Equal(t, want, frameName(frame, ""), frame)
		if strings.HasPrefix(frame, ".") {
			require.Equal(t, want, frameName("linked.wasm"+frame, "linked.wasm"), frame)
		}
	}
}

// A frame is one line, with its place in the source if the module knows it.
func TestFrames(t *testing.T) {
	trace := "\tm.deep(i32) i32\n\t\t0x12: a.h:3:1 (inlined)\n\t\t      a.c:9:2\n\tm.main()\n\t\t0x2: a.c:20\n\t\t0x3: libc-top-half/musl/src/stdio/fputc.c:5:9\n\tm.__main_void() i32\n\tm._start()\n"
	exit := explainTrap("wasm error: integer divide by zero\nwasm stack trace:\n"+trace, "m", "", false)
	require.Equal(t, "trap: integer divide by zero\n  at deep, a.h:3:1, inlined at a.c:9:2\n  at main, a.c:20", exit.Reason)
}

// A stub of the linker for a function that is called by another type is told by the function's name, and what calls a function by its own type is no frame.
func TestMismatchFrames(t *testing.T) {
	const trace = "wasm error: unreachable\nwasm stack trace:\n"
	for frames, want := range map[string]string{
		"\tm.signature_mismatch:dger_(i32)\n\tm.solve()\n":                            "dger_",
		"\tm.signature_mismatch2:ns::f(int)(i32) i32\n\t\t0x2: a.c:20\n\tm.solve()\n": "ns::f(int)",
	} {
		exit := explainTrap(trace+frames, "m", "left from before", false)
		require.Equal(t, "trap: "+want+" was called by another type than it has: declare it where it is called as it is defined\n  at solve", exit.Reason)
		require.EqualValues(t, codeAbort, exit.Code)
	}
	exit := explainTrap(trace+"\tm.godwit_end(i32)\n\tm.abort()\n\tm.__original_main() i32\n\tm._start()\n", "m", "abort was called", false)
	require.Equal(t, Exit{Code: codeAbort, Reason: "abort was called\n  at main"}, exit)
	exit = explainTrap(trace+"\tm.raise(i32) i32\n", "m", "the program raised signal 11 (SIGSEGV), and has no handler for it", false)
	require.EqualValues(t, codeSegv, exit.Code)
	exit = explainTrap(trace+"\tm.dger_()\n\tm.signature_adapted:dger_()\n\tm.solve()\n", "m", "", false)
	require.Equal(t, "trap: unreachable\n  (a call through a pointer that is null or of another type, a function's end without its return, or __builtin_trap; built with -g it may say which)\n  at dger_\n  at solve", exit.Reason)
}
