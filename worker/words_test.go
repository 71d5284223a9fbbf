package worker

import (
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/worker/part"
)

// A reason keeps within its bound, whatever the program said.
func TestClean(t *testing.T) {
	require.Equal(t, `\x1b[31m`, clean("\x1b[31m"))
	require.LessOrEqual(t, len(clean(strings.Repeat("\x1b", 1<<20))), 1<<10)
}

// Whatever an app's ranks say, its status can be sent.
func TestStatusIsBounded(t *testing.T) {
	const ranks = 65_536
	b := newBench(t)
	app := b.rec.App
	app.Size, app.Placement, app.Ranks = ranks, make([]string, ranks), make([]*apiv1.RankState, ranks)
	for i := range app.Ranks {
		app.Placement[i], app.Ranks[i] = "h1", &apiv1.RankState{Epoch: 1}
	}
	b.has(part.Running, slices.Collect(func(yield func(int32) bool) {
		for i := range int32(ranks) {
			_ = yield(i)
		}
	})...)
	reason := strings.Repeat("\x1b[31m terminate called after throwing an instance of 'x' ", 150)
	for i := range int32(ranks) {
		b.a.rankEnded(&apiv1.ExecEnded{Rank: i, ExitCode: part.CodeKilled, Reason: reason})
	}
	b.a.part.StartFailed(reason)
	st := b.status()
	require.Len(t, st.Ranks, ranks)
	require.NotEmpty(t, st.Ranks[0].Reason)
	require.EqualValues(t, part.CodeKilled, st.Ranks[ranks-1].ExitCode)
	require.Less(t, proto.Size(st), 2<<20)

	app.Ranks[0].Ended = true
	require.Len(t, b.status().Ranks, ranks-1, "what the log has is not repeated")
}

// The report says what the executor says of a rank's reason: whether it is all that tells how the rank ended.
func TestToldByReason(t *testing.T) {
	b := newBench(t)
	b.rec.App.Size, b.rec.App.Placement = 2, []string{"h1", "h1"}
	b.rec.App.Ranks = []*apiv1.RankState{{Epoch: 1}, {Epoch: 1}}
	b.has(part.Running, 0, 1)
	for i, told := range []bool{true, false} {
		b.a.rankEnded(&apiv1.ExecEnded{Rank: int32(i), ExitCode: 1, Reason: "ended early", ToldByReason: told})
		require.Equal(t, told, b.status().Ranks[i].ToldByReason)
	}
}
