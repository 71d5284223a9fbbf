package fsm

import (
	"testing"

	"github.com/stretchr/testify/require"

	apiv1 "github.com/godwit-run/godwit/api/v1"
)

// TestEvenSpeeds: a fast host that is lost makes the others no different from each other.
func TestEvenSpeeds(t *testing.T) {
	m := New()
	at(t, m, 1, "init c1", "level 4", "host h1 4 i1 n1")
	require.True(t, m.View().EvenSpeeds())
	must(t, m, &apiv1.Command{Op: &apiv1.Command_RegisterHost{RegisterHost: &apiv1.RegisterHost{Host: &apiv1.Host{Id: "h2", Name: "h2", Addr: "h2:1", Slots: 4, Incarnation: "i1", NodeId: "n2", Speed: 2}}}})
	require.False(t, m.View().EvenSpeeds())
	at(t, m, 2, "state h2 i1 lost power")
	require.True(t, m.View().EvenSpeeds())
	requireSound(t, m)
}
