package control

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/fsm"
)

func TestLeases(t *testing.T) {
	b := newBench(t, func(c *Config) { c.Lease, c.Heartbeat = time.Hour, 500*time.Millisecond }) // the cluster's counts
	lease := 2 * time.Second
	b.propose(&apiv1.Command{Op: &apiv1.Command_SetClusterConfig{SetClusterConfig: &apiv1.SetClusterConfig{
		Config: &apiv1.ClusterConfig{LeaseMs: lease.Milliseconds()},
	}}})
	b.l.makeCluster(b.ctx)
	b.running()
	now := time.Now()
	state := func(h string) string {
		host, ok := b.l.c.state.View().Host(fsm.HostID(h))
		require.True(t, ok)
		return host.State
	}
	b.l.sessions.forget("h1") // a host this leader has not heard of yet
	b.l.sessions.heard.set("h2", now.Add(-lease))
	b.l.expireLeases(b.ctx, now)
	require.Equal(t, "ready", state("h1"), "a new leader waits a full lease")
	require.Equal(t, "ready", state("h2"), "the leader outlasts the worker")
	b.l.sessions.heard.set("h2", now.Add(-lease-leaseMargin))
	b.l.expireLeases(b.ctx, now)
	require.Equal(t, "lost", state("h2"))
	app := b.app("a")
	require.Equal(t, "failed", app.Verdict)
	require.Contains(t, app.Reason, "h2")
	b.report("h1", &apiv1.AppStatus{App: "a", Ranks: []*apiv1.RankStatus{
		{Rank: 0, Epoch: 1, State: "ended", ExitCode: 137}, {Rank: 1, Epoch: 1, State: "ended", ExitCode: 137},
	}})
	b.l.takeReports(b.ctx)
	require.Equal(t, "failed", b.app("a").Phase)
}

// TestExpirerFollowsTheLog: a host that nobody has heard of is waited for from when the log has it, one that is gone or
// forgotten no more; time during which the leader did not run is no silence.
func TestExpirerFollowsTheLog(t *testing.T) {
	b := newBench(t, func(c *Config) { c.Lease, c.Heartbeat = time.Hour, time.Second })
	b.propose(&apiv1.Command{Op: &apiv1.Command_SetClusterConfig{SetClusterConfig: &apiv1.SetClusterConfig{Config: &apiv1.ClusterConfig{LeaseMs: 3600_000}}}})
	register := func(name string) {
		h := &apiv1.Host{Id: name, Name: name, Addr: name + ":1", Slots: 1, Incarnation: "i-" + name, NodeId: "n-" + name}
		require.NoError(t, b.register(h, nil))
	}
	register("h1")
	expire, feed := b.l.expirer(), newFollower(b.l.c.state)
	expire(b.ctx)
	register("h2")
	expire(b.ctx)
	begin := time.Now()
	for _, h := range []fsm.HostID{"h1", "h2"} {
		at, ok := b.l.sessions.heard.when(h)
		require.True(t, ok)
		require.False(t, at.After(begin))
	}
	b.l.sessions.heard.set("h1", begin.Add(-time.Hour))
	b.l.sessions.excuse(time.Minute, begin)
	at, _ := b.l.sessions.heard.when("h1")
	require.Equal(t, begin.Add(-59*time.Minute), at)
	at, _ = b.l.sessions.heard.when("h2")
	require.Equal(t, begin, at, "nobody is heard in the future")
	b.l.expireLeases(b.ctx, begin.Add(2*time.Minute))
	h, _ := b.l.c.state.View().Host("h1")
	require.Equal(t, fsm.Lost, fsm.HostStateOf(h))
	require.Equal(t, "no heartbeat for 3660.0s", h.Reason)
	h, _ = b.l.c.state.View().Host("h2")
	require.Equal(t, fsm.Ready, fsm.HostStateOf(h))
	b.propose(&apiv1.Command{Op: &apiv1.Command_SetHostState{SetHostState: &apiv1.SetHostState{Host: "h2", Incarnation: "i-h2", State: "left"}}})
	b.l.expectHosts(feed, begin)
	require.Empty(t, b.l.sessions.heard.order)
}

// TestPausesCountForNobody: what passes while the process does not run is no silence; what passes while a duty waits for the log is.
func TestPausesCountForNobody(t *testing.T) {
	begin := time.Now()
	hosts, p := newSessions(), pauses{}
	hosts.await("h1", begin)
	heard := func() time.Duration {
		at, _ := hosts.heard.when("h1")
		return at.Sub(begin)
	}
	p.note(hosts, begin)
	for at := tick; at <= 5*time.Second; at += tick { // while a look of the expirer waits
		p.note(hosts, begin.Add(at))
	}
	p.note(hosts, begin) // that look, when it goes on
	require.Zero(t, heard())
	p.note(hosts, begin.Add(5*time.Second+leaseMargin))
	require.Zero(t, heard(), "a tick may be late")
	p.note(hosts, begin.Add(time.Minute))
	require.Equal(t, 55*time.Second-leaseMargin, heard())
}
