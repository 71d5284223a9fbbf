package fsm

import (
	"bytes"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestRecovered: a recovered cluster has another id, also in its snapshots and its hash, and remembers those of before; what is
// derived from the id of a cluster stays the same.
func TestRecovered(t *testing.T) {
	m := New()
	mustApply(t, m, "init c0", "host h1 4 n1 i1")
	hash, app := m.View().Hash(), AppIDFor(m.View().FirstClusterID(), "k")
	m.Recovered("c1")
	require.NotEqual(t, hash, m.View().Hash())
	for i := 2; i < 40; i++ {
		m.Recovered(fmt.Sprintf("c%d", i))
	}
	var b bytes.Buffer
	_, err := m.View().WriteTo(&b)
	require.NoError(t, err)
	n := New()
	require.NoError(t, n.Restore(&b))
	require.Equal(t, m.View().Hash(), n.View().Hash())
	v := n.View()
	require.Equal(t, "c39", v.ClusterID())
	require.Len(t, v.FormerClusterIDs(), maxFormerIDs)
	require.Equal(t, "c0", v.FormerClusterIDs()[0])
	require.Equal(t, "c38", v.FormerClusterIDs()[maxFormerIDs-1])
	require.Equal(t, app, AppIDFor(v.FirstClusterID(), "k"))
	mustApply(t, n, "host h2 4 n2 i2")
}
