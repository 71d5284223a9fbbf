package jepsen

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const longlinesModule = "testdata/longlines.wasm"

// TestLongOutput prints lines of 60,000 and of 200,000 bytes, and much without an end of line, by four ranks at once: all of it
// arrives, whole.
func TestLongOutput(t *testing.T) {
	t.Parallel()
	c := newCluster(t, shape{workers: 2})
	for _, tt := range []struct {
		lines     int
		args      []string
		line, end string
	}{
		{4 * 200, []string{"200", "60000"}, strings.Repeat("x", 60_000), ""},
		{4 * 20, []string{"20", "200000", "1000000"}, strings.Repeat("x", 200_000), strings.Repeat("x", 1_000_000)},
	} {
		res := c.godwit(append([]string{"run", "-q", "-n", "4", "--place", "w1:2,w2:2", longlinesModule}, tt.args...)...)
		require.Zero(t, res.code, res.stderr)
		require.Equal(t, tt.lines*len(tt.line)+4*len(tt.end), strings.Count(res.stdout, "x"))
		whole := 0
		for _, l := range strings.Split(res.stdout, "\n") {
			if l == tt.line {
				whole++
			}
		}
		if tt.end == "" {
			require.Equal(t, tt.lines, whole)
		}
	}
	c.idle()
}
