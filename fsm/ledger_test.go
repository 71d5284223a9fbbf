package fsm

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// TestLedgerWeighsWhatIsForgotten: an app and its migrations, which it holds until it is settled.
func TestLedgerWeighsWhatIsForgotten(t *testing.T) {
	m := New()
	at(t, m, 1, "init c1", "module m migratable", "host h1 1 n1 i", "host h2 1 n2 i", "submit a m 1", "place a h1", "started a h1 1",
		"propose g a 1 0:h1>h2", "announce g", "freeze g 0", "commit g", "stop a cancelled 0", "ended a h2 0@2=0")
	endMany(t, m, 2, "b", MinEndedApps-1)
	app, _ := m.View().App("a")
	mig, _ := m.View().Migration("g")
	require.Zero(t, m.ledger.forgotten)
	endMany(t, m, 2+KeepSeconds, "c", 1)
	require.False(t, knows(m, "a"))
	require.Equal(t, endedLoad(app).memory+migrationLoad(mig).memory, m.ledger.forgotten)
	m.ledger.settle(m.View())
	require.Zero(t, m.ledger.forgotten)
}
