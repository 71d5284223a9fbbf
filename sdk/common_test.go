package sdk

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// TestCommon: by -fcommon a variable that several files define without a value is one, and has the value that one of them gives it; without, they are two.
func TestCommon(t *testing.T) {
	files := map[string]string{
		"a.c": "#include <stdio.h>\nint visited[4], valued, own_a; static int mine = 1; void b(void);\nint main(void) { b(); printf(\"%d %d %d %d\\n\", visited[2], valued, mine, own_a); return 0; }\n",
		"b.c": "int visited[4], valued = 7; static int mine; void b(void) { visited[2] = 5 + mine; }\n",
	}
	for _, args := range [][]string{{"-fcommon", "a.c", "b.c", "-o", "a.wasm"}, {"-fno-common", "-fcommon", "-O2", "b.c", "a.c", "-o", "a.wasm"}} {
		code, _, stderr := build(t, C, files, args...)
		require.Zero(t, code, stderr)
		_, printed, err := startGuest(t)
		require.NoError(t, err)
		require.Equal(t, "5 7 1 0\n", printed)
	}
	for _, args := range [][]string{{"a.c", "b.c", "-o", "a.wasm"}, {"-fcommon", "-fno-common", "a.c", "b.c", "-o", "a.wasm"}} {
		code, _, stderr := build(t, C, files, args...)
		require.NotZero(t, code)
		require.Contains(t, stderr, "duplicate symbol")
	}
}
