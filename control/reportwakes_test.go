package control

import (
	"testing"

	"github.com/stretchr/testify/require"

	apiv1 "github.com/godwit-run/godwit/api/v1"
)

// TestWhoAReportWakes: what a host says of an app that starts, runs and ends wakes the duty that commits it, and no other; what belongs to a migration, a checkpoint or files
// wakes all.
func TestWhoAReportWakes(t *testing.T) {
	b := newBench(t, nil)
	b.running() // ranks on h1 and h2
	wakes := func(st *apiv1.AppStatus) (news, all bool) {
		newsCh, allCh := b.l.inbox.watchNews(), b.l.inbox.watch()
		st.App, st.Epoch = "a", 1
		b.l.takeStatus(b.l.sessions.of("h1"), st)
		return closed(newsCh), closed(allCh)
	}
	for what, st := range map[string]*apiv1.AppStatus{
		"it starts": {Executor: apiv1.ExecutorStarting},
		"it runs":   {Executor: apiv1.ExecutorRunning, Ranks: []*apiv1.RankStatus{{Epoch: 1, State: apiv1.RankRunning}}},
		"it ends":   {Executor: apiv1.ExecutorRunning, Ranks: []*apiv1.RankStatus{{Epoch: 1, State: apiv1.RankEnded}}},
	} {
		news, all := wakes(st)
		require.True(t, news, what)
		require.False(t, all, what)
	}
	for what, st := range map[string]*apiv1.AppStatus{
		"acked": {AckedMigration: "m"}, "failed": {FailedMigration: "m"}, "files": {Files: &apiv1.FilesStatus{}}, "checkpoint": {Checkpoint: &apiv1.CheckpointStatus{}},
	} {
		news, all := wakes(st)
		require.True(t, news, what)
		require.True(t, all, what)
	}
	b.propose(&apiv1.Command{Op: &apiv1.Command_ProposeMigration{ProposeMigration: &apiv1.ProposeMigration{
		Id: "m", App: "a", FromEpoch: 1, Moves: []*apiv1.Move{{Rank: 0, To: "h2"}}, Cause: "test",
	}}})
	news, all := wakes(&apiv1.AppStatus{Executor: apiv1.ExecutorRunning})
	require.True(t, news)
	require.True(t, all, "a migration is under way")
}

// closed says whether a channel is.
func closed(ch <-chan struct{}) bool {
	select {
	case <-ch:
		return true
	default:
		return false
	}
}
