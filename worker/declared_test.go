package worker

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// TestRankPages: a rank may grow to what its app declares, and no further than its host lets any.
func TestRankPages(t *testing.T) {
	for _, tt := range []struct {
		host     uint32
		declared int64
		pages    uint32
		less     bool
	}{
		{65536, 0, 65536, false},
		{65536, 2 << 30, 32768, true},
		{65536, 4 << 30, 65536, false},
		{16384, 2 << 30, 16384, false},
		{65536, 1 << 20, 16, true},
		{65536, 1<<20 + 1, 16, true},
	} {
		pages, less := rankPages(tt.host, tt.declared)
		require.Equal(t, tt.pages, pages)
		require.Equal(t, tt.less, less)
	}
}

// TestDeclares: a host declares no more memory than its ranks can have.
func TestDeclares(t *testing.T) {
	c := &Config{TotalMemory: 64 << 30}
	n, err := c.declares()
	require.NoError(t, err)
	require.EqualValues(t, 60<<30, n, "a sixteenth is the executors' own")
	c = &Config{TotalMemory: 512 << 20}
	n, err = c.declares()
	require.NoError(t, err)
	require.EqualValues(t, 384<<20, n)
	c.Memory = 384 << 20
	n, err = c.declares()
	require.NoError(t, err)
	require.EqualValues(t, 384<<20, n)
	c.Memory++
	_, err = c.declares()
	require.ErrorContains(t, err, "are more than the 384 MiB that ranks may have of the 512 MiB of all executors together (--total-memory")
}

// TestOfRank: a host says what one rank may have where that is less than any rank can.
func TestOfRank(t *testing.T) {
	cfg := DefaultConfig()
	require.Zero(t, cfg.ofRank())
	cfg.MemoryLimitPages = 16_384
	require.EqualValues(t, 1<<30, cfg.ofRank())
}
