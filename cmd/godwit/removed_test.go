package main

import (
	"testing"

	"github.com/stretchr/testify/require"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/raftnode"
)

func TestRemoved(t *testing.T) {
	self := ownState{id: "c", addr: "C:1", clusterID: "ours", hasState: true}
	group := []raftnode.Server{{ID: "a", Voter: true}, {ID: "b", Voter: true}, {ID: "c", Voter: true}}
	end := raftnode.Standing{LogTerm: 2, LogIndex: 9}
	says := func(id, cluster string, term, index uint64, members ...string) answer {
		res := &apiv1.DiscoverResponse{ServerId: id, ClusterId: cluster, LastLogTerm: term, LastLogIndex: index}
		for _, m := range members {
			res.Members = append(res.Members, &apiv1.GroupMember{Id: m, Voter: true})
		}
		return answer{DiscoverResponse: res}
	}
	a, b := says("a", "ours", 2, 10, "a", "b"), says("b", "ours", 3, 4, "a", "b")
	for _, tc := range []struct {
		name  string
		group []raftnode.Server
		found []answer
		want  bool
	}{
		{"all others say it", group, []answer{a, b}, true},
		{"its own log says it too", group[:2], []answer{a, b}, true},
		{"one alone says it", group, []answer{a}, false},
		{"one alone says it, and a stranger", group, []answer{a, says("x", "ours", 9, 99, "a", "b", "x")}, false},
		{"one says it, for the other it is a member", group, []answer{a, says("b", "ours", 3, 4, "a", "b", "c")}, false},
		{"one has not the log that this one has", group, []answer{a, says("b", "ours", 2, 8, "a", "b")}, false},
		{"one is no member itself", group, []answer{a, says("b", "ours", 3, 4, "a")}, false},
		{"one is of another cluster", group, []answer{a, says("b", "theirs", 3, 4, "a", "b")}, false},
		{"there are no others", group[2:], []answer{a, b}, false},
		{"it has no state", nil, []answer{a, b}, false},
	} {
		t.Run(tc.name, func(t *testing.T) { require.Equal(t, tc.want, removed(self, tc.group, end, tc.found)) })
	}
}
