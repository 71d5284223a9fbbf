package worker

import (
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	apiv1 "github.com/godwit-run/godwit/api/v1"
)

// voters are s1 to sn.
func voters(n int) (out []*apiv1.GroupMember) {
	for i := range n {
		out = append(out, &apiv1.GroupMember{Id: fmt.Sprint("s", i+1), Voter: true})
	}
	return out
}

// laterTerm is one of a recovered cluster.
const laterTerm = 1<<32 + 4

// TestOwnClusterCountsFirst: a worker goes to a cluster that was recovered from its own if it hears of no leader of its own, and there is
// no time left.
func TestOwnClusterCountsFirst(t *testing.T) {
	own := func(i int, leader string, term uint64) reply {
		return reply{lead: lead{leader, term, false}, server: fmt.Sprint("s", i), cluster: "c1", members: voters(3)}
	}
	recovered := reply{lead: lead{"r1", laterTerm, true}, server: "s1", cluster: "c2", members: voters(1)}
	leaderless := recovered
	leaderless.addr = ""
	grown := own(2, "a2", 6)
	grown.members = voters(5)
	for _, tc := range []struct {
		name        string
		replies     []reply
		stays, goes string // who is gone to while there is time, and when there is none. "": nobody.
	}{
		{"the own alone", []reply{own(2, "a2", 5), own(3, "a2", 5)}, "a2", "a2"},
		{"one of the own alone", []reply{own(2, "a2", 5)}, "a2", "a2"},
		{"a deposed one of the own", []reply{own(2, "a1", 5), own(3, "a2", 6)}, "a2", "a2"},
		{"a majority of the own beside the recovered", []reply{recovered, own(2, "a2", 5), own(3, "a2", 5)}, "a2", "a2"},
		{"the same, and it answers last", []reply{own(2, "a2", 5), own(3, "", 5), recovered}, "a2", "a2"},
		{"the own elects", []reply{recovered, own(2, "", 6), own(3, "", 6)}, "", "r1"},
		{"one of the own, which may be cut off", []reply{recovered, own(2, "a2", 5)}, "a2", "r1"},
		{"one server at two addresses is one", []reply{recovered, own(2, "a2", 5), own(2, "a2", 5)}, "a2", "r1"},
		{"two of a group that has grown to five", []reply{recovered, own(3, "a2", 5), grown}, "a2", "r1"},
		{"the recovered alone", []reply{recovered}, "", "r1"},
		{"the recovered without a leader yet", []reply{leaderless, own(3, "", 6)}, "", ""},
		{"nobody leads", []reply{own(2, "", 6), own(3, "", 6)}, "", ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			for mayGo, want := range map[bool]string{false: tc.stays, true: tc.goes} {
				c := tally{cluster: "c1"}
				for _, r := range tc.replies {
					c.add(r)
					if c.sure(len(tc.replies)) {
						require.Equal(t, want, c.own.best.addr)
					}
				}
				got, err := c.choose(mayGo)
				require.Equal(t, want, got.addr)
				require.Equal(t, want == "", err != nil)
			}
		})
	}
}

// TestWorkerStaysWithItsCluster: while its own cluster elects, a worker does not go to one that was recovered from it and leads in a later
// term; it does once none of its own servers is there, with the lease that is left.
func TestWorkerStaysWithItsCluster(t *testing.T) {
	for name, lost := range map[string]bool{"the own elects": false, "the own is lost": true} {
		t.Run(name, func(t *testing.T) {
			var now atomic.Pointer[lead]
			lease := time.Hour
			if lost {
				lease = 4 * time.Second
			}
			fake := func(i int, term uint64) *fakeLeader {
				f := &fakeLeader{term: term, lease: lease, leader: func() lead { return *now.Load() }}
				f.self = &apiv1.DiscoverResponse{ServerId: fmt.Sprint("s", i), ClusterId: "c1", Members: voters(3)}
				serveFake(t, f)
				return f
			}
			recovered, old, next := fake(1, laterTerm), fake(2, 5), fake(3, 6)
			recovered.self.ClusterId, recovered.self.FormerClusterIds, recovered.self.Members = "c2", []string{"c1"}, voters(1)
			recovered.leader = func() lead { return lead{addr: recovered.addr, term: laterTerm} }
			now.Store(&lead{addr: old.addr, term: 5})
			var gone atomic.Bool
			newTestWorker(t, func() []string {
				if gone.Load() {
					return []string{recovered.addr, "127.0.0.1:1", "127.0.0.1:2"}
				}
				return []string{recovered.addr, old.addr, next.addr}
			}, func(w *Worker) { w.member = membership{"c1", "w1"} })
			within(t, old.welcomes, "the first session")
			asked := recovered.asked.Load()
			now.Store(&lead{term: 6})
			gone.Store(lost)
			old.end.Store(true)
			if lost {
				within(t, recovered.welcomes, "a session with the recovered cluster")
				return
			}
			require.Eventually(t, func() bool { return recovered.asked.Load() > asked+3 }, time.Minute, time.Millisecond, "it looks for a leader")
			now.Store(&lead{addr: next.addr, term: 6})
			within(t, next.welcomes, "a session with the next leader of its own cluster")
			require.Empty(t, recovered.welcomes)
		})
	}
}
