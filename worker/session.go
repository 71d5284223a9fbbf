package worker

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"golang.org/x/sync/errgroup"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/api/v1/apiv1connect"
	"github.com/godwit-run/godwit/internal/apierr"
	"github.com/godwit-run/godwit/internal/transport"
)

const (
	sessionRetry  = 200 * time.Millisecond
	discoverWait  = time.Second
	welcomeWait   = 5 * time.Second
	leaveWait     = 2 * time.Second
	leaseLookEach = 100 * time.Millisecond
	maxNameStem   = 58 // of a name that gets a suffix
)

// lease is the worker's right to run ranks. It is counted from the moment a heartbeat was sent, so that the leader, who
// counts from when it came, always outlasts it.
type lease struct {
	start   time.Time    // base of the fields below
	renewed atomic.Int64 // nanoseconds since start at which the last answered heartbeat was sent
	length  atomic.Int64 // nanoseconds; 0: none was ever granted
}

func (l *lease) renew(sent time.Time) { l.renewed.Store(int64(sent.Sub(l.start))) }

func (l *lease) over() bool {
	length := l.length.Load()
	return length > 0 && int64(time.Since(l.start)) > l.renewed.Load()+length
}

// keepSession keeps a session with whoever leads, until ctx ends. When the lease runs out it kills the executors.
func (w *Worker) keepSession(ctx context.Context) error {
	l := &lease{start: time.Now()}
	w.tasks.Go(func() error { return w.watchLease(ctx, l) })
	last := ""
	for ctx.Err() == nil {
		err := w.tryServers(ctx, l)
		if err != nil && ctx.Err() == nil && err.Error() != last {
			last = err.Error()
			w.log.Warn("no session with the leader", "err", err)
		}
		var fatal *fatalError
		if errors.As(err, &fatal) {
			return err
		}
		select {
		case <-time.After(sessionRetry):
		case <-ctx.Done():
		}
	}
	return ctx.Err()
}

// fatalError is an answer that trying again cannot change.
type fatalError struct{ error }

func (w *Worker) watchLease(ctx context.Context, l *lease) error {
	t := time.NewTicker(leaseLookEach)
	defer t.Stop()
	for {
		select {
		case <-t.C:
			if l.over() {
				l.length.Store(0)
				w.log.Error("the lease ran out without an answer from a leader: killing all executors")
				w.killAll("the host lost its lease")
			}
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// tryServers finds the leader and serves a session with it until it ends.
func (w *Worker) tryServers(ctx context.Context, l *lease) error {
	addrs := w.servers()
	if len(addrs) == 0 {
		return errors.New("worker: no server is known: give --join")
	}
	var err error
	for _, addr := range addrs {
		var leader string
		if leader, err = w.discover(ctx, addr); err == nil && leader != "" {
			return w.session(ctx, leader, l)
		}
	}
	if err != nil {
		return fmt.Errorf("worker: no server answers (%d tried): %w", len(addrs), err)
	}
	return errors.New("worker: the servers have no leader")
}

func (w *Worker) discover(ctx context.Context, addr string) (leader string, err error) {
	ctx, cancel := context.WithTimeout(ctx, discoverWait)
	defer cancel()
	client := apiv1connect.NewClusterClient(transport.NewClient(w.http, addr))
	res, err := client.Discover(ctx, &apiv1.DiscoverRequest{})
	if err != nil {
		return "", err
	}
	if w.clusterID != "" && res.ClusterId != "" && res.ClusterId != w.clusterID {
		return "", fmt.Errorf("data directory %s belongs to cluster %s, but server %s is of cluster %s: use another --data-dir or --join",
			w.cfg.DataDir, w.clusterID, addr, res.ClusterId)
	}
	return res.LeaderAddr, nil
}

// session serves one session until it ends.
func (w *Worker) session(ctx context.Context, leader string, l *lease) error {
	sctx, cancel := context.WithCancel(context.WithoutCancel(ctx)) // outlives ctx to say that we leave
	defer cancel()
	client := apiv1connect.NewClusterClient(transport.NewClient(w.http, leader))
	stream, err := client.Session(sctx)
	if err != nil {
		return fmt.Errorf("worker: session with %s: %w", leader, err)
	}
	guard := time.AfterFunc(welcomeWait, cancel)
	sent := time.Now()
	if err := stream.Send(&apiv1.SessionRequest{Msg: &apiv1.SessionRequest_Hello{Hello: w.hello()}}); err != nil {
		_, rerr := stream.Receive()
		return w.refused(leader, errors.Join(err, rerr))
	}
	first, err := stream.Receive()
	if err != nil {
		return w.refused(leader, err)
	}
	guard.Stop()
	welcome := first.GetWelcome()
	if welcome == nil {
		return fmt.Errorf("worker: session with %s: the first answer is %T", leader, first.Msg)
	}
	if err := w.joined(welcome); err != nil {
		return err
	}
	l.renew(sent)
	l.length.Store(int64(time.Duration(welcome.LeaseMs) * time.Millisecond))
	w.log.Info("session with the leader", "leader", leader, "term", welcome.Term)
	s := &session{w: w, stream: stream, lease: l, every: time.Duration(welcome.HeartbeatMs) * time.Millisecond, sent: map[uint64]time.Time{}}
	g, gctx := errgroup.WithContext(sctx)
	g.Go(func() error { return s.receive(ctx) })
	g.Go(func() error { defer cancel(); return s.send(ctx, gctx) })
	return g.Wait()
}

// refused says what a refusal means: a lost incarnation must be born again.
func (w *Worker) refused(leader string, err error) error {
	info := apierr.Info(err)
	switch info.GetReason() {
	case apierr.ReasonIncarnationOver:
		w.killAll("the leader has called the host lost")
		w.mu.Lock()
		w.incarnation = uuid.NewString()
		w.mu.Unlock()
	case apierr.ReasonNameTaken:
		if !w.cfg.NameMayChange {
			return &fatalError{fmt.Errorf("worker: %w", err)}
		}
		// Nothing else reads the name before the first session. The suffix is the data directory's own: nobody else has it.
		w.cfg.NameMayChange = false
		w.cfg.Name = fmt.Sprintf("%.*s-%.4s", maxNameStem, w.cfg.Name, w.nodeID)
		w.log.Info("another worker has this host's name: taking another", "name", w.cfg.Name)
	}
	return fmt.Errorf("worker: session with %s: %w", leader, err)
}

func (w *Worker) hello() *apiv1.Hello {
	w.mu.Lock()
	defer w.mu.Unlock()
	h := &apiv1.Hello{ClusterId: w.clusterID, Host: &apiv1.Host{
		Id: w.cfg.Name, Name: w.cfg.Name, Addr: w.cfg.Advertise, Slots: int32(w.cfg.Slots), Labels: w.cfg.Labels,
		Incarnation: w.incarnation, NodeId: w.nodeID,
	}}
	for _, s := range w.statuses {
		h.Apps = append(h.Apps, s)
	}
	return h
}

// joined remembers the cluster, and the name.
func (w *Worker) joined(m *apiv1.Welcome) error {
	if err := os.WriteFile(w.cfg.dir(nameFile), []byte(w.cfg.Name+"\n"), 0o600); err != nil {
		return fmt.Errorf("worker: %w", err)
	}
	if w.clusterID == m.ClusterId {
		return nil
	}
	if w.clusterID != "" {
		return fmt.Errorf("worker: data directory %s belongs to cluster %s, the leader is of cluster %s", w.cfg.DataDir, w.clusterID, m.ClusterId)
	}
	w.mu.Lock()
	w.clusterID = m.ClusterId
	w.mu.Unlock()
	if err := os.WriteFile(w.cfg.dir("cluster_id"), []byte(m.ClusterId+"\n"), 0o600); err != nil {
		return fmt.Errorf("worker: %w", err)
	}
	return nil
}

// session is one open session.
type session struct {
	w      *Worker
	stream apiv1connect.ClusterSessionClientStream
	lease  *lease
	every  time.Duration

	mu   sync.Mutex           // guards sent
	sent map[uint64]time.Time // heartbeats without an answer yet
}

// maxUnanswered bounds heartbeats without an answer; the lease is over long before.
const maxUnanswered = 1024

// send renews the lease and reports, until the session ends; when ctx ends it says that the worker leaves.
func (s *session) send(ctx, sctx context.Context) error {
	t := time.NewTicker(s.every)
	defer t.Stop()
	for seq := uint64(1); ; {
		select {
		case <-t.C:
			s.mu.Lock()
			if len(s.sent) > maxUnanswered {
				clear(s.sent)
			}
			s.sent[seq] = time.Now()
			s.mu.Unlock()
			if err := s.stream.Send(&apiv1.SessionRequest{Msg: &apiv1.SessionRequest_Heartbeat{Heartbeat: &apiv1.Heartbeat{Seq: seq}}}); err != nil {
				return err
			}
			seq++
		case <-s.w.dirtyCh:
			for _, st := range s.w.takeDirty() {
				if err := s.stream.Send(&apiv1.SessionRequest{Msg: &apiv1.SessionRequest_Status{Status: st}}); err != nil {
					return err
				}
			}
		case <-sctx.Done():
			return sctx.Err()
		case <-ctx.Done():
			return s.leave(sctx)
		}
	}
}

// leave tells the leader that the worker stops, and waits until the leader has ended the session.
func (s *session) leave(sctx context.Context) error {
	m := &apiv1.SessionRequest{Msg: &apiv1.SessionRequest_Leaving{Leaving: &apiv1.Leaving{Reason: "the worker was stopped"}}}
	if err := s.stream.Send(m); err != nil {
		return err
	}
	select {
	case <-sctx.Done():
	case <-time.After(leaveWait):
	}
	return context.Canceled
}

// receive takes the leader's answers and records until the session ends.
func (s *session) receive(ctx context.Context) error {
	for {
		m, err := s.stream.Receive()
		if err != nil {
			return err
		}
		switch m := m.Msg.(type) {
		case *apiv1.SessionResponse_Heartbeat:
			s.mu.Lock()
			if at, ok := s.sent[m.Heartbeat.Seq]; ok {
				s.lease.renew(at)
				delete(s.sent, m.Heartbeat.Seq)
			}
			s.mu.Unlock()
		case *apiv1.SessionResponse_Record:
			s.w.take(ctx, m.Record)
		}
	}
}
