package fsm

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	apiv1 "github.com/godwit-run/godwit/api/v1"
)

const testStore = "file:///backup"

// kept is a complete checkpoint of a that is to be in an object store.
func kept(t *testing.T, m *Machine, id string) *apiv1.Checkpoint {
	must(t, m, &apiv1.Command{Op: &apiv1.Command_BeginCheckpoint{BeginCheckpoint: &apiv1.BeginCheckpoint{Id: id, App: "a", Epoch: 1, To: testStore + "/"}}})
	at(t, m, 2, "announce-checkpoint "+id, "take "+id, "complete "+id+" h1 h2")
	ck, _ := m.View().Checkpoint(CheckpointID(id))
	return ck
}

func store(id, to string) *apiv1.Command {
	return &apiv1.Command{Op: &apiv1.Command_StoreCheckpoint{StoreCheckpoint: &apiv1.StoreCheckpoint{Id: id, To: to}}}
}

func codeOf(t *testing.T, m *Machine, cmd *apiv1.Command) string {
	t.Helper()
	results, err := applyEntry(m, m.View().Index()+1, &apiv1.Entry{Commands: []*apiv1.Command{cmd}})
	require.NoError(t, err)
	return results[0].GetCode()
}

// TestStoredCheckpointsAreNotLost: an app whose hosts are all lost goes on from the newest checkpoint that its object store has.
func TestStoredCheckpointsAreNotLost(t *testing.T) {
	m := captured(t)
	require.Equal(t, testStore, kept(t, m, "k1").GetTo())
	for _, bad := range []*apiv1.Command{store("zz", testStore), store("k1", "file:///other"), store("k1", "")} {
		require.NotEmpty(t, codeOf(t, m, bad))
	}
	must(t, m, store("k1", testStore))
	must(t, m, store("k1", testStore)) // again
	ck, _ := m.View().Checkpoint("k1")
	require.NotNil(t, ck.GetStoredAt())
	kept(t, m, "k2")
	app, _ := m.View().App("a")
	require.Equal(t, "k2", app.GetLastCheckpoint())
	at(t, m, 3, "state h1 i1 lost power", "state h2 i1 lost power")
	app, _ = m.View().App("a")
	require.Equal(t, Queued, PhaseOf(app), app.GetReason())
	require.Equal(t, "k1", app.GetRestore())
	requireSound(t, m)
}

// TestStoredWhileItWaits: an app that waits for the hosts of its last checkpoint goes on from one that is stored meanwhile.
func TestStoredWhileItWaits(t *testing.T) {
	for _, stored := range []CheckpointID{"k1", "k2"} {
		m := captured(t)
		kept(t, m, "k1")
		kept(t, m, "k2")
		at(t, m, 3, "state h1 i1 lost power", "state h2 i1 lost power")
		app, _ := m.View().App("a")
		require.Equal(t, "k2", app.GetRestore())
		require.NotEmpty(t, m.View().WhyAway(app))
		must(t, m, store(string(stored), testStore))
		app, _ = m.View().App("a")
		require.Equal(t, string(stored), app.GetRestore())
		require.Empty(t, m.View().WhyAway(app))
		requireSound(t, m)
	}
}

// TestHostsLostOneAfterTheOther: the checkpoint that an app was to go on from is lost before it does.
func TestHostsLostOneAfterTheOther(t *testing.T) {
	m := captured(t)
	kept(t, m, "k1")
	must(t, m, store("k1", testStore))
	must(t, m, &apiv1.Command{Op: &apiv1.Command_BeginCheckpoint{BeginCheckpoint: &apiv1.BeginCheckpoint{
		Id: "k2", App: "a", Epoch: 1, To: testStore, Parts: []*apiv1.CheckpointPart{{Host: "h1", Second: "h2"}, {Host: "h2", Second: "h1"}},
	}}})
	at(t, m, 2, "announce-checkpoint k2", "take k2", "complete k2 h1 h2", "state h1 i1 lost power")
	app, _ := m.View().App("a")
	require.Equal(t, "k2", app.GetRestore(), "h2 has all of it")
	at(t, m, 3, "state h2 i1 lost power")
	app, _ = m.View().App("a")
	require.Equal(t, "k1", app.GetRestore())
	require.Equal(t, Queued, PhaseOf(app))
	at(t, m, 3, "place a h3 h3")
	requireSound(t, m)
}

// TestImportedCheckpoints: an app begins from one that another cluster has stored. It is not one of an app of the same id here.
func TestImportedCheckpoints(t *testing.T) {
	m := captured(t)
	ck := clone(kept(t, m, "k1"))
	imports := &apiv1.Command{Op: &apiv1.Command_ImportCheckpoint{ImportCheckpoint: &apiv1.ImportCheckpoint{Checkpoint: ck}}}
	must(t, m, imports) // it is there
	at(t, m, 2, "remove-checkpoint k1")
	must(t, m, imports)
	got, _ := m.View().Checkpoint("k1")
	require.True(t, got.GetImported())
	require.NotNil(t, got.GetStoredAt())
	app, _ := m.View().App("a")
	require.Empty(t, app.GetLastCheckpoint())
	at(t, m, 3, "submit b m 2 restore=k1", "state h1 i1 lost power")
	app, _ = m.View().App("a")
	require.Equal(t, string(Failed), app.GetVerdict(), "that is no checkpoint of its own")
	require.Equal(t, string(CodeInUse), codeOf(t, m, command(t, "remove-checkpoint k1")))
	requireSound(t, m)
	ck.Parts[0].Digest[0]++
	require.Equal(t, string(CodeAlreadyExists), codeOf(t, m, imports))
}

// TestOneHostsWord: a checkpoint that an object store has is lost when a second host finds nobody who has it, or the first one does at another try of the same app; until then those that wait for it wait.
func TestOneHostsWord(t *testing.T) {
	app := func(m *Machine, id AppID) *apiv1.App { a, _ := m.View().App(id); return a }
	word := func(t *testing.T, m *Machine, id AppID, by string) bool {
		t.Helper()
		a := app(m, id)
		must(t, m, &apiv1.Command{Op: &apiv1.Command_RestartApp{RestartApp: &apiv1.RestartApp{
			App: string(id), Attempt: a.GetAttempt(), Reason: "nobody has it", FromCheckpoint: true, Lost: "k1", LostBy: by,
		}}})
		requireSound(t, m)
		if a := app(m, id); !PhaseOf(a).Terminal() && PhaseOf(a) != Queued { // it begins again
			at(t, m, 4, fmt.Sprintf("ended %s h3 0@%d=137 1@%d=137", id, a.GetEpoch(), a.GetEpoch()))
		}
		ck, _ := m.View().Checkpoint("k1")
		return ck.GetLost()
	}
	stored := func() *Machine {
		m := captured(t)
		kept(t, m, "k1")
		must(t, m, store("k1", testStore))
		at(t, m, 3, "submit x m 2 restore=k1", "submit y m 2 restore=k1", "submit z m 2 restore=k1", "place x h3 h3", "place y h3 h3")
		return m
	}
	m := stored()
	require.False(t, word(t, m, "x", "h3"))
	require.Equal(t, Queued, PhaseOf(app(m, "x")))
	require.Equal(t, "k1", app(m, "x").GetRestore())
	require.False(t, word(t, m, "y", "h3"), "of the same host another app says nothing new")
	require.Equal(t, Queued, PhaseOf(app(m, "z")))
	at(t, m, 5, "place x h3 h3")
	require.True(t, word(t, m, "x", "h3"), "it had no other host")
	require.Equal(t, Failed, PhaseOf(app(m, "z")))

	m = stored()
	require.False(t, word(t, m, "x", "h3"))
	require.True(t, word(t, m, "y", "h2"))
	require.Equal(t, Failed, PhaseOf(app(m, "x")))

	m = stored()
	require.False(t, word(t, m, "x", "h3"))
	must(t, m, store("k1", testStore)) // it is there
	require.False(t, word(t, m, "y", "h2"))
}
