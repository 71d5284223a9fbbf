package fsm

import (
	"testing"

	"github.com/stretchr/testify/require"

	apiv1 "github.com/godwit-run/godwit/api/v1"
)

// TestBrokenStatesAreSeen breaks one promise at a time: the whole check must see
// it, and so must the check of what a command has stored.
func TestBrokenStatesAreSeen(t *testing.T) {
	m := New()
	mustApply(t, m, "level 4", "module m migratable", "host h1 4 n1 i1", "host h2 4 n2 i1", "host h3 4 n3 i1",
		"submit run m 2", "place run h1 h1", "started run h1 1",
		"submit move m 1", "place move h1", "started move h1 1", "propose g1 move 1 0:h1>h2",
		"submit wait m 1", "submit done m 1", "stop done cancelled 0",
		"submit old m 1", "place old h2", "started old h2 1", "propose g0 old 1 0:h2>h1", "abort g0",
		"submit kept m 1", "place kept h3", "started kept h3 1", "checkpoint c0 kept 1", "announce-checkpoint c0", "take c0", "complete c0 h3",
		"checkpoint c1 kept 1", "submit more m 1 restore=c0", "checkpoint c2 old 1", "abort-checkpoint c2")
	for _, tt := range []struct {
		name string
		do   func(tx *tx)
		want string
	}{
		{"slot lost", changeHost("h1", func(h *apiv1.Host) { h.Used-- }), "used slots"},
		{"slot invented", changeHost("h2", func(h *apiv1.Host) { h.Used++ }), "used slots"},
		{"half placed", changeApp("run", func(a *apiv1.App) { a.Placement = a.Placement[:1]; markEnded(a, 1) }), "ranks placed"},
		{"no epoch", changeApp("run", func(a *apiv1.App) { a.Epoch = 0 }), "ranks placed"},
		{"rank ahead", changeApp("run", func(a *apiv1.App) { a.Epochs = packEpochs([]uint64{9, 1}) }), "epoch 9"},
		{"not started", changeApp("run", func(a *apiv1.App) { a.StartedHosts = nil }), "has not started"},
		{"rank unknown", changeApp("run", func(a *apiv1.App) { a.Epochs = packEpochs([]uint64{1}) }), "1 of 2 ranks"},
		{"rank beyond", changeApp("run", func(a *apiv1.App) { markEnded(a, 8) }), "others have ended"},
		{"rank ended, slot kept", changeApp("run", func(a *apiv1.App) { markEnded(a, 0) }), "used slots"},
		{"slot given to nobody", func(tx *tx) { _ = tx.use("h1", "wait", Share{Ranks: 1}) }, "used slots"},
		{"moves without a migration", changeApp("run", func(a *apiv1.App) { a.Phase = string(Migrating) }), "migrating with migration"},
		{"stopping and moving", changeApp("move", func(a *apiv1.App) { a.Verdict = string(Failed) }), "being stopped and migrates"},
		{"queued with a verdict", changeApp("wait", func(a *apiv1.App) { a.Verdict = string(Failed) }), "queued"},
		{"ended with a verdict", changeApp("done", func(a *apiv1.App) { a.Verdict = string(Failed) }), ""},
		{"ended twice", changeApp("done", func(a *apiv1.App) { a.ExitCode = 1 }), ""},
		{"migration of nobody", changeMigration("g1", func(g *apiv1.Migration) { g.App = "nobody" }), "not known"},
		{"ended, still under way", changeMigration("g1", func(g *apiv1.Migration) { g.Phase = string(Committed) }), ""},
		{"revived", changeMigration("g0", func(g *apiv1.Migration) { g.Phase = string(Frozen) }), ""},
		{"attempts beyond", changeApp("run", func(a *apiv1.App) { a.Attempt = 2 }), "at attempt 2, 0 of them from checkpoints"},
		{"checkpoint of nobody", changeCheckpoint("c1", func(c *apiv1.Checkpoint) { c.App = "nobody" }), ""},
		{"checkpoint over, still under way", changeCheckpoint("c1", func(c *apiv1.Checkpoint) { c.Phase = string(CheckpointAborted) }), "c1 under way"},
		{"checkpoint revived", changeCheckpoint("c2", func(c *apiv1.Checkpoint) { c.Phase = string(CheckpointPending) }), "c2 is pending"},
		{"checkpoint changed", changeCheckpoint("c0", func(c *apiv1.Checkpoint) { c.Reason = "x" }), ""},
		{"checkpoint of another attempt", changeCheckpoint("c1", func(c *apiv1.Checkpoint) { c.Attempt = 2 }), "of attempt 2"},
		{"checkpoint of another epoch", changeCheckpoint("c1", func(c *apiv1.Checkpoint) { c.Epoch = 2 }), "of epoch 2"},
		{"checkpoint on nobody", changeCheckpoint("c1", func(c *apiv1.Checkpoint) { c.Parts[0].Second = "h9" }), "h9 is gone"},
		{"checkpoint forgotten", changeApp("kept", func(a *apiv1.App) { a.CheckpointId = "" }), "its app has checkpoint"},
		{"checkpoint and a verdict", changeApp("kept", func(a *apiv1.App) { a.Verdict = string(Failed) }), "under way"},
		{"checkpoint of another app", changeApp("run", func(a *apiv1.App) { a.CheckpointId = "c1" }), "under way"},
		{"last not complete", changeApp("old", func(a *apiv1.App) { a.LastCheckpoint = "c2" }), "last checkpoint c2"},
		{"last of another", changeApp("run", func(a *apiv1.App) { a.LastCheckpoint = "c0" }), "last checkpoint c0"},
		{"begins from nothing", changeApp("more", func(a *apiv1.App) { a.Restore = "c9" }), "begins from checkpoint c9"},
		{"restoring without a verdict", changeApp("run", func(a *apiv1.App) { a.Restoring = true }), "is to begin from"},
		{"captured and moving", func(tx *tx) {
			changeCheckpoint("c1", func(c *apiv1.Checkpoint) { c.App = "move" })(tx)
			changeApp("move", func(a *apiv1.App) { a.CheckpointId = "c1" })(tx)
			changeApp("kept", func(a *apiv1.App) { a.CheckpointId = "" })(tx)
		}, "moves"},
		{"from elsewhere", changeMigration("g1", func(g *apiv1.Migration) { g.Moves[0].From = "h2" }), "not alive on host"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			before := *m.View()
			broken := &tx{View: before}
			tt.do(broken)
			var invariant *InvariantError
			require.ErrorAs(t, broken.checkTouched(&before), &invariant)
			if tt.want != "" {
				require.ErrorContains(t, CheckInvariants(&broken.View), tt.want)
			}
		})
	}
	require.NoError(t, CheckInvariants(m.View()))
}

func changeHost(id HostID, change func(*apiv1.Host)) func(*tx) {
	return func(t *tx) {
		old, _ := t.Host(id)
		host := clone(old)
		change(host)
		t.putHost(host)
	}
}

func changeApp(id AppID, change func(*apiv1.App)) func(*tx) {
	return func(t *tx) {
		old, _ := t.App(id)
		app := clone(old)
		change(app)
		t.putApp(app)
	}
}

func changeMigration(id MigrationID, change func(*apiv1.Migration)) func(*tx) {
	return func(t *tx) {
		old, _ := t.Migration(id)
		mig := clone(old)
		change(mig)
		t.putMigration(mig)
	}
}

func changeCheckpoint(id CheckpointID, change func(*apiv1.Checkpoint)) func(*tx) {
	return func(t *tx) {
		old, _ := t.Checkpoint(id)
		ck := clone(old)
		change(ck)
		t.putCheckpoint(ck)
	}
}

// TestFrozenAppsCanBeStopped: they are no trap.
func TestFrozenAppsCanBeStopped(t *testing.T) {
	for line, want := range map[string]Phase{"stop a cancelled 0": Cancelled, "stop a failed 3": Failed, "restart a 1 again": Queued} {
		m := New()
		mustHold(t, m, "module m migratable", "submit a m 1 restarts=1")
		v := *m.View()
		tx := &tx{View: v}
		changeApp("a", func(a *apiv1.App) { a.Phase, a.Epoch = string(Frozen), 1 })(tx)
		m.view.Store(&tx.View)
		m.ledger = newLedger(m.View())
		mustHold(t, m, line)
		app, _ := m.View().App("a")
		if line == "stop a failed 3" {
			want = Queued // it may run again
		}
		require.Equal(t, want, PhaseOf(app), line)
		requireSound(t, m)
	}
}

// TestTransitions: no phase goes backward, and the ends are final.
func TestTransitions(t *testing.T) {
	order := map[Phase]int{Queued: 0, Starting: 1, Running: 2, Migrating: 2, Frozen: 2, Succeeded: 3, Failed: 3, Cancelled: 3}
	for from, a := range order {
		for to, b := range order {
			if from.mayBecome(to) {
				require.True(t, b >= a || to == Queued, "%s to %s: only another attempt goes back", from, to)
				require.False(t, from.Terminal(), "%s to %s", from, to)
				require.NotEqual(t, from, to)
			}
		}
		require.Error(t, setPhase(&apiv1.App{Phase: string(from)}, from))
	}
	for _, end := range []MigrationPhase{Committed, Aborted} {
		for _, next := range []MigrationPhase{Pending, Announced, FrozenMigration, Committed, Aborted} {
			require.Error(t, setMigrationPhase(&apiv1.Migration{Phase: string(end)}, next))
		}
	}
	phases := []CheckpointPhase{CheckpointPending, CheckpointAnnounced, CheckpointTaken, CheckpointComplete, CheckpointAborted}
	for i, from := range phases {
		require.Equal(t, from.Ended(), apiv1.CheckpointOver(string(from)))
		for j, to := range phases {
			may := !from.Ended() && (j == i+1 || to == CheckpointAborted)
			require.Equal(t, may, setCheckpointPhase(&apiv1.Checkpoint{Phase: string(from)}, to) == nil, "%s to %s", from, to)
		}
	}
}
