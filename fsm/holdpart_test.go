package fsm

import (
	"fmt"
	"strings"
	"testing"
	"unsafe"

	"github.com/stretchr/testify/require"

	apiv1 "github.com/godwit-run/godwit/api/v1"
)

// thinOf are the thin parts of app a, for people to read.
func thinOf(v *View) (out []string) {
	app, _ := v.App("a")
	for _, p := range v.ThinParts(app) {
		out = append(out, fmt.Sprintf("%s/%s from %v leaving=%v", p.Checkpoint.GetId(), p.Part.GetHost(), p.From, p.Leaving))
	}
	return out
}

// TestThinParts: parts are thin of which fewer than two hosts that stay have a copy, until others have.
func TestThinParts(t *testing.T) {
	m := captured(t)
	require.Empty(t, thinOf(m.View()), "there is no checkpoint")
	at(t, m, 2, "checkpoint c1 a 1 h1>h2 h2>h3", "announce-checkpoint c1", "take c1")
	require.Empty(t, thinOf(m.View()), "it is not complete")
	at(t, m, 3, "complete c1 h1 h2")
	require.Empty(t, thinOf(m.View()))
	must(t, m, wishOf("h2", Draining, 0, false))
	require.Equal(t, []string{"c1/h1 from [h1 h2] leaving=true", "c1/h2 from [h3 h2] leaving=true"}, thinOf(m.View()))
	at(t, m, 4, "host h4 4 n4 i1", "hold-part c1 h2 h4")
	require.Equal(t, []string{"c1/h1 from [h1 h2] leaving=true"}, thinOf(m.View()))
	at(t, m, 5, "hold-part c1 h1 h3")
	require.Empty(t, thinOf(m.View()))
	must(t, m, wishOf("h1", Draining, 0, false))
	require.Empty(t, m.View().HeldAlone(), "h3 and h4 have it")
	require.Equal(t, []string{"c1/h1 from [h3 h1] leaving=true"}, thinOf(m.View()))

	at(t, m, 6, "state h1 i1 lost", "ended a h2 1@1=143")
	require.Equal(t, Queued, PhaseOf(appOf(t, m, "a")))
	require.Equal(t, []string{"c1/h1 from [h3] leaving=false"}, thinOf(m.View()))
	at(t, m, 7, "state h3 i1 lost")
	require.Contains(t, m.View().WhyAway(appOf(t, m, "a")), "waits for host h1 or h3 to be back")
	at(t, m, 8, "host h3 4 n9 i9")
	require.Contains(t, m.View().WhyAway(appOf(t, m, "a")), "waits for host h1 to be back", "another machine is h3 now")
	requireSound(t, m)

	m = captured(t)
	kept(t, m, "k1")
	must(t, m, wishOf("h1", Draining, 0, false))
	require.NotEmpty(t, thinOf(m.View()))
	must(t, m, store("k1", testStore))
	require.Empty(t, thinOf(m.View()), "the store has it")
}

func appOf(t *testing.T, m *Machine, id AppID) *apiv1.App {
	t.Helper()
	app, ok := m.View().App(id)
	require.True(t, ok)
	return app
}

// TestHoldPartLeavesTheRest: what a checkpoint has of runs and other parts is the published view's, which others read while an entry is applied: nothing is written there.
func TestHoldPartLeavesTheRest(t *testing.T) {
	m := captured(t)
	at(t, m, 2, "checkpoint c1 a 1 h1>h2 h2>h3", "announce-checkpoint c1", "take c1")
	at(t, m, 3, "complete c1 h1 h2")
	must(t, m, wishOf("h2", Draining, 0, false))
	old, _ := m.View().Checkpoint("c1")
	require.NotEmpty(t, old.Runs)
	names := func() (out []*byte) {
		for _, run := range old.Runs {
			out = append(out, unsafe.StringData(run.Host))
		}
		for _, p := range old.Parts {
			out = append(out, unsafe.StringData(p.Host), unsafe.StringData(p.Second))
		}
		return out
	}
	for _, run := range old.Runs { // a write shows by its other memory
		run.Host = strings.Clone(run.Host)
	}
	for _, p := range old.Parts {
		p.Host, p.Second = strings.Clone(p.Host), strings.Clone(p.Second)
	}
	before := names()
	at(t, m, 4, "host h4 4 n4 i1", "hold-part c1 h2 h4")
	require.Equal(t, "h4", func() string { ck, _ := m.View().Checkpoint("c1"); return ck.Parts[1].Third }())
	for i, name := range names() {
		require.Same(t, before[i], name)
	}
}

// TestHoldPartOfAnotherMachine: who says that a host holds a part says which incarnation of it.
func TestHoldPartOfAnotherMachine(t *testing.T) {
	m := captured(t)
	at(t, m, 2, "checkpoint c1 a 1 h1>h2 h2>h3", "announce-checkpoint c1", "take c1")
	at(t, m, 3, "complete c1 h1 h2", "host h4 4 n4 i1")
	must(t, m, wishOf("h2", Draining, 0, false))
	at(t, m, 4, "state h4 i1 lost")
	at(t, m, 5, "host h4 4 n9 i9")
	results := mustHold(t, m, "hold-part c1 h2 h4 i1")
	require.Equal(t, string(CodeStaleIncarnation), results[0].GetCode())
	require.Equal(t, "host h4 has restarted since, or is another machine", results[0].GetReason())
	at(t, m, 6, "hold-part c1 h2 h4 i9")
}
