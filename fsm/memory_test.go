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
