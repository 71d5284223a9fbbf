package main

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	apiv1 "github.com/godwit-run/godwit/api/v1"
)

// TestPastServersAreTold: a server of a cluster that this one was recovered from is told of while it answers, and no other one is.
func TestPastServersAreTold(t *testing.T) {
	n := newTestNet(t)
	n.own.formerIDs = []string{"first", "before"}
	n.at("B:1", "b", "before")
	n.at("N:1", "new", "")
	n.at("X:1", "x", "others")
	n.at("F:1", "f", "before")
	n.forged["F:1"] = true
	for name, addr := range map[string]string{"b": "B:1", "new": "N:1", "x": "X:1", "f": "F:1"} {
		n.met(name, addr) // they call, and no seed names them.
	}
	told := func() (out []string) {
		for _, p := range n.pastServers() {
			out = append(out, n.names[p.id]+"@"+p.addr+" "+p.cluster)
		}
		return out
	}
	require.Empty(t, told())
	require.NoError(t, n.rounds())
	require.Equal(t, []string{"b@B:1 before"}, told())
	for range 20 { // it calls no more, and is asked.
		require.NoError(t, n.rounds())
	}
	require.Equal(t, []string{"b@B:1 before"}, told())
	require.Empty(t, n.where("b"), "it is no server of this cluster")
	delete(n.answers, "B:1")
	n.at("B:1", "anew", "") // as it was told to.
	for range 20 {
		require.NoError(t, n.rounds())
	}
	require.Empty(t, told())
}

// TestServersRecoveredApart: two clusters that were recovered from one, apart from each other, hear of each other.
func TestServersRecoveredApart(t *testing.T) {
	n := newTestNet(t)
	n.own.formerIDs = []string{"first", "before"}
	n.at("B:1", "b", "other")
	n.answers["B:1"].FormerClusterIds = []string{"before"}
	n.at("C:1", "c", "others")
	n.answers["C:1"].FormerClusterIds = []string{"elsewhere"}
	n.met("b", "B:1")
	n.met("c", "C:1")
	require.NoError(t, n.rounds())
	past := n.pastServers()
	require.Len(t, past, 1)
	require.Equal(t, "other", past[0].cluster)
	require.True(t, past[0].apart)
}

// TestPastServersAreBounded: many of them cost no more than a few.
func TestPastServersAreBounded(t *testing.T) {
	n := newTestNet(t)
	for i := range 3 * maxPast {
		n.meetPast(&apiv1.DiscoverResponse{ServerId: fmt.Sprint("s", i), Addr: fmt.Sprint("a", i), ClusterId: "before"}, false)
	}
	require.Len(t, n.pastServers(), maxPast)
}
