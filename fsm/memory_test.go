package fsm

import (
	"testing"

	"github.com/stretchr/testify/require"

	apiv1 "github.com/godwit-run/godwit/api/v1"
)

// TestEvenSpeeds: hosts are even where none that is there is faster than another, whatever their speed; a fast one that is lost, or has left, makes no difference.
func TestEvenSpeeds(t *testing.T) {
	m := New()
	at(t, m, 1, "init c1", "level 4", "host h1 4 i1 n1")
	host := func(id, incarnation string, speed float64) {
		must(t, m, &apiv1.Command{Op: &apiv1.Command_RegisterHost{RegisterHost: &apiv1.RegisterHost{Host: &apiv1.Host{Id: id, Name: id, Addr: id + ":1", Slots: 4, Incarnation: incarnation, NodeId: id, Speed: speed}}}})
	}
	require.True(t, m.View().EvenSpeeds())
	host("h2", "i1", 2)
	require.False(t, m.View().EvenSpeeds())
	require.InDelta(t, 2, m.View().TopSpeed(), 0)
	at(t, m, 2, "state h2 i1 lost power")
	require.True(t, m.View().EvenSpeeds())
	require.InDelta(t, 1, m.View().TopSpeed(), 0)
	requireSound(t, m)
	host("h2", "i2", 0.5)
	host("h3", "i1", 0.5)
	require.False(t, m.View().EvenSpeeds())
	at(t, m, 3, "state h1 n1 left")
	require.True(t, m.View().EvenSpeeds(), "all of them are as slow")
	require.InDelta(t, 0.5, m.View().TopSpeed(), 0)
	requireSound(t, m)
}

// TestDefaultMemoryIsTheSameRequest: a submission that is asked for again finds the app that it made, though that has been given memory; and one that begins from a checkpoint is given none.
func TestDefaultMemoryIsTheSameRequest(t *testing.T) {
	spec := &apiv1.AppSpec{Name: "a", Size: 1}
	app := &apiv1.App{IdempotencyKey: "k", Spec: clone(spec)}
	tx := &tx{}
	tx.config = &apiv1.ClusterConfig{Scheduling: &apiv1.Scheduling{RankMemoryBytes: 1 << 30}}
	tx.declareDefault(app)
	require.EqualValues(t, 1<<30, RankMemory(app))
	require.True(t, sameRequest(app, "k", spec))
	declared := clone(spec)
	declared.MemoryBytes = 2 << 30
	require.False(t, sameRequest(app, "k", declared))
	require.False(t, sameRequest(&apiv1.App{IdempotencyKey: "k", Spec: declared}, "k", spec))
	none := &apiv1.AppSpec{Name: "a", Size: 1, NoDefaultMemory: true}
	optedOut := &apiv1.App{IdempotencyKey: "k", Spec: clone(none)}
	tx.declareDefault(optedOut)
	require.Zero(t, RankMemory(optedOut))
	require.False(t, optedOut.GetMemoryByDefault())
	require.True(t, sameRequest(optedOut, "k", none))
	require.False(t, sameRequest(app, "k", none))
	require.True(t, AsksForScheduling(none))
	begins := &apiv1.App{Restore: "c1", Spec: clone(spec)}
	tx.declareDefault(begins)
	require.Zero(t, RankMemory(begins))
}

// TestMemoryIsDeclaredOrDeclined: an app that declares memory does not ask for none of the default as well: the submission names both, and what to do.
func TestMemoryIsDeclaredOrDeclined(t *testing.T) {
	check := func(bytes int64, none bool) error {
		return Check(&apiv1.Command{Op: &apiv1.Command_SubmitApp{SubmitApp: &apiv1.SubmitApp{Id: "a", Spec: &apiv1.AppSpec{
			Name: "a", Size: 1, ModuleDigest: "m", MemoryBytes: bytes, NoDefaultMemory: none,
		}}}})
	}
	require.NoError(t, check(1<<30, false))
	require.NoError(t, check(0, true))
	require.ErrorContains(t, check(1<<30, true), "spec.no_default_memory: 1073741824 bytes are declared as well (spec.memory_bytes); say one of them")
}
