package control

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	apiv1 "github.com/godwit-run/godwit/api/v1"
)

// homed is an app with ranks on h1, its home, and h2, where h1 is to be left.
func homed(t *testing.T) *bench {
	b := newBench(t, nil)
	b.propose(&apiv1.Command{Op: &apiv1.Command_SetFeatureLevel{SetFeatureLevel: &apiv1.SetFeatureLevel{Level: 4}}})
	b.l.c.setLeader(b.l)
	b.running()
	b.host("h3", 4)
	b.report("h1", &apiv1.AppStatus{App: "a", Files: &apiv1.FilesStatus{Wanted: true}})
	b.l.takeReports(b.ctx)
	require.Equal(t, "h1", b.app("a").Files.Host)
	b.l.homes.look(b.ctx)
	b.propose(&apiv1.Command{Op: &apiv1.Command_SetHostWish{SetHostWish: &apiv1.SetHostWish{Host: "h1", Wish: "draining"}}})
	return b
}

// left ends the ranks on the home.
func (b *bench) left() {
	b.t.Helper()
	b.propose(&apiv1.Command{Op: &apiv1.Command_RanksEnded{RanksEnded: &apiv1.RanksEnded{App: "a", Host: "h1", Ranks: []*apiv1.EndedRank{
		{Rank: 0, Epoch: 1}, {Rank: 1, Epoch: 1},
	}}}})
	b.l.homes.look(b.ctx)
}

// TestHomeLeavesAHostThatDrains: after the ranks, and to the host with most of them.
func TestHomeLeavesAHostThatDrains(t *testing.T) {
	b := homed(t)
	b.l.homes.look(b.ctx)
	require.Empty(t, b.app("a").Files.To, "ranks go first")
	host, _ := b.l.c.state.View().Host("h1")
	require.Equal(t, "it has the files of app a", homesText(b.l.c.state.View(), host))
	require.Contains(t, b.l.c.filesProgress(b.app("a")), "host h1 is draining, and they wait: 2 ranks on it are to move first")
	b.left()
	files := b.app("a").Files
	require.Equal(t, "h2", files.To)
	require.NotZero(t, files.Move)

	b.report("h2", &apiv1.AppStatus{App: "a", Files: &apiv1.FilesStatus{Held: true, Move: files.Move + 2}})
	b.l.takeReports(b.ctx)
	require.Equal(t, "h1", b.app("a").Files.Host, "what is held of another move is not what there is now")
	b.report("h2", &apiv1.AppStatus{App: "a", Files: &apiv1.FilesStatus{Move: files.Move, Progress: "half of it"}})
	shown := b.l.c.shown(b.l.c.state.View(), b.app("a"))
	require.Equal(t, "half of it", shown.Files.Progress)
	require.Equal(t, "its files move from h1 to h2: half of it", shown.Reason)
	b.report("h2", &apiv1.AppStatus{App: "a", Files: &apiv1.FilesStatus{Held: true, Move: files.Move}})
	b.l.takeReports(b.ctx)
	files = b.app("a").Files
	require.Equal(t, "h2", files.Host)
	require.Empty(t, files.To)
	b.l.homes.look(b.ctx)
	require.Empty(t, b.app("a").Files.To, "it has left")
	require.Empty(t, b.l.homes.apps)
}

// TestHomeStays: a move that comes to nothing leaves the home where it is, says why, and is tried again later.
func TestHomeStays(t *testing.T) {
	b := homed(t)
	b.left()
	move := b.app("a").Files.Move
	b.report("h2", &apiv1.AppStatus{App: "a", Files: &apiv1.FilesStatus{Move: move, Fault: "no room"}})
	b.l.homes.look(b.ctx)
	require.Empty(t, b.app("a").Files.To)
	require.Equal(t, "h1", b.app("a").Files.Host)
	b.l.homes.look(b.ctx)
	require.Contains(t, b.l.c.filesProgress(b.app("a")), "they did not move to h2: no room")
	require.Empty(t, b.app("a").Files.To, "not at once")
	b.l.homes.apps["a"].next = time.Time{}
	b.l.homes.look(b.ctx)
	require.Equal(t, "h2", b.app("a").Files.To)
	require.NotEqual(t, move, b.app("a").Files.Move)

	b.l.homes.look(b.ctx)
	require.NotEmpty(t, b.app("a").Files.To, "an old fault is not this move's")
	b.l.homes.apps["a"].heard = time.Now().Add(-2 * homeSilence)
	b.l.homes.look(b.ctx)
	require.Empty(t, b.app("a").Files.To, "nobody says anything of it")
}

// leftByRanks moves the ranks away from the home.
func (b *bench) leftByRanks() {
	b.t.Helper()
	b.propose(&apiv1.Command{Op: &apiv1.Command_ProposeMigration{ProposeMigration: &apiv1.ProposeMigration{
		Id: "g1", App: "a", FromEpoch: 1, Moves: []*apiv1.Move{{Rank: 0, From: "h1", To: "h2"}, {Rank: 1, From: "h1", To: "h2"}},
	}}})
	b.propose(&apiv1.Command{Op: &apiv1.Command_AnnounceMigration{AnnounceMigration: &apiv1.AnnounceMigration{Id: "g1", Acks: []string{"h1", "h2"}}}})
	b.propose(&apiv1.Command{Op: &apiv1.Command_FreezeMigration{FreezeMigration: &apiv1.FreezeMigration{
		Id: "g1", Ranks: []*apiv1.FrozenRank{{Rank: 0, ImageBytes: 1}, {Rank: 1, ImageBytes: 1}},
	}}})
	b.propose(&apiv1.Command{Op: &apiv1.Command_CommitMigration{CommitMigration: &apiv1.CommitMigration{Id: "g1"}}})
}

// TestHomeFollowsItsRanks: a home whose ranks have all moved away goes after them, in a while.
func TestHomeFollowsItsRanks(t *testing.T) {
	b := newBench(t, nil)
	b.propose(&apiv1.Command{Op: &apiv1.Command_SetFeatureLevel{SetFeatureLevel: &apiv1.SetFeatureLevel{Level: 4}}})
	b.running()
	b.report("h1", &apiv1.AppStatus{App: "a", Files: &apiv1.FilesStatus{Wanted: true}})
	b.l.takeReports(b.ctx)
	b.leftByRanks()
	b.l.homes.look(b.ctx)
	require.Empty(t, b.app("a").Files.To, "they may be on their way back")
	b.l.homes.apps["a"].since = time.Now().Add(-2 * homeRest)
	b.l.homes.look(b.ctx)
	require.Equal(t, "h2", b.app("a").Files.To)
}

// TestHomeGivesUpFollowing: a home that only follows its ranks stays after some moves that came to nothing, each of which is followed by as long a rest at least.
func TestHomeGivesUpFollowing(t *testing.T) {
	b := newBench(t, nil)
	b.propose(&apiv1.Command{Op: &apiv1.Command_SetFeatureLevel{SetFeatureLevel: &apiv1.SetFeatureLevel{Level: 4}}})
	b.l.c.setLeader(b.l)
	b.running()
	b.report("h1", &apiv1.AppStatus{App: "a", Files: &apiv1.FilesStatus{Wanted: true}})
	b.l.takeReports(b.ctx)
	b.leftByRanks()
	for range homeTries {
		b.l.homes.look(b.ctx)
		w := b.l.homes.apps["a"]
		w.since, w.next = time.Now().Add(-2*homeRest), time.Time{}
		b.l.homes.look(b.ctx)
		files := b.app("a").Files
		require.Equal(t, "h2", files.To)
		b.l.homes.look(b.ctx)
		began := time.Now().Add(-time.Hour)
		w.began = began
		b.report("h2", &apiv1.AppStatus{App: "a", Files: &apiv1.FilesStatus{Move: files.Move, Fault: "no room"}})
		b.l.homes.look(b.ctx)
		require.Empty(t, b.app("a").Files.To)
		require.WithinDuration(t, time.Now().Add(time.Hour), w.next, time.Minute, "it rests for as long as it has taken")
	}
	b.l.homes.apps["a"].next = time.Time{}
	b.l.homes.look(b.ctx)
	require.Empty(t, b.app("a").Files.To)
	require.Contains(t, b.l.c.filesProgress(b.app("a")), "they stay, after 5 moves that came to nothing, the last to h2: no room")
	b.propose(&apiv1.Command{Op: &apiv1.Command_SetHostWish{SetHostWish: &apiv1.SetHostWish{Host: "h1", Wish: "draining"}}})
	b.l.homes.look(b.ctx)
	require.Equal(t, "h2", b.app("a").Files.To, "it is to leave")
}

// TestHomeSaysThatItIsLost: the app fails, with what its home says; what is said of another attempt or of another move's is not heard.
func TestHomeSaysThatItIsLost(t *testing.T) {
	b := homed(t)
	for _, st := range []*apiv1.FilesStatus{{Lost: "no inputs", Attempt: 2}, {Lost: "no inputs", Attempt: 1, Move: 3}} {
		b.report("h1", &apiv1.AppStatus{App: "a", Files: st})
		b.l.takeReports(b.ctx)
		require.Empty(t, b.app("a").Verdict)
	}
	b.report("h1", &apiv1.AppStatus{App: "a", Files: &apiv1.FilesStatus{Lost: "no inputs", Attempt: 1}})
	b.l.takeReports(b.ctx)
	require.Equal(t, apiv1.AppFailed, b.app("a").Verdict)
	require.Equal(t, "the app's files on h1: no inputs", b.app("a").Reason)
}
