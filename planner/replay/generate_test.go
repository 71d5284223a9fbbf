package replay

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// TestGeneratedTimesAreBounded: a load that would have jobs come after all times is an error, and so is what is said twice.
func TestGeneratedTimesAreBounded(t *testing.T) {
	g := DefaultGenerator()
	g.Load = 1e-300
	_, err := g.Trace(1, Shape{})
	require.ErrorContains(t, err, "give more load")
	_, err = ParseGenerator("hosts=2,hosts=3")
	require.ErrorContains(t, err, "hosts is given twice")
}
