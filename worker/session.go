package worker

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"golang.org/x/sync/errgroup"
	"google.golang.org/protobuf/proto"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/api/v1/apiv1connect"
	"github.com/godwit-run/godwit/internal/apierr"
	"github.com/godwit-run/godwit/internal/text"
	"github.com/godwit-run/godwit/internal/transport"
)

const (
	sessionRetry = 200 * time.Millisecond
	sayAgain     = time.Minute // for how long the same trouble with sessions is not said again
	welcomeWait  = 5 * time.Second
	leaveWait    = 2 * time.Second
	maxNameStem  = 58 // of a name that gets a suffix
)

// keeper keeps a session with whoever leads.
type keeper struct {
	w     *Worker
	lease *lease
	term  uint64        // the latest term whose leader has welcomed this process; older leaders are history
	pause time.Duration // before the next session
	heard moment        // since when every look has found the leader of a recovered cluster alone; 0: the last has not
}

// mayGo says that no leader has answered for as long as half the lease, and before the first lease that for welcomeWait none was heard of but
// that of a recovered cluster: the other half is
// left to take the ranks along to a cluster that was recovered from this worker's, if there is one.
func (k *keeper) mayGo() bool {
	if silent, length := k.lease.unanswered(); length > 0 {
		return silent > length/2
	}
	return k.heard != 0 && k.lease.now()-k.heard > moment(welcomeWait)
}

// keepSession keeps a session with whoever leads, until ctx ends. When the lease runs out the executors are killed.
func (w *Worker) keepSession(ctx context.Context) error {
	k := &keeper{w: w, lease: newLease(sinceBoot, w.spawner.lease.Set), pause: sessionRetry}
	w.tasks.Go(func() error { return w.watchLease(ctx, k.lease) })
	said := text.Lately{For: sayAgain} // of two clusters, for instance, now one refuses and now the other
	for ctx.Err() == nil {
		err := k.serve(ctx)
		if err != nil && ctx.Err() == nil && !errors.Is(err, errRenamed) && said.News(err.Error(), time.Now()) {
			w.log.Warn("no session with the leader", "err", err)
		}
		var fatal *fatalError
		if errors.As(err, &fatal) {
			return err
		}
		select {
		case <-time.After(k.pause):
		case <-ctx.Done():
		}
	}
	return ctx.Err()
}

// errRenamed is a session refused for the worker's name, which has taken another since: the next try has that one.
var errRenamed = errors.New("worker: another host has this name")

// fatalError is an answer that trying again cannot change.
type fatalError struct{ error }

// serve finds the leader and serves one session with it until it ends.
func (k *keeper) serve(ctx context.Context) error {
	leader, err := k.w.findLeader(ctx, k.mayGo())
	if recovered := new(recoveredAloneError); !errors.As(err, &recovered) {
		k.heard = 0
	} else if k.heard == 0 {
		k.heard = k.lease.now()
	}
	if err != nil {
		return err
	}
	if leader.term < k.term {
		return fmt.Errorf("worker: the servers know no leader later than term %d, and term %d has been seen", leader.term, k.term)
	}
	sctx, cancel := context.WithCancel(context.WithoutCancel(ctx)) // outlives ctx to say that we leave
	defer cancel()
	s, err := k.open(sctx, cancel, leader)
	if err != nil {
		return err
	}
	opened := k.lease.now()
	g, gctx := errgroup.WithContext(sctx)
	g.Go(func() error { return s.receive(ctx) })
	g.Go(func() error { return s.send(ctx, gctx) })
	g.Go(func() error { return s.watch(gctx) })
	defer k.w.storing.end()
	stop := context.AfterFunc(gctx, cancel) // whichever ends first ends the stream, and so the others
	defer stop()
	err = g.Wait()
	k.pace(k.lease.now()-opened, s.patience)
	return err
}

// pace sets the pause before the next session: sessions that end soon after their welcome, one after the other, come at longer
// intervals, but within the lease.
func (k *keeper) pace(lasted moment, patience time.Duration) {
	if lasted > moment(patience) {
		k.pause = sessionRetry
	} else {
		k.pause = max(sessionRetry, min(2*k.pause, patience))
	}
}

// open says hello and waits for the welcome: not longer than welcomeWait, and not for a leader that has a successor.
func (k *keeper) open(ctx context.Context, cancel context.CancelFunc, leader lead) (*session, error) {
	w := k.w
	stream, err := apiv1connect.NewClusterClient(transport.NewClient(w.toServers, leader.addr)).Session(ctx)
	if err != nil {
		return nil, fmt.Errorf("worker: session with %s: %w", leader.addr, err)
	}
	// Now, not with the first message: Close may come at any moment from here on, and starts the request if nothing has, whose headers
	// then have two writers.
	if err := stream.SendHeaders(); err != nil {
		return nil, fmt.Errorf("worker: session with %s: %w", leader.addr, err)
	}
	// While the request's body is open, net/http does not look at its context; and while the leader reads nothing, not even at the
	// body's end. Only closing both sides ends the stream for sure.
	context.AfterFunc(ctx, func() { _ = stream.Close() })
	guard := time.AfterFunc(welcomeWait, cancel)
	defer guard.Stop()
	lookCtx, stopLooking := context.WithCancel(ctx)
	defer stopLooking()
	go w.watchNewer(lookCtx, leader, k.mayGo, cancel) // ends with this function
	sent := k.lease.now()
	if err := stream.Send(&apiv1.SessionRequest{Msg: &apiv1.SessionRequest_Hello{Hello: w.hello()}}); err != nil {
		_, rerr := stream.Receive()
		return nil, w.refused(leader.addr, errors.Join(err, rerr))
	}
	first, err := stream.Receive()
	if err != nil {
		return nil, w.refused(leader.addr, err)
	}
	welcome := first.GetWelcome()
	switch {
	case welcome == nil:
		return nil, fmt.Errorf("worker: session with %s: the first answer is %T", leader.addr, first.Msg)
	case welcome.LeaseMs <= 0 || welcome.HeartbeatMs <= 0:
		return nil, fmt.Errorf("worker: session with %s: a lease of %d ms with heartbeats of %d ms", leader.addr, welcome.LeaseMs, welcome.HeartbeatMs)
	case welcome.Term < k.term:
		return nil, fmt.Errorf("worker: session with %s: it leads in term %d, but term %d has been seen", leader.addr, welcome.Term, k.term)
	}
	if err := w.joined(welcome.ClusterId, welcome.FormerClusterIds, leader); err != nil {
		return nil, err
	}
	k.term = welcome.Term
	length := time.Duration(welcome.LeaseMs) * time.Millisecond
	k.lease.grant(sent, length)
	if w.cfg.Welcomed != nil {
		w.cfg.Welcomed(k.term)
	}
	w.log.Info("session with the leader", "leader", leader.addr, "term", welcome.Term)
	s := &session{
		w: w, stream: stream, lease: k.lease, every: time.Duration(welcome.HeartbeatMs) * time.Millisecond,
		patience: length / patienceShare, sent: map[uint64]moment{},
	}
	s.answered.Store(time.Now())
	w.codes.begin()
	return s, nil
}

// refused says what a refusal means: a lost incarnation must be born again.
func (w *Worker) refused(leader string, err error) error {
	info := apierr.Info(err)
	switch info.GetReason() {
	case apierr.ReasonIncarnationOver:
		w.killAll("the leader has called the host lost")
		if err := w.setIncarnation(uuid.NewString()); err != nil {
			w.log.Warn("the next process of this worker will adopt no executors", "err", err)
		}
	case apierr.ReasonCopy:
		return &fatalError{fmt.Errorf("worker: %w", err)}
	case apierr.ReasonNameTaken:
		if !w.cfg.NameMayChange || w.named.Load() {
			return &fatalError{fmt.Errorf("worker: %w", err)}
		}
		// Before the first session, from which on it stays, nothing reads the name but by hostName. The suffix is the data directory's own:
		// nobody else has it.
		w.named.Store(true)
		w.mu.Lock()
		w.cfg.Name = fmt.Sprintf("%.*s-%.4s", maxNameStem, w.cfg.Name, w.nodeID)
		w.mu.Unlock()
		if w.cfg.Renamed != nil {
			w.cfg.Renamed(w.cfg.Name)
		}
		w.log.Info("another worker has this host's name: this one takes another", "name", w.cfg.Name)
		return errRenamed
	}
	return fmt.Errorf("worker: session with %s: %w", leader, err)
}

func (w *Worker) hello() *apiv1.Hello {
	w.mu.Lock()
	defer w.mu.Unlock()
	h := &apiv1.Hello{ClusterId: w.member.cluster, Secret: w.secret, Arch: runtime.GOARCH, Code: w.codes.maker(), Host: &apiv1.Host{
		Id: w.cfg.Name, Name: w.cfg.Name, Addr: w.cfg.Advertise, Slots: int32(w.cfg.Slots), Labels: w.cfg.Labels, Volumes: w.cfg.volumes(),
		Incarnation: w.incarnation, NodeId: w.nodeID, MemoryBytes: w.cfg.Memory, RankMemoryBytes: w.cfg.ofRank(), Speed: w.cfg.Speed,
	}}
	size := 0
	for id, s := range w.statuses {
		if size += proto.Size(s); size > maxHelloBytes {
			w.dirty[id] = true // follows the hello
			continue
		}
		h.Apps = append(h.Apps, s)
	}
	if len(w.dirty) > 0 {
		w.poke()
	}
	return h
}

// sessionStream is what a session uses of the connection to the leader.
type sessionStream interface {
	Send(m *apiv1.SessionRequest) error
	Receive() (*apiv1.SessionResponse, error)
}

// session is one open session.
type session struct {
	w      *Worker
	stream sessionStream
	lease  *lease
	every  time.Duration
	// patience is how long the leader may leave heartbeats without an answer.
	patience time.Duration
	answered atomic.Value // time.Time of the last answer

	mu   sync.Mutex        // guards sent
	sent map[uint64]moment // heartbeats without an answer yet
}

// errUnanswered is returned when a leader leaves heartbeats without an answer: it may be stopped, cut off, or without a
// majority behind it. There is time yet to find another.
var errUnanswered = errors.New("worker: the leader does not answer heartbeats")

// watch returns when the leader has not answered for as long as patience.
func (s *session) watch(ctx context.Context) error {
	t := time.NewTicker(max(s.patience/8, time.Millisecond))
	defer t.Stop()
	for {
		select {
		case <-t.C:
			last, _ := s.answered.Load().(time.Time)
			if silence := time.Since(last); silence > s.patience {
				return fmt.Errorf("%w: none for %.1fs", errUnanswered, silence.Seconds())
			}
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// maxUnanswered bounds heartbeats without an answer; the lease is over long before.
const maxUnanswered = 1024

// send renews the lease and reports, until the session ends; when ctx ends it says that the worker leaves. However much there is
// to report, a heartbeat that is due goes first.
func (s *session) send(ctx, sctx context.Context) error {
	t := time.NewTicker(s.every)
	defer t.Stop()
	seq := uint64(0)
	beat := func() error {
		seq++
		return s.beat(seq)
	}
	if err := beat(); err != nil { // at once: it says whether the host is fit
		return err
	}
	s.w.checkpoints.tellAgain()
	var soon <-chan time.Time
	for {
		select {
		case <-s.w.soonCh:
			if soon == nil {
				soon = time.After(startsSoon)
			}
		case <-soon:
			soon = nil
			s.w.hasten()
		case <-t.C:
			if err := beat(); err != nil {
				return err
			}
		case <-s.w.dirtyCh:
			if err := s.report(t.C, beat); err != nil {
				return err
			}
		case <-sctx.Done():
			return sctx.Err()
		case <-ctx.Done():
			if s.w.keeps(ctx) {
				return context.Canceled
			}
			return s.leave(sctx)
		}
	}
}

// beat sends a heartbeat.
func (s *session) beat(seq uint64) error {
	s.mu.Lock()
	if len(s.sent) > maxUnanswered {
		clear(s.sent)
	}
	s.sent[seq] = s.lease.now()
	s.mu.Unlock()
	b := &apiv1.Heartbeat{Seq: seq, Unfit: s.w.fitness.unfit()}
	return s.stream.Send(&apiv1.SessionRequest{Msg: &apiv1.SessionRequest_Heartbeat{Heartbeat: b}})
}

// report sends the statuses that changed, and the heartbeats that fall due meanwhile.
func (s *session) report(due <-chan time.Time, beat func() error) error {
	var all []*apiv1.SessionRequest
	for _, st := range s.w.takeDirty() {
		all = append(all, &apiv1.SessionRequest{Msg: &apiv1.SessionRequest_Status{Status: st}})
	}
	if d := s.w.checkpoints.takeDamage(); d != nil {
		all = append(all, &apiv1.SessionRequest{Msg: &apiv1.SessionRequest_Damaged{Damaged: d}})
	}
	for _, st := range s.w.codes.takeNews() {
		all = append(all, &apiv1.SessionRequest{Msg: &apiv1.SessionRequest_Code{Code: st}})
	}
	for _, st := range s.w.storing.takeNews() {
		all = append(all, &apiv1.SessionRequest{Msg: &apiv1.SessionRequest_Stored{Stored: st}})
	}
	for _, m := range all {
		select {
		case <-due:
			if err := beat(); err != nil {
				return err
			}
		default:
		}
		if err := s.stream.Send(m); err != nil {
			return err
		}
	}
	return nil
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
	records := apiv1.NewRecords(s.w.cfg.Name)
	for {
		m, err := s.stream.Receive()
		if err != nil {
			return err
		}
		switch m := m.Msg.(type) {
		case *apiv1.SessionResponse_Heartbeat:
			s.taken(m.Heartbeat.Seq)
		case *apiv1.SessionResponse_Record:
			rec, err := records.Complete(m.Record)
			if err != nil {
				return fmt.Errorf("worker: %w", err)
			}
			s.w.follow(ctx, rec)
		case *apiv1.SessionResponse_Holdings:
			s.w.checkpoints.follow(m.Holdings)
			if s.w.checkpoints.sweepable() {
				s.w.tasks.Go(s.w.sweepCheckpoints) // it ends by itself
			}
		case *apiv1.SessionResponse_CodeKey:
			s.w.codes.setKey(m.CodeKey.Key)
		case *apiv1.SessionResponse_Code:
			s.w.codes.follow(m.Code)
		case *apiv1.SessionResponse_Store:
			s.w.storing.follow(ctx, m.Store)
		}
	}
}

// taken renews the lease: the answer to a heartbeat answers all before it.
func (s *session) taken(seq uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	at, ok := s.sent[seq]
	if !ok {
		return
	}
	s.lease.renew(at)
	s.answered.Store(time.Now())
	for old := range s.sent {
		if old <= seq {
			delete(s.sent, old)
		}
	}
}
