package control

import (
	"cmp"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/fsm"
)

// atLevel is the state of cluster c at entry 1000, of a feature level.
func atLevel(t *testing.T, level uint32) *fsm.View {
	t.Helper()
	m := fsm.NewKnowing(level)
	data, err := fsm.Encode(&apiv1.Entry{Commands: []*apiv1.Command{
		{Op: &apiv1.Command_InitCluster{InitCluster: &apiv1.InitCluster{ClusterId: "c"}}},
		{Op: &apiv1.Command_SetFeatureLevel{SetFeatureLevel: &apiv1.SetFeatureLevel{Level: level}}},
	}})
	require.NoError(t, err)
	_, err = m.Apply(1000, 1, data)
	require.NoError(t, err)
	return m.View()
}

// TestPlanMembers is the table of what is done for a server that was found.
func TestPlanMembers(t *testing.T) {
	group := []ServerInfo{{ID: "a", LogAddr: "A", Voter: true}, {ID: "b", LogAddr: "B", Voter: true}, {ID: "n", LogAddr: "N"}}
	var nine []ServerInfo
	for i := range maxServers {
		nine = append(nine, ServerInfo{ID: strconv.Itoa(i), LogAddr: "addr" + strconv.Itoa(i), Voter: true})
	}
	for _, tc := range []struct {
		name  string
		group []ServerInfo
		found Peer
		want  string // "", "add", "readdress", "promote" or the beginning of an obstacle.
	}{
		{"voter at its place", group, Peer{ID: "a", Addr: "A", ClusterID: "c"}, ""},
		{"voter at a new place", group, Peer{ID: "a", Addr: "A2", ClusterID: "c"}, "readdress"},
		{"voter at another's old place", group, Peer{ID: "a", Addr: "B", ClusterID: "c"}, ""},
		{"new server", group, Peer{ID: "x", Addr: "X", New: true, Seeks: "c"}, "add"},
		{"new server that names nobody", group, Peer{ID: "x", Addr: "X", New: true, SeeksAny: true}, "add"},
		{"new server that seeks another cluster", group, Peer{ID: "x", Addr: "X", New: true, Seeks: "d"}, notSought},
		{"new server that names others, of no cluster yet", group, Peer{ID: "x", Addr: "X", New: true}, notSought},
		{"the same at a member's place", group, Peer{ID: "x", Addr: "B", New: true}, notSought},
		{"nonvoter, whatever it sought", group, Peer{ID: "n", Addr: "N", ClusterID: "c", Index: 950, Seeks: "d"}, "promote"},
		{"new server with the cluster's id, its log lost", group, Peer{ID: "x", Addr: "X", New: true, ClusterID: "c"}, "add"},
		{"new server at a member's place", group, Peer{ID: "x", Addr: "B", New: true, Seeks: "c"}, "add"},
		{"removed server that starts, and knows nothing of it", group, Peer{ID: "x", Addr: "X", New: true, Starts: true, ClusterID: "c"}, ""},
		{"nonvoter that starts", group, Peer{ID: "n", Addr: "N", ClusterID: "c", Index: 950, Starts: true}, ""},
		{"removed server", group, Peer{ID: "x", Addr: "X", ClusterID: "c"}, "it is no member"},
		{"server of another cluster", group, Peer{ID: "x", Addr: "X", ClusterID: "d"}, ""},
		{"tenth server", nine, Peer{ID: "x", Addr: "X", New: true, Seeks: "c"}, "there are 9 servers"},
		{"tenth server in a dead one's place", nine, Peer{ID: "x", Addr: "addr3", New: true, Seeks: "c"}, "add"},
		{"nonvoter behind", group, Peer{ID: "n", Addr: "N", ClusterID: "c", Index: 10}, ""},
		{"nonvoter without modules", group, Peer{ID: "n", Addr: "N", ClusterID: "c", Index: 950, ModulesMissing: 1}, ""},
		{"nonvoter that does not know its cluster", group, Peer{ID: "n", Addr: "N", Index: 950}, ""},
		{"nonvoter that has all", group, Peer{ID: "n", Addr: "N", ClusterID: "c", Index: 950}, "promote"},
		{"nonvoter of an older build", group, Peer{ID: "n", Addr: "N", ClusterID: "c", Index: 950, Knows: 1}, "its godwit knows feature level 1, and the cluster is at 2"},
		{"new server of an older build", group, Peer{ID: "x", Addr: "X", New: true, Seeks: "c", Knows: 1}, "its godwit knows feature level 1, and the cluster is at 2"},
		{"new server of a newer build", group, Peer{ID: "x", Addr: "X", New: true, Seeks: "c", Knows: 3}, "add"},
		{"voter of an older build", group, Peer{ID: "a", Addr: "A", ClusterID: "c", Knows: 1}, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			// One that cannot be helped stands before it.
			tc.found.Knows = cmp.Or(tc.found.Knows, 2)
			steps := planMembers(tc.group, []Peer{{ID: "stuck", Addr: "S", ClusterID: "c"}, tc.found}, atLevel(t, 2))
			require.NotEmpty(t, steps[0].obstacle)
			if tc.want == "" {
				require.Len(t, steps, 1)
				return
			}
			require.Len(t, steps, 2)
			got := steps[1]
			switch tc.want {
			case "add":
				require.True(t, got.added && !got.promote && got.obstacle == "", "%+v", got)
			case "readdress":
				require.True(t, !got.added && !got.promote && got.obstacle == "", "%+v", got)
			case "promote":
				require.True(t, got.promote && got.obstacle == "", "%+v", got)
			default:
				require.True(t, strings.HasPrefix(got.obstacle, tc.want), "%+v", got)
			}
		})
	}
}

// TestPlanMembersCountsWhoJoins: of two new servers that are found at once, one takes the last place there is.
func TestPlanMembersCountsWhoJoins(t *testing.T) {
	var group []ServerInfo
	for i := range maxServers - 1 {
		group = append(group, ServerInfo{ID: strconv.Itoa(i), LogAddr: "addr" + strconv.Itoa(i), Voter: true})
	}
	steps := planMembers(group, []Peer{{ID: "x", Addr: "X", New: true, Seeks: "c", Knows: 2}, {ID: "y", Addr: "Y", New: true, Seeks: "c", Knows: 2}}, atLevel(t, 2))
	require.Len(t, steps, 2)
	require.True(t, steps[0].added)
	require.Equal(t, "there are 9 servers already: remove one to let it join", steps[1].obstacle)
}
