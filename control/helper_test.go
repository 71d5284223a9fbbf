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
	before  func(*apiv1.Command) // called before a command is committed; nil: nothing is
}

func (l *memoryLog) Propose(_ context.Context, c *apiv1.Command) (*apiv1.Result, error) {
	if l.before != nil {
		l.before(c)
	}
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

func (l *memoryLog) Term() uint64 { return 7 }

type noGroup struct{}

func (noGroup) ID() string { return "s1" }

func (noGroup) Servers() []ServerInfo {
	return []ServerInfo{{ID: "s1", Addr: "127.0.0.1:1", Voter: true}}
}

func (noGroup) AddNonvoter(context.Context, string, string) error { return nil }

func (noGroup) Promote(context.Context, string) error { return nil }

func (noGroup) RemoveServer(context.Context, string) error { return nil }

func (noGroup) Former(context.Context) ([]ServerInfo, error) { return nil, nil }

func (noGroup) TransferLeadership(context.Context, string) error { return nil }

func (noGroup) ClusterID() string { return "c1" }

type noPeers struct{}

func (noPeers) Servers() []Peer { return nil }

func (noPeers) Past() []Peer { return nil }

func (noPeers) Introduce([]byte, *apiv1.DiscoverResponse) {}

func (noPeers) Met(*apiv1.DiscoverRequest) {}

func (noPeers) Removed() string { return "" }

func (noPeers) GossipAddr() string { return "127.0.0.1:3" }

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
	c.reach = everybodyIsReached
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

// register has a worker's host register.
func (b *bench) register(h *apiv1.Host, secret []byte) error {
	_, err := b.l.register(b.ctx, h, secret)
	return err
}

func (b *bench) host(name string, slots int32) {
	b.t.Helper()
	addr := b.addrs[name]
	if addr == "" {
		addr = name + ":1"
	}
	h := &apiv1.Host{Id: name, Name: name, Addr: addr, Slots: slots, Incarnation: "i-" + name, NodeId: "n-" + name}
	require.NoError(b.t, b.register(h, nil))
	b.l.inbox.open(newSession(fsm.HostID(name), h.Incarnation, func() {}), nil)
	b.l.sessions.await(fsm.HostID(name), time.Now())
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
	if app, ok := b.l.c.state.View().App(fsm.AppID(st.App)); ok && st.Epoch == 0 {
		st.Epoch = app.Epoch
	}
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
