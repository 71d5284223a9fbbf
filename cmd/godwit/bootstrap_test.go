package main

import (
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/godwit-run/godwit/raftnode"
)

// decideRow is one start of a server: what its directory says, what it asks others, what gossip shows.
type decideRow struct {
	name string
	own  ownState
	seen []seenServer
	move move
	why  string
}

// nothing is a server's own state where it is one of three that are new, data where it has been of cluster x.
func nothing() ownState { return ownState{expect: 3} }
func seeker() ownState  { return ownState{expect: 3, seek: seeking{cluster: "x"}} }
func data() ownState    { return ownState{expect: 3, hasState: true, clusterID: "x"} }

// newcomer is another of the three, a, b and c, that are new.
func newcomer(id string) seenServer {
	return seenServer{id: id, addr: "addr-" + id, answered: true, gossiped: true, wouldMake: []string{"a", "b", "c"}, expect: 3}
}

func inCluster(id, cluster string) seenServer {
	return seenServer{id: id, addr: "addr-" + id, answered: true, gossiped: true, gossipOf: cluster, hasState: true, clusterID: cluster, expect: 3}
}

// but is s with a change.
func but(s seenServer, change func(*seenServer)) seenServer { change(&s); return s }

// A directory with data: it takes part, whatever others say.
func decideWithData() []decideRow {
	b, c := newcomer("b"), newcomer("c")
	return []decideRow{
		{"data, nobody", data(), nil, moveRun, ""},
		{"data, new servers", data(), []seenServer{b, c}, moveRun, ""},
		{"data, its cluster", data(), []seenServer{inCluster("b", "x")}, moveRun, ""},
		{"data, another cluster", data(), []seenServer{inCluster("b", "y")}, moveRun, ""},
		{"data without a cluster's name", ownState{expect: 3, hasState: true}, []seenServer{b, c}, moveRun, ""},
	}
}

// Nothing, and nobody is of a cluster.
func decideAmongNew() []decideRow {
	b, c := newcomer("b"), newcomer("c")
	return []decideRow{
		{"alone", nothing(), nil, moveWait, "1 of the 3"},
		{"two of three", nothing(), []seenServer{b}, moveWait, "2 of the 3"},
		{"all three", nothing(), []seenServer{b, c}, moveBootstrap, ""},
		{"a single server", ownState{expect: 1}, nil, moveBootstrap, ""},
		{"itself by its own seed", nothing(), []seenServer{newcomer("a"), b, c}, moveBootstrap, ""},
		{"four", nothing(), []seenServer{b, c, newcomer("d")}, moveWait, "4 servers are found"},
		{"a fourth that only joins", nothing(), []seenServer{b, c, but(newcomer("d"), func(s *seenServer) { s.expect = 0 })}, moveBootstrap, ""},
		{"another number", nothing(), []seenServer{b, but(c, func(s *seenServer) { s.expect = 5 })}, moveWait, "--bootstrap-expect 5"},
		{
			"this one waits for more than the others",
			ownState{expect: 5},
			[]seenServer{b, c},
			moveWait,
			"server addr-b has --bootstrap-expect 3, server addr-c has --bootstrap-expect 3, this one has 5: no cluster is made until all have the same",
		},
		{"another number among too few", nothing(), []seenServer{but(b, func(s *seenServer) { s.expect = 5 })}, moveWait, "server addr-b has --bootstrap-expect 5, this one has 3"},
		{"another number among too many", nothing(), []seenServer{b, c, but(newcomer("d"), func(s *seenServer) { s.expect = 4 })}, moveWait, "server addr-d has --bootstrap-expect 4"},
		{"others see others", nothing(), []seenServer{b, but(c, func(s *seenServer) { s.wouldMake = []string{"b", "c", "d"} })}, moveWait, "has not found the same"},
		{"others see fewer", nothing(), []seenServer{b, but(c, func(s *seenServer) { s.wouldMake = []string{"c"} })}, moveWait, "has not found the same"},
		{"another one knows of a cluster", nothing(), []seenServer{b, but(c, func(s *seenServer) { s.wouldMake = nil })}, moveWait, "has not found the same servers yet, or knows of a cluster"},
		{"gossip alone shows the third", nothing(), []seenServer{b, {id: "c", addr: "addr-c", gossiped: true}}, moveWait, "does not answer there"},
		{"another spelling in gossip", nothing(), []seenServer{b, c, {id: "d", addr: "localhost:1", gossiped: true}}, moveWait, "does not answer there"},
		{"a seed that is not reached", nothing(), []seenServer{b, c}, moveBootstrap, ""},
		{"nobody, and it makes none", ownState{}, nil, moveWait, "no server that was named is of a cluster"},
		{"new servers, and it makes none", ownState{}, []seenServer{b, c}, moveWait, "no server that was named"},
	}
}

// Nothing, and somebody is of a cluster: never a new one.
func decideByACluster() []decideRow {
	b, c := newcomer("b"), newcomer("c")
	return []decideRow{
		{"a survivor", seeker(), []seenServer{b, inCluster("c", "x")}, moveWait, "waits until that cluster adds it"},
		{"a survivor and enough new ones", seeker(), []seenServer{b, c, inCluster("d", "x")}, moveWait, "waits until that cluster adds it"},
		{"a survivor that cannot read its log's name", nothing(), []seenServer{b, but(c, func(s *seenServer) { s.hasState = true })}, moveWait, "has state"},
		{"a survivor by gossip only", seeker(), []seenServer{b, c, {id: "d", addr: "addr-d", gossiped: true, gossipOf: "x"}}, moveWait, "adds it"},
		{"its name by gossip, its answer new", seeker(), []seenServer{b, but(c, func(s *seenServer) { s.gossipOf = "x" })}, moveWait, "adds it"},
		{"a single server by a seed of a cluster", ownState{expect: 1, seek: seeking{cluster: "x"}}, []seenServer{inCluster("b", "x")}, moveWait, "adds it"},
		{"two clusters", ownState{expect: 3, seek: seeking{any: true}}, []seenServer{inCluster("b", "x"), inCluster("c", "y")}, moveWait, "several clusters"},
		{"joins", ownState{seek: seeking{cluster: "x"}}, []seenServer{inCluster("b", "x")}, moveWait, "adds it"},
	}
}

// Nothing, and somebody is of a cluster that this server does not seek: never a new one beside it, and it says what to do.
func decideByAStrange() []decideRow {
	b, c := newcomer("b"), newcomer("c")
	none := "does not lead to it"
	stranger := inCluster("d", "y")
	return []decideRow{
		{"a strange cluster calls", nothing(), []seenServer{stranger}, moveWait, none},
		{"a strange cluster calls, and all are there", nothing(), []seenServer{b, c, stranger}, moveWait, "addr-d of y"},
		{"one called a moment ago", nothing(), []seenServer{b, c, {id: "d", addr: "addr-d", clusterID: "y"}}, moveWait, none},
		{"one gossips here", nothing(), []seenServer{b, c, {id: "d", addr: "addr-d", gossiped: true, gossipOf: "y"}}, moveWait, none},
		{"one calls a server that only joins", ownState{}, []seenServer{stranger}, moveWait, none},
		{"one calls where another is sought", seeker(), []seenServer{inCluster("b", "x"), stranger}, moveWait, "a server found is of a cluster (addr-b of x)"},
		{"one calls, and the one sought is silent", seeker(), []seenServer{b, c, stranger}, moveWait, "leads to cluster x, of which no server is found"},
		{"the one sought is silent", seeker(), []seenServer{b, c}, moveWait, "leads to cluster x, of which no server is found"},
		{"named servers of two", ownState{expect: 3, seek: seeking{several: map[string]string{"N": "x", "M": "y"}}}, []seenServer{b, c}, moveWait, "of several clusters, or seek them (M to y, N to x)"},
		{"the cluster that it would have made", ownState{expect: 3, seek: seeking{makes: "y"}}, []seenServer{b, stranger}, moveWait, "waits until that cluster adds it"},
		{"it names nobody", ownState{expect: 1, seek: seeking{any: true}}, []seenServer{stranger}, moveWait, "waits until that cluster adds it"},
		{"a strange one, and data", data(), []seenServer{stranger}, moveRun, ""},
	}
}

// The directory names a cluster and has no log: it was lost, or never written.
func decideWithoutLog() []decideRow {
	b, c := newcomer("b"), newcomer("c")
	idOf := raftnode.ClusterIDOf([]raftnode.Server{{ID: "a"}, {ID: "b"}, {ID: "c"}})
	return []decideRow{
		{"log lost, nobody", ownState{expect: 1, clusterID: "x"}, nil, moveWait, "its log is gone"},
		{"log lost, its cluster", ownState{expect: 3, clusterID: "x"}, []seenServer{inCluster("b", "x")}, moveWait, "its log is gone"},
		{"log lost, new servers", ownState{expect: 3, clusterID: "x"}, []seenServer{b, c}, moveWait, "its log is gone"},
		{"stopped before the first log", ownState{expect: 3, clusterID: idOf}, []seenServer{b, c}, moveBootstrap, ""},
		{"all stopped before the first log", ownState{expect: 3, clusterID: idOf}, []seenServer{
			but(b, func(s *seenServer) { s.clusterID = idOf }), but(c, func(s *seenServer) { s.clusterID = idOf }),
		}, moveBootstrap, ""},
		{"stopped before the first log, the others went on", ownState{expect: 3, clusterID: idOf}, []seenServer{inCluster("b", idOf), c}, moveWait, "its log is gone"},
	}
}

// TestDecide is the table of a server's start.
func TestDecide(t *testing.T) {
	for _, tc := range slices.Concat(decideWithData(), decideAmongNew(), decideByACluster(), decideByAStrange(), decideWithoutLog()) {
		t.Run(tc.name, func(t *testing.T) {
			tc.own.id, tc.own.addr = "a", "addr-a"
			d := decide(tc.own, tc.seen)
			require.Equal(t, tc.move, d.move, d.why)
			require.Contains(t, d.why, tc.why)
			wrong := slices.ContainsFunc([]string{"correct it on all", "until all have the same", "of several clusters"}, func(s string) bool { return strings.Contains(d.why, s) })
			require.Equal(t, wrong, d.wrong, "what somebody has to correct is a warning: %s", d.why)
			if tc.move == moveBootstrap {
				require.Len(t, d.servers, tc.own.expect)
			}
		})
	}
}
