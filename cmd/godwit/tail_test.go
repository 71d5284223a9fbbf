package main

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestIncomplete(t *testing.T) {
	tl := newTail(nil, "a", false, nil, nil)
	require.NoError(t, tl.incomplete())
	tl.missing["host h2 is gone"] = []int32{9, 2, 1, 3, 4, 5, 6}
	tl.missing["host h1 does not keep it"] = []int32{0}
	require.EqualError(t, tl.incomplete(),
		"the output of rank 0 is incomplete: host h1 does not keep it; the output of ranks 1, 2, 3, 4, 5 and 2 more is incomplete: host h2 is gone")
	require.Equal(t, exitFailed, exitCode(tl.incomplete()))
}
