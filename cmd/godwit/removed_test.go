package main

import (
	"testing"

	"github.com/stretchr/testify/require"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/control"
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

// TestWhyIsSaid: what a server says of itself that hears from no leader, where its voters of old are no majority any more.
func TestWhyIsSaid(t *testing.T) {
	self := ownState{id: "c", addr: "C:1", clusterID: "ours", hasState: true}
	group := []raftnode.Server{{ID: "a", Voter: true}, {ID: "b", Voter: true}, {ID: "c", Voter: true}}
	end := raftnode.Standing{LogTerm: 2, LogIndex: 9}
	says := func(id, cluster string, index, commit uint64, members ...string) answer {
		res := &apiv1.DiscoverResponse{ServerId: id, ClusterId: cluster, LastLogTerm: 2, LastLogIndex: index, CommitIndex: commit}
		for _, m := range members {
			res.Members = append(res.Members, &apiv1.GroupMember{Id: m, Voter: true})
		}
		return answer{DiscoverResponse: res}
	}
	last := says("a", "ours", 12, 12, "a")
	seed := says("x", "ours", 12, 12, "x")
	seed.seed = true
	for _, tc := range []struct {
		name  string
		group []raftnode.Server
		found []answer
		want  string
	}{
		{"b was removed after it, and says nothing", group, []answer{last, says("b", "ours", 12, 0, "a")}, control.RemovedText},
		{"only the last one is left", group, []answer{last}, control.RemovedText},
		{"its own log has taken it out, and the last one says it too", group[:2], []answer{last}, control.RemovedText},
		{"its own log alone", group[:2], nil, control.NoMemberText},
		{"its own log, and another that was removed", group[:2], []answer{says("b", "ours", 12, 0, "a")}, control.NoMemberText},
		{"all are others now, and its user names one", group, []answer{seed}, control.RemovedText},
		{"a stranger says it", group, []answer{says("x", "ours", 12, 12, "x")}, ""},
		{"it may be undone", group, []answer{says("a", "ours", 12, 11, "a", "b")}, ""},
		{"an old copy, of before it was added", group, []answer{says("a", "ours", 8, 8, "a", "b")}, ""},
		{"a recovered cluster", group, []answer{says("a", "recovered", 12, 12, "a")}, ""},
		{"it is a member there", group, []answer{says("a", "ours", 12, 12, "a", "c")}, ""},
		{"one that is no member itself", group, []answer{says("a", "ours", 12, 12, "b")}, ""},
		{"nobody answers", group, nil, ""},
		{"it is in no cluster", nil, []answer{last}, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			require.Equal(t, tc.want, why(self, tc.group, end, tc.found))
		})
	}
	require.False(t, removed(self, group, end, []answer{last}), "nothing is done for the word of one")
}
