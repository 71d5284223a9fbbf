package client

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"connectrpc.com/connect/v2"
	"github.com/stretchr/testify/require"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/api/v1/apiv1connect"
)

func sameCluster(context.Context, string) (*apiv1.DiscoverResponse, error) {
	return &apiv1.DiscoverResponse{ClusterId: "c1"}, nil
}

// servers are those of a test: what each says of its cluster; nil: it does not answer.
type servers map[string]*apiv1.DiscoverResponse

func (s servers) client(t *testing.T, addrs string) (c *Client, asked *atomic.Int32) {
	t.Helper()
	c, err := New(addrs, 0)
	require.NoError(t, err)
	asked = new(atomic.Int32)
	c.asks = func(_ context.Context, addr string) (*apiv1.DiscoverResponse, error) {
		asked.Add(1)
		if res := s[addr]; res != nil {
			return res, nil
		}
		return nil, connect.NewError(connect.CodeUnavailable, "refused")
	}
	return c, asked
}

// called says whether a call goes out, without one more try.
func called(t *testing.T, c *Client) (bool, error) {
	t.Helper()
	ok := false
	err := c.Do(t.Context(), func(context.Context, apiv1connect.ControlClient) error { ok = true; return nil })
	return ok, err
}

var (
	of1 = &apiv1.DiscoverResponse{ClusterId: "c1", LeaderAddr: "l1"}
	of2 = &apiv1.DiscoverResponse{ClusterId: "c2", FormerClusterIds: []string{"c1"}, LeaderAddr: "l2"}
	of9 = &apiv1.DiscoverResponse{ClusterId: "c9", LeaderAddr: "l9"}
	// old1 is one of three of c1 that have no leader.
	old1 = &apiv1.DiscoverResponse{ClusterId: "c1", ServerId: "s1", Members: []*apiv1.GroupMember{{Id: "s1", Voter: true}, {Id: "s2", Voter: true}, {Id: "s3", Voter: true}}}
)

// TestOneClusterIsCalled: the recovered one of two only if none of the older one is there; of both nobody is called.
func TestOneClusterIsCalled(t *testing.T) {
	for _, tc := range []struct {
		name  string
		s     servers
		asked int32
		err   string // "": a call goes out
	}{
		{"one cluster", servers{"a:1": of1, "b:1": of1, "c:1": of1}, 1, ""},
		{"the older first", servers{"a:1": of1, "b:1": of2, "c:1": of1}, 1, ""},
		{"the recovered first", servers{"a:1": of2, "b:1": of1, "c:1": of1}, 4, "c1 at b:1,c:1; c2 at a:1"},
		{"the first is away, the recovered next", servers{"b:1": of2, "c:1": of1}, 5, "c1 at c:1; c2 at b:1"},
		{"the recovered alone", servers{"b:1": of2}, 5, ""},
		{"the recovered first, one of the past is back", servers{"a:1": of2, "b:1": old1}, 4, ""},
		{"one of the past first", servers{"a:1": old1, "b:1": of2}, 1, ""}, // it says that there is no leader
		{"nobody leads", servers{"a:1": {ClusterId: "c2", FormerClusterIds: []string{"c1"}}, "b:1": old1}, 4, "no server answers"},
		{"of none yet", servers{"a:1": {}}, 1, ""},
		{"nobody", servers{}, 1, "no server answers"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c, asked := tc.s.client(t, "a:1,b:1,c:1")
			if tc.s["a:1"] == nil && len(tc.s) > 0 {
				c.patience = time.Hour
			}
			ok, err := called(t, c)
			require.Equal(t, tc.err == "", ok)
			require.Equal(t, tc.asked, asked.Load())
			if tc.err == "" {
				require.NoError(t, err)
				return
			}
			require.ErrorContains(t, err, tc.err)
		})
	}
}

// TestNoOtherClusterIsCalledLater: a client that goes to another server, or comes back to one, does not come to another cluster by it.
func TestNoOtherClusterIsCalledLater(t *testing.T) {
	breaks := func(c *Client) {
		once := false
		_ = c.Do(t.Context(), func(context.Context, apiv1connect.ControlClient) error {
			if once {
				return nil
			}
			once = true
			return connect.NewError(connect.CodeUnavailable, "broke")
		})
	}
	for _, tc := range []struct {
		name   string
		before servers
		after  servers
		err    string
	}{
		{"to a recovered one, the older is there", servers{"a:1": of1}, servers{"a:1": of1, "b:1": of2}, "b:1 is not of cluster c1"},
		{"to a recovered one, the older is lost", servers{"a:1": of1}, servers{"b:1": of2}, ""},
		{"back to the older one", servers{"a:1": of2}, servers{"b:1": of1}, "no cluster's servers lead"},
		{"to a recovered one, one of the older is there", servers{"a:1": of1}, servers{"a:1": old1, "b:1": of2}, ""},
		{"to one that it has nothing to do with", servers{"a:1": of1}, servers{"a:1": of1, "b:1": of9}, "b:1 is not of cluster c1"},
		{"to another server", servers{"a:1": of2}, servers{"b:1": of2}, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			now := servers{}
			swap := func(to servers) {
				clear(now)
				for a, res := range to {
					now[a] = res
				}
			}
			c, _ := now.client(t, "a:1,b:1")
			swap(tc.before)
			ok, err := called(t, c)
			require.NoError(t, err)
			require.True(t, ok)
			swap(tc.after)
			breaks(c) // goes on to the next, which is asked
			c.mu.Lock()
			clear(c.known)
			c.next = 1
			c.mu.Unlock()
			ok, err = called(t, c)
			require.Equal(t, tc.err == "", ok)
			if tc.err != "" {
				require.ErrorContains(t, err, tc.err)
			}
		})
	}
}

// TestWhoFailedIsAskedAgain: a server to which a call has failed may be another's when it is back, however lately it was asked.
func TestWhoFailedIsAskedAgain(t *testing.T) {
	c, asked := servers{"a:1": of1}.client(t, "a:1,b:1")
	c.patience = time.Hour
	ok, err := called(t, c)
	require.NoError(t, err)
	require.True(t, ok)
	require.EqualValues(t, 1, asked.Swap(0))
	calls := 0
	err = c.Do(t.Context(), func(context.Context, apiv1connect.ControlClient) error {
		if calls++; calls > 1 {
			return nil
		}
		c.mu.Lock()
		c.known["a:1"] = time.Now().Add(time.Hour) // it was asked just now
		c.mu.Unlock()
		return connect.NewError(connect.CodeUnavailable, "broke")
	})
	require.NoError(t, err)
	require.Equal(t, 2, calls)
	require.EqualValues(t, 2, asked.Load(), "b:1, which does not answer, and a:1")
}

// TestOthersArePassedOver: a client goes on with its own cluster, past a server of another one.
func TestOthersArePassedOver(t *testing.T) {
	now := servers{"a:1": of1, "b:1": of2}
	c, _ := now.client(t, "a:1,b:1")
	ok, err := called(t, c)
	require.NoError(t, err)
	require.True(t, ok)
	c.mu.Lock()
	c.patience, c.next = time.Minute, 1
	clear(c.known)
	c.mu.Unlock()
	ok, err = called(t, c)
	require.NoError(t, err)
	require.True(t, ok)
	require.Equal(t, "c1", c.cluster)
}

// TestWhoIsNamedIsMeant: one address needs no question.
func TestWhoIsNamedIsMeant(t *testing.T) {
	c, asked := servers{"a:1": of2}.client(t, "a:1")
	ok, err := called(t, c)
	require.NoError(t, err)
	require.True(t, ok)
	require.Zero(t, asked.Load())
}

// TestAlive: a cluster is there whose servers lead, or whose voters that answer are more than half.
func TestAlive(t *testing.T) {
	voters := func(n, others int) (members []*apiv1.GroupMember) {
		for i := range n + others {
			members = append(members, &apiv1.GroupMember{Id: fmt.Sprintf("s%d", i), Voter: i < n})
		}
		return members
	}
	for _, tc := range []struct {
		name    string
		members []*apiv1.GroupMember
		answer  []string
		leader  string
		alive   bool
	}{
		{"one of three", voters(3, 0), []string{"s0"}, "", false},
		{"two of three", voters(3, 0), []string{"s0", "s2"}, "", true},
		{"half of two", voters(2, 0), []string{"s0"}, "", false},
		{"half of four", voters(4, 0), []string{"s0", "s1"}, "", false},
		{"three of four", voters(4, 0), []string{"s0", "s1", "s3"}, "", true},
		{"half of the voters, and others", voters(2, 3), []string{"s0", "s2", "s3", "s4"}, "", false},
		{"all of one", voters(1, 2), []string{"s0"}, "", true},
		{"twice the same of two", voters(2, 0), []string{"s0", "s0"}, "", false},
		{"one that is no member", voters(2, 0), []string{"s0", "s9"}, "", false},
		{"it knows a leader", voters(3, 0), []string{"s0"}, "l1", true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			p := new(party)
			for i, id := range tc.answer {
				p.add(&apiv1.DiscoverResponse{ClusterId: "c1", ServerId: id, Members: tc.members, LeaderAddr: tc.leader}, fmt.Sprintf("a:%d", i))
			}
			require.Equal(t, tc.alive, p.alive())
		})
	}
	require.False(t, (*party)(nil).alive())
}

// TestNewestAnswerCounts: that of the later term, and of one term that which has applied more, in whatever order they come.
func TestNewestAnswerCounts(t *testing.T) {
	alone := []*apiv1.GroupMember{{Id: "s1", Voter: true}}
	three := []*apiv1.GroupMember{{Id: "s1", Voter: true}, {Id: "s2", Voter: true}, {Id: "s3", Voter: true}, {Id: "s4", Voter: true}}
	for _, tc := range []struct {
		name     string
		old, now *apiv1.DiscoverResponse
	}{
		{"applied more", &apiv1.DiscoverResponse{ServerId: "s1", Term: 2, AppliedIndex: 7}, &apiv1.DiscoverResponse{ServerId: "s2", Term: 2, AppliedIndex: 8}},
		{"a later term", &apiv1.DiscoverResponse{ServerId: "s1", Term: 2, AppliedIndex: 9}, &apiv1.DiscoverResponse{ServerId: "s2", Term: 3, AppliedIndex: 8}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			for _, grows := range []bool{true, false} {
				tc.old.Members, tc.now.Members = alone, three
				if !grows {
					tc.old.Members, tc.now.Members = three, alone
				}
				for _, order := range [][]*apiv1.DiscoverResponse{{tc.old, tc.now}, {tc.now, tc.old}} {
					p := new(party)
					for _, res := range order {
						p.add(res, res.ServerId)
					}
					require.Same(t, tc.now, p.newest)
					require.Equal(t, !grows, p.alive(), "two of four are no majority, one of one is")
				}
			}
		})
	}
}

// TestLate: that there was no time left for an answer is found out by the caller, or by the server, which may be the first to.
func TestLate(t *testing.T) {
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	says := func(code connect.Code) error { return connect.NewError(code, "said by the server") }
	for _, tc := range []struct {
		name string
		ctx  context.Context //nolint:containedctx // of a case
		err  error
		late bool
	}{
		{"an answer", t.Context(), nil, false},
		{"an answer, the moment before", gone, nil, false},
		{"refused", t.Context(), says(connect.CodeUnavailable), false},
		{"the caller's time is over", gone, says(connect.CodeUnavailable), true},
		{"the server was the first to see that", t.Context(), says(connect.CodeDeadlineExceeded), true},
	} {
		require.Equal(t, tc.late, late(tc.ctx, tc.err), tc.name)
	}
}
