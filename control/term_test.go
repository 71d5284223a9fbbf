package control

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/api/v1/apiv1connect"
	"github.com/godwit-run/godwit/fsm"
	"github.com/godwit-run/godwit/internal/apierr"
	"github.com/godwit-run/godwit/internal/transport"
)

// trio is three servers over one log. Who leads, and what each server believes, is the test's to say.
type trio struct {
	t       *testing.T
	servers []*member
	infos   []ServerInfo

	mu    sync.Mutex // guards the fields below; held while an entry is applied
	index uint64
	log   [][]byte // entry by entry, from index 1.
	term  uint64   // of the real leader
	rng   *rand.Rand
	// rough: who has been deposed may still get a command into the log, late, and answers may be lost.
	rough bool
}

// member is one server of a trio: its own state, and what it believes.
type member struct {
	noGroup // what no test asks for
	trio    *trio
	cfg     Config
	id      string
	control *Control
	handler atomic.Pointer[http.Handler]
	machine *fsm.Machine
	term    atomic.Uint64
	leads   atomic.Bool
	leader  atomic.Pointer[string] // the address of the leader, as it believes
	barrier func()                 // called by Barrier; nil: nothing
}

func (m *member) Propose(ctx context.Context, c *apiv1.Command) (*apiv1.Result, error) {
	tr := m.trio
	tr.mu.Lock()
	delay := time.Duration(tr.rng.IntN(3)) * time.Millisecond
	tr.mu.Unlock()
	select { // a commit takes some time
	case <-time.After(delay):
	case <-ctx.Done():
		return nil, ErrUnknownOutcome
	}
	tr.mu.Lock()
	defer tr.mu.Unlock()
	deposed := !m.leads.Load() || m.term.Load() != tr.term
	if deposed && (!tr.rough || tr.rng.IntN(2) > 0) {
		return nil, ErrUnknownOutcome // as for a leader that cannot reach the others
	}
	results, err := tr.apply(c)
	switch {
	case err != nil:
		return nil, err
	case deposed || tr.rough && tr.rng.IntN(8) == 0:
		return nil, ErrUnknownOutcome
	}
	return results[0], nil
}

// apply commits an entry and applies it on all servers. Holds mu.
func (tr *trio) apply(commands ...*apiv1.Command) (results []*apiv1.Result, err error) {
	data, err := fsm.Encode(&apiv1.Entry{Commands: commands})
	if err != nil {
		return nil, err
	}
	tr.index++
	tr.log = append(tr.log, data)
	for _, s := range tr.servers {
		if results, err = s.machine.Apply(tr.index, tr.term, data); err != nil {
			return nil, err
		}
	}
	return results, nil
}

func (m *member) Barrier(context.Context) (uint64, error) {
	if !m.leads.Load() {
		return 0, ErrNotLeader
	}
	if m.barrier != nil {
		m.barrier()
	}
	return m.machine.View().Index(), nil
}

func (m *member) Leader() (string, bool) {
	if addr := m.leader.Load(); addr != nil {
		return *addr, m.leads.Load()
	}
	return "", m.leads.Load()
}
func (m *member) Term() uint64          { return m.term.Load() }
func (m *member) ID() string            { return m.id }
func (m *member) Servers() []ServerInfo { return m.trio.infos }

// newTrio starts three servers that know of no leader.
func newTrio(t *testing.T, change func(*Config)) *trio {
	t.Helper()
	tr := &trio{t: t, rng: rand.New(rand.NewPCG(1, 2))} //nolint:gosec // delays
	var listeners []net.Listener
	for _, id := range []string{"s1", "s2", "s3"} {
		l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
		require.NoError(t, err)
		listeners = append(listeners, l)
		tr.infos = append(tr.infos, ServerInfo{ID: id, Addr: l.Addr().String(), Voter: true})
	}
	for i, info := range tr.infos {
		cfg := DefaultConfig()
		cfg.Addr, cfg.DataDir, cfg.Heartbeat = info.Addr, t.TempDir(), 20*time.Millisecond
		cfg.Inspect = func([]byte) (*apiv1.Module, error) { return &apiv1.Module{}, nil }
		if change != nil {
			change(&cfg)
		}
		m := &member{trio: tr, id: info.ID, machine: fsm.New()}
		m.cfg = cfg
		m.boot()
		tr.servers = append(tr.servers, m)
		ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
		done := make(chan error, 1)
		go func() { done <- transport.Serve(ctx, listeners[i], m) }()
		t.Cleanup(func() { cancel(); <-done }) //nolint:errcheck // streams may be open
	}
	return tr
}

// boot makes the control plane of m's state, which answers from now on.
func (m *member) boot() {
	c, err := New(m.cfg, m.machine, m, m, noPeers{}, slog.New(slog.DiscardHandler))
	require.NoError(m.trio.t, err)
	c.reach = everybodyIsReached
	h := c.Handler()
	m.control = c
	m.handler.Store(&h)
}

func (m *member) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	(*m.handler.Load()).ServeHTTP(w, r)
}

// lead makes a server the real leader of the next term. The others of reached learn of the term. stop ends its leadership.
func (tr *trio) lead(m *member, reached ...*member) (stop func()) {
	tr.t.Helper()
	tr.mu.Lock()
	tr.term++
	term := tr.term
	tr.mu.Unlock()
	for _, s := range append(reached, m) {
		s.term.Store(term)
		s.leads.Store(s == m)
		addr := tr.addr(m)
		s.leader.Store(&addr)
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(tr.t.Context()))
	done := make(chan error, 1)
	go func() { done <- m.control.Lead(ctx, term) }()
	require.Eventually(tr.t, func() bool { return m.control.current() != nil }, time.Minute, time.Millisecond)
	var once sync.Once
	stop = func() {
		once.Do(func() {
			cancel()
			select {
			case err := <-done:
				require.ErrorIs(tr.t, err, context.Canceled)
			case <-time.After(time.Minute):
				tr.t.Error("the term does not end")
			}
			m.leads.Store(false)
		})
	}
	tr.t.Cleanup(stop)
	return stop
}

// addr is a server's address.
func (tr *trio) addr(m *member) string {
	for _, i := range tr.infos {
		if i.ID == m.id {
			return i.Addr
		}
	}
	return ""
}

// link is a worker's session, as the test plays the worker.
type link struct {
	stream  apiv1connect.ClusterSessionClientStream
	welcome *apiv1.Welcome
	in      chan *apiv1.SessionResponse
	over    chan error // the stream's end
}

// connect opens a session of host w1 with a server; err is the refusal.
func (tr *trio) connect(m *member, incarnation string, apps ...*apiv1.AppStatus) (*link, error) {
	tr.t.Helper()
	ctx, cancel := context.WithCancel(context.WithoutCancel(tr.t.Context()))
	tr.t.Cleanup(cancel)
	l, err := dial(ctx, transport.NewHTTPClient(), tr.addr(m), helloOf("w1", incarnation, apps...))
	if err != nil {
		cancel()
	}
	return l, err
}

func helloOf(host, incarnation string, apps ...*apiv1.AppStatus) *apiv1.Hello {
	return &apiv1.Hello{Apps: apps, Secret: "s", Host: &apiv1.Host{Id: host, Addr: "127.0.0.1:9", Slots: 4, NodeId: "n-" + host, Incarnation: incarnation}}
}

// dial opens a session, which ends with ctx.
func dial(ctx context.Context, h *http.Client, addr string, hello *apiv1.Hello) (*link, error) {
	stream, err := apiv1connect.NewClusterClient(transport.NewClient(h, addr)).Session(ctx)
	if err != nil {
		return nil, err
	}
	if err := stream.SendHeaders(); err != nil { // before Close may come, which starts the request if nothing has
		return nil, err
	}
	context.AfterFunc(ctx, func() { _ = stream.Close() })                                  // unlike CloseSend it may come while something is sent
	_ = stream.Send(&apiv1.SessionRequest{Msg: &apiv1.SessionRequest_Hello{Hello: hello}}) // Receive has the reason
	first, err := stream.Receive()
	if err != nil {
		return nil, err
	}
	l := &link{stream: stream, welcome: first.GetWelcome(), in: make(chan *apiv1.SessionResponse, 1000), over: make(chan error, 1)}
	go func() {
		for {
			r, err := stream.Receive()
			if err != nil {
				l.over <- err
				return
			}
			select {
			case l.in <- r:
			case <-ctx.Done():
			}
		}
	}()
	return l, nil
}

func (l *link) send(t *testing.T, m *apiv1.SessionRequest) {
	t.Helper()
	require.NoError(t, l.stream.Send(m))
}

func (l *link) beat(t *testing.T, seq uint64) {
	t.Helper()
	l.send(t, &apiv1.SessionRequest{Msg: &apiv1.SessionRequest_Heartbeat{Heartbeat: &apiv1.Heartbeat{Seq: seq}}})
}

// answered waits for the answer to a heartbeat.
func (l *link) answered(t *testing.T, seq uint64) {
	t.Helper()
	late := time.After(time.Minute)
	for {
		select {
		case r := <-l.in:
			if hb := r.GetHeartbeat(); hb.GetSeq() >= seq {
				return
			}
		case err := <-l.over:
			t.Fatalf("the session is over: %v", err)
		case <-late:
			t.Fatal("the heartbeat stays unanswered")
		}
	}
}

// ends waits until the session is over.
func (l *link) ends(t *testing.T) {
	t.Helper()
	select {
	case <-l.over: //nolint:errcheck // however it ends
	case <-time.After(time.Minute):
		t.Fatal("the session goes on")
	}
}

// TestTermEndsItsSessions: when a term ends, so do the sessions within it, and none begins any more.
func TestTermEndsItsSessions(t *testing.T) {
	tr := newTrio(t, nil)
	s1, s2, s3 := tr.servers[0], tr.servers[1], tr.servers[2]
	stop := tr.lead(s1, s2, s3)
	var w *link
	require.Eventually(t, func() (ok bool) {
		var err error
		w, err = tr.connect(s1, "i1")
		return err == nil // refused while the cluster is being made
	}, time.Minute, time.Millisecond)
	require.EqualValues(t, 1, w.welcome.Term)
	w.beat(t, 1)
	w.answered(t, 1)
	l := s1.control.current()
	stop()
	w.ends(t)
	_, _, err := l.tenure.enter(t.Context())
	require.Equal(t, apierr.ReasonNotLeader, apierr.Info(err).GetReason())
	_, err = tr.connect(s1, "i1")
	require.Equal(t, apierr.ReasonNotLeader, apierr.Info(err).GetReason(), "%v", err)
	tr.lead(s2, s1, s3)
	w, err = tr.connect(s2, "i1")
	require.NoError(t, err, "the next leader knows the host")
	require.EqualValues(t, 2, w.welcome.Term)
	require.Equal(t, DefaultConfig().Lease.Milliseconds(), w.welcome.LeaseMs)
}

// TestDeposedLeaderExtendsNothing: a leader that does not know that it has a successor, as one that was stopped, gives no
// answer that extends a lease, and welcomes nobody; nor is anything committed by it.
func TestDeposedLeaderExtendsNothing(t *testing.T) {
	tr := newTrio(t, nil)
	s1, s2, s3 := tr.servers[0], tr.servers[1], tr.servers[2]
	tr.lead(s1, s2, s3)
	var w *link
	require.Eventually(t, func() (ok bool) {
		var err error
		w, err = tr.connect(s1, "i1")
		return err == nil
	}, time.Minute, time.Millisecond)
	w.beat(t, 1)
	w.answered(t, 1)
	tr.lead(s2, s3) // s1 hears nothing of it
	require.NotNil(t, s1.control.current())
	old := s1.control.current()
	w.beat(t, 2)
	require.ErrorIs(t, old.leases.confirmed(t.Context()), errNoQuorum)
	require.ErrorIs(t, old.leases.confirmed(t.Context()), errNoQuorum) // the first may have begun before the beat came
	for len(w.in) > 0 {
		require.Nil(t, (<-w.in).GetHeartbeat(), "no lease is extended")
	}
	_, err := tr.connect(s1, "i1")
	require.Error(t, err, "nobody is welcomed")
	require.False(t, old.propose(t.Context(), "test", func(c *apiv1.Command) {
		c.Op = &apiv1.Command_SetHostState{SetHostState: &apiv1.SetHostState{Host: "w1", Incarnation: "i1", State: "lost"}}
	}))
	next, err := tr.connect(s2, "i1")
	require.NoError(t, err)
	require.EqualValues(t, 2, next.welcome.Term)
	next.beat(t, 1)
	next.answered(t, 1)
	h, ok := s2.machine.View().Host("w1")
	require.True(t, ok)
	require.Equal(t, fsm.Ready, fsm.HostStateOf(h))
}

// TestReportsReachTheNextLeader: what a worker has to say is said again to each leader, and the app goes on and ends.
func TestReportsReachTheNextLeader(t *testing.T) {
	tr := newTrio(t, nil)
	s1, s2, s3 := tr.servers[0], tr.servers[1], tr.servers[2]
	stop := tr.lead(s1, s2, s3)
	require.Eventually(t, func() bool { _, err := tr.connect(s1, "i1"); return err == nil }, time.Minute, time.Millisecond)
	add := &apiv1.Command{Key: "m", Op: &apiv1.Command_AddModule{AddModule: &apiv1.AddModule{Module: &apiv1.Module{Digest: testDigest}}}}
	_, err := s1.Propose(t.Context(), add)
	require.NoError(t, err)
	res, err := s1.control.Submit(t.Context(), &apiv1.SubmitRequest{Spec: &apiv1.AppSpec{Name: "x", ModuleDigest: testDigest, Size: 2}})
	require.NoError(t, err)
	id := res.App.Id
	phase := func(m *member) string { a, _ := m.machine.View().App(fsm.AppID(id)); return a.GetPhase() }
	require.Eventually(t, func() bool { return phase(s1) == "starting" }, time.Minute, time.Millisecond)
	stop()
	tr.lead(s2, s1, s3)
	st := &apiv1.AppStatus{App: id, Epoch: 1, Executor: apiv1.ExecutorRunning}
	w, err := tr.connect(s2, "i1", st)
	require.NoError(t, err)
	require.Eventually(t, func() bool { return phase(s2) == "running" }, time.Minute, time.Millisecond)
	st = &apiv1.AppStatus{App: id, Epoch: 1, Executor: apiv1.ExecutorEnded}
	for r := range int32(2) {
		st.Ranks = append(st.Ranks, &apiv1.RankStatus{Rank: r, Epoch: 1, State: apiv1.RankEnded})
	}
	w.send(t, &apiv1.SessionRequest{Msg: &apiv1.SessionRequest_Status{Status: st}})
	end, err := s2.control.WaitApp(t.Context(), &apiv1.WaitAppRequest{App: id, Timeout: 60})
	require.NoError(t, err)
	require.Equal(t, "succeeded", end.App.Phase)
	w.send(t, &apiv1.SessionRequest{Msg: &apiv1.SessionRequest_Leaving{Leaving: &apiv1.Leaving{Reason: "\x1b[2Jbye"}}})
	w.ends(t)
	h, _ := s2.machine.View().Host("w1")
	require.Equal(t, fsm.Left, fsm.HostStateOf(h))
	require.NotContains(t, h.Reason, "\x1b")
}

// TestOnlyItsWorkerReplacesASession: who does not know the secret neither takes a live host's place nor disturbs it.
func TestOnlyItsWorkerReplacesASession(t *testing.T) {
	tr := newTrio(t, nil)
	s1 := tr.servers[0]
	tr.lead(s1, tr.servers[1], tr.servers[2])
	var w *link
	require.Eventually(t, func() (ok bool) {
		var err error
		w, err = tr.connect(s1, "i1")
		return err == nil
	}, time.Minute, time.Millisecond)
	for _, secret := range []string{"", "guess"} {
		l := s1.control.current()
		_, err := l.register(t.Context(), &apiv1.Host{Id: "w1", Addr: "127.0.0.1:9", Slots: 4, NodeId: "n-w1", Incarnation: "i1"}, secretHash(secret))
		require.Equal(t, apierr.ReasonForbidden, apierr.Info(err).GetReason(), "%q: %v", secret, err)
	}
	w.beat(t, 1)
	w.answered(t, 1)
}
