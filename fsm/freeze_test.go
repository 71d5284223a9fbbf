package fsm

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	apiv1 "github.com/godwit-run/godwit/api/v1"
)

// frozen is a machine on which an app is being frozen: its ranks have been told to stop.
func frozen(t *testing.T, then string) *Machine {
	m := captured(t)
	at(t, m, 2, "checkpoint c a 1 then="+then, "announce-checkpoint c", "take c", "complete c h1 h2")
	return m
}

// TestFrozenAppFreesItsHosts: when its ranks have ended it has no hosts, and it goes on from its checkpoint when it is thawed.
func TestFrozenAppFreesItsHosts(t *testing.T) {
	m := frozen(t, "freeze")
	app, _ := m.View().App("a")
	require.Equal(t, string(Frozen), app.GetVerdict())
	require.Equal(t, Running, PhaseOf(app))
	must(t, m, command(t, "ended a h1 0@1=137:stopped"))
	require.Equal(t, CodeStopping, refused(t, m, "thaw a"))
	must(t, m, command(t, "ended a h2 1@1=137:stopped"))
	app, _ = m.View().App("a")
	require.Equal(t, Frozen, PhaseOf(app))
	require.Empty(t, app.GetVerdict())
	require.Equal(t, "c", app.GetRestore())
	require.Equal(t, "h2", apiv1.HostAt(app.GetLeft(), 1))
	for _, id := range []HostID{"h1", "h2"} {
		host, _ := m.View().Host(id)
		require.Zero(t, host.GetUsed())
	}
	require.Equal(t, CodeInUse, refused(t, m, "remove-checkpoint c"))
	require.Equal(t, CodeWrongPhase, refused(t, m, "place a h3 h3"))
	must(t, m, command(t, "thaw a"))
	must(t, m, command(t, "thaw a"))
	must(t, m, command(t, "place a h3 h3"))
	app, _ = m.View().App("a")
	require.Equal(t, Starting, PhaseOf(app))
	require.EqualValues(t, 2, app.GetAttempt())
	require.Zero(t, app.GetRestoredInVain())
	require.Empty(t, app.GetLeft())
}

// TestQueuedWithACheckpoint: an app that leaves its hosts for a while, and comes back by itself.
func TestQueuedWithACheckpoint(t *testing.T) {
	m := frozen(t, "queue")
	at(t, m, 3, "ended a h1 0@1=137:stopped", "ended a h2 1@1=137:stopped")
	app, _ := m.View().App("a")
	require.Equal(t, Queued, PhaseOf(app))
	require.Zero(t, app.GetRestoredInVain())
	must(t, m, command(t, "place a h3 h3"))
}

// TestQueuedIsNotInVain: one that has left its hosts for a while runs again after it has lost one as often as any other.
func TestQueuedIsNotInVain(t *testing.T) {
	m := New()
	at(t, m, 1, "init c1", "level 4", "module m migratable", "host h1 4 n1 i1", "host h2 4 n2 i1", "host h3 4 n3 i1",
		"submit a m 2 lossrestarts=1", "place a h1 h2", "started a h1 1", "started a h2 1")
	at(t, m, 2, "checkpoint c a 1 then=queue", "announce-checkpoint c", "take c", "complete c h1 h2",
		"ended a h1 0@1=137:stopped", "ended a h2 1@1=137:stopped", "place a h3 h2")
	for i, want := range []Phase{Queued, Failed} {
		at(t, m, 3, fmt.Sprintf("state h3 i%d lost", i+1))
		app, _ := m.View().App("a")
		must(t, m, command(t, fmt.Sprintf("ended a h2 1@%d=137:stopped", app.GetEpoch())))
		app, _ = m.View().App("a")
		require.Equal(t, want, PhaseOf(app), app.GetReason())
		if want == Queued {
			at(t, m, 4, "host h3 4 n3 i2", "place a h3 h2")
		}
	}
}

// TestThawOfALostCheckpoint: an app that is frozen, and whose hosts are gone, goes on from what its object store has; if that has nothing it is not thawed. Hosts
// that have come back may have kept what they had.
func TestThawOfALostCheckpoint(t *testing.T) {
	for _, tt := range []struct {
		stored, back bool
		code         Code
		from         string
	}{{true, false, CodeApplied, "k1"}, {false, false, CodeHostNotReady, ""}, {true, true, CodeApplied, "c"}} {
		m := captured(t)
		kept(t, m, "k1")
		if tt.stored {
			must(t, m, store("k1", testStore))
		}
		at(t, m, 2, "checkpoint c a 1 then=freeze", "announce-checkpoint c", "take c", "complete c h1 h2",
			"ended a h1 0@1=137:stopped", "ended a h2 1@1=137:stopped", "state h1 i1 lost", "state h2 i1 lost")
		if tt.back {
			at(t, m, 3, "host h1 4 n1 i2", "host h2 4 n2 i2")
		}
		require.EqualValues(t, tt.code, codeOf(t, m, command(t, "thaw a")))
		app, _ := m.View().App("a")
		if tt.code != CodeApplied {
			require.Equal(t, Frozen, PhaseOf(app))
			at(t, m, 3, "host h1 4 n1 i2", "host h2 4 n2 i2", "thaw a")
			continue
		}
		require.Equal(t, Queued, PhaseOf(app))
		require.Equal(t, tt.from, app.GetRestore())
		require.Equal(t, tt.from != "c", app.GetReason() != "")
		requireSound(t, m)
	}
}

// TestFrozenAppIsCancelled: while it is being frozen, and when it is.
func TestFrozenAppIsCancelled(t *testing.T) {
	m := frozen(t, "freeze")
	at(t, m, 3, "stop a cancelled 0 enough", "ended a h1 0@1=137:stopped", "ended a h2 1@1=137:stopped")
	app, _ := m.View().App("a")
	require.Equal(t, Cancelled, PhaseOf(app))
	m = frozen(t, "freeze")
	at(t, m, 3, "ended a h1 0@1=137:stopped", "ended a h2 1@1=137:stopped", "stop a cancelled 0 enough")
	app, _ = m.View().App("a")
	require.Equal(t, Cancelled, PhaseOf(app))
	require.Len(t, app.GetLeft(), 2, "its output is there")
}

// TestHostIsLostWhileAnAppIsFrozen: it is frozen all the same, for what it goes on from is complete.
func TestHostIsLostWhileAnAppIsFrozen(t *testing.T) {
	m := frozen(t, "freeze")
	at(t, m, 3, "state h1 i1 lost", "ended a h2 1@1=137:stopped")
	app, _ := m.View().App("a")
	require.Equal(t, Frozen, PhaseOf(app))
}

// refused applies a command that is to be refused, and returns how.
func refused(t *testing.T, m *Machine, line string) Code {
	t.Helper()
	data, err := Encode(&apiv1.Entry{Commands: []*apiv1.Command{command(t, line)}})
	require.NoError(t, err)
	results, err := m.Apply(m.View().Index()+1, 1, data)
	require.NoError(t, err)
	require.NotEmpty(t, results[0].GetCode(), line)
	return Code(results[0].GetCode())
}

// TestNothingMovesWhileItIsFrozen: the ranks of an app that is to leave its hosts stand still from when they were taken until the checkpoint is complete. A migration would have them go on if it were aborted.
func TestNothingMovesWhileItIsFrozen(t *testing.T) {
	for _, then := range []string{"freeze", "queue", ""} {
		m := captured(t)
		begin := "checkpoint c a 1"
		if then != "" {
			begin += " then=" + then
		}
		at(t, m, 2, begin, "announce-checkpoint c", "take c")
		if then != "" {
			require.Equal(t, CodeCheckpointPending, refused(t, m, "propose g a 1 1:h2>h3"), then)
			at(t, m, 3, "abort-checkpoint c enough")
		}
		must(t, m, command(t, "propose g a 1 1:h2>h3"))
	}
}
