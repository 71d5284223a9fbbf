package control

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/api/v1/apiv1connect"
	"github.com/godwit-run/godwit/fsm"
	"github.com/godwit-run/godwit/internal/transport"
)

// memoryLog commits at once, to a state machine in this process.
type memoryLog struct {
	mu      sync.Mutex
	machine *fsm.Machine
	index   uint64
	kinds   []string
}

func (l *memoryLog) Propose(_ context.Context, c *apiv1.Command) (*apiv1.Result, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	data, err := fsm.Encode(&apiv1.Entry{Commands: []*apiv1.Command{c}})
	if err != nil {
		return nil, err
	}
	l.index++
	l.kinds = append(l.kinds, strings.TrimPrefix(fmt.Sprintf("%T", c.Op), "*apiv1.Command_"))
	res, err := l.machine.Apply(l.index, max(c.Term, 7), data)
	if err != nil {
		return nil, err
	}
	return res[0], nil
}

func (l *memoryLog) Barrier(context.Context) (uint64, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.index, nil
}
func (l *memoryLog) Leader() (string, bool) { return "127.0.0.1:1", true }
func (l *memoryLog) Term() uint64           { return 7 }

type noGroup struct{}

func (noGroup) ID() string { return "s1" }
func (noGroup) Servers() []ServerInfo {
	return []ServerInfo{{ID: "s1", Addr: "127.0.0.1:1", Voter: true}}
}
func (noGroup) AddNonvoter(context.Context, string, string) error { return nil }
func (noGroup) Promote(context.Context, string) error             { return nil }
func (noGroup) RemoveServer(context.Context, string) error        { return nil }
func (noGroup) TransferLeadership(context.Context, string) error  { return nil }
func (noGroup) ClusterID() string                                 { return "c1" }

type noPeers struct{}

func (noPeers) Servers() []Peer                           { return nil }
func (noPeers) Introduce([]byte, *apiv1.DiscoverResponse) {}
func (noPeers) Met(*apiv1.DiscoverRequest)                {}
func (noPeers) Removed() bool                             { return false }
func (noPeers) GossipAddr() string                        { return "127.0.0.1:3" }
func (noPeers) Ask(ctx context.Context, id, addr string) (*apiv1.DiscoverResponse, error) {
	res, err := apiv1connect.NewClusterClient(transport.NewClient(transport.NewHTTPClient(), addr)).Discover(ctx, &apiv1.DiscoverRequest{})
	if err == nil && res.ServerId != id {
		return nil, errors.New("another server answers")
	}
	return res, err
}

const testDigest = "00000000000000000000000000000000000000000000000000000000000000aa"

// bench is a leader whose duties the test calls by hand.
type bench struct {
	t   *testing.T
	ctx context.Context
	log *memoryLog
	l   *leader

	addrs map[string]string // of hosts that are there; others have an address that nobody serves
}

func newBench(t *testing.T, change func(*Config)) *bench {
	t.Helper()
	cfg := DefaultConfig()
	cfg.Addr, cfg.DataDir = "127.0.0.1:1", t.TempDir()
	cfg.Inspect = func([]byte) (*apiv1.Module, error) { return &apiv1.Module{Migratable: true}, nil }
	if change != nil {
		change(&cfg)
	}
	m := fsm.New()
	log := &memoryLog{machine: m}
	c, err := New(cfg, m, log, noGroup{}, noPeers{}, slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	b := &bench{t: t, ctx: t.Context(), log: log, addrs: map[string]string{}, l: newLeader(c, 7, make(chan struct{}))}
	b.propose(&apiv1.Command{Op: &apiv1.Command_InitCluster{InitCluster: &apiv1.InitCluster{ClusterId: "c1"}}})
	b.propose(&apiv1.Command{Op: &apiv1.Command_AddModule{AddModule: &apiv1.AddModule{Module: &apiv1.Module{Digest: testDigest, Migratable: true}}}})
	return b
}

func (b *bench) propose(c *apiv1.Command) *apiv1.Result {
	b.t.Helper()
	c.At = timestamppb.New(time.Unix(1000, 0))
	c.Key = fmt.Sprintf("k%d", b.log.index)
	res, err := b.log.Propose(b.ctx, c)
	require.NoError(b.t, err)
	require.Empty(b.t, res.Code, res.Reason)
	return res
}

func (b *bench) host(name string, slots int32) {
	b.t.Helper()
	addr := b.addrs[name]
	if addr == "" {
		addr = name + ":1"
	}
	h := &apiv1.Host{Id: name, Name: name, Addr: addr, Slots: slots, Incarnation: "i-" + name, NodeId: "n-" + name}
	require.NoError(b.t, b.l.register(b.ctx, h, nil))
	b.l.inbox.open(newSession(fsm.HostID(name), h.Incarnation, func() {}), nil)
	b.l.sessions.heardAt(fsm.HostID(name), time.Now())
}

// place has a new leader's duty look at the queue.
func (b *bench) place() { b.l.placer()(b.ctx) }

func (b *bench) submit(id string, spec *apiv1.AppSpec) {
	b.t.Helper()
	spec.Name, spec.ModuleDigest = id, testDigest
	b.propose(&apiv1.Command{Op: &apiv1.Command_SubmitApp{SubmitApp: &apiv1.SubmitApp{Id: id, Spec: spec}}})
}

// report makes a host say something of an app.
func (b *bench) report(host string, st *apiv1.AppStatus) {
	b.l.inbox.put(b.l.sessions.of(fsm.HostID(host)), st)
}

func (b *bench) app(id string) *apiv1.App {
	b.t.Helper()
	a, ok := b.l.c.state.View().App(fsm.AppID(id))
	require.True(b.t, ok)
	return a
}

func (b *bench) migration(app string) *apiv1.Migration {
	b.t.Helper()
	all := slices.Collect(b.l.c.state.View().MigrationsOf(fsm.AppID(app)))
	require.NotEmpty(b.t, all)
	return all[len(all)-1]
}

// running places an app with ranks 0,1 on h1 and 2,3 on h2, and has it run.
func (b *bench) running() {
	b.t.Helper()
	b.host("h1", 4)
	b.host("h2", 4)
	b.submit("a", &apiv1.AppSpec{
		Size: 4, MigrationCheckPeriod: 1, Place: []*apiv1.PlaceRule{{Host: "h1", Ranks: 2}, {Host: "h2", Ranks: 2}},
	})
	b.place()
	require.Equal(b.t, "starting", b.app("a").Phase)
	for _, h := range []string{"h1", "h2"} {
		b.report(h, &apiv1.AppStatus{App: "a", Executor: "running"})
	}
	b.l.takeReports(b.ctx)
	require.Equal(b.t, "running", b.app("a").Phase)
}

// migrating has the checker propose the app's move to one host; it returns the moves.
func (b *bench) migrating() *apiv1.Migration {
	b.t.Helper()
	b.running()
	check := b.l.checker()
	check(b.ctx) // the first look starts the period
	require.Empty(b.t, slices.Collect(b.l.c.state.View().MigrationsOf("a")))
	require.Eventually(b.t, func() bool { check(b.ctx); return len(slices.Collect(b.l.c.state.View().MigrationsOf("a"))) == 1 }, 5*time.Second, time.Millisecond)
	return b.migration("a")
}

func (b *bench) ack(id string) {
	for _, h := range []string{"h1", "h2"} {
		b.report(h, &apiv1.AppStatus{App: "a", Executor: "running", AckedMigration: id})
	}
}

// images has the sources and the targets report the moved ranks in the given states.
func (b *bench) images(mig *apiv1.Migration, id, source, target string) {
	st := map[string]*apiv1.AppStatus{}
	for _, h := range []string{"h1", "h2"} {
		st[h] = &apiv1.AppStatus{App: "a", Executor: "running", AckedMigration: mig.Id}
	}
	for _, mv := range mig.Moves {
		st[mv.From].Ranks = append(st[mv.From].Ranks, &apiv1.RankStatus{Rank: mv.Rank, State: source, Migration: id})
		if target != "" {
			st[mv.To].Ranks = append(st[mv.To].Ranks, &apiv1.RankStatus{
				Rank: mv.Rank, State: target, Migration: id, ImageDigest: "d", ImageBytes: 5,
			})
		}
	}
	for h, s := range st {
		b.report(h, s)
	}
}

func TestMigrationIsDrivenToItsCommit(t *testing.T) {
	b := newBench(t, nil)
	mig := b.migrating()
	require.Len(t, mig.Moves, 2)
	drive := b.l.driver()
	drive(b.ctx)
	require.Equal(t, "pending", b.migration("a").Phase, "no host has acknowledged")
	b.report("h1", &apiv1.AppStatus{App: "a", Executor: "running", AckedMigration: mig.Id})
	drive(b.ctx)
	require.Equal(t, "pending", b.migration("a").Phase, "one host has not acknowledged")
	b.ack(mig.Id)
	drive(b.ctx)
	require.Equal(t, "announced", b.migration("a").Phase)
	b.images(mig, mig.Id, "frozen", "")
	drive(b.ctx)
	require.Equal(t, "announced", b.migration("a").Phase, "no image has arrived")
	b.images(mig, "mig-of-before", "frozen", "staged")
	drive(b.ctx)
	require.Equal(t, "announced", b.migration("a").Phase, "images of another migration do not count")
	b.images(mig, mig.Id, "frozen", "staged")
	drive(b.ctx)
	done := b.migration("a")
	require.Equal(t, "committed", done.Phase)
	require.EqualValues(t, 5, done.Moves[0].ImageBytes)
	app := b.app("a")
	require.EqualValues(t, 2, app.Epoch)
	require.Equal(t, "running", app.Phase)

	st := &apiv1.AppStatus{App: "a", Executor: "running"}
	for _, mv := range mig.Moves {
		st.Ranks = append(st.Ranks, &apiv1.RankStatus{Rank: mv.Rank, State: "running", Migration: mig.Id, PauseMs: 12.5})
	}
	b.report(mig.Moves[0].To, st)
	b.l.takeReports(b.ctx)
	require.InDelta(t, 12.5, b.migration("a").Moves[0].PauseMs, 0)
}

func TestMigrationIsAborted(t *testing.T) {
	tests := []struct {
		name   string
		change func(*Config)
		act    func(b *bench, mig *apiv1.Migration)
		reason string
	}{
		{
			name: "a host fails", act: func(b *bench, mig *apiv1.Migration) {
				b.report("h1", &apiv1.AppStatus{App: "a", FailedMigration: mig.Id, FailedReason: "disk full"})
			}, reason: "disk full",
		},
		{
			name: "no acknowledgement in time", change: func(c *Config) { c.AnnounceDeadline = time.Nanosecond },
			act: func(*bench, *apiv1.Migration) {}, reason: "did not acknowledge",
		},
		{
			name: "a rank does not stop", change: func(c *Config) { c.FreezeDeadline = time.Nanosecond },
			act: func(b *bench, mig *apiv1.Migration) { b.ack(mig.Id) }, reason: "computes without an MPI call",
		},
		{
			name: "an executor does not answer", change: func(c *Config) { c.FreezeDeadline = time.Nanosecond },
			act: func(b *bench, mig *apiv1.Migration) {
				b.ack(mig.Id)
				b.report("h1", &apiv1.AppStatus{App: "a", AckedMigration: mig.Id, SilentMs: 12_000})
			},
			reason: "the executor on h1 does not answer, for 12s at least",
		},
		{
			name: "an image does not arrive", change: func(c *Config) { c.TransferDeadline = time.Nanosecond },
			act:    func(b *bench, mig *apiv1.Migration) { b.images(mig, mig.Id, "frozen", "") },
			reason: "did not reach",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b := newBench(t, tt.change)
			mig := b.migrating()
			drive := b.l.driver()
			tt.act(b, mig)
			require.Eventually(t, func() bool { drive(b.ctx); return b.migration("a").Phase == "aborted" }, 5*time.Second, time.Millisecond)
			require.Contains(t, b.migration("a").Reason, tt.reason)
			app := b.app("a")
			require.Equal(t, "running", app.Phase)
			require.EqualValues(t, 1, app.Epoch)
			for h := range b.l.c.state.View().Hosts() {
				require.EqualValues(t, 2, h.Used, "the reservation is gone")
			}
		})
	}
}

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
		require.NoError(t, b.l.register(b.ctx, h, nil))
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
	hosts.heardAt("h1", begin)
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

// TestWaitingQueueCostsNothing: a queue that waits is not planned again before an app or a host has changed.
func TestWaitingQueueCostsNothing(t *testing.T) {
	b := newBench(t, nil)
	place := b.l.placer()
	b.host("h1", 1)
	b.submit("a", &apiv1.AppSpec{Size: 1})
	b.submit("b", &apiv1.AppSpec{Size: 1})
	place(b.ctx)
	require.Equal(t, "starting queued", b.app("a").Phase+" "+b.app("b").Phase)
	place(b.ctx)
	require.Zero(t, testing.AllocsPerRun(10, func() { place(b.ctx) }))
	b.host("h2", 1)
	place(b.ctx)
	require.Equal(t, "starting", b.app("b").Phase)
}

// TestCheckerFollowsTheLog: an app is looked at when its period is over, counted from when it got hosts, and no more
// once it has none.
func TestCheckerFollowsTheLog(t *testing.T) {
	b := newBench(t, nil)
	feed, checks := newFollower(b.l.c.state), newSchedule[fsm.AppID]()
	follow := func() int { followChecks(feed, checks); return len(checks.at) }
	b.host("h1", 8)
	b.submit("a", &apiv1.AppSpec{Size: 1, MigrationCheckPeriod: 60})
	b.submit("b", &apiv1.AppSpec{Size: 1})
	require.Zero(t, follow())
	b.place()
	require.Equal(t, 1, follow())
	at, ok := checks.when("a")
	require.True(t, ok)
	require.Empty(t, checks.due(at.Add(-time.Nanosecond)))
	require.Equal(t, []fsm.AppID{"a"}, checks.due(at))
	b.propose(&apiv1.Command{Op: &apiv1.Command_StopApp{StopApp: &apiv1.StopApp{App: "a", Phase: "cancelled"}}})
	again, _ := checks.when("a")
	require.Equal(t, at, again, "a change of the app is no check of it")
	b.report("h1", &apiv1.AppStatus{App: "a", Ranks: []*apiv1.RankStatus{{Rank: 0, Epoch: 1, State: "ended", ExitCode: 137}}})
	b.l.takeReports(b.ctx)
	require.Zero(t, follow())
}

func TestQueueInOrder(t *testing.T) {
	b := newBench(t, nil)
	b.host("h1", 4)
	b.submit("a", &apiv1.AppSpec{Size: 3})
	b.submit("b", &apiv1.AppSpec{Size: 4})
	b.submit("c", &apiv1.AppSpec{Size: 1})
	b.submit("d", &apiv1.AppSpec{Size: 40})
	b.place()
	phases := func() string { return b.app("a").Phase + " " + b.app("b").Phase + " " + b.app("c").Phase }
	require.Equal(t, "starting queued queued", phases(), "c would fit, but b was first")
	res, err := b.l.c.ListApps(b.ctx, &apiv1.ListAppsRequest{})
	require.NoError(t, err)
	require.Contains(t, res.Apps[1].Reason, "4")
	require.NotEmpty(t, res.Apps[3].Reason)
	b.propose(&apiv1.Command{Op: &apiv1.Command_StopApp{StopApp: &apiv1.StopApp{App: "b", Phase: "cancelled"}}})
	b.place()
	require.Equal(t, "starting cancelled starting", phases())
}

// TestRefusalsRest: a proposal that was refused is not made again at once, although its own entry wakes the duty.
func TestRefusalsRest(t *testing.T) {
	b := newBench(t, nil)
	refuse := func(c *apiv1.Command) {
		c.Op = &apiv1.Command_CommitMigration{CommitMigration: &apiv1.CommitMigration{Id: "unknown"}}
	}
	before := b.log.index
	for range 10 {
		require.False(t, b.l.propose(b.ctx, "nonsense", refuse))
	}
	require.Equal(t, before+1, b.log.index)
}

// TestDispatch: the hosts of an app are told of each change once, and of its end.
func TestDispatch(t *testing.T) {
	b := newBench(t, nil)
	b.running()
	s, other := newSession("h1", "i-h1", func() {}), newSession("h3", "i-h3", func() {})
	b.l.inbox.open(s, nil)
	b.l.inbox.open(other, nil)
	dispatch := b.l.dispatcher()
	dispatch(b.ctx)
	rec := s.records["a"]
	require.NotNil(t, rec)
	require.Equal(t, map[string]string{"h1": "h1:1", "h2": "h2:1"}, rec.Addrs)
	require.Empty(t, other.records)
	delete(s.records, "a")
	dispatch(b.ctx)
	require.Empty(t, s.records, "nothing has changed")
	b.propose(&apiv1.Command{Op: &apiv1.Command_StopApp{StopApp: &apiv1.StopApp{App: "a", Phase: "cancelled"}}})
	dispatch(b.ctx)
	require.Equal(t, "cancelled", s.records["a"].App.Verdict)
	for _, h := range []string{"h1", "h2"} {
		st := &apiv1.AppStatus{App: "a"}
		for r := range int32(4) {
			st.Ranks = append(st.Ranks, &apiv1.RankStatus{Rank: r, Epoch: 1, State: "ended", ExitCode: 137})
		}
		b.report(h, st)
	}
	b.l.takeReports(b.ctx)
	dispatch(b.ctx)
	require.Equal(t, "cancelled", s.records["a"].App.Phase)
}

// TestTargetHearsOfTheAbort: a host that was told of a migration, and has not reported anything yet, is told of its end;
// one that reports of an app that is over is told so.
func TestTargetHearsOfTheAbort(t *testing.T) {
	b := newBench(t, nil)
	b.running()
	b.host("h3", 4)
	s := newSession("h3", "i-h3", func() {})
	b.l.inbox.open(s, nil)
	dispatch := b.l.dispatcher()
	b.propose(&apiv1.Command{Op: &apiv1.Command_ProposeMigration{ProposeMigration: &apiv1.ProposeMigration{
		Id: "m1", App: "a", FromEpoch: 1, Moves: []*apiv1.Move{{Rank: 0, From: "h1", To: "h3"}},
	}}})
	dispatch(b.ctx)
	require.Equal(t, "m1", s.records["a"].Migration.GetId())
	delete(s.records, "a")
	b.propose(&apiv1.Command{Op: &apiv1.Command_AbortMigration{AbortMigration: &apiv1.AbortMigration{Id: "m1", Reason: "test"}}})
	dispatch(b.ctx)
	require.NotNil(t, s.records["a"])
	require.Nil(t, s.records["a"].Migration)
	delete(s.records, "a")
	b.l.takeStatus(s, &apiv1.AppStatus{App: "a", Executor: "running"})
	require.NotNil(t, s.records["a"], "the app does not concern h3")
	b.l.takeStatus(s, &apiv1.AppStatus{App: "unheard-of", Executor: "running"})
	require.True(t, s.records["unheard-of"].Gone)
}

func TestValidation(t *testing.T) {
	good := &apiv1.AppSpec{Name: "x", ModuleDigest: testDigest, Size: 2}
	require.NoError(t, checkSpec(good))
	bad := map[string]func(*apiv1.AppSpec){
		"spec.name":                   func(s *apiv1.AppSpec) { s.Name = "../x" },
		"spec.module_digest":          func(s *apiv1.AppSpec) { s.ModuleDigest = "zz" },
		"spec.size":                   func(s *apiv1.AppSpec) { s.Size = 0 },
		"spec.args":                   func(s *apiv1.AppSpec) { s.Args = []string{strings.Repeat("x", fsm.MaxArgsBytes+1)} },
		"spec.env":                    func(s *apiv1.AppSpec) { s.Env = []string{"novalue"} },
		"spec.policy":                 func(s *apiv1.AppSpec) { s.Policy = "magic" },
		"spec.hint":                   func(s *apiv1.AppSpec) { s.Hint = "magic" },
		"spec.main_host":              func(s *apiv1.AppSpec) { s.MainHost = "-" },
		"spec.migration_check_period": func(s *apiv1.AppSpec) { s.MigrationCheckPeriod = -1 },
		"spec.place":                  func(s *apiv1.AppSpec) { s.Place = []*apiv1.PlaceRule{{Host: "h1", Ranks: 1}} },
	}
	for field, change := range bad {
		t.Run(field, func(t *testing.T) {
			s := proto.CloneOf(good)
			change(s)
			err := checkSpec(s)
			require.ErrorContains(t, err, field)
		})
	}
	require.Error(t, checkSpec(nil))
}
