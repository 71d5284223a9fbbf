package fsm

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/types/known/timestamppb"

	apiv1 "github.com/godwit-run/godwit/api/v1"
)

// captured is a machine with an app a that runs on h1 and h2, and a host h3.
func captured(t *testing.T) *Machine {
	m := New()
	at(t, m, 1, "init c1", "level 4", "module m migratable", "host h1 4 n1 i1", "host h2 4 n2 i1", "host h3 4 n3 i1",
		"submit a m 2", "place a h1 h2", "started a h1 1", "started a h2 1")
	return m
}

// capture makes a complete checkpoint of an app at its present epoch.
func capture(t *testing.T, m *Machine, id, app string) {
	old, _ := m.View().App(AppID(app))
	at(t, m, 2, fmt.Sprintf("checkpoint %s %s %d", id, app, old.GetEpoch()))
	line := "complete " + id
	ck, _ := m.View().Checkpoint(CheckpointID(id))
	for _, p := range ck.GetParts() {
		line += " " + p.GetHost()
	}
	at(t, m, 2, "announce-checkpoint "+id, "take "+id, line)
}

func checkpointIDs(v *View) []string {
	var ids []string
	for ck := range v.CheckpointsAfter(Place{}) {
		ids = append(ids, ck.GetId())
	}
	return ids
}

// TestCheckpointNotesWhatTheAppIs: what it is of, when it was, and where the app was; its spec is the app's own.
func TestCheckpointNotesWhatTheAppIs(t *testing.T) {
	m := captured(t)
	at(t, m, 2, "ended a h1 0@1=0")
	index := m.View().Index() + 1
	must(t, m, command(t, "checkpoint c a 1 h2>h3"))
	app, _ := m.View().App("a")
	ck, ok := m.View().CheckpointUnderWay("a")
	require.True(t, ok)
	require.Same(t, app.GetSpec(), ck.GetSpec())
	require.Equal(t, index, ck.GetBeginIndex())
	require.EqualValues(t, 1, ck.GetBegunAt().GetSeconds())
	require.Equal(t, "manual", ck.GetCause())
	require.Len(t, ck.GetRuns(), 2)
	require.Len(t, ck.GetParts(), 2, "of the other host there is output")
	held, ok := m.View().HoldingCheckpoint("a")
	require.True(t, ok)
	require.Same(t, ck, held)
	require.Equal(t, []*apiv1.Checkpoint{ck}, slices.Collect(m.View().PendingCheckpoints()))

	at(t, m, 3, "announce-checkpoint c", "take c h2=4")
	_, ok = m.View().HoldingCheckpoint("a")
	require.False(t, ok)
	at(t, m, 4, "complete c h1 h2")
	ck, _ = m.View().Checkpoint("c")
	require.EqualValues(t, 3, ck.GetTakenAt().GetSeconds())
	require.EqualValues(t, 4, ck.GetEndedAt().GetSeconds())
	require.Equal(t, []byte{1}, ck.GetEnded())
	_, ok = m.View().CheckpointUnderWay("a")
	require.False(t, ok)
	require.Empty(t, slices.Collect(m.View().PendingCheckpoints()))
}

// TestFewAbortedCheckpointsAreKept: of an app, the last ones.
func TestFewAbortedCheckpointsAreKept(t *testing.T) {
	m := captured(t)
	capture(t, m, "kept", "a")
	for i := range KeepAborted + 3 {
		at(t, m, 3, fmt.Sprintf("checkpoint c%02d a 1", i), fmt.Sprintf("abort-checkpoint c%02d", i))
	}
	require.Equal(t, []string{"kept", "c03", "c04", "c05", "c06", "c07", "c08", "c09", "c10"}, checkpointIDs(m.View()))
	requireSound(t, m)
}

// TestCheckpointsAreBounded: in number, and in memory; an aborted one makes room.
func TestCheckpointsAreBounded(t *testing.T) {
	m := captured(t)
	begin := command(t, "checkpoint more a 1")
	begin.At = &timestamppb.Timestamp{Seconds: 3}
	refused := func() string {
		results, err := applyEntry(m, m.View().Index()+1, &apiv1.Entry{Commands: []*apiv1.Command{begin}})
		require.NoError(t, err)
		return results[0].GetCode()
	}
	fill := func(n int, phase CheckpointPhase, weight int) { // as a snapshot would
		v := *m.View()
		for i := range n {
			v.indexCheckpoint(&apiv1.Checkpoint{
				Id: fmt.Sprintf("%s%05d", phase, i), App: "x", Phase: string(phase), BeginIndex: 1, Spec: &apiv1.AppSpec{Args: []string{strings.Repeat("x", weight)}},
			})
		}
		m.view.Store(&v)
		m.ledger = newLedger(m.View())
	}
	fill(MaxCheckpoints, CheckpointComplete, 1)
	require.Equal(t, string(CodeTooMany), refused())
	fill(1, CheckpointAborted, 1)
	at(t, m, 3, "remove-checkpoint complete00000")
	require.Empty(t, refused())
	require.Equal(t, MaxCheckpoints, m.View().checkpoints.Len())
	_, ok := m.View().Checkpoint("aborted00000")
	require.False(t, ok)

	m = captured(t)
	fill(8, CheckpointComplete, MaxCheckpointBytes/8)
	require.Equal(t, string(CodeTooMany), refused())
	at(t, m, 3, "remove-checkpoint complete00003")
	require.Empty(t, refused())
	require.NoError(t, CheckInvariants(m.View()))
}

// TestCheckpointsOutliveTheirApp: history forgets the app, and its checkpoint stays. Another app of the same id does not take it for its own.
func TestCheckpointsOutliveTheirApp(t *testing.T) {
	m := captured(t)
	capture(t, m, "c", "a")
	at(t, m, 2, "stop a cancelled 0", "ended a h1 0@1=143", "ended a h2 1@1=143")
	endMany(t, m, 3, "b", MinEndedApps-1)
	endMany(t, m, 3+KeepSeconds, "d", 1)
	require.False(t, knows(m, "a"))
	require.Len(t, slices.Collect(m.View().CheckpointsOf("a")), 1)
	requireSound(t, m)

	at(t, m, 4+KeepSeconds, "submit a m 1", "place a h3", "started a h3 1")
	capture(t, m, "c2", "a")
	require.Len(t, slices.Collect(m.View().CheckpointsOf("a")), 2)
	at(t, m, 4+KeepSeconds, "remove-checkpoint c2")
	app, _ := m.View().App("a")
	require.Empty(t, app.GetLastCheckpoint())
	at(t, m, 4+KeepSeconds, "submit more m 2 restore=c")
	user, ok := m.View().RestoringFrom("c")
	require.True(t, ok)
	require.Equal(t, AppID("more"), user)
}

// TestFeedTellsOfCheckpoints: also of those that are removed.
func TestFeedTellsOfCheckpoints(t *testing.T) {
	m := captured(t)
	sub := m.Feed().Subscribe(AnyCheckpoint)
	defer sub.Close()
	last := func() Change {
		changes, _, ok := m.Feed().Since(m.View().Index() - 1)
		require.True(t, ok)
		require.Len(t, changes, 1)
		return changes[0]
	}
	mustApply(t, m, "wish h3 draining")
	require.False(t, woken(sub))
	mustApply(t, m, "checkpoint c a 1", "checkpoint d a 1")
	require.True(t, woken(sub))
	require.Equal(t, []CheckpointID{"c"}, last().Checkpoints)
	require.Equal(t, []AppID{"a"}, last().Apps)
	mustApply(t, m, "abort-checkpoint c", "remove-checkpoint c")
	require.True(t, woken(sub))
	require.Contains(t, last().Checkpoints, CheckpointID("c"))
	require.Empty(t, checkpointIDs(m.View()))
}

// TestKeyOfACheckpoint: what is minted for a request is not of it.
func TestKeyOfACheckpoint(t *testing.T) {
	m := captured(t)
	results := mustApply(t, m, "checkpoint c a 1 h1>h2 key=k")
	again := mustApply(t, m, "checkpoint d a 7 h1>h3 key=k", "checkpoint d b 1 key=k")
	require.Equal(t, "c", again[0].GetId())
	require.Equal(t, results[0].GetIndex(), again[0].GetIndex())
	require.Equal(t, string(CodeKeyReused), again[1].GetCode())
}

// snapshotOf is a machine that has what another has from its snapshot.
func snapshotOf(t *testing.T, m *Machine) *Machine {
	var buf bytes.Buffer
	_, err := m.View().WriteTo(&buf)
	require.NoError(t, err)
	again := New()
	require.NoError(t, again.Restore(&buf))
	return again
}

// TestRestoredSpecsAreShared: a checkpoint out of a snapshot has its app's spec, not one of its own; and without an app the others of it do.
func TestRestoredSpecsAreShared(t *testing.T) {
	m := captured(t)
	capture(t, m, "c1", "a")
	capture(t, m, "c2", "a")
	again := snapshotOf(t, m)
	app, _ := again.View().App("a")
	for ck := range again.View().Checkpoints() {
		require.Same(t, app.GetSpec(), ck.GetSpec())
	}
	at(t, m, 2, "stop a cancelled 0", "ended a h1 0@1=143", "ended a h2 1@1=143")
	endMany(t, m, 3, "b", MinEndedApps-1)
	endMany(t, m, 3+KeepSeconds, "d", 1)
	require.False(t, knows(m, "a"))
	again = snapshotOf(t, m)
	one, _ := again.View().Checkpoint("c1")
	two, _ := again.View().Checkpoint("c2")
	require.Same(t, one.GetSpec(), two.GetSpec())
}

// TestWeightsOfCheckpoints: of a little app, and of one with a rank a host.
func TestWeightsOfCheckpoints(t *testing.T) {
	count := func(v *View) int { return v.checkpointBytes }
	t.Run("little", func(t *testing.T) {
		measure(t, func(m *Machine) {
			must(t, m, command(t, "host h1 4 n1 i1"), command(t, "submit a m 1"), command(t, "place a h1"), command(t, "started a h1 1"))
		},
			func(m *Machine) {
				for i := range MaxCheckpoints {
					capture(t, m, fmt.Sprintf("c%d", i), "a")
				}
			}, count)
	})
	if testing.Short() {
		return
	}
	t.Run("a host each", func(t *testing.T) {
		measure(t, func(m *Machine) {
			registered(t, m, MaxAppSize)
			scatter(t, m, "a", spread)
		}, func(m *Machine) {
			for i := range 8 {
				capture(t, m, fmt.Sprintf("c%d", i), "a")
			}
		}, count)
	})
}

// TestLostLeaseIsALostHost: ranks that have ended with their host's lease are lost as with their host, and the app goes on from its checkpoint; others are their app's failure.
func TestLostLeaseIsALostHost(t *testing.T) {
	for _, lost := range []bool{true, false} {
		m := captured(t)
		capture(t, m, "c", "a")
		must(t, m, &apiv1.Command{Op: &apiv1.Command_RanksEnded{RanksEnded: &apiv1.RanksEnded{
			App: "a", Host: "h1", Ranks: []*apiv1.EndedRank{{Rank: 0, Epoch: 1, ExitCode: 137, Reason: "killed", HostLost: lost}},
		}}})
		app, _ := m.View().App("a")
		if !lost {
			require.Equal(t, string(Failed), app.GetVerdict())
			continue
		}
		require.Equal(t, string(Queued), app.GetVerdict())
		at(t, m, 3, "ended a h2 1@1=137:stopped")
		app, _ = m.View().App("a")
		require.Equal(t, Queued, PhaseOf(app))
		require.Equal(t, "c", app.GetRestore())
	}
}

// TestFilesOpenedMeanwhile: an app that opens its first file while a checkpoint of it is begun has its files in it; once its ranks are told to stop there is no telling
// which of them have some open, and the checkpoint is aborted.
func TestFilesOpenedMeanwhile(t *testing.T) {
	for phase, want := range map[CheckpointPhase]CheckpointPhase{CheckpointPending: CheckpointPending, CheckpointAnnounced: CheckpointAborted, CheckpointTaken: CheckpointTaken} {
		m := captured(t)
		at(t, m, 2, "checkpoint c a 1")
		if phase != CheckpointPending {
			at(t, m, 2, "announce-checkpoint c")
		}
		if phase == CheckpointTaken {
			at(t, m, 2, "take c")
		}
		at(t, m, 2, "files a h2 opened")
		ck, _ := m.View().Checkpoint("c")
		require.Equal(t, want, CheckpointPhaseOf(ck))
		require.Equal(t, phase == CheckpointPending, ck.GetParts()[1].GetFiles())
		app, _ := m.View().App("a")
		require.Equal(t, "h2", app.GetFiles().GetHost())
		requireSound(t, m)
	}
}

// TestOutputOfAGoneHostStaysThere: of a rank that had ended on a host which was gone when the checkpoint was made, it has nothing: the rank stays with that host.
func TestOutputOfAGoneHostStaysThere(t *testing.T) {
	m := captured(t)
	at(t, m, 2, "ended a h1 0@1=0", "state h1 i1 lost")
	capture(t, m, "c", "a")
	at(t, m, 3, "state h2 i1 lost")
	app, _ := m.View().App("a")
	require.Equal(t, string(Queued), app.GetPhase())
	require.Contains(t, m.View().WhyAway(app), "waits for host h2 to be back")
	m = captured(t)
	at(t, m, 2, "ended a h1 0@1=0", "state h1 i1 lost")
	at(t, m, 2, "checkpoint c a 1 h2>h3", "announce-checkpoint c", "take c", "complete c h2")
	at(t, m, 3, "state h2 i1 lost", "place a h3 h3")
	app, _ = m.View().App("a")
	require.Equal(t, []string{"h1", "h3"}, app.GetPlacement())
	require.EqualValues(t, 1, m.View().ShareOf("h3", "a").Ranks)
}

// TestOutputOfEndedRanksComesWithOthers: a rank that had ended in the checkpoint is with one that goes on, whatever was proposed: where there is none nobody has its output come.
func TestOutputOfEndedRanksComesWithOthers(t *testing.T) {
	m := captured(t)
	at(t, m, 2, "ended a h1 0@1=0", "checkpoint c a 1 h1>h3 h2>h3", "announce-checkpoint c", "take c", "complete c h1 h2")
	at(t, m, 3, "state h2 i1 lost", "place a h1 h3")
	app, _ := m.View().App("a")
	require.Equal(t, []string{"h3", "h3"}, app.GetPlacement())
	require.Zero(t, m.View().ShareOf("h1", "a").Ranks)
}

// TestBothHoldersAway: an app whose checkpoint only hosts have that are away waits for them.
func TestBothHoldersAway(t *testing.T) {
	for _, again := range []string{"host h1 4 n1 i2", "host h2 4 n2 i2"} {
		m := captured(t)
		at(t, m, 2, "checkpoint c a 1 h1>h2 h2>h1", "announce-checkpoint c", "take c", "complete c h1 h2")
		app, _ := m.View().App("a")
		require.Empty(t, m.View().WhyAway(app))
		at(t, m, 3, "state h1 i1 lost", "state h2 i1 lost")
		app, _ = m.View().App("a")
		require.Equal(t, Queued, PhaseOf(app), app.GetReason())
		require.Equal(t, "c", app.GetRestore())
		require.Contains(t, m.View().WhyAway(app), "waits for host h1 or h2 to be back")
		at(t, m, 4, again)
		app, _ = m.View().App("a")
		require.Empty(t, m.View().WhyAway(app))
		at(t, m, 5, "place a h3 h3")
		requireSound(t, m)
	}
	for _, other := range []string{"host h1 4 another i2", "host h2 4 another i2"} { // wiped: it has nothing, and the other one has it all
		m := captured(t)
		at(t, m, 2, "checkpoint c a 1 h1>h2 h2>h1", "announce-checkpoint c", "take c", "complete c h1 h2")
		at(t, m, 3, "state h1 i1 lost", "state h2 i1 lost", other)
		app, _ := m.View().App("a")
		require.Equal(t, Queued, PhaseOf(app))
		require.NotEmpty(t, m.View().WhyAway(app))
		at(t, m, 4, map[string]string{"host h1 4 another i2": "host h2 4 n2 i2", "host h2 4 another i2": "host h1 4 n1 i2"}[other])
		app, _ = m.View().App("a")
		require.Empty(t, m.View().WhyAway(app))
	}
	m := captured(t)
	at(t, m, 2, "checkpoint c a 1 h1>h2 h2>h1", "announce-checkpoint c", "take c", "complete c h1 h2", "state h1 i1 lost", "host h1 4 another i2")
	at(t, m, 3, "ended a h2 1@1=143", "place a h3 h3", "state h2 i1 lost", "host h2 4 another i2", "state h3 i1 lost")
	app, _ := m.View().App("a")
	require.Equal(t, Queued, PhaseOf(app), "the machines may be back for all that is known")
	require.Contains(t, m.View().WhyAway(app), "no host that is known holds what host h1 made of checkpoint c; it goes on when a machine that did is back")
	require.False(t, captured(t).View().known(&apiv1.CheckpointPart{Host: "h8", Second: "h9"}))
	require.True(t, captured(t).View().known(&apiv1.CheckpointPart{Host: "h8", Second: "h1"}))
}

// TestStalledStartRunsAgain: an app that cannot begin from its checkpoint now is queued again, with that checkpoint, and fails when it did so too often; one without fails.
func TestStalledStartRunsAgain(t *testing.T) {
	m := captured(t)
	at(t, m, 2, "checkpoint c a 1 h1>h2 h2>h1", "announce-checkpoint c", "take c", "complete c h1 h2", "state h1 i1 lost", "ended a h2 1@1=143")
	app := func(id AppID) *apiv1.App {
		a, ok := m.View().App(id)
		require.True(t, ok)
		return a
	}
	for attempt := uint32(2); attempt < 4; attempt++ {
		require.Equal(t, Queued, PhaseOf(app("a")))
		at(t, m, 3, "place a h3 h3", fmt.Sprintf("restart-from-checkpoint a %d in-vain (its checkpoint does not come)", attempt))
		require.Equal(t, Queued, Phase(app("a").GetVerdict()))
		require.Equal(t, "c", app("a").GetRestore())
		epoch := app("a").GetEpoch()
		at(t, m, 3, fmt.Sprintf("restart-from-checkpoint a %d in-vain (again)", attempt), fmt.Sprintf("ended a h3 0@%d=137 1@%d=137", epoch, epoch))
		requireSound(t, m)
	}
	require.Equal(t, Queued, PhaseOf(app("a")))
	at(t, m, 3, "place a h3 h3", "restart-from-checkpoint a 4 (it waits for it)")
	require.Equal(t, Queued, Phase(app("a").GetVerdict()), "that does not count")
	require.EqualValues(t, 3, app("a").GetRestoredInVain())
	epoch := app("a").GetEpoch()
	at(t, m, 3, fmt.Sprintf("ended a h3 0@%d=137 1@%d=137", epoch, epoch), "place a h3 h3", "restart-from-checkpoint a 5 in-vain (its checkpoint does not come)")
	require.Equal(t, Failed, Phase(app("a").GetVerdict()))
	require.Contains(t, app("a").GetReason(), "(its checkpoint does not come); it does not run again from checkpoint c, for it did 3 times")

	at(t, m, 4, "submit b m 1", "place b h2", "restart-from-checkpoint b 1 in-vain (it stands still)")
	require.Equal(t, Failed, Phase(app("b").GetVerdict()))
	require.Contains(t, app("b").GetReason(), "it stands still")
	require.EqualValues(t, ExitFailed, app("b").GetExitCode())
	requireSound(t, m)
}

// TestLostForGood: an app goes on from the checkpoint before the one that nobody has whole, if somebody has that, and else fails; one whose machines are others by now waits.
func TestLostForGood(t *testing.T) {
	m := captured(t)
	at(t, m, 2, "checkpoint c a 1 h1>h2 h2>h1", "announce-checkpoint c", "take c", "complete c h1 h2")
	at(t, m, 3, "state h1 i1 lost", "state h2 i1 lost", "host h1 4 another i2")
	app := func() *apiv1.App { a, _ := m.View().App("a"); return a }
	require.Equal(t, Queued, PhaseOf(app()))
	at(t, m, 4, "host h2 4 another i2") // both are other machines now
	require.Equal(t, Queued, PhaseOf(app()), "their disks may only not have been there")
	require.Contains(t, m.View().WhyAway(app()), "no host that is known holds what host h1 made of checkpoint c")
	requireSound(t, m)
	require.Equal(t, string(CodeInvalid), codeOf(t, m, command(t, "submit b m 2 restore=c")))

	m = captured(t)
	for _, id := range []string{"c1", "c2"} {
		at(t, m, 2, "checkpoint "+id+" a 1 h1>h3 h2>h3", "announce-checkpoint "+id, "take "+id, "complete "+id+" h1 h2")
	}
	at(t, m, 3, "state h1 i1 lost", "ended a h2 1@1=143", "place a h3 h3")
	require.Equal(t, "c2", app().GetRestore())
	lost := func(id string) {
		must(t, m, &apiv1.Command{Op: &apiv1.Command_RestartApp{RestartApp: &apiv1.RestartApp{App: "a", Attempt: app().GetAttempt(), Reason: "it is not whole", FromCheckpoint: true, Lost: id}}})
	}
	lost("c2")
	require.Equal(t, Queued, Phase(app().GetVerdict()))
	require.Equal(t, "c1", app().GetRestore(), "the one before it")
	at(t, m, 3, "ended a h3 0@2=137 1@2=137", "place a h3 h3")
	lost("c1")
	require.Equal(t, Failed, Phase(app().GetVerdict()))
	require.Contains(t, app().GetReason(), "it is not whole; it does not run again from checkpoint c2: nobody has checkpoint c2 whole any more")
	requireSound(t, m)
}

// TestWaitingIsNoLoss: an app that is to fail when it loses a host waits for its checkpoint as others do.
func TestWaitingIsNoLoss(t *testing.T) {
	m := New()
	at(t, m, 1, "init c1", "level 4", "module m migratable", "host h1 4 n1 i1", "host h2 4 n2 i1", "host h3 4 n3 i1",
		"submit a m 2 onloss=fail", "place a h1 h2", "started a h1 1", "started a h2 1")
	must(t, m, &apiv1.Command{Op: &apiv1.Command_BeginCheckpoint{BeginCheckpoint: &apiv1.BeginCheckpoint{
		Id: "c", App: "a", Epoch: 1, Then: apiv1.AfterCheckpoint_AFTER_CHECKPOINT_QUEUE, Parts: []*apiv1.CheckpointPart{{Host: "h1", Second: "h2"}, {Host: "h2", Second: "h1"}},
	}}})
	at(t, m, 2, "announce-checkpoint c", "take c", "complete c h1 h2", "ended a h1 0@1=137", "ended a h2 1@1=137", "place a h3 h3", "state h1 i1 lost", "state h2 i1 lost",
		"restart-from-checkpoint a 2 (it waits)")
	app, _ := m.View().App("a")
	require.Equal(t, Queued, Phase(app.GetVerdict()), app.GetReason())
	require.Equal(t, "c", app.GetRestore())
}

// TestRestartsOfALostCheckpoint: an app that may run again fails where it would begin from a checkpoint that nobody has.
func TestRestartsOfALostCheckpoint(t *testing.T) {
	m := captured(t)
	at(t, m, 2, "checkpoint c a 1 h1>h2 h2>h1", "announce-checkpoint c", "take c", "complete c h1 h2")
	at(t, m, 3, "submit b m 2 restore=c restarts=3", "place b h3 h3")
	must(t, m, &apiv1.Command{Op: &apiv1.Command_RestartApp{RestartApp: &apiv1.RestartApp{App: "b", Attempt: 1, Reason: "it is not whole", FromCheckpoint: true, Lost: "c"}}})
	b, _ := m.View().App("b")
	at(t, m, 3, fmt.Sprintf("ended b h3 0@%d=137 1@%d=137", b.GetEpoch(), b.GetEpoch()))
	b, _ = m.View().App("b")
	require.Equal(t, Failed, PhaseOf(b), m.View().WhyAway(b))
	require.Contains(t, b.GetReason(), "it does not run again: nobody has checkpoint c whole any more")
	requireSound(t, m)
}

// TestFoundAgain: a checkpoint that was lost is not, once its object store has it.
func TestFoundAgain(t *testing.T) {
	m := captured(t)
	kept(t, m, "k1")
	at(t, m, 3, "state h1 i1 lost", "ended a h2 1@1=143", "place a h3 h3")
	lose := func() {
		a, _ := m.View().App("a")
		must(t, m, &apiv1.Command{Op: &apiv1.Command_RestartApp{RestartApp: &apiv1.RestartApp{App: "a", Attempt: a.GetAttempt(), Reason: "it is not whole", FromCheckpoint: true, Lost: "k1"}}})
	}
	lose()
	ck, _ := m.View().Checkpoint("k1")
	require.True(t, ck.GetLost())
	must(t, m, store("k1", testStore))
	ck, _ = m.View().Checkpoint("k1")
	require.False(t, ck.GetLost())
	require.NotNil(t, ck.GetStoredAt())
	requireSound(t, m)
	at(t, m, 4, "submit b m 2 restore=k1")
}

// TestBestIsTheNewest: where a checkpoint is lost the newest one that can be had is gone on from, stored or not.
func TestBestIsTheNewest(t *testing.T) {
	m := captured(t)
	kept(t, m, "k1")
	must(t, m, store("k1", testStore))
	for _, id := range []string{"k2", "k3"} {
		at(t, m, 2, "checkpoint "+id+" a 1 h1>h3 h2>h3", "announce-checkpoint "+id, "take "+id, "complete "+id+" h1 h2")
	}
	at(t, m, 3, "state h1 i1 lost", "ended a h2 1@1=143", "place a h3 h3")
	a, _ := m.View().App("a")
	require.Equal(t, "k3", a.GetRestore())
	must(t, m, &apiv1.Command{Op: &apiv1.Command_RestartApp{RestartApp: &apiv1.RestartApp{App: "a", Attempt: a.GetAttempt(), Reason: "it is not whole", FromCheckpoint: true, Lost: "k3"}}})
	a, _ = m.View().App("a")
	require.Equal(t, "k2", a.GetRestore())
}

// TestMachineThatWentAway: an app does not wait for a machine that had been given notice before it was lost, where an earlier checkpoint can be had; it does for one that may be back, and where there is no other.
func TestMachineThatWentAway(t *testing.T) {
	for wish, from := range map[Wish]string{Evicting: "c1", Schedulable: "c2", Draining: "c2"} {
		m := captured(t)
		at(t, m, 2, "checkpoint c1 a 1 h1>h3 h2>h3", "announce-checkpoint c1", "take c1", "complete c1 h1 h2")
		at(t, m, 2, "checkpoint c2 a 1 h1 h2>h3", "announce-checkpoint c2", "take c2", "complete c2 h1 h2")
		must(t, m, wishOf("h1", wish, 0, false))
		at(t, m, 3, "state h1 i1 lost", "ended a h2 1@1=143")
		app, _ := m.View().App("a")
		require.Equal(t, Queued, PhaseOf(app))
		require.Equal(t, from, app.GetRestore(), wish)
		require.Equal(t, from == "c2", m.View().WhyAway(app) != "")
		requireSound(t, m)
	}
	m := captured(t)
	at(t, m, 2, "checkpoint c2 a 1 h1 h2>h3", "announce-checkpoint c2", "take c2", "complete c2 h1 h2")
	must(t, m, wishOf("h1", Evicting, 0, false))
	at(t, m, 3, "state h1 i1 lost", "ended a h2 1@1=143")
	app, _ := m.View().App("a")
	require.Equal(t, "c2", app.GetRestore())
	require.Contains(t, m.View().WhyAway(app), "waits for host h1 to be back")
}

// TestHeldAlone: what only hosts have that are to be left is known, of the checkpoints that live apps go on from.
func TestHeldAlone(t *testing.T) {
	m := captured(t)
	alone := func() map[HostID]string {
		out := map[HostID]string{}
		for host, all := range m.View().HeldAlone() {
			for _, held := range all {
				out[host] += held.App.GetId() + "/" + held.Checkpoint.GetId() + "/" + held.Part.GetHost()
			}
		}
		return out
	}
	at(t, m, 2, "checkpoint c1 a 1 h1>h2 h2>h3", "announce-checkpoint c1", "take c1", "complete c1 h1 h2")
	must(t, m, wishOf("h1", Draining, 0, false))
	require.Empty(t, alone(), "h2 has it")
	must(t, m, wishOf("h2", Draining, 0, false))
	require.Equal(t, map[HostID]string{"h1": "a/c1/h1", "h2": "a/c1/h1"}, alone())
	at(t, m, 3, "state h2 i1 lost")
	require.Equal(t, map[HostID]string{"h1": "a/c1/h1", "h2": "a/c1/h1"}, alone(), "also who is gone: it may be back")
	at(t, m, 4, "ended a h1 0@1=143")
	require.Equal(t, map[HostID]string{"h1": "a/c1/h1", "h2": "a/c1/h1"}, alone(), "it is queued")
	must(t, m, wishOf("h1", Schedulable, 0, false))
	require.Empty(t, alone())
	must(t, m, wishOf("h1", Draining, 0, false))
	at(t, m, 5, "stop a cancelled 130 enough")
	require.Empty(t, alone())

	m = captured(t)
	kept(t, m, "k1")
	must(t, m, wishOf("h1", Draining, 0, false))
	require.NotEmpty(t, alone())
	must(t, m, store("k1", testStore))
	require.Empty(t, alone(), "the store has it")
}

// TestCheckpointInThePlaceOfAnother: the entry that aborts one may begin the next; where that cannot be, or the cluster is too old, it aborts all the same.
func TestCheckpointInThePlaceOfAnother(t *testing.T) {
	begun := func(t *testing.T, lines ...string) *Machine {
		t.Helper()
		m := captured(t)
		at(t, m, 3, append([]string{"checkpoint c1 a 1 h1>h2 h2>h1"}, lines...)...)
		return m
	}
	find := func(t *testing.T, m *Machine, id string) *apiv1.Checkpoint {
		t.Helper()
		c, _ := m.View().Checkpoint(CheckpointID(id))
		return c
	}
	t.Run("it is begun", func(t *testing.T) {
		m := begun(t, "abort-checkpoint c1 next=c1-2,a,1,h1>h2 damaged")
		require.Equal(t, "aborted", find(t, m, "c1").GetPhase())
		require.Equal(t, "damaged", find(t, m, "c1").GetReason())
		require.Equal(t, "c1-2", find(t, m, "c1").GetNext())
		require.Equal(t, "pending", find(t, m, "c1-2").GetPhase())
		require.EqualValues(t, 1, find(t, m, "c1-2").GetTries())
		app, _ := m.View().App("a")
		require.Equal(t, "c1-2", app.GetCheckpointId())
		at(t, m, 4, "abort-checkpoint c1-2 next=c1-3,a,1 damaged")
		require.EqualValues(t, 2, find(t, m, "c1-3").GetTries())
		requireSound(t, m)
	})
	t.Run("of another app", func(t *testing.T) {
		m := begun(t, "abort-checkpoint c1 next=c1-2,b,1 damaged")
		require.Empty(t, find(t, m, "c1").GetNext())
		require.Nil(t, find(t, m, "c1-2"))
		requireSound(t, m)
	})
	t.Run("of another epoch", func(t *testing.T) {
		m := begun(t, "abort-checkpoint c1 next=c1-2,a,7 damaged")
		require.Equal(t, "aborted", find(t, m, "c1").GetPhase())
		require.Empty(t, find(t, m, "c1").GetNext())
		app, _ := m.View().App("a")
		require.Empty(t, app.GetCheckpointId())
		requireSound(t, m)
	})
	t.Run("it is said twice", func(t *testing.T) {
		m := begun(t, "abort-checkpoint c1 next=c1-2,a,1 damaged")
		again := command(t, "abort-checkpoint c1 next=c1-4,a,1 damaged")
		again.At = &timestamppb.Timestamp{Seconds: 3}
		results, err := applyEntry(m, m.View().Index()+1, &apiv1.Entry{Commands: []*apiv1.Command{again}})
		require.NoError(t, err)
		require.EqualValues(t, CodeCheckpointEnded, results[0].GetCode())
		require.Nil(t, find(t, m, "c1-4"))
		requireSound(t, m)
	})
	t.Run("its second host goes", func(t *testing.T) {
		m := captured(t)
		at(t, m, 3, "checkpoint c1 a 1 h1>h2 h2>h3", "state h3 i1 lost")
		require.Equal(t, "aborted", find(t, m, "c1").GetPhase())
		require.Contains(t, find(t, m, "c1").GetReason(), "h3")
		next := find(t, m, "c1-2")
		require.Equal(t, "pending", next.GetPhase())
		require.Equal(t, "h2", next.GetParts()[0].GetSecond())
		require.Equal(t, "h1", next.GetParts()[1].GetSecond())
		requireSound(t, m)
	})
	t.Run("its only other host goes", func(t *testing.T) {
		m := New()
		at(t, m, 1, "init c1", "level 4", "module m migratable", "host h1 4 n1 i1", "host h3 4 n3 i1", "submit a m 2", "place a h1 h1", "started a h1 1")
		at(t, m, 3, "checkpoint c1 a 1 h1>h3", "state h3 i1 lost")
		require.Empty(t, find(t, m, "c1-2").GetParts()[0].GetSecond())
		requireSound(t, m)
	})
	t.Run("the app begins to use files", func(t *testing.T) {
		m := captured(t)
		at(t, m, 3, "checkpoint c1 a 1 h1>h2 h2>h3", "announce-checkpoint c1", "files a h2 opened")
		require.Equal(t, "the app has begun to use files meanwhile: the next one has them", find(t, m, "c1").GetReason())
		next := find(t, m, "c1-2")
		require.Equal(t, "pending", next.GetPhase())
		require.True(t, next.GetParts()[1].GetFiles())
		require.Equal(t, "h3", next.GetParts()[1].GetSecond())
		requireSound(t, m)
	})
	t.Run("a host that makes a part goes", func(t *testing.T) {
		m := captured(t)
		at(t, m, 3, "checkpoint c1 a 1 h1>h2 h2>h3", "state h2 i1 lost")
		require.Equal(t, "aborted", find(t, m, "c1").GetPhase())
		require.Nil(t, find(t, m, "c1-2"))
		requireSound(t, m)
	})
}
