package part

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	apiv1 "github.com/godwit-run/godwit/api/v1"
)

// hands are of a host of which nothing is wanted.
type hands struct{ Hands }

func (hands) Now() time.Time               { return time.Time{} }
func (hands) Say(*apiv1.ExecCommand)       {}
func (hands) Cancel(string, time.Duration) {}
func (hands) Files()                       {}
func (hands) Stored() (bytes int64)        { return 0 }
func (hands) LogSent(int32) int64          { return 0 }

// A rank that had come here by a migration when the worker ended, and that ends before it runs, is said to have ended: its app is over only then. (Seed 357984 of the simulation.)
func TestRankThatWasStagedEnds(t *testing.T) {
	p := New("a", "h1")
	p.Adopting()
	p.Follow(&apiv1.AppRecord{Index: 9, App: &apiv1.App{
		Id: "a", Attempt: 1, Size: 2, Epoch: 2, Placement: []string{"h2", "h1"}, FirstEpoch: 1, Verdict: apiv1.AppFailed, Spec: &apiv1.AppSpec{Size: 2},
	}})
	ended, why := p.Adopt(hands{}, &apiv1.ExecStanding{Ranks: []*apiv1.StandingRank{{Rank: 1, State: apiv1.StandingRank_STATE_STAGED, Migration: "m", Staged: &apiv1.ExecStaged{Rank: 1}}}})
	require.Empty(t, ended)
	require.Empty(t, why)
	require.Empty(t, p.Status(hands{}).Ranks, "whether all of it is here is not sure")
	_, news := p.Ended(&apiv1.ExecEnded{Rank: 1, ExitCode: 137, Reason: "stopped"})
	require.True(t, news)
	ranks := p.Status(hands{}).Ranks
	require.Len(t, ranks, 1)
	require.Equal(t, string(apiv1.RankEnded), ranks[0].State)
}
