package mpi

import (
	"slices"

	"github.com/godwit-run/godwit/mpi/abi"
	"github.com/godwit-run/godwit/mpi/layout"
)

// fileOp is an access to a file: a request of kind reqFile, whether it was called blocking, nonblocking or split. It is taken from stage to stage by its rank's own
// calls; between them, what is here is all that a capture needs. What waits for nobody is over when it is started.
type fileOp struct {
	file       *file
	write      bool
	collective bool
	pointer    uint8       // which gives the place: pointerGiven ..
	only       bool        // nothing is accessed: the shared pointer is asked for
	buf        layout.Span // the data as it is in the file
	conv       *conversion // of data that is otherwise in memory; nil: it is the same
	from       int64       // place in the view, in bytes of its data

	stage  uint8
	req    uint32         // 1 + the request that the stage waits for; 0: none
	answer *layout.Buffer // of the shared pointer
	before int64          // etypes of the ranks before this one
	locked bool           // it has the lock of atomic accesses, or waits for it
	plan   *twoPhase      // of a collective one, when its ranks have said what they want

	done  int64 // bytes that were read or written
	class int32
	why   string
}

// Where an access takes its place from.
const (
	pointerGiven   = 0 // an explicit offset, or the individual pointer
	pointerShared  = 1
	pointerOrdered = 2 // the shared pointer, rank by rank
)

// Stages of an access.
const (
	stageStart   = iota // nothing was begun
	stageCounts         // ordered: all are saying how much they access
	stageBase           // ordered: the first rank is saying where the pointer was
	stageFetched        // the shared pointer is on its way
	stageLock           // alone: the lock is wanted, if the file is atomic
	stageLocked         // alone: it is on its way
	stageIntent         // collective: to say what is wanted
	stagePlan           // all are saying it
	stageHeld           // the first rank's lock is on its way
	stageGo             // all wait for the first rank's lock
	stageViews          // the aggregators are to hear of the views
	stageKnown          // they are hearing
	stageRound          // a round of the exchange is to begin
	stageMoved          // its data is on its way
	stageEnd            // to say how it went
	stageOver           // all are saying it
	lastStage    = stageOver
)

// beginFile starts an access, and takes it as far as it goes without waiting.
func (p *Proc) beginFile(o *fileOp, internal bool) ([]uint32, error) {
	r, err := p.enqueueFile(o, internal)
	if err != nil {
		return nil, err
	}
	return []uint32{r.index}, p.progress()
}

// enqueueFile makes the request of an access.
func (p *Proc) enqueueFile(o *fileOp, internal bool) (*request, error) {
	if p.stepping && (!internal || o.buf.Len > 0) {
		return nil, abi.Fail(abi.ErrOther, "a conversion function may not access files")
	}
	if err := p.mayCollect(); err != nil {
		return nil, err
	}
	r, err := p.newRequest(reqFile, internal)
	if err != nil {
		return nil, err
	}
	r.comm, r.io, r.result = o.file.comm(), o, emptyStatus()
	p.chargeFile(r)
	p.filing = append(p.filing, r)
	return r, nil
}

// chargeFile charges the rank for what an access keeps now: data as it is in the file, and an aggregator's window.
func (p *Proc) chargeFile(r *request) {
	o, n := r.io, int64(0)
	if o.buf.Host != nil {
		n = int64(o.buf.Len)
	}
	if x := o.plan; x != nil && x.node(o.file) >= 0 {
		n += x.needs()
	}
	p.kept += n - r.charged
	r.charged = n
}

// finishFile waits for a blocking access, and ends it.
func (p *Proc) finishFile(reqs []uint32) (*fileOp, error) {
	if err := p.finish(reqs); err != nil {
		return nil, err
	}
	r := p.request(reqs[0])
	if r == nil || r.io == nil {
		return nil, abi.Fail(abi.ErrIntern, "the captured state does not fit the call")
	}
	o := r.io
	p.conclude(reqs[0])
	return o, o.failure()
}

// failure is the error that an access has ended with.
func (o *fileOp) failure() error {
	if o.class == abi.Success {
		return nil
	}
	return o.file.on(abi.Fail(int(o.class), "%s", o.why))
}

// leaveOut has a rank go on with an access without its data, which the others' is not to wait for. It returns what is none of MPI's errors.
func (o *fileOp) leaveOut(err error) error {
	if err != nil {
		o.buf, o.conv, o.from = layout.Span{}, nil, 0
	}
	return o.fail(err)
}

// fail notes the first error of an access. It returns what is none of MPI's.
func (o *fileOp) fail(err error) error {
	e := raised(err)
	if e == nil {
		return err
	}
	if o.class == abi.Success {
		o.class, o.why = int32(e.Class), e.Why
	}
	return nil
}

// stepFiles takes every access under way as far as it can go. It runs on the guest's goroutine, in any call.
func (p *Proc) stepFiles() error {
	if p.stepping {
		return nil
	}
	p.stepping = true
	defer func() { p.stepping = false }()
	for i := 0; i < len(p.filing); {
		r := p.filing[i]
		over, err := p.stepFile(r)
		if err != nil {
			return err
		}
		if !over {
			i++
			continue
		}
		p.filing = slices.Delete(p.filing, i, i+1)
		r.io.plan = nil
		p.chargeFile(r)
		p.complete(r)
	}
	return nil
}

// first reports whether no older collective access to the file is under way: they go one after the other, on all ranks in the same order.
func (p *Proc) first(r *request) bool {
	for _, q := range p.filing {
		if q.io.file == r.io.file && q.io.collective {
			return q == r
		}
	}
	return true
}

// stepFile takes one access on until it has to wait, and reports whether it is over.
func (p *Proc) stepFile(r *request) (bool, error) {
	o := r.io
	if o.collective && !p.first(r) {
		return false, nil
	}
	for {
		if q := p.request(o.req - 1); o.req != 0 && q != nil && !q.done && !p.lost(q, false) {
			return false, nil
		}
		next, err := p.stageOf(r)
		if err != nil {
			if err = o.fail(err); err != nil {
				return false, err
			}
			p.unlockFile(r)
			next = stageOver + 1
		}
		switch {
		case next == waits:
			return false, nil
		case next > lastStage:
			return true, p.conclusion(r)
		}
		o.stage = uint8(next)
	}
}

// waits is what a stage returns that cannot go on yet.
const waits = -1

// stageOf does what an access's stage can do, and returns the next one. An error ends the access.
func (p *Proc) stageOf(r *request) (int, error) {
	o := r.io
	alone := !o.collective || o.file.comm().size() == 1
	switch o.stage {
	case stageStart:
		return p.stageStart(o, alone)
	case stageCounts:
		return p.stageCounts(o)
	case stageBase:
		rows, err := p.heard(o, 1)
		if err != nil {
			return 0, err
		}
		return stageIntent, o.leaveOut(p.placed(o, rows[0][0]+o.before))
	case stageFetched:
		p.conclude(o.req - 1)
		o.req = 0
		if err := p.placed(o, int64(order.Uint64(o.answer.Bytes))); err != nil {
			return 0, err
		}
		return pick(o.only, lastStage+1, stageLock), nil
	case stageLock, stageLocked:
		return p.stageLock(r)
	case stageIntent:
		return stagePlan, p.sayIntent(o)
	case stagePlan:
		return p.stagePlan(r)
	case stageHeld:
		return p.stageHeld(r)
	case stageGo:
		rows, err := p.heard(o, 1)
		if err == nil {
			err = failedRow(rows)
		}
		if err != nil {
			return 0, err
		}
		return p.carryOut(r)
	case stageViews:
		return stageKnown, p.tellViews(o)
	case stageKnown:
		if !p.moved(o.plan) {
			return waits, nil
		}
		return stageRound, p.learnViews(o)
	case stageRound:
		return p.stageRound(o)
	case stageMoved:
		return p.stageMoved(o)
	case stageEnd:
		return stageOver, p.say(o, []int64{int64(o.class)})
	}
	return p.stageOver(r)
}

// stageStart finds the place.
func (p *Proc) stageStart(o *fileOp, alone bool) (int, error) {
	etypes := int64(o.buf.Len) / o.file.view.unit
	if o.pointer == pointerOrdered && !alone {
		return stageCounts, p.say(o, []int64{etypes})
	}
	if o.pointer == pointerGiven {
		return pick(alone, stageLock, stageIntent), nil
	}
	q, answer, err := p.fetchPointer(o.file, etypes)
	if err != nil {
		return 0, err
	}
	o.req, o.answer = q.index+1, answer
	return stageFetched, nil
}

// stageCounts has the first rank move the shared pointer by all that the ranks access.
func (p *Proc) stageCounts(o *fileOp) (int, error) {
	rows, err := p.heard(o, 1)
	if err != nil {
		return 0, err
	}
	total, me := int64(0), o.file.comm().me
	for rank, row := range rows {
		if rank == me {
			o.before = total
		}
		total += row[0]
	}
	at := p.pointerHere(o.file)
	if err := o.fail(p.movePointer(o.file, at+total)); err != nil {
		return 0, err
	}
	return stageBase, p.say(o, []int64{at})
}

// placed sets the place that the shared pointer has given.
func (p *Proc) placed(o *fileOp, etypes int64) error {
	from, err := o.file.view.bytesAt(etypes)
	if err == nil {
		err = o.file.view.reaches(from, int64(o.buf.Len))
	}
	o.from = from
	return err
}

// stageLock gets the lock, if the file is atomic, and does an access that nobody else takes part in.
func (p *Proc) stageLock(r *request) (int, error) {
	o := r.io
	if o.file.atomic && o.file.comm().size() > 1 {
		if has, err := p.lockFile(r); err != nil || !has {
			return waits, err
		}
	}
	err := p.access(o)
	p.unlockFile(r)
	return lastStage + 1, err
}

// lockFile asks for the lock, and reports whether the access has it.
func (p *Proc) lockFile(r *request) (bool, error) {
	o, f := r.io, r.io.file
	x := p.accesses(f.win, []int{0})
	free := x.done()
	if err := x.err(); err != nil {
		return false, err
	}
	if !o.locked {
		if f.lock != 0 || !free {
			return false, nil
		}
		if err := p.ask(f.win, 0, msgLock, []byte{1}); err != nil {
			return false, err
		}
		o.locked, f.lock = true, r.index+1
	}
	return x.done() && x.err() == nil, x.err()
}

// unlockFile gives the lock back. Nobody waits for the answer but who wants it again.
func (p *Proc) unlockFile(r *request) {
	o, f := r.io, r.io.file
	if !o.locked {
		return
	}
	o.locked, f.lock = false, 0
	if err := p.ask(f.win, 0, msgUnlock, nil); err != nil {
		_ = o.fail(err) // there is always room for the library's own requests
	}
}

// stageHeld has the first rank get the lock for all, when all are there, and tell the others.
func (p *Proc) stageHeld(r *request) (int, error) {
	o, class := r.io, int64(abi.Success)
	if o.file.comm().me == 0 {
		has, err := p.lockFile(r)
		if err == nil && !has {
			return waits, nil
		}
		if class = int64(errorClass(err)); class != abi.Success {
			err = o.fail(err)
		}
		if err != nil {
			return 0, err
		}
	}
	return stageGo, p.say(o, []int64{class})
}

// stageOver hears how the access went for all.
func (p *Proc) stageOver(r *request) (int, error) {
	rows, err := p.heard(r.io, 1)
	p.unlockFile(r)
	if err != nil {
		return 0, err
	}
	return lastStage + 1, failedRow(rows)
}

// failedRow is the error of the first rank that has said that it has one.
func failedRow(rows [][]int64) error {
	for rank, row := range rows {
		if class := int(row[0]); class != abi.Success {
			return abi.Fail(class, "rank %d of the file's has failed: %s", rank, abi.ClassName(class))
		}
	}
	return nil
}

// say begins to tell all ranks of the file some numbers.
func (p *Proc) say(o *fileOp, numbers []int64) error {
	b := make([]byte, 0, 8*len(numbers))
	for _, v := range numbers {
		b = order.AppendUint64(b, uint64(v))
	}
	s := newSketch(o.file.comm())
	s.gatherBoth(b)
	r, err := p.scheduled(s, true)
	if err != nil {
		return err
	}
	if err := p.launch(r); err != nil {
		return err
	}
	o.req = r.index + 1
	return nil
}

// heard is what all have told.
func (p *Proc) heard(o *fileOp, words int) ([][]int64, error) {
	r := p.request(o.req - 1)
	n := o.file.comm().size()
	if r == nil || r.coll == nil || len(r.coll.host.Bytes) < 8*words*n {
		return nil, abi.Fail(abi.ErrIntern, "the captured state does not fit the access")
	}
	rows := make([][]int64, n)
	for i := range rows {
		rows[i] = make([]int64, words)
		for k := range rows[i] {
			rows[i][k] = int64(order.Uint64(r.coll.host.Bytes[8*(i*words+k):]))
		}
	}
	o.req = 0
	return rows, p.concludeCollective(r.index)
}

// conclusion makes the outcome of an access that is over.
func (p *Proc) conclusion(r *request) error {
	o := r.io
	n := o.done
	if c := o.conv; c != nil && n > 0 {
		if o.write {
			n = int64(c.user.Len)
		} else {
			var err error
			n, err = p.fromFile(o.file.view.rep, c, o.buf.Host.Bytes[:n], int64(o.buf.Len))
			if err != nil {
				if err = o.fail(err); err != nil {
					return err
				}
			}
		}
	}
	r.result = emptyStatus()
	r.result.count, r.result.class = uint32(n), o.class
	return nil
}
