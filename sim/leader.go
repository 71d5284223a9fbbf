package sim

import (
	"fmt"
	"slices"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/control/steps"
	"github.com/godwit-run/godwit/fsm"
)

// Times of the simulated cluster.
const (
	lease     = 10 * time.Second
	margin    = 500 * time.Millisecond
	heartbeat = 500 * time.Millisecond
	patience  = lease / 4 // with a leader that does not answer
	restTime  = time.Second
)

func deadlines() steps.Deadlines {
	return steps.Deadlines{Announce: 30 * time.Second, Freeze: 10 * time.Second, Transfer: 2 * time.Minute}
}

// log is the replicated log, as Raft makes it: one order, of which the entries of a term end where the next term begins. What a leader proposes comes into it in its order, or is lost with the term; whether it
// was the leader may not learn.
type log struct {
	s       *Sim
	machine *fsm.Machine
	index   uint64
	term    uint64
}

// apply commits a command of a term.
func (l *log) apply(cmd *apiv1.Command, term uint64) *apiv1.Result {
	before := l.machine.View()
	data, err := fsm.Encode(&apiv1.Entry{Commands: []*apiv1.Command{cmd}})
	if err != nil {
		l.s.fail("a command cannot be encoded: %v", err)
		return &apiv1.Result{Code: "encoding"}
	}
	l.index++
	res, err := l.machine.Apply(l.index, term, data)
	if err != nil {
		l.s.fail("an entry cannot be applied: %v", err)
		return &apiv1.Result{Code: "apply"}
	}
	if l.s.tracing {
		l.s.trace("entry %d: %v -> %s %s", l.index, cmd, res[0].Code, res[0].Reason)
	}
	if res[0].Code == "" {
		l.s.applied(cmd)
	}
	l.s.checkEntry(before, l.machine.View(), cmd)
	return res[0]
}

func (l *log) view() *fsm.View { return l.machine.View() }

// session is a worker's with a leader. Each way is in order, and lost when it breaks.
type session struct {
	h    *host
	l    *leader
	up   []up
	down []down
}

type up struct {
	beat   uint64
	status *apiv1.AppStatus
}

type down struct {
	answer uint64
	record *apiv1.AppRecord
}

// leader is the shell of a term: its duties, around the steps of control/steps. One that was deposed goes on for a while, with the view that it has, and nothing that it proposes comes into the log.
type leader struct {
	s        *Sim
	term     uint64
	deposed  *fsm.View // what it sees once it is deposed
	began    time.Time
	sessions map[string]*session
	reports  map[string]map[string]*apiv1.AppStatus // by app and host
	heard    map[string]time.Time
	told     map[string]*apiv1.AppRecord
	watches  map[string]*steps.Watch
	pending  []*proposal
	rests    map[string]time.Time
	dirty    [duties]bool
}

type proposal struct {
	step *steps.Step
	cmd  *apiv1.Command
}

// The duties.
const (
	dutyDrive = iota
	dutyReports
	dutyDispatch
	dutyPlace
	dutyExpire
	dutyLeave
	dutyCopies
	duties
)

func (l *leader) view() *fsm.View {
	if l.deposed != nil {
		return l.deposed
	}
	return l.s.log.view()
}

func (l *leader) wake() {
	for i := range l.dirty {
		l.dirty[i] = true
	}
}

// elect makes a new leader, as a new term: what the one before had proposed comes into the log up to some point, and no further.
func (s *Sim) elect() {
	s.log.term++
	if old := s.leader; old != nil {
		for range s.pick(len(old.pending) + 1) {
			s.commit(old)
		}
		old.pending = nil
		old.deposed = s.log.view()
		s.deposed = append(s.deposed, old)
		if len(s.deposed) > 2 {
			s.retire(s.deposed[0])
		}
	}
	l := &leader{
		s: s, term: s.log.term, began: s.now, sessions: map[string]*session{}, reports: map[string]map[string]*apiv1.AppStatus{}, heard: map[string]time.Time{},
		told: map[string]*apiv1.AppRecord{}, watches: map[string]*steps.Watch{}, rests: map[string]time.Time{},
	}
	s.leader = l
	l.wake()
}

// retire ends a deposed leader for good.
func (s *Sim) retire(l *leader) {
	s.deposed = slices.DeleteFunc(s.deposed, func(x *leader) bool { return x == l })
	for _, name := range sortedKeys(l.sessions) {
		l.sessions[name].h.endSession()
	}
}

func (h *host) endSession() {
	if s := h.session; s != nil {
		h.session = nil
		if s.l.sessions[h.name] == s {
			delete(s.l.sessions, h.name)
		}
	}
}

// propose has a step proposed, unless it is already, or rests.
func (l *leader) propose(st *steps.Step) {
	if st == nil || l.deposed != nil {
		return
	}
	if l.s.now.Before(l.rests[st.What]) || slices.ContainsFunc(l.pending, func(p *proposal) bool { return p.step.What == st.What }) {
		return
	}
	cmd := proto.CloneOf(st.Command)
	cmd.Term = l.term
	cmd.At = timestamppb.New(l.s.now)
	l.pending = append(l.pending, &proposal{st, cmd})
}

// commit is an action: the first of what a leader has proposed comes into the log.
func (s *Sim) commit(l *leader) {
	p := l.pending[0]
	l.pending = l.pending[1:]
	res := s.log.apply(p.cmd, l.term)
	if s.err != nil {
		return
	}
	next := p.step.Then
	if res.Code != "" {
		l.rests[p.step.What] = s.now.Add(restTime)
		next = p.step.Else
	}
	l.propose(next)
	s.leader.wake()
}

// looks is an action: a duty of a leader looks at what there is.
func (l *leader) looks(duty int) {
	l.dirty[duty] = false
	v := l.view()
	switch duty {
	case dutyDrive:
		l.drive(v)
	case dutyReports:
		for _, id := range sortedKeys(l.reports) {
			app, ok := v.App(fsm.AppID(id))
			if !ok {
				continue
			}
			for _, host := range sortedKeys(l.reports[id]) {
				for _, st := range steps.News(v, app, fsm.HostID(host), l.reports[id][host]) {
					l.propose(st)
				}
			}
		}
	case dutyDispatch:
		for app := range v.Apps() {
			l.dispatch(v, app)
		}
	case dutyPlace:
		l.place(v)
	case dutyExpire:
		l.expire(v)
	case dutyLeave:
		l.leave(v)
	case dutyCopies:
		l.copies(v)
	}
}

func (l *leader) reportsOf(app string) steps.Reports {
	return func(host fsm.HostID) *apiv1.AppStatus { return l.reports[app][string(host)] }
}

func (l *leader) watch(id string) *steps.Watch {
	if l.watches[id] == nil {
		l.watches[id] = &steps.Watch{}
	}
	return l.watches[id]
}

func (l *leader) drive(v *fsm.View) {
	for mig := range v.PendingMigrations() {
		l.propose(steps.Migration(v, mig, l.reportsOf(mig.App), l.watch(mig.Id), l.s.now, deadlines()))
	}
	for c := range v.PendingCheckpoints() {
		l.propose(steps.Checkpoint(v, c, l.reportsOf(c.App), l.watch(c.Id), l.s.now, deadlines()))
	}
}

// dispatch tells of an app what has not been told.
func (l *leader) dispatch(v *fsm.View, app *apiv1.App) {
	old := l.told[app.Id]
	if !fsm.PhaseOf(app).Placed() && !fsm.PhaseOf(app).Terminal() && old == nil {
		return
	}
	rec := steps.Record(v, app, l.term)
	if fsm.PhaseOf(app).Placed() {
		if old != nil && steps.SameRecord(old, rec) {
			l.told[app.Id] = rec
			return
		}
		l.told[app.Id] = rec
	} else {
		if old == nil && len(l.reports[app.Id]) == 0 {
			return
		}
		delete(l.told, app.Id)
	}
	hosts := steps.Audience(rec, old)
	if steps.Anew(rec, old) {
		for h := range l.reports[app.Id] {
			hosts[fsm.HostID(h)] = true
		}
	}
	for _, h := range sortedKeys(hosts) {
		if s := l.sessions[string(h)]; s != nil {
			s.put(rec)
		}
	}
	if steps.Over(rec) {
		delete(l.reports, app.Id)
	}
	l.dirty[dutyReports] = true
}

// put queues a record; one of the same app that has not been sent is not needed any more.
func (s *session) put(rec *apiv1.AppRecord) {
	for i, d := range s.down {
		if d.record != nil && d.record.App.Id == rec.App.Id {
			s.down[i].record = rec
			return
		}
	}
	s.down = append(s.down, down{record: rec})
}

// place gives queued apps some hosts that have room: any, for what the planner prefers is not looked at here.
func (l *leader) place(v *fsm.View) {
	for app := range v.Queue() {
		if v.WhyAway(app) != "" {
			continue
		}
		var free []string
		for h := range v.Hosts() {
			if !fsm.TakesRanks(h) {
				continue
			}
			for range fsm.Free(h) {
				free = append(free, h.Id)
			}
		}
		live := int(app.Size)
		if len(free) < live {
			return
		}
		l.s.shuffle(len(free), func(i, j int) { free[i], free[j] = free[j], free[i] })
		l.propose(&steps.Step{What: "place " + app.Id, Command: &apiv1.Command{Op: &apiv1.Command_PlaceApp{PlaceApp: fsm.NewPlaceApp(fsm.AppID(app.Id), free[:live])}}})
		return
	}
}

// expire calls hosts lost that have not been heard for the lease and a margin: from this leader's beginning on.
func (l *leader) expire(v *fsm.View) {
	for h := range v.Hosts() {
		if fsm.HostStateOf(h).Gone() {
			continue
		}
		since := l.began
		if t := l.heard[h.Id]; t.After(since) {
			since = t
		}
		if l.s.now.Sub(since) > lease+margin {
			l.propose(lost(h.Id, h.Incarnation))
		}
	}
}

func lost(host, incarnation string) *steps.Step {
	return &steps.Step{What: "lost " + host + incarnation, Command: &apiv1.Command{Op: &apiv1.Command_SetHostState{SetHostState: &apiv1.SetHostState{
		Host: host, Incarnation: incarnation, State: string(fsm.Lost), Reason: "not heard",
	}}}}
}

// joinsLeader is an action: a worker says hello to the leader, which registers it.
func (h *host) joinsLeader() {
	l := h.s.leader
	v := h.s.log.view()
	now, ok := v.Host(fsm.HostID(h.name))
	if !ok || now.Incarnation != h.incarnation || fsm.HostStateOf(now).Gone() {
		was := now.GetIncarnation()
		// All that the leader has proposed comes first: it waits for its own entry.
		for len(l.pending) > 0 && h.s.err == nil {
			h.s.commit(l)
		}
		res := h.s.log.apply(&apiv1.Command{Term: l.term, At: timestamppb.New(h.s.now), Op: &apiv1.Command_RegisterHost{RegisterHost: &apiv1.RegisterHost{InsteadOf: &was, Host: &apiv1.Host{
			Id: h.name, Name: h.name, Addr: h.name + ":1", Slots: h.slots, Incarnation: h.incarnation, NodeId: "n-" + h.name,
		}}}}, l.term)
		l.wake()
		switch fsm.Code(res.Code) {
		case fsm.CodeApplied:
		case fsm.CodeIncarnationOver:
			h.s.trace("%s is another incarnation", h.name)
			h.bornAnew()
			return
		default:
			h.s.fail("%s cannot register: %s %s", h.name, res.Code, res.Reason)
			return
		}
		v = h.s.log.view()
	}
	s := &session{h: h, l: l}
	h.session = s
	l.sessions[h.name] = s
	l.heard[h.name] = h.s.now
	for _, of := range l.reports {
		delete(of, h.name)
	}
	h.renew(h.s.now)
	var reported []string
	for _, id := range sortedKeys(h.statuses) {
		reported = append(reported, id)
		l.report(h.name, h.statuses[id])
	}
	for _, rec := range steps.Opening(v, fsm.HostID(h.name), reported, l.term) {
		s.put(rec)
	}
}

func (l *leader) report(host string, st *apiv1.AppStatus) {
	if l.reports[st.App] == nil {
		l.reports[st.App] = map[string]*apiv1.AppStatus{}
	}
	l.reports[st.App][host] = st
	l.dirty[dutyReports], l.dirty[dutyDrive] = true, true
}

// takes is an action: a leader takes what a worker has said.
func (s *session) takes() {
	m := s.up[0]
	s.up = s.up[1:]
	l := s.l
	if m.status == nil {
		if l.deposed != nil {
			return // no majority is with it any more
		}
		h, ok := l.view().Host(fsm.HostID(s.h.name))
		if !ok || fsm.HostStateOf(h).Gone() || h.Incarnation != s.h.incarnation {
			s.h.endSession()
			return
		}
		l.heard[s.h.name] = l.s.now
		s.down = append(s.down, down{answer: m.beat})
		return
	}
	v := l.view()
	app, ok := v.App(fsm.AppID(m.status.App))
	over := !ok || fsm.PhaseOf(app).Terminal()
	if over || !steps.Concerns(v, app, fsm.HostID(s.h.name)) {
		s.put(steps.RecordOf(v, fsm.AppID(m.status.App), l.term))
	}
	if !over {
		l.report(s.h.name, m.status)
	}
}

// hears is an action: a worker takes what its leader has said.
func (s *session) hears() {
	m := s.down[0]
	s.down = s.down[1:]
	h := s.h
	if m.record != nil {
		h.record(m.record)
		return
	}
	if sent, ok := h.sent[m.answer]; ok {
		delete(h.sent, m.answer)
		h.renew(sent)
	}
}

// renew renews the lease, from when what was answered was sent.
func (h *host) renew(sent time.Time) {
	h.silent = h.s.now
	if end := sent.Add(lease); end.After(h.lease) {
		h.lease = end
	}
}

// beats is an action: a worker sends a heartbeat.
func (h *host) beats() {
	h.beat = h.s.now.Add(heartbeat)
	h.seq++
	if len(h.sent) > 64 {
		clear(h.sent)
	}
	h.sent[h.seq] = h.s.now
	h.session.up = append(h.session.up, up{beat: h.seq})
}

func (l *leader) String() string { return fmt.Sprintf("leader of term %d", l.term) }
