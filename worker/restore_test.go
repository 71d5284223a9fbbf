package worker

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	apiv1 "github.com/godwit-run/godwit/api/v1"
)

// TestRestoreCommandsAreFew: one command says what many ranks are made of, and none is longer than the link takes.
func TestRestoreCommandsAreFew(t *testing.T) {
	for _, c := range []struct {
		ranks, path int
		most        int // commands
	}{{5000, 100, 1}, {3000, 4000, 4}} {
		b := newBench(t)
		b.rec.Restore = &apiv1.Checkpoint{Id: "c", App: "a"}
		images, ids := map[int32]*restoredRank{}, []int32(nil)
		for id := range int32(c.ranks) {
			images[id] = &restoredRank{memory: []string{"/" + strings.Repeat("m", c.path)}, state: "/s"}
			ids = append(ids, id)
		}
		b.a.restoreRanks(images, ids)
		commands := 0
		for next := int32(0); int(next) < c.ranks; commands++ {
			x := b.next().GetRestore()
			require.Equal(t, "c", x.GetCheckpoint())
			require.Equal(t, "a", x.App)
			for _, r := range x.Ranks {
				require.Equal(t, next, r.Rank)
				require.Equal(t, images[next].memory, r.Memory)
				require.Equal(t, "/s", r.State)
				next++
			}
		}
		require.LessOrEqual(t, commands, c.most)
	}
}

// TestWhatComesAgainIsNoProgress: what is read, or comes, in one round after the other and leads to nothing counts a few times.
func TestWhatComesAgainIsNoProgress(t *testing.T) {
	r := &restoring{most: map[string]int64{}}
	for range 100 {
		r.rounds++
		r.progress("one")(5)
	}
	require.EqualValues(t, 5*maxFailed, r.moved.Load())
	why := "the rest does not come"
	r.why.Store(&why)
	count := r.progress("one")
	count(5)
	require.Equal(t, why, r.trouble())
	count(2)
	require.EqualValues(t, 5*maxFailed+2, r.moved.Load(), "more than ever")
	require.Empty(t, r.trouble())
	r.progress("two")(3)
	require.EqualValues(t, 5*maxFailed+5, r.moved.Load())
}
