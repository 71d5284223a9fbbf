package fsm

import (
	"bytes"
	"fmt"
	"iter"
	"testing"

	"github.com/stretchr/testify/require"

	apiv1 "github.com/godwit-run/godwit/api/v1"
)

// idsOf lists the ids of apps.
func idsOf(apps iter.Seq[*apiv1.App]) (out []string) {
	for app := range apps {
		out = append(out, app.GetId())
	}
	return out
}

// TestQueueCostsWhatWaits: apps that have hosts, or have ended, are no part of what is walked to look at the queue.
func TestQueueCostsWhatWaits(t *testing.T) {
	const busy = 200
	m := New()
	mustApply(t, m, "init c1", "module m", fmt.Sprintf("host h1 %d n1 i1", busy+1))
	for i := range busy {
		mustApply(t, m, fmt.Sprintf("submit run%d m 1", i), fmt.Sprintf("place run%d h1", i))
		mustApply(t, m, fmt.Sprintf("submit gone%d m 1", i), fmt.Sprintf("stop gone%d cancelled 0", i))
	}
	mustApply(t, m, "started run0 h1 1", "submit z m 1", "submit again m 1 restarts=1", "place again h1")
	mustApply(t, m, "submit a m 1")
	check := func(want ...string) {
		t.Helper()
		v := m.View()
		require.Equal(t, want, idsOf(v.Queue()))
		require.Equal(t, len(want), v.Queued())
		// What there is to walk: nothing else is left of this view.
		bare := newView()
		bare.apps, bare.queued = v.apps, v.queued
		require.Equal(t, want, idsOf(bare.Queue()))
		visited := 0
		for range values(v.queued) {
			visited++
		}
		require.Len(t, want, visited)
		var buf bytes.Buffer
		_, err := v.WriteTo(&buf)
		require.NoError(t, err)
		restored := New()
		require.NoError(t, restored.Restore(&buf))
		require.Equal(t, want, idsOf(restored.View().Queue()))
	}
	check("z", "a")
	mustApply(t, m, "ended again h1 0@1=3")
	check("again", "z", "a")
	mustApply(t, m, "stop z cancelled 0", "ended run0 h1 0@1=0", "place again h1")
	check("a")
	mustApply(t, m, "place a h1")
	check()
}

// TestIndexesAreChecked: an index that lies is found.
func TestIndexesAreChecked(t *testing.T) {
	m := New()
	mustApply(t, m, "init c1", "module m", "host h1 4 n1 i1", "submit wait m 1 name=x", "submit run m 1", "place run h1")
	require.NoError(t, CheckInvariants(m.View()))
	run, _ := m.View().App("run")
	wait, _ := m.View().App("wait")
	for name, lie := range map[string]func(*View){
		"queued lacks one":    func(v *View) { v.queued = newView().queued },
		"queued has a placed": func(v *View) { v.queued, _, _ = v.queued.Insert(submissionKey(run), "run") },
		"queued elsewhere": func(v *View) {
			v.queued, _, _ = newView().queued.Insert(append(submissionKey(wait), 'x'), "wait")
		},
		"named lacks one":      func(v *View) { v.named = newView().named },
		"named has a stranger": func(v *View) { v.named, _, _ = v.named.Insert(pairKey("x", "gone"), "gone") },
	} {
		v := *m.View()
		lie(&v)
		require.ErrorContains(t, CheckInvariants(&v), "index", name)
	}
}
