package worker

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"connectrpc.com/connect/v2"
	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"
	"google.golang.org/protobuf/proto"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/api/v1/apiv1connect"
	"github.com/godwit-run/godwit/internal/apierr"
	"github.com/godwit-run/godwit/internal/notify"
	"github.com/godwit-run/godwit/internal/pipe"
	"github.com/godwit-run/godwit/internal/transport"
)

// fakeLeader is a server that says what the test wants of who leads, and answers heartbeats while it may.
type fakeLeader struct {
	addr     string
	term     uint64
	lease    time.Duration
	leader   func() lead
	mute     atomic.Bool   // heartbeats stay unanswered
	deaf     atomic.Bool   // nothing more is read
	welcomes chan struct{} // one for each session that was opened
	beats    atomic.Int64  // heartbeats that came
	greets   func()        // called when a hello has come; nil: nothing
	unfit    atomic.Value  // what the last of them said
	end      atomic.Bool   // sessions end at the next heartbeat, and no more are opened
	asked    atomic.Int64  // how often somebody asked who leads
	self     *apiv1.DiscoverResponse
}

// cluster is the one it is of.
func (f *fakeLeader) cluster() string { return cmp.Or(f.self.GetClusterId(), "c1") }

func (f *fakeLeader) Discover(context.Context, *apiv1.DiscoverRequest) (*apiv1.DiscoverResponse, error) {
	l := f.leader()
	f.asked.Add(1)
	res := &apiv1.DiscoverResponse{}
	proto.Merge(res, f.self)
	res.LeaderAddr, res.Term = l.addr, l.term
	return res, nil
}

func (f *fakeLeader) Session(ctx context.Context, stream apiv1connect.ClusterSessionServerStream) error {
	if _, err := stream.Receive(); err != nil {
		return err
	}
	if f.greets != nil {
		f.greets()
	}
	if f.end.Load() {
		return errors.New("it leads no more")
	}
	w := &apiv1.Welcome{ClusterId: f.cluster(), FormerClusterIds: f.self.GetFormerClusterIds(), Term: f.term, LeaseMs: f.lease.Milliseconds(), HeartbeatMs: 10}
	if err := stream.Send(&apiv1.SessionResponse{Msg: &apiv1.SessionResponse_Welcome{Welcome: w}}); err != nil {
		return err
	}
	f.welcomes <- struct{}{}
	for {
		if f.deaf.Load() {
			<-ctx.Done()
			return ctx.Err()
		}
		m, err := stream.Receive()
		if err != nil {
			return err
		}
		if f.end.Load() {
			return errors.New("it leads no more")
		}
		hb := m.GetHeartbeat()
		if hb != nil {
			f.unfit.Store(hb.Unfit)
			f.beats.Add(1)
		}
		if hb != nil && !f.mute.Load() {
			if err := stream.Send(&apiv1.SessionResponse{Msg: &apiv1.SessionResponse_Heartbeat{Heartbeat: hb}}); err != nil {
				return err
			}
		}
	}
}

func (f *fakeLeader) FetchModule(context.Context, *apiv1.FetchModuleRequest, apiv1connect.ClusterFetchModuleServerStream) error {
	return errors.New("not in this test")
}

func (f *fakeLeader) PushModule(context.Context, apiv1connect.ClusterPushModuleServerStream) (*apiv1.PushModuleResponse, error) {
	return nil, errors.New("not in this test")
}

// serveFake answers the Cluster service until the test ends.
func serveFake(t *testing.T, f *fakeLeader) {
	t.Helper()
	l := listenLocal(t)
	f.addr, f.welcomes = l.Addr().String(), make(chan struct{}, 100)
	serve(t, l, func(s *connect.Server) { apiv1connect.RegisterClusterHandler(s, f) })
}

// wire is a TCP way to a server that can be stopped, as a stopped process does: connections stay open, nothing goes through.
type wire struct {
	addr    string
	stopped chan struct{} // closed: stopped
}

func newWire(t *testing.T, to string) *wire {
	t.Helper()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	w := &wire{addr: l.Addr().String(), stopped: make(chan struct{})}
	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(func() { cancel(); _ = l.Close() })
	pipe := func(dst, src net.Conn) {
		buf := make([]byte, 4096)
		for {
			n, err := src.Read(buf)
			select {
			case <-w.stopped:
				<-ctx.Done()
			default:
			}
			if n > 0 {
				_, _ = dst.Write(buf[:n])
			}
			if err != nil {
				_ = dst.Close()
				return
			}
		}
	}
	go func() {
		for {
			in, err := l.Accept()
			if err != nil {
				return
			}
			out, err := new(net.Dialer).DialContext(ctx, "tcp", to)
			if err != nil {
				_ = in.Close()
				return
			}
			context.AfterFunc(ctx, func() { _ = in.Close(); _ = out.Close() })
			go pipe(out, in)
			go pipe(in, out)
		}
	}()
	return w
}

// newTestWorker is a worker without executors, which keeps a session until the test ends.
func newTestWorker(t *testing.T, servers func() []string, prepare func(*Worker)) *Worker {
	t.Helper()
	shared, err := pipe.NewLease()
	require.NoError(t, err)
	w := &Worker{
		spawner: &spawner{lease: shared, runs: &registry{dir: t.TempDir()}}, logs: newLogs(t),
		cfg: Config{DataDir: t.TempDir(), Name: "w1", Advertise: "127.0.0.1:9", Slots: 1}, servers: servers,
		log: slog.New(slog.DiscardHandler), toServers: transport.NewHTTPClient(), incarnation: "i1", nodeID: "n1",
		apps: map[string]*app{}, records: map[string]*apiv1.AppRecord{}, statuses: map[string]*apiv1.AppStatus{},
		dirty: map[string]bool{}, dirtyCh: notify.NewSignal(), checkpoints: newStore(t, t.TempDir()), diskCh: notify.NewSignal(), children: map[*child]bool{}, tryDisk: writeProbe,
	}
	w.storing = newStoring(w)
	if prepare != nil {
		prepare(w)
	}
	g, ctx := errgroup.WithContext(t.Context())
	ctx, cancel := context.WithCancel(ctx)
	w.tasks = g
	g.Go(func() error { return w.watchDisk(ctx) })
	g.Go(func() error { return w.keepSession(ctx) })
	t.Cleanup(func() { cancel(); _ = g.Wait() })
	return w
}

func within(t *testing.T, ch <-chan struct{}, what string) {
	t.Helper()
	select {
	case <-ch:
	case <-time.After(time.Minute):
		t.Fatal("never: " + what)
	}
}

// TestSessionLeavesASilentLeader: however the leader falls silent, the worker goes to the next one, without waiting for
// connections to be given up.
func TestSessionLeavesASilentLeader(t *testing.T) {
	for _, how := range []string{"does not answer", "is stopped", "does not read"} {
		t.Run(how, func(t *testing.T) {
			var now atomic.Pointer[lead]
			who := func() lead { return *now.Load() }
			old := &fakeLeader{term: 5, lease: 2 * time.Second, leader: who}
			next := &fakeLeader{term: 6, lease: 2 * time.Second, leader: who}
			serveFake(t, old)
			serveFake(t, next)
			way := newWire(t, old.addr)
			now.Store(&lead{addr: way.addr, term: 5})
			w := newTestWorker(t, func() []string { return []string{way.addr, next.addr} }, nil)
			within(t, old.welcomes, "the first session")
			now.Store(&lead{addr: next.addr, term: 6})
			switch how {
			case "is stopped":
				close(way.stopped)
			case "does not read": // heartbeats are behind statuses that do not get through
				old.deaf.Store(true)
				for i := range 64 {
					w.publish(&apiv1.AppStatus{App: fmt.Sprint("a", i), Reason: strings.Repeat("x", maxStatusBytes/2)})
				}
			default:
				old.mute.Store(true)
			}
			within(t, next.welcomes, "the next leader's session")
		})
	}
}

// TestSessionNeedsNoDisk: a worker that has joined goes from leader to leader whatever its disk does.
func TestSessionNeedsNoDisk(t *testing.T) {
	var now atomic.Pointer[lead]
	who := func() lead { return *now.Load() }
	old := &fakeLeader{term: 5, lease: 2 * time.Second, leader: who}
	next := &fakeLeader{term: 6, lease: 2 * time.Second, leader: who}
	serveFake(t, old)
	serveFake(t, next)
	now.Store(&lead{addr: old.addr, term: 5})
	w := newTestWorker(t, func() []string { return []string{old.addr, next.addr} }, nil)
	within(t, old.welcomes, "the first session")
	require.Eventually(t, func() bool { // the welcome may still be on its way
		name, err := NameIn(w.cfg.DataDir)
		return err == nil && name == "w1"
	}, time.Minute, time.Millisecond)
	require.NoError(t, os.RemoveAll(w.cfg.DataDir))
	require.NoError(t, os.WriteFile(w.cfg.DataDir, nil, 0o600), "nothing can be written there now")
	now.Store(&lead{addr: next.addr, term: 6})
	old.mute.Store(true)
	within(t, next.welcomes, "the next leader's session")
	require.Eventually(t, func() bool { return next.beats.Load() > 2 }, time.Minute, time.Millisecond, "it lasts")
	require.Len(t, next.welcomes, 0, "and is the only one")
}

// TestJoinWithoutADisk: a worker that joins and cannot keep that has a session like any other, takes no ranks and says why, and keeps it
// when it can.
func TestJoinWithoutADisk(t *testing.T) {
	f := &fakeLeader{term: 5, lease: time.Minute}
	f.leader = func() lead { return lead{addr: f.addr, term: 5} }
	serveFake(t, f)
	w := newTestWorker(t, func() []string { return []string{f.addr} }, func(w *Worker) {
		w.cfg.DataDir += "/data"
		require.NoError(t, os.WriteFile(w.cfg.DataDir, nil, 0o600), "nothing can be written there")
	})
	within(t, f.welcomes, "a session")
	unfit := func(want string) func() bool { return func() bool { return f.unfit.Load() == want } }
	require.Eventually(t, unfit("its data directory cannot be written: not a directory"), time.Minute, time.Millisecond)
	require.NoError(t, os.Remove(w.cfg.DataDir))
	require.NoError(t, os.Mkdir(w.cfg.DataDir, 0o700))
	require.Eventually(t, unfit(""), time.Minute, time.Millisecond)
	name, err := NameIn(w.cfg.DataDir)
	require.NoError(t, err)
	require.Equal(t, "w1", name)
	cluster, err := readWord(w.cfg.dir(clusterFile))
	require.NoError(t, err)
	require.Equal(t, "c1", cluster)
	require.Empty(t, f.welcomes, "it is the first session still")
	require.ErrorContains(t, w.joined("c2", nil, lead{foreign: true}), "belongs to cluster c1")
	require.ErrorContains(t, w.joined("c3", []string{"c0", "c1"}, lead{}), "recovered from it", "it was taken for one of c1")
	require.NoError(t, w.joined("c3", []string{"c0", "c1"}, lead{foreign: true}), "the cluster was recovered")
	require.ErrorContains(t, w.joined("c1", nil, lead{foreign: true}), "belongs to cluster c3", "the past takes nobody back")
}

// sentStream records the order of what a session sends.
type sentStream struct {
	sessionStream
	sent []string
}

func (s *sentStream) Send(m *apiv1.SessionRequest) error {
	s.sent = append(s.sent, strings.TrimPrefix(fmt.Sprintf("%T", m.Msg), "*apiv1.SessionRequest_"))
	return nil
}

// TestHeartbeatsGoFirst: much to report delays no heartbeat.
func TestHeartbeatsGoFirst(t *testing.T) {
	w := &Worker{
		statuses: map[string]*apiv1.AppStatus{}, dirty: map[string]bool{}, dirtyCh: notify.NewSignal(), checkpoints: newStore(t, t.TempDir()),
	}
	w.storing = newStoring(w)
	for _, id := range []string{"a", "b", "c"} {
		w.statuses[id], w.dirty[id] = &apiv1.AppStatus{App: id}, true
	}
	stream := &sentStream{}
	s := &session{w: w, stream: stream, lease: newLease(sinceBoot, func(time.Duration) {}), sent: map[uint64]moment{}}
	due := make(chan time.Time, 2)
	due <- time.Time{}
	due <- time.Time{}
	require.NoError(t, s.report(due, func() error { return s.beat(1) }))
	require.Equal(t, []string{"Heartbeat", "Status", "Heartbeat", "Status", "Status"}, stream.sent)
}

// TestRefusedNameIsChangedAndTold: whoever logs the worker's name learns of the new one, and the refusal needs nobody to act.
func TestRefusedNameIsChangedAndTold(t *testing.T) {
	told := ""
	w := &Worker{log: slog.New(slog.DiscardHandler), nodeID: "5b66aaaa"}
	w.cfg.Name, w.cfg.NameMayChange, w.cfg.Renamed = "vm", true, func(name string) { told = name }
	taken := apierr.New(connect.CodeAlreadyExists, apierr.ReasonNameTaken, "name", "host vm is another machine", "choose another name")
	require.ErrorIs(t, w.refused("s1", taken), errRenamed)
	require.Equal(t, "vm-5b66", told)
	require.Equal(t, told, w.cfg.Name)
	var fatal *fatalError
	require.ErrorAs(t, w.refused("s1", taken), &fatal, "a second time it ends")
}

// TestOlderLeaderIsHistory: a server that welcomes in an older term than the last that was seen is left, whatever others say of it.
func TestOlderLeaderIsHistory(t *testing.T) {
	f := &fakeLeader{term: 4, lease: time.Minute}
	serveFake(t, f)
	w := newTestWorker(t, func() []string { return nil }, nil)
	k := &keeper{w: w, lease: newLease(sinceBoot, func(time.Duration) {}), term: 5}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	_, err := k.open(ctx, cancel, lead{addr: f.addr, term: 6})
	require.ErrorContains(t, err, "it leads in term 4, but term 5 has been seen")
	require.False(t, k.lease.granted)
}

// TestLostIncarnationEnds: what runs here is not the cluster's any more, once it has called this incarnation lost; the next one begins
// without it.
func TestLostIncarnationEnds(t *testing.T) {
	w := &Worker{log: slog.New(slog.DiscardHandler), incarnation: "i1", children: map[*child]bool{}}
	c := sleeper(t)
	w.addChild(c)
	require.Error(t, w.refused("s1", apierr.New(connect.CodeFailedPrecondition, apierr.ReasonIncarnationOver, "", "lost", "")))
	require.NotNil(t, c.why.Load())
	require.NotEqual(t, "i1", w.incarnation)
}

// TestUnansweredBeatsAreBounded: those that wait for an answer that never comes are forgotten.
func TestUnansweredBeatsAreBounded(t *testing.T) {
	s := &session{w: &Worker{}, stream: &sentStream{}, lease: newLease(sinceBoot, func(time.Duration) {}), sent: map[uint64]moment{}}
	for seq := range uint64(3 * maxUnanswered) {
		require.NoError(t, s.beat(seq))
		require.LessOrEqual(t, len(s.sent), maxUnanswered+1)
	}
}

// TestSessionsThatBreakComeSlower: at longer and longer intervals, but within the lease, and at once after one that lasted.
func TestSessionsThatBreakComeSlower(t *testing.T) {
	const patience = time.Second
	k := &keeper{pause: sessionRetry}
	var pauses []time.Duration
	for range 4 {
		k.pace(0, patience)
		pauses = append(pauses, k.pause)
	}
	require.Equal(t, []time.Duration{2 * sessionRetry, 4 * sessionRetry, patience, patience}, pauses)
	k.pace(moment(2*patience), patience)
	require.Equal(t, sessionRetry, k.pause)
}
