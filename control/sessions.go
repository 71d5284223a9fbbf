package control

import (
	"context"
	"slices"
	"sync"
	"time"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/fsm"
	"github.com/godwit-run/godwit/internal/notify"
)

// maxWaiting bounds the records that wait for one worker: of apps with a rank there, and of some that it should forget.
const maxWaiting = fsm.MaxSlots + 4096

// session is a worker's link with this leader: what waits to be sent to it.
type session struct {
	host        fsm.HostID
	incarnation string
	arch        string           // as the worker says; "": it does not
	maker       *apiv1.CodeMaker // likewise; nil: its ranks run in no machine code. Set before others know the session
	end         context.CancelFunc
	wake        notify.Signal // something waits

	mu      sync.Mutex                     // guards the fields below
	records map[fsm.AppID]*apiv1.AppRecord // the newest of each app
	seq     uint64                         // heartbeat to answer; 0: none
	sent    *apiv1.Records
	holds   *apiv1.Holdings // news of what it holds; nil: none

	given map[string]map[string]bool // parts that it is to be given, of each checkpoint by who has made them

	tasks []*apiv1.StoreTask // that wait to be sent, in order

	codeKey []byte                       // to be sent; nil: it is not
	codes   map[string]*apiv1.CodeRecord // that wait to be sent, by module

	unreached string // why the worker is not reached at its address; "": it is

	stalled      string    // a start that stood still there
	stalledUntil time.Time // that the host is passed over for it
}

func newSession(host fsm.HostID, incarnation string, end context.CancelFunc) *session {
	return &session{
		host: host, incarnation: incarnation, end: end, wake: notify.NewSignal(), records: map[fsm.AppID]*apiv1.AppRecord{},
		sent: apiv1.NewRecords(string(host)), given: map[string]map[string]bool{}, codes: map[string]*apiv1.CodeRecord{},
	}
}

// put queues a record, unless a newer one of the app waits. A worker for which more wait than a host can have apps asks faster
// than it reads: its session ends, and its next hello says what it knows.
func (s *session) put(rec *apiv1.AppRecord) {
	id := fsm.AppID(rec.App.Id)
	s.mu.Lock()
	old := s.records[id]
	full := old == nil && len(s.records) >= maxWaiting
	if !full && (old == nil || old.Index <= rec.Index) {
		s.records[id] = rec
	}
	s.mu.Unlock()
	if full {
		s.end()
		return
	}
	s.wake.Set()
}

func (s *session) setUnreached(why string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.unreached = why
}

func (s *session) notReached() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.unreached
}

// setStalled has the host passed over until then, for a start that stood still.
func (s *session) setStalled(why string, until time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stalled, s.stalledUntil = why, until
}

// passedOver is why the leader gives the host no new ranks, though it calls itself fit; "": it does.
func (s *session) passedOver(now time.Time) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if now.Before(s.stalledUntil) {
		return s.stalled
	}
	return ""
}

// hold queues which parts of a checkpoint the host is to hold: what the log says of it at this moment, so that nothing older is said later, and what it is to be given besides. A
// checkpoint that is gone it is to drop.
func (s *session) hold(id string, logged func() (*apiv1.Checkpoint, *apiv1.Host)) {
	s.mu.Lock()
	c, host := logged()
	holds := false
	if c == nil {
		delete(s.given, id)
	} else {
		holds = holdersOf(c)[string(s.host)]
		to := toHold(c, host)
		holds = s.addGiven(to, c, host) || holds
		c = to
	}
	if s.holds == nil {
		s.holds = &apiv1.Holdings{}
	}
	s.holds.Hold = slices.DeleteFunc(s.holds.Hold, func(o *apiv1.Checkpoint) bool { return o.Id == id })
	s.holds.Drop = slices.DeleteFunc(s.holds.Drop, func(o string) bool { return o == id })
	switch {
	case holds:
		s.holds.Hold = append(s.holds.Hold, c)
	case !s.holds.Whole:
		s.holds.Drop = append(s.holds.Drop, id)
	}
	s.mu.Unlock()
	s.wake.Set()
}

// addGiven adds to what the host is to hold of a checkpoint what it is to be given, and says whether that is anything. What this machine holds by now, as the log has it, is not to be given any more. The caller
// holds mu.
func (s *session) addGiven(to, logged *apiv1.Checkpoint, host *apiv1.Host) (some bool) {
	for i, p := range to.Parts {
		switch {
		case !s.given[to.Id][p.Host]:
		case fsm.HeldBy(logged.Parts[i], host):
			s.give(to.Id, p.Host, false)
		default:
			p.Third, some = string(s.host), true
		}
	}
	return some
}

// isGiven notes that the host is to be given a part, by who has made it, or is not any more. Who calls it calls hold.
func (s *session) isGiven(id, part string, is bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.give(id, part, is)
}

func (s *session) give(id, part string, is bool) {
	switch {
	case is && s.given[id] == nil:
		s.given[id] = map[string]bool{part: true}
	case is:
		s.given[id][part] = true
	default:
		if delete(s.given[id], part); len(s.given[id]) == 0 {
			delete(s.given, id)
		}
	}
}

// store queues what the host is to do in an object store.
func (s *session) store(t *apiv1.StoreTask) {
	s.mu.Lock()
	s.tasks = append(s.tasks, t)
	s.mu.Unlock()
	s.wake.Set()
}

// takeTask removes the next of these; nil: there is none.
func (s *session) takeTask() *apiv1.StoreTask {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.tasks) == 0 {
		return nil
	}
	t := s.tasks[0]
	s.tasks = s.tasks[1:]
	return t
}

// putCodeKey queues the key of machine code.
func (s *session) putCodeKey(key []byte) {
	s.mu.Lock()
	s.codeKey = key
	s.mu.Unlock()
	s.wake.Set()
}

// putCode queues what the host is told of a module's machine code, in the place of what waits. There are no more modules than hosts have said something of.
func (s *session) putCode(r *apiv1.CodeRecord) {
	s.mu.Lock()
	s.codes[r.Module] = r
	s.mu.Unlock()
	s.wake.Set()
}

// takeCode removes what is to be said next of machine code, the key first; nil: nothing.
func (s *session) takeCode() *apiv1.SessionResponse {
	s.mu.Lock()
	defer s.mu.Unlock()
	if key := s.codeKey; key != nil {
		s.codeKey = nil
		return &apiv1.SessionResponse{Msg: &apiv1.SessionResponse_CodeKey{CodeKey: &apiv1.CodeKey{Key: key}}}
	}
	for digest, r := range s.codes {
		delete(s.codes, digest)
		return &apiv1.SessionResponse{Msg: &apiv1.SessionResponse_Code{Code: r}}
	}
	return nil
}

// holdAll queues all that the host holds.
func (s *session) holdAll(h *apiv1.Holdings) {
	s.mu.Lock()
	s.holds = h
	s.mu.Unlock()
	s.wake.Set()
}

// takeHolds removes what is to be said of what the host holds; nil: nothing.
func (s *session) takeHolds() *apiv1.Holdings {
	s.mu.Lock()
	defer s.mu.Unlock()
	h := s.holds
	s.holds = nil
	return h
}

// echo queues the answer to a heartbeat and all before it.
func (s *session) echo(seq uint64) {
	s.mu.Lock()
	s.seq = max(s.seq, seq)
	s.mu.Unlock()
	s.wake.Set()
}

// take removes what is to be sent next, as it is to be sent: an answer, for it cannot be late, and one record. It says whether there
// was anything. What was taken before must have been sent.
func (s *session) take() (seq uint64, record *apiv1.AppRecord, some bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	seq, s.seq = s.seq, 0
	for id, rec := range s.records {
		record = s.sent.Shorten(rec)
		delete(s.records, id)
		break
	}
	return seq, record, seq > 0 || record != nil
}

// sessions knows which hosts are connected, and when each was last heard.
type sessions struct {
	mu    sync.Mutex // guards the fields below
	open  map[fsm.HostID]*session
	opens uint64                // how often one was opened
	heard *schedule[fsm.HostID] // when each was last heard, or began to be waited for
	never map[fsm.HostID]bool   // those of heard that this leader has only waited for
	// condemned are the incarnations whose loss is on its way into the log: until that has an end nothing extends their leases.
	condemned map[fsm.HostID]string
	asked     map[fsm.HostID]map[copied]bool // parts of which the log is asked whether the host holds them
}

func newSessions() *sessions {
	return &sessions{open: map[fsm.HostID]*session{}, condemned: map[fsm.HostID]string{}, asked: map[fsm.HostID]map[copied]bool{}, heard: newSchedule[fsm.HostID](), never: map[fsm.HostID]bool{}}
}

// add makes s its host's only session, unless the host is condemned.
func (r *sessions) add(s *session) bool {
	r.mu.Lock()
	if r.condemned[s.host] == s.incarnation {
		r.mu.Unlock()
		return false
	}
	old := r.open[s.host]
	r.open[s.host] = s
	r.opens++
	r.heard.set(s.host, time.Now())
	delete(r.never, s.host)
	r.mu.Unlock()
	if old != nil {
		old.end()
	}
	return true
}

// condemn says that a host's incarnation is to be called lost, if it has not been heard since then. What it says from then on counts
// no more, until it is spared or the log has called it lost.
func (r *sessions) condemn(host fsm.HostID, incarnation string, since time.Time) bool {
	r.mu.Lock()
	at, ok := r.heard.when(host)
	if !ok || at.After(since) {
		r.mu.Unlock()
		return false
	}
	r.condemned[host] = incarnation
	s := r.open[host]
	r.mu.Unlock()
	if s != nil && s.incarnation == incarnation {
		s.end()
	}
	return true
}

// spare takes back what condemn has said.
func (r *sessions) spare(host fsm.HostID) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.condemned, host)
}

// remove forgets s, unless another one has taken its place.
func (r *sessions) remove(s *session) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.open[s.host] == s {
		delete(r.open, s.host)
	}
}

// of is a host's session; nil: it has none.
func (r *sessions) of(host fsm.HostID) *session {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.open[host]
}

// begun is how many sessions have begun.
func (r *sessions) begun() uint64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.opens
}

// current says whether s is its host's session, and the host not condemned.
func (r *sessions) current(s *session) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.open[s.host] == s && r.condemned[s.host] != s.incarnation
}

// endOf ends the session of a host's incarnation, and says whether no other one has a session.
func (r *sessions) endOf(host fsm.HostID, incarnation string) bool {
	r.mu.Lock()
	if r.condemned[host] == incarnation {
		delete(r.condemned, host)
	}
	s := r.open[host]
	if s != nil && s.incarnation != incarnation {
		r.mu.Unlock()
		return false
	}
	delete(r.open, host)
	r.heard.remove(host)
	delete(r.never, host)
	r.mu.Unlock()
	if s != nil {
		s.end()
	}
	return true
}

// hear notes that a host was heard over s, and says whether s is its session.
func (r *sessions) hear(s *session) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.open[s.host] != s || r.condemned[s.host] == s.incarnation {
		return false
	}
	r.heard.set(s.host, time.Now())
	delete(r.never, s.host)
	return true
}

// workers says whether a host is connected, or was heard by this leader and its lease runs; if not, whether none can be: all that were waited for are lost.
func (r *sessions) workers() (here workersHere) {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case len(r.open) > 0 || len(r.heard.at) > len(r.never):
		return someWorkers
	case len(r.never) > 0:
		return workersUnknown
	}
	return noWorkers
}

// await has this leader wait from now on for a host that it has not heard: a full lease.
func (r *sessions) await(host fsm.HostID, now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, ok := r.heard.when(host); !ok {
		r.heard.set(host, now)
		r.never[host] = true
	}
}

// lastHeard is when the host was last heard, or began to be waited for.
func (r *sessions) lastHeard(host fsm.HostID) (at time.Time, ok bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.heard.when(host)
}

// silentSince are the hosts that were last heard at that time or before.
func (r *sessions) silentSince(t time.Time) []fsm.HostID {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.heard.due(t)
}

// quiet are the hosts that were last heard at that time or before, and those that this leader has not heard yet.
func (r *sessions) quiet(t time.Time) []fsm.HostID {
	r.mu.Lock()
	defer r.mu.Unlock()
	hosts := r.heard.due(t)
	for host := range r.never {
		if at, _ := r.heard.when(host); at.After(t) { // else it is among them
			hosts = append(hosts, host)
		}
	}
	return hosts
}

// awaits says whether there is a host that this leader has not heard yet.
func (r *sessions) awaits() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.never) > 0
}

// forget drops a host that is not waited for any more.
func (r *sessions) forget(host fsm.HostID) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.never, host)
	r.heard.remove(host)
}

// excuse gives all hosts more time, as if they had been heard that much later.
func (r *sessions) excuse(gap time.Duration, now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.heard.postpone(gap, now)
}
