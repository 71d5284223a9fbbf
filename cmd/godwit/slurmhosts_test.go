package main

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/fsm"
)

func TestSlurmHostList(t *testing.T) {
	for names, want := range map[string]string{
		"":                          "",
		"w1":                        "w1",
		"w3 w1 w2":                  "w[1-3]",
		"w10 w9 w11 w3":             "w[3,9-11]",
		"n01 n02 n09 n10":           "n[01-02,09-10]",
		"n1 n01":                    "n[1,01]",
		"a1 b1 a2":                  "a[1-2],b1",
		"login w1 w2 gate":          "gate,login,w[1-2]",
		"rack1.node rack2.node":     "rack1.node,rack2.node",
		"7 8":                       "[7-8]",
		"x99999999999999999999 x1":  "x1,x99999999999999999999",
		"w1 w1":                     "w1",
		"x18446744073709551615 x0 ": "x[0,18446744073709551615]",
	} {
		require.Equal(t, want, slurmHostList(strings.Fields(names)), names)
	}
}

// Every host is in one of the states that sinfo lists.
func TestSlurmHostState(t *testing.T) {
	host := func(state fsm.HostState, wish fsm.Wish, used int32) *apiv1.Host {
		return &apiv1.Host{Name: "h", State: string(state), Wish: string(wish), Slots: 4, Used: used}
	}
	sick := host(fsm.Ready, "", 0)
	sick.Unfit = "no room"
	for _, tt := range []struct {
		h    *apiv1.Host
		want string
	}{
		{host(fsm.Ready, "", 0), "idle"},
		{host(fsm.Ready, fsm.Schedulable, 1), "mix"},
		{host(fsm.Ready, "", 4), "alloc"},
		{host(fsm.Ready, "", 5), "alloc"},
		{host(fsm.Ready, fsm.Cordoned, 0), "drain"},
		{host(fsm.Ready, fsm.Draining, 2), "drng"},
		{host(fsm.Ready, fsm.Draining, 0), "drng"},
		{host(fsm.Ready, fsm.Drained, 0), "drain"},
		{host(fsm.Ready, fsm.Evicting, 4), "drng"},
		{host(fsm.Lost, "", 2), "down"},
		{host(fsm.Left, fsm.Drained, 0), "down"},
		{sick, "drain"},
	} {
		require.Equal(t, tt.want, slurmHostState(tt.h), "%v", tt.h)
		require.Equal(t, []hostGroup{{tt.want, []string{"h"}}}, (&hostView{}).groups([]*apiv1.Host{tt.h}))
	}
	v := &hostView{}
	require.NoError(t, v.takeStates("-t", "idle,DOWN"), "Slurm does not mind the case")
	require.Equal(t, []string{"idle", "down"}, v.states)
	require.ErrorContains(t, v.takeStates("-t", "sleepy"), `"sleepy" is no state`)
}

// TestNamesHost: what sinfo prints as NODELIST is taken for the hosts that it means.
func TestNamesHost(t *testing.T) {
	for _, names := range [][]string{{"w1", "w2", "w5"}, {"w08", "w09", "w10"}, {"a", "b1"}, {"n1x", "n2x"}} {
		list := strings.Split(slurmHostList(names), ",")
		var v []string
		require.NoError(t, slurmList("n", func(*hostView) *[]string { return &v }).take(nil, "-n", slurmHostList(names)))
		require.LessOrEqual(t, len(v), len(list))
		for _, name := range names {
			require.True(t, namesHost(v, name), "%s in %v", name, v)
		}
		for _, other := range []string{"w3", "w", "w010", "w8", "b", "x1"} {
			require.False(t, namesHost(v, other), "%s in %v", other, v)
		}
	}
}
