package sim

import (
	"fmt"
	"slices"
	"time"

	"google.golang.org/protobuf/proto"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/worker/part"
)

// host is a machine: a worker's process, executors, and a disk.
type host struct {
	s     *Sim
	name  string
	slots int32

	// The machine.
	paused  bool // nothing of it runs
	until   time.Time
	full    bool // no rank can begin from a checkpoint here
	empties time.Time
	apart   bool      // no leader reaches it
	joins   time.Time // until then
	execs   []*executor
	lease   time.Time // its end, in the word that the executors see; zero: there was none yet

	// The disk.
	incarnation string
	logs        map[string]map[int32][]string // by app and rank
	parts       map[string]*stored            // of checkpoints, by checkpoint and host
	written     map[string]*image             // by executors, for checkpoints under way
	coming      map[string]*image             // what ranks are to be made of

	// The worker's process.
	up       bool
	born     int
	session  *session
	apps     map[string]*app
	records  map[string]*apiv1.AppRecord
	statuses map[string]*apiv1.AppStatus
	seq      uint64
	sent     map[uint64]time.Time // heartbeats without an answer
	beat     time.Time            // when the next is due
	silent   time.Time            // since when no answer has come
}

// stored is what a host holds of a checkpoint's part.
type stored struct {
	ranks map[int32]*image
	logs  map[int32][]string
}

func (p *stored) digest() []byte { return make([]byte, 32) }

// takesLog takes the log of a rank that is to come.
func (h *host) takesLog(id string, header *apiv1.TransferHeader, lines []string) error {
	a := h.apps[id]
	if a == nil || a.part.Record() == nil || a.adopts {
		return errUnknownApp
	}
	if err := a.part.Expects(header); err != nil {
		return err
	}
	h.log(id)[header.Rank] = lines
	a.part.LogHere(header)
	if err := a.part.LogKept(header); err != nil {
		return err
	}
	a.step()
	return nil
}

func (h *host) log(id string) map[int32][]string {
	if h.logs[id] == nil {
		h.logs[id] = map[int32][]string{}
	}
	return h.logs[id]
}

// holder is what a host that can be reached holds of a part; nil: there is none.
func (s *Sim) holder(h *host, checkpoint string, p *apiv1.CheckpointPart) *stored {
	for _, by := range p.Holders() {
		if o := s.host(by.Host); o != nil && (o == h || o.up && !o.paused && !s.cut(h, o)) {
			if st := o.parts[checkpoint+"/"+p.Host]; st != nil {
				return st
			}
		}
	}
	return nil
}

// store keeps lines, those that are not there yet.
func (h *host) store(id string, lines []*apiv1.LogLine) {
	for _, l := range lines {
		log := h.log(id)
		switch n := uint64(len(log[l.Rank])); {
		case l.Seq == n:
			log[l.Rank] = append(log[l.Rank], string(l.Text))
		case l.Seq > n:
			h.s.fail("%s: line %d of rank %d of %s follows line %d", h.name, l.Seq, l.Rank, id, int(n)-1)
		}
	}
}

// takeOutput stores what an executor that is gone had printed.
func (h *host) takeOutput(e *executor) {
	for _, ev := range e.out {
		if o := ev.GetOutput(); o != nil {
			h.store(e.app, o.Lines)
		}
	}
	e.out = nil
}

// executorEnded is what the worker finds when an executor is gone: it takes its last words first.
func (h *host) executorEnded(e *executor, lost bool) {
	a := h.apps[e.app]
	if a == nil || a.exec != e {
		return
	}
	a.posts = append(a.posts, func() {
		if a.exec != e {
			return
		}
		for len(e.out) > 0 && h.s.err == nil {
			a.hears()
			if a.exec != e {
				return
			}
		}
		a.exec, a.cancelled = nil, false
		lost = lost || a.adopts
		a.gone = a.adopts
		a.part.ExecutorGone(1, "executor ended", lost)
	})
}

// record takes a record of the leader.
func (h *host) record(rec *apiv1.AppRecord) {
	id := rec.App.Id
	if old := h.records[id]; old != nil && (rec.Term < old.Term || rec.Term == old.Term && rec.Index < old.Index) {
		return
	}
	if h.apps[id] == nil {
		if rec.Gone || apiv1.AppOver(rec.App.Phase) {
			delete(h.statuses, id)
			return
		}
		h.newApp(id)
	}
	h.records[id] = rec
}

func (h *host) newApp(id string) *app {
	a := &app{h: h, id: id, part: part.New(id, h.name), sending: map[int32]*sending{}}
	h.apps[id] = a
	return a
}

// publish says a status to the leader.
func (h *host) publish(st *apiv1.AppStatus) {
	if old := h.statuses[st.App]; old != nil && proto.Equal(old, st) {
		return
	}
	h.statuses[st.App] = st
	if h.session != nil {
		h.session.up = append(h.session.up, up{status: st})
	}
}

// crash ends the worker's process; its executors go on.
func (h *host) crash() {
	h.up = false
	h.endSession()
	for _, e := range h.execs {
		e.worker = false
		e.in = e.in[:h.s.pick(len(e.in)+1)] // what it had not handed over is lost
	}
	h.apps, h.records, h.statuses = map[string]*app{}, map[string]*apiv1.AppRecord{}, map[string]*apiv1.AppStatus{}
}

// crashMachine ends everything; the disk stays.
func (h *host) crashMachine() {
	h.crash()
	for len(h.execs) > 0 {
		h.execs[0].die(false)
	}
	h.written, h.lease = map[string]*image{}, time.Time{}
}

// boot is an action: a process of the worker begins.
func (h *host) boot() {
	h.up = true
	h.sent, h.silent, h.beat = map[uint64]time.Time{}, h.s.now, h.s.now
	if h.incarnation == "" || !slices.ContainsFunc(h.execs, func(e *executor) bool { return e.begun }) {
		h.bornAnew()
		return
	}
	for _, e := range slices.Clone(h.execs) {
		if !e.begun { // none of its ranks has run
			e.die(false)
			continue
		}
		a := h.newApp(e.app)
		a.adopts, a.exec = true, e
		a.part.Adopting()
		a.part.Follow(&apiv1.AppRecord{App: &apiv1.App{Id: e.app, Attempt: e.attempt, Spec: &apiv1.AppSpec{}}})
		h.statuses[e.app] = &apiv1.AppStatus{App: e.app}
		if !e.told && !slices.ContainsFunc(e.in, func(c *apiv1.ExecCommand) bool { return c.GetStart() != nil }) {
			e.die(false) // its first command is another one
			a.exec, a.gone = nil, true
			a.part.AdoptFailed("executor ended while its worker was away")
			continue
		}
		e.worker = true
		e.out = slices.DeleteFunc(e.out, func(ev *apiv1.ExecEvent) bool { return ev.GetOutput() == nil })
		e.in = append(e.in, nil) // what the process before has said is read, then it is handed on
	}
}

// bornAnew makes the worker's process another incarnation, with nothing.
func (h *host) bornAnew() {
	for len(h.execs) > 0 {
		e := h.execs[0]
		e.worker = false
		e.die(false)
	}
	h.endSession()
	h.born++
	h.incarnation = fmt.Sprintf("%s-%d", h.name, h.born)
	h.lease = time.Time{}
	h.apps, h.records, h.statuses = map[string]*app{}, map[string]*apiv1.AppRecord{}, map[string]*apiv1.AppStatus{}
}

// fence ends executors past the lease's end.
func (h *host) fence() {
	if h.lease.IsZero() || !h.s.now.After(h.lease) {
		return
	}
	for _, e := range slices.Clone(h.execs) {
		e.die(true)
	}
}

func (h *host) String() string { return h.name }
