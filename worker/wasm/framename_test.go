package wasm

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestFrameName(t *testing.T) {
	for frame, want := range map[string]string{
		".$22()": "function 22", ".3()": "function 3", ".$7(i32,i32) i32": "function 7", ".main(i32,i32) i32": "main(i32,i32) i32",
		".$name()": "$name()", "env.read()": "env.read()", "0x12: a.c:3:1": "0x12: a.c:3:1",
	} {
		require.Equal(t, want, frameName(frame, ""), frame)
		if strings.HasPrefix(frame, ".") {
			require.Equal(t, want, frameName("linked.wasm"+frame, "linked.wasm"), frame)
		}
	}
}
