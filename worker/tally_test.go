package worker

import (
	"bytes"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/internal/notify"
	"github.com/godwit-run/godwit/internal/transport"
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
		return reply{lead: lead{addr: leader, term: term, cluster: "c1"}, server: fmt.Sprint("s", i), members: voters(3)}
	}
	recovered := reply{lead: lead{addr: "r1", term: laterTerm, cluster: "c2"}, server: "s1", former: []string{"c1"}, members: voters(1)}
	twin, again := recovered, recovered
	twin.lead, twin.server = lead{addr: "r2", term: laterTerm, cluster: "c3"}, "s2"
	again.lead, again.server, again.former = lead{addr: "r3", term: 2 * laterTerm, cluster: "c4"}, "s3", []string{"c1", "c2"}
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
		{"two that were recovered apart", []reply{recovered, twin}, "", ""},
		{"one that was recovered from the other", []reply{recovered, again}, "", "r3"},
		{"a majority of the own beside two that were recovered apart", []reply{recovered, twin, own(2, "a2", 5), own(3, "a2", 5)}, "a2", "a2"},
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

// TestFreshWorkerGoesToTheOlder: a worker that has joined no cluster goes by the rule of those that have, in whatever order they answer.
func TestFreshWorkerGoesToTheOlder(t *testing.T) {
	of := func(i int, cluster, leader string, term uint64, n int, former ...string) reply {
		return reply{
			lead: lead{addr: leader, term: term, cluster: cluster}, server: fmt.Sprint("s", i), at: fmt.Sprintf("a%d:7400", i), former: former,
			members: voters(n),
		}
	}
	own := func(i int, leader string) reply { return of(i, "c1", leader, 5, 3) }
	recovered := of(2, "c2", "r2", laterTerm, 2, "c1")
	unnamed := reply{server: "s9", at: "a9:7400"}
	for _, tc := range []struct {
		name        string
		replies     []reply
		silent      int
		stays, goes string // where to while there is time, and when there is none. "": nowhere
		why         []string
	}{
		{"one cluster", []reply{own(1, "o1"), own(2, "o1"), own(3, "o1")}, 0, "o1", "o1", nil},
		{"one that was never recovered, and a server that is silent", []reply{own(1, "o1"), own(3, "o1")}, 1, "o1", "o1", nil},
		{"the older well", []reply{own(1, "o1"), recovered, own(3, "o1")}, 0, "o1", "o1", nil},
		{"the older elects", []reply{own(1, ""), recovered, own(3, "")}, 0, "", "r2", []string{"c1 at a1:7400, a3:7400; c2 at a2:7400"}},
		{"a minority of the older", []reply{own(1, "o1"), recovered}, 0, "o1", "r2", nil},
		{"the recovered alone", []reply{recovered}, 0, "r2", "r2", nil},
		{"the recovered, and a server that is silent", []reply{recovered}, 2, "", "r2", []string{"2 servers have not answered"}},
		{"recovered twice", []reply{own(1, "o1"), recovered, own(3, "o1"), of(4, "c3", "r4", 2*laterTerm, 1, "c1", "c2")}, 0, "o1", "o1", nil},
		{"recovered twice, the first is lost", []reply{recovered, of(4, "c3", "r4", 2*laterTerm, 1, "c1", "c2"), of(1, "c2", "r2", laterTerm, 2)}, 0, "r2", "r2", nil},
		{"two that were recovered from the same", []reply{recovered, of(4, "c3", "r4", 2*laterTerm, 1, "c1")}, 0, "", "", []string{"c2 at a2:7400; c3 at a4:7400", "--join"}},
		{"two that have nothing to do with each other", []reply{own(1, "o1"), of(4, "c9", "x", 9, 1)}, 0, "", "", []string{"c1 at a1:7400; c9 at a4:7400"}},
		{"one that is of none yet", []reply{unnamed, own(1, "o1")}, 0, "o1", "o1", nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			for rot := range tc.replies {
				for mayGo, want := range map[bool]string{false: tc.stays, true: tc.goes} {
					c := tally{silent: tc.silent}
					for i := range tc.replies {
						require.False(t, c.sure(len(tc.replies)), "each may be of an older one")
						c.add(tc.replies[(rot+i)%len(tc.replies)])
					}
					got, err := c.choose(mayGo)
					require.Equal(t, want, got.addr, "%v", err)
					if want != "" {
						require.NoError(t, err)
						continue
					}
					for _, part := range tc.why {
						require.ErrorContains(t, err, part)
					}
				}
			}
		})
	}
}

// TestFreshWorkerBesideTwoClusters: whichever server answers first, it finds the older cluster, and says once that there are two.
func TestFreshWorkerBesideTwoClusters(t *testing.T) {
	var addrs []string
	for i := range 3 {
		f := &fakeLeader{term: 5}
		f.leader = func() lead { return lead{addr: addrs[0], term: 5} }
		f.self = &apiv1.DiscoverResponse{ServerId: fmt.Sprint("s", i+1), ClusterId: "c1", Members: voters(3)}
		if i == 1 {
			f.self.ClusterId, f.self.FormerClusterIds, f.self.Members = "c2", []string{"c1"}, voters(1)
			f.leader = func() lead { return lead{addr: addrs[1], term: laterTerm} }
		}
		serveFake(t, f)
		addrs = append(addrs, f.addr)
	}
	under := transport.NewHTTPClient()
	t.Cleanup(under.CloseIdleConnections)
	for _, order := range [][]int{{0, 1, 2}, {0, 2, 1}, {1, 0, 2}, {1, 2, 0}, {2, 0, 1}, {2, 1, 0}} {
		var turns []string
		for _, i := range order {
			turns = append(turns, addrs[i])
		}
		var log bytes.Buffer
		w := &Worker{
			toServers: &http.Client{Transport: inTurn(under.Transport, turns...)}, servers: func() []string { return turns },
			log: slog.New(slog.NewTextHandler(&log, nil)),
		}
		for range 10 { // a look may end before a slow server has answered
			found, err := w.findLeader(t.Context(), false)
			if err == nil {
				require.Equal(t, "c1", found.cluster, "%v", order)
			}
			if strings.Contains(log.String(), addrs[1]) {
				break
			}
		}
		_, _ = w.findLeader(t.Context(), false)
		require.Equal(t, 1, strings.Count(log.String(), "two clusters answer"), "%v: %s", order, &log)
		require.Contains(t, log.String(), "older=c1")
		require.Contains(t, log.String(), "recovered=c2")
	}
}

// TestNoSecondCluster: a new server that is in no cluster yet, beside the one that was recovered, is no second cluster.
func TestNoSecondCluster(t *testing.T) {
	recovered := &fakeLeader{self: &apiv1.DiscoverResponse{ServerId: "s1", ClusterId: "c2", FormerClusterIds: []string{"c1"}, Members: voters(1)}, term: laterTerm}
	fresh := &fakeLeader{self: &apiv1.DiscoverResponse{ServerId: "s9"}, leader: func() lead { return lead{} }}
	recovered.leader = func() lead { return lead{addr: recovered.addr, term: laterTerm} }
	serveFake(t, recovered)
	serveFake(t, fresh)
	under := transport.NewHTTPClient()
	t.Cleanup(under.CloseIdleConnections)
	for _, turns := range [][]string{{recovered.addr, fresh.addr}, {fresh.addr, recovered.addr}} {
		var log bytes.Buffer
		w := &Worker{
			toServers: &http.Client{Transport: inTurn(under.Transport, turns...)}, servers: func() []string { return turns },
			log: slog.New(slog.NewTextHandler(&log, nil)),
		}
		w.member.cluster = "c1"
		require.Eventually(t, func() bool { // a look may end before a slow server has answered
			found, err := w.findLeader(t.Context(), true)
			return err == nil && found.cluster == "c2"
		}, time.Minute, time.Millisecond)
		require.Empty(t, log.String())
	}
}

// TestJoinsWhomItMeant: what was said of a server may have been before that was recovered.
func TestJoinsWhomItMeant(t *testing.T) {
	w := &Worker{diskCh: notify.NewSignal()}
	require.ErrorContains(t, w.joined("c2", []string{"c1"}, lead{cluster: "c1"}), "is of cluster c2 now")
	require.Empty(t, w.member.cluster)
	require.NoError(t, w.joined("c2", []string{"c1"}, lead{cluster: "c2"}))
}

// TestWhoMayHurry: who has joined a cluster need not wait for all of its servers; who has joined none waits for each, which may be of another.
func TestWhoMayHurry(t *testing.T) {
	of := func(cluster, at string, former ...string) reply {
		return reply{lead: lead{addr: at, term: 5, cluster: cluster}, server: at, former: former}
	}
	for _, tc := range []struct {
		joined  string
		replies []reply
		mayGo   bool
		want    bool
	}{
		{"c1", []reply{of("c1", "a1")}, false, true},
		{"c1", []reply{of("c1", "a1"), of("c2", "b1", "c1")}, false, true},
		{"c1", []reply{of("c1", "a1"), of("c2", "b1", "c1")}, true, false},
		{"c1", []reply{of("c2", "b1", "c1")}, false, false},
		{"", []reply{of("c1", "a1")}, false, false},
		{"", []reply{of("c2", "b1", "c1")}, true, false},
	} {
		c := tally{cluster: tc.joined}
		for _, r := range tc.replies {
			c.add(r)
		}
		require.Equal(t, tc.want, c.mayHurry(tc.mayGo), "%+v", tc)
	}
}
