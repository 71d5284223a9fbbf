package fsm

import (
	"fmt"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	apiv1 "github.com/godwit-run/godwit/api/v1"
)

// TestMemoryIsBounded fills the queue with apps of as many placement rules as can be, and the history with such of as many empty
// arguments: they take ten times as much memory as they have bytes. The heap stays within what limit.go says, and a tenth.
func TestMemoryIsBounded(t *testing.T) {
	if testing.Short() {
		t.Skip("it fills 768 MiB")
	}
	f := newFiller(t, FeatureLevel)
	f.spec = specOf("empty texts")
	before := heap()
	n := 0
	for ; f.m.View().ended.Len() == n; n++ { // until one is forgotten
		id := fmt.Sprintf("e%d", n)
		require.Empty(t, f.submit(id, command(t, "stop "+id+" cancelled 0")))
	}
	f.spec = specOf("rules")
	queued := 0
	for f.submit(fmt.Sprintf("q%d", queued)) == "" {
		queued++
	}
	require.Greater(t, f.m.View().endedLoad.memory, MaxEndedBytes*99/100)
	require.Greater(t, f.m.View().liveLoad.memory, MaxLiveBytes*99/100)
	took := heap() - before
	t.Logf("%d ended, %d queued: %d MiB", n, queued, took>>20)
	require.Less(t, took, (MaxEndedBytes+MaxLiveBytes)/10*11)
	runtime.KeepAlive(f.m)
}

// TestLedgerHoldsLittle: what the state has forgotten is in memory no more, though no hash is asked for.
func TestLedgerHoldsLittle(t *testing.T) {
	l := newLedger(New().View())
	require.False(t, l.full())
	l.forgotten = ledgerHolds + 1
	require.True(t, l.full())
	l.settle(New().View())
	require.False(t, l.full())
}

// TestRanksAreBounded: apps are placed as far as their ranks' part of memory goes, whatever slots there are, and the others wait.
func TestRanksAreBounded(t *testing.T) {
	m := New()
	at(t, m, 1, "init c1", fmt.Sprintf("level %d", levelWeighsMemory-1), "module m", "host h 4096 n i")
	place := func(i int) *apiv1.Command {
		return &apiv1.Command{Op: &apiv1.Command_PlaceApp{PlaceApp: NewPlaceApp(AppID(fmt.Sprintf("a%d", i)), slices.Repeat([]string{"h"}, MaxAppSize))}}
	}
	each := placedReserve(&apiv1.App{Size: MaxAppSize})
	fit := MaxPlacedBytes / each
	require.Greater(t, fit*MaxAppSize, 190_000, "ranks in large apps")
	small := &apiv1.App{Size: 64}
	require.Greater(t, MaxPlacedBytes/placedReserve(small)*64, 140_000, "ranks in small apps")
	for i := range fit + 2 {
		at(t, m, 1, fmt.Sprintf("submit a%d m %d oversubscribe", i, MaxAppSize))
	}
	for i := range fit {
		must(t, m, place(i))
	}
	app, _ := m.View().App("a0")
	require.True(t, takes(m, app), "before the level nothing is kept free")
	at(t, m, 1, fmt.Sprintf("level %d", levelWeighsMemory))
	require.False(t, takes(m, app))
	refused, err := applyEntry(m, m.View().Index()+1, &apiv1.Entry{Commands: []*apiv1.Command{place(fit)}})
	require.NoError(t, err)
	require.Equal(t, string(CodeTooMany), refused[0].GetCode(), refused[0].GetReason())
	at(t, m, 1, "stop a0 cancelled 0")
	end(t, m, "a0")
	require.True(t, takes(m, app))
	must(t, m, place(fit))
	require.NoError(t, CheckInvariants(m.View()))
}

func takes(m *Machine, app *apiv1.App) bool {
	room := m.View().PlacingRoom()
	return room.Take(app)
}

// TestModulesAreBoundedInMemory: the least recently used ones make room for one that imports much.
func TestModulesAreBoundedInMemory(t *testing.T) {
	for _, level := range levels {
		m := New()
		at(t, m, 1, "init c1", fmt.Sprintf("level %d", level))
		add := func(i int) {
			mod := &apiv1.Module{Digest: fmt.Sprintf("%064d", i), Size: 1, Imports: slices.Repeat([]string{strings.Repeat("i", 8)}, MaxImportsBytes/9)}
			must(t, m, &apiv1.Command{Op: &apiv1.Command_AddModule{AddModule: &apiv1.AddModule{Module: mod}}})
		}
		add(0)
		n := MaxModuleTexts / m.View().moduleUse.memory
		for i := range n + 10 {
			add(i + 1)
		}
		if level < levelWeighsMemory {
			require.Equal(t, n+11, m.View().modules.Len())
			at(t, m, 1, fmt.Sprintf("level %d", levelWeighsMemory))
			add(n + 11)
		}
		require.Equal(t, n, m.View().modules.Len())
		require.LessOrEqual(t, m.View().moduleUse.memory, MaxModuleTexts)
		require.NoError(t, CheckInvariants(m.View()))
	}
}
