package worker

import (
	"context"
	"log/slog"
	"net"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/internal/transport"
)

// TestMayGo: to another cluster after half the lease without an answer, and before the first lease after as long as a welcome may take.
func TestMayGo(t *testing.T) {
	l, now := testLease()
	k := &keeper{lease: l}
	*now = at(100)
	require.False(t, k.mayGo(), "nothing was heard of")
	k.heard = at(1)
	*now = at(1) + moment(welcomeWait)
	require.False(t, k.mayGo())
	*now++
	require.True(t, k.mayGo())
	*now = at(20)
	l.grant(at(20), 10*time.Second)
	require.False(t, k.mayGo())
	*now = at(25)
	require.False(t, k.mayGo())
	*now++
	require.True(t, k.mayGo())
}

// TestNoSessionWithThePast: a leader of an older term than one that was seen is not even greeted.
func TestNoSessionWithThePast(t *testing.T) {
	f := &fakeLeader{term: 4, lease: time.Minute}
	f.leader = func() lead { return lead{addr: f.addr, term: 4} }
	greeted := false
	f.greets = func() { greeted = true }
	serveFake(t, f)
	h := transport.NewHTTPClient()
	t.Cleanup(h.CloseIdleConnections)
	w := &Worker{toServers: h, servers: func() []string { return []string{f.addr} }}
	k := &keeper{w: w, lease: newLease(sinceBoot, func(time.Duration) {}), term: 5}
	err := k.serve(t.Context())
	for strings.Contains(err.Error(), "no server answers") { // a look may end before a slow server has answered
		err = k.serve(t.Context())
	}
	require.ErrorContains(t, err, "no leader later than term 4")
	require.False(t, greeted)
}

// TestWelcomeNeedsALease: a welcome without one, or without heartbeats, is none.
func TestWelcomeNeedsALease(t *testing.T) {
	f := &fakeLeader{term: 5}
	serveFake(t, f)
	w := newTestWorker(t, func() []string { return nil }, nil)
	k := &keeper{w: w, lease: newLease(sinceBoot, func(time.Duration) {})}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	_, err := k.open(ctx, cancel, lead{addr: f.addr, term: 5})
	require.ErrorContains(t, err, "a lease of 0 ms with heartbeats of 10 ms")
	require.Zero(t, k.term)
}

// TestAnAnswerIsForAllBefore: beats that came before an answered one wait for no answer any more.
func TestAnAnswerIsForAllBefore(t *testing.T) {
	l, _ := testLease()
	s := &session{w: &Worker{}, stream: &sentStream{}, lease: l, sent: map[uint64]moment{}}
	for seq := range uint64(4) {
		require.NoError(t, s.beat(seq))
	}
	s.taken(2)
	require.Len(t, s.sent, 1)
	require.Contains(t, s.sent, uint64(3))
}

// TestMajorityOfTheNewestGroup: voters count, those of the group as the answer has it that is the furthest.
func TestMajorityOfTheNewestGroup(t *testing.T) {
	answer := func(server string, applied uint64, members []*apiv1.GroupMember) reply {
		return reply{lead: lead{term: 5}, server: server, applied: applied, members: members}
	}
	learners := append(voters(2), &apiv1.GroupMember{Id: "s3"}, &apiv1.GroupMember{Id: "s4"})
	for name, tc := range map[string]struct {
		answers []reply
		want    bool
	}{
		"2 of 3":                    {[]reply{answer("s1", 1, voters(3)), answer("s2", 1, voters(3))}, true},
		"1 of 3":                    {[]reply{answer("s1", 1, voters(3))}, false},
		"half":                      {[]reply{answer("s1", 1, voters(4)), answer("s2", 1, voters(4))}, false},
		"none":                      {[]reply{answer("s1", 1, nil)}, false},
		"a stranger":                {[]reply{answer("s1", 1, voters(3)), answer("s9", 1, voters(3))}, false},
		"one voter and two without": {[]reply{answer("s1", 1, learners), answer("s3", 1, learners), answer("s4", 1, learners)}, false},
		"it has grown to five":      {[]reply{answer("s1", 9, voters(5)), answer("s2", 1, voters(3))}, false},
		"it has shrunk to three":    {[]reply{answer("s1", 9, voters(3)), answer("s2", 1, voters(5))}, true},
	} {
		for range 2 {
			var s side
			for _, r := range tc.answers {
				s.add(r)
			}
			require.Equal(t, tc.want, s.majority(), name)
			slices.Reverse(tc.answers)
		}
	}
}

// TestWhomALookCounts: servers of a foreign cluster are an error that says what to do; a recovered cluster is gone to only if what is
// known of the rest is that it is not there; no more than maxAsked are asked.
func TestWhomALookCounts(t *testing.T) {
	f := &fakeLeader{term: 5}
	f.leader = func() lead { return lead{addr: f.addr, term: 5} }
	f.self = &apiv1.DiscoverResponse{ServerId: "s1", ClusterId: "c2", FormerClusterIds: []string{"c1"}, Members: voters(1)}
	serveFake(t, f)
	dark, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0") // takes connections, and says nothing
	require.NoError(t, err)
	t.Cleanup(func() { _ = dark.Close() })
	h := transport.NewHTTPClient()
	t.Cleanup(h.CloseIdleConnections)
	look := func(cluster string, mayGo bool, servers ...string) (lead, error) {
		w := &Worker{toServers: h, servers: func() []string { return servers }, member: membership{cluster: cluster}}
		for { // a look may end before a slow server has answered
			if l, err := w.findLeader(t.Context(), mayGo); err == nil || f.asked.Load() > 0 && !strings.Contains(err.Error(), "deadline") {
				return l, err
			}
		}
	}
	_, err = look("c9", true, f.addr)
	require.ErrorContains(t, err, "belongs to cluster c9, but server "+f.addr+" is of cluster c2: use another --data-dir or --join")
	_, err = look("", false, f.addr, dark.Addr().String())
	require.ErrorContains(t, err, "1 servers have not answered")
	found, err := look("", true, f.addr, dark.Addr().String())
	require.NoError(t, err)
	require.Equal(t, f.addr, found.addr)

	w := &Worker{toServers: h, servers: func() []string { return slices.Repeat([]string{f.addr}, 2*maxAsked) }}
	before := f.asked.Load()
	_, _ = w.findLeader(t.Context(), true) // it may end before all have answered
	require.LessOrEqual(t, f.asked.Load()-before, int64(maxAsked))
}

// TestWhatIsWaitedForNoMore: a welcome, when there is a leader of a later term, or of the other one of two clusters.
func TestWhatIsWaitedForNoMore(t *testing.T) {
	f := &fakeLeader{}
	f.leader = func() lead { return lead{addr: f.addr, term: 6} }
	f.self = &apiv1.DiscoverResponse{ServerId: "s1", ClusterId: "c1", Members: voters(1)}
	serveFake(t, f)
	h := transport.NewHTTPClient()
	t.Cleanup(h.CloseIdleConnections)
	w := &Worker{toServers: h, servers: func() []string { return []string{f.addr} }}
	for _, now := range []lead{{addr: "x", term: 5, cluster: "c1"}, {addr: "x", term: laterTerm, cluster: "c2"}} {
		jumped := false
		w.watchNewer(t.Context(), now, func() bool { return false }, func() { jumped = true })
		require.True(t, jumped)
	}
	ctx, cancel := context.WithCancel(t.Context())
	over := make(chan bool, 1)
	asked := f.asked.Load()
	go func() {
		jumped := false
		w.watchNewer(ctx, lead{addr: f.addr, term: 6, cluster: "c1"}, func() bool { return false }, func() { jumped = true })
		over <- jumped
	}()
	require.Eventually(t, func() bool { return f.asked.Load() > asked+1 }, time.Minute, time.Millisecond)
	cancel()
	require.False(t, <-over, "it is the one")
}

// TestHeardOfTheRecoveredAlone: the wait for an older cluster begins when a recovered one's leader is heard of, not when the worker does, and
// anew when something else was found; a server that refuses may be about to start.
func TestHeardOfTheRecoveredAlone(t *testing.T) {
	f := &fakeLeader{term: laterTerm}
	f.leader = func() lead { return lead{addr: f.addr, term: laterTerm} }
	f.self = &apiv1.DiscoverResponse{ServerId: "s1", ClusterId: "c2", FormerClusterIds: []string{"c1"}, Members: voters(1)}
	serveFake(t, f)
	h := transport.NewHTTPClient()
	t.Cleanup(h.CloseIdleConnections)
	servers := []string{"127.0.0.1:1"} // nobody is there
	w := &Worker{toServers: h, servers: func() []string { return servers }, log: slog.New(slog.DiscardHandler)}
	k := &keeper{w: w, lease: newLease(sinceBoot, func(time.Duration) {})}
	require.ErrorContains(t, k.serve(t.Context()), "no server answers")
	require.Zero(t, k.heard)
	servers = append(servers, f.addr)
	err := k.serve(t.Context())
	for strings.Contains(err.Error(), "no server answers") {
		err = k.serve(t.Context())
	}
	require.ErrorContains(t, err, "is of a recovered cluster, and 1 servers have not answered")
	require.NotZero(t, k.heard)
	servers = servers[:1]
	require.ErrorContains(t, k.serve(t.Context()), "no server answers")
	require.Zero(t, k.heard)
}

// TestTroubleByTurnsIsSaidOnce: a worker that meets two reasons by turns, each time that it looks, says each once and not at each look.
func TestTroubleByTurnsIsSaidOnce(t *testing.T) {
	said := &countedLog{}
	looked, looks := make(chan struct{}), 0
	newTestWorker(t, func() []string {
		if looks++; looks == 7 {
			close(looked)
		}
		if looks%2 == 0 {
			return nil
		}
		return []string{"127.0.0.1:99999"} // no port
	}, func(w *Worker) { w.log = slog.New(said) })
	within(t, looked, "a seventh look")
	require.Equal(t, int64(2), said.warnings.Load())
}

// countedLog counts warnings about sessions.
type countedLog struct{ warnings atomic.Int64 }

func (c *countedLog) Enabled(context.Context, slog.Level) bool { return true }

func (c *countedLog) Handle(_ context.Context, r slog.Record) error {
	if r.Message == "no session with the leader" {
		c.warnings.Add(1)
	}
	return nil
}

func (c *countedLog) WithAttrs([]slog.Attr) slog.Handler { return c }
func (c *countedLog) WithGroup(string) slog.Handler      { return c }
