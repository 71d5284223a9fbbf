package fsm

import (
	"bytes"
	"testing"
	"unsafe"

	"github.com/stretchr/testify/require"

	apiv1 "github.com/godwit-run/godwit/api/v1"
)

// shared fails unless equal names share their memory.
func shared(t *testing.T, what string, names ...string) {
	t.Helper()
	known := map[string]*byte{}
	for _, name := range names {
		data := unsafe.StringData(name)
		if first, ok := known[name]; ok {
			require.Same(t, first, data, "%s: %s", what, name)
		}
		known[name] = data
	}
	require.Less(t, len(known), len(names), "some are equal")
}

// TestNamesOfHostsShareTheirMemory: of an app's placement, in either form, and of a migration's moves, as they are made, committed and restored.
func TestNamesOfHostsShareTheirMemory(t *testing.T) {
	for form, place := range map[string]*apiv1.PlaceApp{
		"names": {App: "a", Placement: []string{"h1", "h2", "h1", "h2", "h1", "h2"}},
		"runs":  {App: "a", Runs: []*apiv1.PlaceRule{{Host: "h1", Ranks: 2}, {Host: "h2", Ranks: 2}, {Host: "h1", Ranks: 2}}},
	} {
		t.Run(form, func(t *testing.T) {
			m := New()
			looks := func(what string, moves bool) {
				t.Helper()
				app, _ := m.View().App("a")
				shared(t, what, app.GetPlacement()...)
				if !moves {
					return
				}
				mig, _ := m.View().Migration("g")
				var ends []string
				for _, move := range mig.GetMoves() {
					ends = append(ends, move.GetFrom(), move.GetTo())
				}
				shared(t, what, ends...)
			}
			at(t, m, 1, "init c1", "module m migratable", "host h1 6 n1 i", "host h2 6 n2 i", "submit a m 6")
			must(t, m, &apiv1.Command{Op: &apiv1.Command_PlaceApp{PlaceApp: place}})
			looks("placed", false)
			at(t, m, 1, "started a h1 1", "started a h2 1")
			at(t, m, 1, "propose g a 1 0:h1>h2 4:h1>h2")
			looks("proposed", true)
			at(t, m, 1, "announce g", "freeze g 0 4", "commit g")
			looks("committed", true)
			var snapshot bytes.Buffer
			_, err := m.View().WriteTo(&snapshot)
			require.NoError(t, err)
			m = New()
			require.NoError(t, m.Restore(&snapshot))
			looks("restored", true)
		})
	}
}
