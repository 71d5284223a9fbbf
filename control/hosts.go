package control

import (
	"bytes"
	"context"
	"fmt"
	"time"

	"connectrpc.com/connect/v2"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/api/v1/apiv1connect"
	"github.com/godwit-run/godwit/fsm"
	"github.com/godwit-run/godwit/internal/apierr"
	"github.com/godwit-run/godwit/internal/name"
)

// leaseMargin is how much longer than the worker the leader waits.
const leaseMargin = 500 * time.Millisecond

// outboxSize bounds heartbeats waiting to be answered; a worker sends the next one only every Heartbeat.
const outboxSize = 64

// session is a worker's link with this leader.
type session struct {
	host        fsm.HostID
	incarnation string
	end         context.CancelFunc

	// records waiting to be sent, the newest of each app; guarded by leader.mu.
	records map[fsm.AppID]*apiv1.AppRecord
	wake    chan struct{} // capacity 1
	echo    chan uint64
}

// expireLeases calls hosts lost that have not renewed their lease.
func (l *leader) expireLeases(ctx context.Context) {
	now := time.Now()
	for h := range l.c.state.View().Hosts() {
		if fsm.HostStateOf(h).Gone() {
			continue
		}
		id := fsm.HostID(h.Id)
		l.mu.Lock()
		last, ok := l.seen[id]
		if !ok {
			l.seen[id] = now
			last = now
		}
		l.mu.Unlock()
		silence := now.Sub(last)
		if silence < l.c.cfg.Lease+leaseMargin {
			continue
		}
		l.log.Warn("host lost", "host", h.Id, "silence", silence)
		l.setHostState(ctx, h.Id, h.Incarnation, "lost", fmt.Sprintf("no heartbeat for %.1fs", silence.Seconds()))
	}
}

func (l *leader) setHostState(ctx context.Context, host, incarnation, state, reason string) {
	l.propose(ctx, "host "+host+" "+state, func(c *apiv1.Command) {
		c.Op = &apiv1.Command_SetHostState{SetHostState: &apiv1.SetHostState{
			Host: host, Incarnation: incarnation, State: state, Reason: reason,
		}}
	})
	l.mu.Lock()
	s := l.sessions[fsm.HostID(host)]
	delete(l.reports, fsm.HostID(host))
	l.mu.Unlock()
	if s != nil && s.incarnation == incarnation {
		s.end()
	}
}

// Session implements the Cluster service.
func (c *Control) Session(ctx context.Context, stream apiv1connect.ClusterSessionServerStream) error {
	l := c.current()
	if l == nil {
		addr, _ := c.log.Leader()
		return apierr.New(connect.CodeFailedPrecondition, apierr.ReasonNotLeader, "", "this server is not the leader", "ask "+addr)
	}
	first, err := stream.Receive()
	if err != nil {
		return err
	}
	hello := first.GetHello()
	if err := c.checkHello(hello); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() { // ends with this request
		select {
		case <-l.over:
			cancel()
		case <-ctx.Done():
		}
	}()
	if err := l.register(ctx, hello.Host); err != nil {
		return err
	}
	s := l.open(hello, cancel)
	defer l.close(s)
	welcome := &apiv1.Welcome{
		ClusterId: c.state.View().ClusterID(), Term: l.term,
		LeaseMs: c.cfg.Lease.Milliseconds(), HeartbeatMs: c.cfg.Heartbeat.Milliseconds(),
	}
	if err := stream.Send(&apiv1.SessionResponse{Msg: &apiv1.SessionResponse_Welcome{Welcome: welcome}}); err != nil {
		return err
	}
	received := make(chan error, 1)
	go func() { received <- l.receive(ctx, s, stream); cancel() }() // ends with the stream, which ends when we return
	err = l.send(ctx, s, stream)
	select {
	case rerr := <-received:
		return rerr
	default:
		return err
	}
}

func (c *Control) checkHello(h *apiv1.Hello) error {
	host := h.GetHost()
	switch {
	case host == nil:
		return apierr.New(connect.CodeInvalidArgument, apierr.ReasonInvalid, "hello", "a session begins with a hello", "")
	case !name.Valid(host.Id):
		return apierr.New(connect.CodeInvalidArgument, apierr.ReasonInvalid, "host.id", fmt.Sprintf("%q is no name for a host", host.Id), name.Rule)
	case host.Slots < 1 || host.Slots > fsm.MaxSlots:
		return apierr.New(connect.CodeInvalidArgument, apierr.ReasonInvalid, "host.slots", fmt.Sprintf("%d slots", host.Slots), "give 1 to 65536")
	case host.Addr == "" || host.Incarnation == "" || host.NodeId == "":
		return apierr.New(connect.CodeInvalidArgument, apierr.ReasonInvalid, "host", "addr, incarnation and node_id must be set", "")
	}
	if id := c.state.View().ClusterID(); h.ClusterId != "" && id != h.ClusterId {
		return apierr.New(connect.CodeFailedPrecondition, apierr.ReasonForeignCluster, "cluster_id",
			fmt.Sprintf("host %s belongs to cluster %s, this is cluster %s", host.Id, h.ClusterId, id), "use another --data-dir or --join")
	}
	return nil
}

// register makes the host known to the log, unless it is already, as it is.
func (l *leader) register(ctx context.Context, h *apiv1.Host) error {
	if old, ok := l.c.state.View().Host(fsm.HostID(h.Id)); ok && old.Incarnation == h.Incarnation && !fsm.HostStateOf(old).Gone() &&
		old.Addr == h.Addr && old.Slots == h.Slots && bytes.Equal(old.SecretHash, h.SecretHash) {
		return nil
	}
	cmd := l.c.command("")
	cmd.Term = l.term
	cmd.Op = &apiv1.Command_RegisterHost{RegisterHost: &apiv1.RegisterHost{Host: &apiv1.Host{
		Id: h.Id, Name: h.Id, Addr: h.Addr, Slots: h.Slots, Labels: h.Labels, Incarnation: h.Incarnation, NodeId: h.NodeId,
		SecretHash: h.SecretHash,
	}}}
	res, err := l.c.log.Propose(ctx, cmd)
	if err != nil {
		return apiError(err)
	}
	switch fsm.Code(res.Code) {
	case "":
		l.log.Info("host registered", "host", h.Id, "slots", h.Slots, "addr", h.Addr)
		return nil
	case fsm.CodeNameTaken:
		return apierr.New(connect.CodeAlreadyExists, apierr.ReasonNameTaken, "host.id", res.Reason, "give this worker another --name")
	default:
		return apierr.New(connect.CodeFailedPrecondition, apierr.ReasonIncarnationOver, "host.incarnation", res.Reason, "register again as a new incarnation")
	}
}

// open makes the session the host's only one, and queues the records of all apps it has to do with.
func (l *leader) open(hello *apiv1.Hello, end context.CancelFunc) *session {
	id := fsm.HostID(hello.Host.Id)
	s := &session{
		host: id, incarnation: hello.Host.Incarnation, end: end, records: map[fsm.AppID]*apiv1.AppRecord{},
		wake: make(chan struct{}, 1), echo: make(chan uint64, outboxSize),
	}
	reports := map[fsm.AppID]*apiv1.AppStatus{}
	for _, st := range hello.Apps {
		reports[fsm.AppID(st.App)] = st
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if old := l.sessions[id]; old != nil {
		old.end()
	}
	l.sessions[id] = s
	l.seen[id] = time.Now()
	l.reports[id] = reports
	v := l.c.state.View()
	for app := range v.Placed() {
		if rec := l.record(v, app); concerns(rec, id) {
			s.put(rec)
		}
	}
	for app := range reports {
		if _, ok := s.records[app]; !ok {
			s.put(l.recordOf(v, app))
		}
	}
	l.notify()
	return s
}

func (l *leader) close(s *session) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.sessions[s.host] == s {
		delete(l.sessions, s.host)
	}
	l.notify()
}

// put queues a record in the place of an older one. The leader's mu is held.
func (s *session) put(rec *apiv1.AppRecord) {
	s.records[fsm.AppID(rec.App.Id)] = rec
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// send sends what is queued until ctx ends.
func (l *leader) send(ctx context.Context, s *session, stream apiv1connect.ClusterSessionServerStream) error {
	for {
		select {
		case seq := <-s.echo:
			if err := stream.Send(&apiv1.SessionResponse{Msg: &apiv1.SessionResponse_Heartbeat{Heartbeat: &apiv1.Heartbeat{Seq: seq}}}); err != nil {
				return err
			}
		case <-s.wake:
			l.mu.Lock()
			records := s.records
			s.records = map[fsm.AppID]*apiv1.AppRecord{}
			l.mu.Unlock()
			for _, rec := range records {
				if err := stream.Send(&apiv1.SessionResponse{Msg: &apiv1.SessionResponse_Record{Record: rec}}); err != nil {
					return err
				}
			}
		case <-ctx.Done():
			return apierr.New(connect.CodeUnavailable, apierr.ReasonNotLeader, "", "the session is over", "open another")
		}
	}
}

// receive takes the worker's messages until the session ends.
func (l *leader) receive(ctx context.Context, s *session, stream apiv1connect.ClusterSessionServerStream) error {
	for {
		m, err := stream.Receive()
		if err != nil {
			return err
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		switch m := m.Msg.(type) {
		case *apiv1.SessionRequest_Heartbeat:
			l.mu.Lock()
			current := l.sessions[s.host] == s
			if current {
				l.seen[s.host] = time.Now()
			}
			l.mu.Unlock()
			if !current {
				return nil
			}
			select {
			case s.echo <- m.Heartbeat.Seq:
			default: // the worker does not read; its lease runs out
			}
		case *apiv1.SessionRequest_Status:
			l.take(s, m.Status)
		case *apiv1.SessionRequest_Leaving:
			l.log.Info("host leaves", "host", s.host, "reason", m.Leaving.Reason)
			l.setHostState(ctx, string(s.host), s.incarnation, "left", m.Leaving.Reason)
			return nil
		}
	}
}

// take stores what a host reports of an app. A host that the app does not concern any more is told so: it may have missed
// the record that said it.
func (l *leader) take(s *session, st *apiv1.AppStatus) {
	id := fsm.AppID(st.App)
	rec := l.recordOf(l.c.state.View(), id)
	over := rec.Gone || fsm.PhaseOf(rec.App).Terminal()
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.sessions[s.host] != s || l.reports[s.host] == nil {
		return
	}
	if over || !concerns(rec, s.host) {
		s.put(rec)
	}
	if !over {
		l.reports[s.host][id] = st
		l.notify()
	}
}
