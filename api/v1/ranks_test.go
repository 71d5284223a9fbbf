package apiv1

import (
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"
)

// TestRanksReadTheSame: whichever form an app has its ranks in.
func TestRanksReadTheSame(t *testing.T) {
	packed := &App{
		Size: 12, Ended: []byte{0b1000_0010, 0b1},
		Ends:   []*RankEnds{{First: 7, Count: 2, ExitCode: 9, Reason: "why"}},
		Epochs: []*EpochRun{{Count: 2, Epoch: 1}, {Count: 10, Epoch: 3}},
	}
	plain := &App{Size: 12}
	for r := range int32(12) {
		st := &RankState{Epoch: 3}
		if r < 2 {
			st.Epoch = 1
		}
		st.Ended = r == 1 || r == 7 || r == 8
		if r == 7 || r == 8 {
			st.ExitCode, st.Reason = 9, "why"
		}
		plain.Ranks = append(plain.Ranks, st)
	}
	require.True(t, proto.Equal(plain, packed.Expanded()))
	require.True(t, proto.Equal(plain, plain.Expanded()))
	require.Equal(t, 3, packed.CountEnded())
	require.Equal(t, 3, plain.CountEnded())
	for r := int32(-1); r < 14; r++ {
		require.Equal(t, plain.HasEnded(r), packed.HasEnded(r), r)
		require.Equal(t, packed.RankEpoch(max(r, 0)), packed.RankEpochs()(max(r, 0)), r)
		require.Equal(t, plain.RankEpoch(r), plain.RankEpochs()(r), r)
		if r >= 0 && r < 12 {
			require.Equal(t, plain.RankEpoch(r), packed.RankEpoch(r), r)
			require.True(t, proto.Equal(plain.RankState(r), packed.RankState(r)), r)
			require.True(t, proto.Equal(plain.RankState(r), packed.RankStates()[r]), r)
		}
	}
	require.Zero(t, (&App{}).CountEnded())
	require.Empty(t, (&App{}).RankStates())
	require.Zero(t, (&App{Size: 2}).RankEpoch(1))
}
