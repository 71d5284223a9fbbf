package suite_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// Open files, their pointers and accesses under way move with their ranks.
func TestFilesMove(t *testing.T) {
	module := compile(t)
	s := seed(t)
	for _, shape := range []struct{ size, hosts, every int }{{1, 1, 0}, {4, 3, 50}} {
		c := newCluster(t, module, shape.size, shape.hosts, shape.every, s, "@io_")
		c.run()
		require.NotContains(t, c.ranks[0].stdout.String(), "not ok")
		require.Greater(t, strings.Count(c.ranks[0].stdout.String(), "\n"), 20)
		if shape.every > 0 {
			require.Greater(t, c.moves, 20)
		}
	}
}
