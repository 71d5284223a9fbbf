package control

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"connectrpc.com/connect/v2"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/api/v1/apiv1connect"
	"github.com/godwit-run/godwit/control/steps"
	"github.com/godwit-run/godwit/fsm"
	"github.com/godwit-run/godwit/internal/apierr"
	"github.com/godwit-run/godwit/internal/name"
	"github.com/godwit-run/godwit/internal/text"
	"github.com/godwit-run/godwit/internal/transport"
)

// helloWait bounds the time from a session's request to its hello.
const helloWait = 10 * time.Second

// closeWait bounds what a session that is over still has to write: a worker that does not read must not hold up the term's end.
const closeWait = time.Second

// Session implements the Cluster service. All of it belongs to the term: it ends with it, and the term waits for it.
func (c *Control) Session(ctx context.Context, stream apiv1connect.ClusterSessionServerStream) error {
	l := c.current()
	if l == nil {
		addr, _ := c.log.Leader()
		return errNotLeading(addr)
	}
	ctx, leave, err := l.tenure.enter(ctx)
	if err != nil {
		return err
	}
	defer leave()
	return l.serve(ctx, stream)
}

// serve serves one worker's session until ctx ends or the stream breaks.
func (l *leader) serve(ctx context.Context, stream apiv1connect.ClusterSessionServerStream) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	writes := context.WithoutCancel(ctx)
	defer context.AfterFunc(ctx, func() { transport.WriteWithin(writes, closeWait) })()
	in := make(chan *apiv1.SessionRequest)
	broken := make(chan error, 1)
	go func() { broken <- pump(ctx, stream, in) }() // ends with the stream, which ends when this request returns
	hello, err := firstHello(ctx, in, broken)
	if err != nil {
		return err
	}
	if err := l.c.checkHello(hello); err != nil {
		return err
	}
	if err := speaksFor(ctx, hello.Host.Id); err != nil {
		return err
	}
	next, err := l.register(ctx, hello.Host, secretHash(hello.Secret))
	if err != nil {
		return err
	}
	welcome, err := l.welcome(ctx)
	if err != nil {
		return err
	}
	s := newSession(fsm.HostID(hello.Host.Id), hello.Host.Incarnation, cancel)
	s.arch = hello.Arch
	if hello.Code != nil {
		s.maker = boundMaker(hello.Code)
	}
	if err := l.openSession(s, hello); err != nil {
		return err
	}
	defer l.closeSession(s)
	if err := stream.Send(&apiv1.SessionResponse{Msg: &apiv1.SessionResponse_Welcome{Welcome: welcome}}); err != nil {
		return err
	}
	var taking sync.WaitGroup
	defer taking.Wait()
	defer cancel()
	if why := unreachedIn(l.c.state.View(), s.host); why != "" {
		s.setUnreached(why)
		taking.Go(func() { l.reachAgain(ctx, s, next) })
	}
	if offersMore(hello.Host) && !l.c.state.View().Mounts() {
		taking.Go(func() { l.c.awaitMounts(ctx); cancel() }) // its next session tells the log what it offers
	}
	taking.Go(func() { defer cancel(); l.receive(ctx, s, in, broken) })
	return l.send(ctx, s, stream)
}

// pump hands on what the worker sends until the stream breaks or ctx ends.
func pump(ctx context.Context, stream apiv1connect.ClusterSessionServerStream, in chan<- *apiv1.SessionRequest) error {
	for {
		m, err := stream.Receive()
		if err != nil {
			return err
		}
		select {
		case in <- m:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func firstHello(ctx context.Context, in <-chan *apiv1.SessionRequest, broken <-chan error) (*apiv1.Hello, error) {
	late := time.NewTimer(helloWait)
	defer late.Stop()
	select {
	case m := <-in:
		return m.GetHello(), nil
	case err := <-broken:
		return nil, err
	case <-late.C:
		return nil, apierr.New(connect.CodeDeadlineExceeded, apierr.ReasonInvalid, "hello", "no hello came", "a session begins with a hello")
	case <-ctx.Done():
		return nil, errNotLeading("")
	}
}

// welcome grants the first lease, as a heartbeat's answer does: with a quorum behind it.
func (l *leader) welcome(ctx context.Context) (*apiv1.Welcome, error) {
	if err := l.leases.confirmed(ctx); err != nil {
		return nil, apierr.New(connect.CodeUnavailable, apierr.ReasonNotLeader, "", err.Error(), "try again")
	}
	v := l.c.state.View()
	if v.LeaseMs() == 0 {
		return nil, apierr.New(connect.CodeUnavailable, apierr.ReasonNoLeader, "", "the cluster is being made", "try again")
	}
	return &apiv1.Welcome{
		ClusterId: v.ClusterID(), FormerClusterIds: v.FormerClusterIDs(), Term: l.term, LeaseMs: v.LeaseMs(), HeartbeatMs: l.c.cfg.Heartbeat.Milliseconds(),
	}, nil
}

func (c *Control) checkHello(h *apiv1.Hello) error {
	host := h.GetHost()
	switch {
	case host == nil:
		return apierr.New(connect.CodeInvalidArgument, apierr.ReasonInvalid, "hello", "a session begins with a hello", "")
	case !name.Valid(host.Id):
		return apierr.New(connect.CodeInvalidArgument, apierr.ReasonInvalid, "host.id", fmt.Sprintf("%.80q is no name for a host", host.Id), name.Rule)
	case host.Slots < 1 || host.Slots > fsm.MaxSlots:
		return apierr.New(connect.CodeInvalidArgument, apierr.ReasonInvalid, "host.slots", fmt.Sprintf("%d slots", host.Slots), fmt.Sprintf("give 1 to %d", fsm.MaxSlots))
	case !text.Word(host.Addr) || !text.Word(host.Incarnation) || !text.Word(host.NodeId):
		return apierr.New(connect.CodeInvalidArgument, apierr.ReasonInvalid, "host", "addr, incarnation and node_id must be set",
			fmt.Sprintf("give words of at most %d printable characters", text.MaxWord))
	case h.Arch != "" && !text.Word(h.Arch):
		return apierr.New(connect.CodeInvalidArgument, apierr.ReasonInvalid, "arch", "the architecture is no word", "")
	case len(h.Secret) > text.MaxWord:
		return apierr.New(connect.CodeInvalidArgument, apierr.ReasonInvalid, "secret", "the secret is too long", "")
	}
	if err := checkLog(&apiv1.Command{Op: &apiv1.Command_RegisterHost{RegisterHost: &apiv1.RegisterHost{Host: host}}}); err != nil {
		return err
	}
	if i := slices.IndexFunc(h.Apps, func(st *apiv1.AppStatus) bool { return !text.Word(st.App) }); i >= 0 {
		return apierr.New(connect.CodeInvalidArgument, apierr.ReasonInvalid, "apps", fmt.Sprintf("%.80q is no app's id", h.Apps[i].App), "")
	}
	v := c.state.View()
	if id := v.ClusterID(); h.ClusterId != "" && id != h.ClusterId && !slices.Contains(v.FormerClusterIDs(), h.ClusterId) {
		return apierr.New(connect.CodeFailedPrecondition, apierr.ReasonForeignCluster, "cluster_id",
			fmt.Sprintf("host %s belongs to cluster %.64q, this is cluster %s", host.Id, h.ClusterId, id), "use another --data-dir or --join")
	}
	return nil
}

// openSession makes the session the host's only one, and queues the records of all apps it has to do with.
func (l *leader) openSession(s *session, hello *apiv1.Hello) error {
	if !l.inbox.open(s, hello.Apps) {
		return apierr.New(connect.CodeUnavailable, apierr.ReasonNotLeader, "", "this host was not heard for its lease, and is just being called lost", "try again")
	}
	v := l.c.state.View()
	if h, ok := v.Host(s.host); !ok || h.Incarnation != s.incarnation || fsm.HostStateOf(h).Gone() { // since it registered
		l.closeSession(s)
		return apierr.New(connect.CodeFailedPrecondition, apierr.ReasonIncarnationOver, "host.incarnation", "the host was called lost meanwhile", bornAgain)
	}
	s.holdAll(allHoldings(v, s.host))
	for _, of := range l.sessions.askedOf(s.host) {
		s.isGiven(string(of.checkpoint), of.host, true)
		l.tellHolds(s, of.checkpoint)
	}
	var reported []string
	for _, st := range hello.Apps {
		reported = append(reported, st.App)
	}
	l.codes.open(s, hello)
	for _, rec := range steps.Opening(v, s.host, reported, l.term) {
		s.put(rec)
	}
	return nil
}

func (l *leader) closeSession(s *session) {
	l.sessions.remove(s)
	l.leases.drop(s)
	l.codes.close(s)
	l.inbox.signal()
}

// send sends what is queued until ctx ends. A worker that takes nothing of it for a lease's length has lost its session: it
// hears from nobody whether it still has its lease.
func (l *leader) send(ctx context.Context, s *session, stream apiv1connect.ClusterSessionServerStream) error {
	patience := time.Duration(l.c.state.View().LeaseMs()) * time.Millisecond
	give := func(m *apiv1.SessionResponse) error {
		transport.WriteWithin(ctx, patience)
		return stream.Send(m)
	}
	for {
		seq, rec, some := s.take()
		if seq > 0 {
			if err := give(&apiv1.SessionResponse{Msg: &apiv1.SessionResponse_Heartbeat{Heartbeat: &apiv1.Heartbeat{Seq: seq}}}); err != nil {
				return err
			}
		}
		if h := s.takeHolds(); h != nil { // before a record that names one of them
			some = true
			if err := give(&apiv1.SessionResponse{Msg: &apiv1.SessionResponse_Holdings{Holdings: h}}); err != nil {
				return err
			}
		}
		if m := s.takeCode(); m != nil {
			some = true
			if err := give(m); err != nil {
				return err
			}
		}
		if t := s.takeTask(); t != nil {
			some = true
			if err := give(&apiv1.SessionResponse{Msg: &apiv1.SessionResponse_Store{Store: t}}); err != nil {
				return err
			}
		}
		if rec != nil {
			rec, err := l.c.withLinkKey(rec)
			if err != nil {
				return err
			}
			if err := give(&apiv1.SessionResponse{Msg: &apiv1.SessionResponse_Record{Record: rec}}); err != nil {
				return err
			}
		}
		if some && ctx.Err() == nil {
			continue
		}
		select {
		case <-s.wake:
		case <-ctx.Done():
			return apierr.New(connect.CodeUnavailable, apierr.ReasonNotLeader, "", "the session is over", "open another")
		}
	}
}

// receive takes the worker's messages until the session ends.
func (l *leader) receive(ctx context.Context, s *session, in <-chan *apiv1.SessionRequest, broken <-chan error) {
	for {
		var m *apiv1.SessionRequest
		select {
		case m = <-in:
		case <-broken: //nolint:errcheck // the worker is gone, however
			return
		case <-ctx.Done():
			return
		}
		switch m := m.Msg.(type) {
		case *apiv1.SessionRequest_Heartbeat:
			if !l.sessions.hear(s) {
				return
			}
			l.leases.beat(s, m.Heartbeat.Seq)
			l.hearFitness(s, m.Heartbeat.Unfit)
		case *apiv1.SessionRequest_Status:
			if !text.Word(m.Status.GetApp()) {
				l.log.Warn("a host reports of what is no app: its session ends", "host", s.host, "app", text.Line(m.Status.GetApp(), text.MaxWord))
				return
			}
			l.takeStatus(s, m.Status)
		case *apiv1.SessionRequest_Stored:
			l.tasks.take(m.Stored)
		case *apiv1.SessionRequest_Code:
			l.codes.take(s, m.Code)
		case *apiv1.SessionRequest_Damaged:
			l.mender.take(s, m.Damaged)
		case *apiv1.SessionRequest_Leaving:
			l.log.Info("host leaves", "host", s.host, "reason", m.Leaving.Reason)
			l.endHost(ctx, string(s.host), s.incarnation, fsm.Left, text.Line(m.Leaving.Reason, maxReasonBytes))
			return
		}
	}
}

// takeStatus stores what a host reports of an app. A host that the app does not concern any more is told so: it may have
// missed the record that said it.
func (l *leader) takeStatus(s *session, st *apiv1.AppStatus) {
	v := l.c.state.View()
	switch app, ok := v.App(fsm.AppID(st.App)); {
	case l.tellIfOver(v, s, fsm.AppID(st.App)):
	case ok && app.MigrationId == "" && app.CheckpointId == "" && app.Files == nil && st.AckedMigration == "" && st.FailedMigration == "" && st.Files == nil && st.Checkpoint == nil:
		l.inbox.putNews(s, st)
	default:
		l.inbox.put(s, st)
	}
}

// tellIfOver tells a host of an app that does not concern it any more, and says whether the app is over.
func (l *leader) tellIfOver(v *fsm.View, s *session, id fsm.AppID) bool {
	app, ok := v.App(id)
	over := !ok || fsm.PhaseOf(app).Terminal()
	if over || !steps.Concerns(v, app, s.host) {
		s.put(steps.RecordOf(v, id, l.term))
	}
	return over
}
