package fsm

import (
	"testing"

	"github.com/stretchr/testify/require"

	apiv1 "github.com/godwit-run/godwit/api/v1"
)

func lostBase(t *testing.T) *Machine {
	m := New()
	mustHold(t, m, "init c1", "level 4", "module m migratable", "host h1 4 n1 i1", "host h2 4 n2 i1", "submit a1 m 1", "place a1 h1", "started a1 h1 1",
		"checkpoint c1 a1 1", "announce-checkpoint c1", "take c1", "complete c1 h1", "submit s m 1 restore=c1", "place s h2")
	return m
}

func lose(t *testing.T, m *Machine) {
	results, err := applyEntry(m, m.View().Index()+1, &apiv1.Entry{Commands: []*apiv1.Command{{Op: &apiv1.Command_RestartApp{
		RestartApp: &apiv1.RestartApp{App: "s", Attempt: 1, FromCheckpoint: true, Lost: "c1", Reason: "nobody has it"},
	}}}})
	require.NoError(t, err)
	require.Empty(t, results[0].GetCode(), results[0].GetReason())
	requireSound(t, m)
}

// TestLostForThoseThatWait: an app that only waited for the end of another one which begins from the same lost checkpoint fails as that does.
func TestLostForThoseThatWait(t *testing.T) {
	m := lostBase(t)
	mustHold(t, m, "submit q1 m 1 restore=c1", "submit q2 m 1 restore=c1 afterany=q1")
	lose(t, m)
	app, _ := m.View().App("q2")
	require.Equal(t, Failed, PhaseOf(app))
}

// TestLostForAnArray: so does each of an array, of which one begins at a time.
func TestLostForAnArray(t *testing.T) {
	m := lostBase(t)
	mustHold(t, m, "submit q0 m 1 restore=c1 array=arr,0,1", "submit q1 m 1 restore=c1 array=arr,1,1", "submit q2 m 1 restore=c1 array=arr,2,1", "submit d m 1 afteranyarray=arr")
	lose(t, m)
	for _, id := range []AppID{"q0", "q1", "q2"} {
		app, _ := m.View().App(id)
		require.Equal(t, Failed, PhaseOf(app), id)
	}
}

// TestStartIsHeldAlone: what an app that starts begins from keeps its hosts from being called drained, though it has made a later checkpoint.
func TestStartIsHeldAlone(t *testing.T) {
	m := captured(t)
	at(t, m, 2, "checkpoint c1 a 1 h1>h2 h2>h1", "announce-checkpoint c1", "take c1", "complete c1 h1 h2")
	at(t, m, 2, "submit b m 2 restore=c1 restarts=1", "place b h3 h3", "started b h3 1",
		"checkpoint d1 b 1 h3", "announce-checkpoint d1", "take d1", "complete d1 h3",
		"ended b h3 0@1=1", "ended b h3 1@1=143")
	at(t, m, 2, "stop a cancelled 130 enough", "ended a h1 0@1=143", "ended a h2 1@1=143")
	at(t, m, 2, "place b h3 h3")
	must(t, m, wishOf("h1", Draining, 0, false))
	must(t, m, wishOf("h2", Draining, 0, false))
	h1, _ := m.View().Host("h1")
	require.Equal(t, Drained, WishOf(h1))
	require.NotEmpty(t, m.View().HeldAlone(), "b begins from c1, which only h1 and h2 have")
}

// TestNextBestIsHeldAlone: so does what it would begin from, where its last one is lost.
func TestNextBestIsHeldAlone(t *testing.T) {
	m := captured(t)
	at(t, m, 2, "checkpoint c1 a 1 h1>h2 h2>h1", "announce-checkpoint c1", "take c1", "complete c1 h1 h2")
	at(t, m, 2, "checkpoint c2 a 1 h1>h2 h2>h1", "announce-checkpoint c2", "take c2", "complete c2 h1 h2")
	at(t, m, 2, "restart-from-checkpoint a 1 in-vain (x)", "ended a h1 0@1=143", "ended a h2 1@1=143")
	at(t, m, 2, "place a h3 h3")
	must(t, m, &apiv1.Command{Op: &apiv1.Command_RestartApp{RestartApp: &apiv1.RestartApp{App: "a", Attempt: 2, Reason: "it is not whole", FromCheckpoint: true, Lost: "c2", LostBy: "h3"}}})
	at(t, m, 2, "ended a h3 0@2=143 1@2=143", "place a h3 h3")
	a, _ := m.View().App("a")
	must(t, m, wishOf("h1", Draining, 0, false))
	must(t, m, wishOf("h2", Draining, 0, false))
	require.Equal(t, "c1", a.GetRestore())
	require.NotEmpty(t, m.View().HeldAlone(), "a begins from c1, which only h1 and h2 have")
}

// TestRingOfAnArray: an app is not taken into an array for which something waits that it waits for itself.
func TestRingOfAnArray(t *testing.T) {
	m := New()
	mustHold(t, m, "init c1", "level 4", "module m migratable", "submit a0 m 1 array=arr,0,0", "submit x m 1 afteranyarray=arr", "submit y m 1 afterany=x array=other,0,0")
	for _, line := range []string{"submit a1 m 1 array=arr,1,0 afterany=x", "submit a1 m 1 array=arr,1,0 afteranyarray=other"} {
		require.EqualValues(t, CodeInvalid, codeOf(t, m, command(t, line)), line)
	}
	mustHold(t, m, "submit a1 m 1 array=arr,1,0 afterany=a0")
}

// TestDoubtIsTakenBack: a checkpoint that one host did not find is not doubted any more when an app has begun from it; and where who doubted is gone, another app's host doubts anew.
func TestDoubtIsTakenBack(t *testing.T) {
	app := func(m *Machine, id AppID) *apiv1.App { a, _ := m.View().App(id); return a }
	say := func(m *Machine, id, host string) {
		must(t, m, &apiv1.Command{Op: &apiv1.Command_RestartApp{RestartApp: &apiv1.RestartApp{
			App: id, Attempt: app(m, AppID(id)).GetAttempt(), Reason: "nobody has it", FromCheckpoint: true, Lost: "k1", LostBy: host,
		}}})
	}
	doubted := func(m *Machine) string {
		ck, _ := m.View().Checkpoint("k1")
		return ck.GetDoubtedBy() + ck.GetDoubtedApp()
	}
	begin := func() *Machine {
		m := captured(t)
		kept(t, m, "k1")
		must(t, m, store("k1", testStore))
		at(t, m, 3, "submit x m 2 restore=k1", "submit y m 2 restore=k1", "place x h3 h3")
		say(m, "x", "h3")
		require.Equal(t, "h3x", doubted(m))
		return m
	}
	m := begin()
	at(t, m, 4, "ended x h3 0@1=137 1@1=137", "place x h2 h2", "started x h2 2")
	require.Empty(t, doubted(m))

	m = begin()
	at(t, m, 4, "stop x cancelled 130 enough", "ended x h3 0@1=137 1@1=137", "place y h3 h3")
	say(m, "y", "h3")
	require.Equal(t, "h3y", doubted(m))
	at(t, m, 5, "ended y h3 0@1=137 1@1=137", "place y h3 h3")
	say(m, "y", "h3")
	ck, _ := m.View().Checkpoint("k1")
	require.True(t, ck.GetLost())
}

// TestSecondHostsWordOfOneAttempt: of an app on two hosts both may find that nobody has its checkpoint: the second one's word counts at once, and the first one's twice does not.
func TestSecondHostsWordOfOneAttempt(t *testing.T) {
	m := captured(t)
	kept(t, m, "k1")
	must(t, m, store("k1", testStore))
	at(t, m, 3, "submit x m 2 restore=k1", "place x h2 h3")
	say := func(host string) bool {
		must(t, m, &apiv1.Command{Op: &apiv1.Command_RestartApp{RestartApp: &apiv1.RestartApp{App: "x", Attempt: 1, Reason: "nobody has it", FromCheckpoint: true, Lost: "k1", LostBy: host}}})
		requireSound(t, m)
		ck, _ := m.View().Checkpoint("k1")
		return ck.GetLost()
	}
	require.False(t, say("h2"))
	require.False(t, say("h2"))
	require.True(t, say("h3"))
	at(t, m, 4, "ended x h2 0@1=137", "ended x h3 1@1=137")
	app, _ := m.View().App("x")
	require.Equal(t, Failed, PhaseOf(app), "it has no other")
	require.Contains(t, app.GetReason(), "k1")
}
