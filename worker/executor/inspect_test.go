package executor

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	apiv1 "github.com/godwit-run/godwit/api/v1"
)

// inspect asks a host's executor what its ranks do.
func (a *testApp) inspect(h *host) []*apiv1.RankDoing {
	a.t.Helper()
	h.say(a.t, &apiv1.ExecCommand{Msg: &apiv1.ExecCommand_Inspect{Inspect: &apiv1.ExecInspect{}}})
	for {
		if m := a.next(h).GetInspected(); m != nil {
			return m.Ranks
		}
	}
}

// TestInspect: each executor says what its own ranks are blocked in, and nothing of ranks that have ended.
func TestInspect(t *testing.T) {
	a := startApp(t, "../../jepsen/testdata/deadlock.wasm", []int{0, 1, 0}, 2)
	for i, want := range [][]int32{{0, 2}, {1}} {
		var ranks []*apiv1.RankDoing
		require.Eventually(t, func() bool {
			ranks = a.inspect(a.hosts[i])
			for _, r := range ranks {
				if !strings.Contains(r.Doing, "MPI_Recv(") {
					return false // not there yet
				}
			}
			return true
		}, testWait, 10*time.Millisecond)
		require.Len(t, ranks, len(want))
		for k, r := range ranks {
			require.Equal(t, want[k], r.Rank)
			require.Equal(t, a.hosts[i].name, r.Host)
			require.Contains(t, r.Doing, "tag=7")
		}
	}
	for _, h := range a.hosts {
		h.say(t, &apiv1.ExecCommand{Msg: &apiv1.ExecCommand_Cancel{Cancel: &apiv1.ExecCancel{Reason: "enough"}}})
	}
	for len(a.ended) < 3 {
		for _, h := range a.hosts {
			a.inspect(h) // notes ends
		}
	}
	require.Empty(t, a.inspect(a.hosts[0]))
}
