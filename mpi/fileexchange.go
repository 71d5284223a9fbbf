package mpi

import (
	"cmp"
	"hash/fnv"
	"slices"

	"github.com/godwit-run/godwit/mpi/abi"
	"github.com/godwit-run/godwit/mpi/layout"
)

// A collective access is made in two phases where that is of use: the file's range is divided among aggregators, each of which accesses its part in large pieces,
// one a round; the ranks and the aggregators exchange what belongs to the round. Since what is behind in a view is behind in the file, a rank's data of a round is
// one part of its data, as it is in its memory, and how long it is follows from its view, which the aggregators are told once: nothing else is sent.

// twoPhase is a collective access under way.
type twoPhase struct {
	intents []intent
	nodes   int   // aggregators
	window  int64 // bytes of a round
	same    bool  // all ranks have one view
	lo, hi  int64 // of all data
	domain  int64 // bytes of an aggregator's part
	round   int

	reqs        []uint32       // of the round
	host, parts *layout.Buffer // at an aggregator: its window, and what belongs there piece by piece
	read        int64          // bytes of the window that are there
}

// intent is what a rank wants of a collective access.
type intent struct {
	from, n int64 // place and length in its view's data
	lo, hi  int64 // in the file
	view    int64 // bytes of its view, as it is told
	hash    int64 // of these
	run     int64 // bytes of its first piece
	orderly int64 // 1, if its view is
	nodes   int64 // what its hints say; the first rank's hold
	window  int64
	ways    int64
	told    int64 // so many aggregators know its view
	cost    int64 // of that, at an aggregator
	room    int64 // bytes that the library may still keep for it
}

const (
	intentWords = 14

	wayEnabled  = 1 // the hints want an exchange
	wayDisabled = 2 // they want none

	largePiece = 1 << 20   // pieces of so many bytes are accessed by whom they belong to
	mostParts  = 256 << 20 // bytes that an aggregator has of a round, at most
)

func (i *intent) words() []*int64 {
	return []*int64{&i.from, &i.n, &i.lo, &i.hi, &i.view, &i.hash, &i.run, &i.orderly, &i.nodes, &i.window, &i.ways, &i.told, &i.cost, &i.room}
}

// code is the view as the aggregators are told.
func (f *file) code() []byte {
	if f.coded == nil {
		c := newWriter()
		c.placing(&f.view.placing)
		f.coded, f.cost = c.out, f.view.inFile.WholeCost()
	}
	return f.coded
}

// sayIntent begins to tell all ranks what this one wants.
func (p *Proc) sayIntent(o *fileOp) error {
	f := o.file
	v := &f.view
	i := intent{from: o.from, n: int64(o.buf.Len), orderly: int64(truth(v.orderly())), view: int64(len(f.code())), nodes: int64(f.aggregators())}
	if i.n > 0 {
		v.runs(i.from, i.n, func(at, n int64) bool { i.lo, i.run = at, n; return false })
		i.hi = v.place(i.from+i.n-1) + 1
	}
	h := fnv.New64a()
	h.Write(f.code())
	i.hash = int64(h.Sum64())
	i.window = f.info.number(hintBuffer, defaultWindow, leastWindow, mostWindow)
	on, off := f.switched(pick(o.write, hintCBWrite, hintCBRead))
	i.ways = int64(truth(on)*wayEnabled + truth(off)*wayDisabled)
	i.told, i.cost, i.room = int64(f.told), f.cost, max(0, p.w.cfg.MaxMemory-p.kept)
	var numbers []int64
	for _, w := range i.words() {
		numbers = append(numbers, *w)
	}
	return p.say(o, numbers)
}

// stagePlan decides how the access is made, on all ranks alike.
func (p *Proc) stagePlan(r *request) (int, error) {
	o := r.io
	rows, err := p.heard(o, intentWords)
	if err != nil {
		return 0, err
	}
	x := &twoPhase{intents: make([]intent, len(rows))}
	for k := range rows {
		for w, to := range x.intents[k].words() {
			*to = rows[k][w]
		}
	}
	first := &x.intents[0]
	x.same = !slices.ContainsFunc(x.intents, func(i intent) bool { return i.hash != first.hash || i.view != first.view })
	size := int64(len(rows))
	x.nodes = int(min(max(first.nodes, 1), size))
	x.window = max(leastWindow, min(first.window, mostWindow, mostParts/size))
	o.plan = x
	if o.file.atomic {
		return stageHeld, nil
	}
	return p.carryOut(r)
}

// carryOut begins the access itself.
func (p *Proc) carryOut(r *request) (int, error) {
	o := r.io
	x := o.plan
	pays := x.pays(o.file.atomic)
	if pays {
		x.divide()
		pays = x.fits()
	}
	if !pays {
		o.plan = nil
		err := p.access(o)
		if !o.file.atomic {
			return lastStage + 1, err
		}
		return stageEnd, o.fail(err)
	}
	p.chargeFile(r)
	if !x.tells() {
		return stageRound, nil
	}
	return stageViews, nil
}

// tells reports whether the aggregators have to be told the ranks' views.
func (x *twoPhase) tells() bool {
	return !x.same && slices.ContainsFunc(x.intents, func(i intent) bool { return i.told != int64(x.nodes) })
}

// needs is how many bytes an aggregator keeps, at most: of a round, and of all views while it is told them.
func (x *twoPhase) needs() int64 {
	wanted, views := int64(0), int64(0)
	for k := range x.intents {
		wanted += x.intents[k].n
		views += x.intents[k].view
	}
	round := min(x.window, x.hi-x.lo) + min(x.window*int64(len(x.intents)), wanted)
	if x.tells() {
		return max(round, views)
	}
	return round
}

// fits makes the window one for which each aggregator has room, and reports whether that can be done: with what they know of views, which must be little
// enough to be told. All ranks find the same.
func (x *twoPhase) fits() bool {
	free, views, told := int64(1)<<32-1, int64(0), int64(0)
	for i := range x.nodes {
		free = min(free, x.intents[i*len(x.intents)/x.nodes].room)
	}
	for k := range x.intents {
		told += x.intents[k].cost
		views += x.intents[k].view
	}
	if x.tells() {
		free -= told
	}
	for x.window > leastWindow && x.needs() > free {
		x.window = max(leastWindow, x.window/2)
	}
	return x.needs() <= free && views < 1<<32
}

// pays reports whether an exchange is of use, and possible: ranks access what lies between each other's data, in pieces that are not large.
func (x *twoPhase) pays(atomic bool) bool {
	var wanted []*intent
	small := atomic
	for k := range x.intents {
		i := &x.intents[k]
		if i.orderly == 0 {
			return false
		}
		if i.n > 0 {
			wanted = append(wanted, i)
			small = small || i.run < min(largePiece, i.n)
		}
	}
	ways := x.intents[0].ways
	if len(wanted) == 0 || ways == wayDisabled {
		return false
	}
	slices.SortFunc(wanted, func(a, b *intent) int { return cmp.Compare(a.lo, b.lo) })
	mixed := false
	end := int64(0)
	for k, i := range wanted {
		mixed = mixed || k > 0 && i.lo < end
		end = max(end, i.hi)
	}
	x.lo, x.hi = wanted[0].lo, end
	return ways == wayEnabled || mixed && small
}

// divide gives each aggregator its part of the range.
func (x *twoPhase) divide() {
	x.lo -= x.lo % leastWindow
	n := int64(x.nodes)
	x.domain = (x.hi - x.lo + n - 1) / n
	x.domain += (leastWindow - x.domain%leastWindow) % leastWindow
}

// rounds is how many there are.
func (x *twoPhase) rounds() int { return int((x.domain + x.window - 1) / x.window) }

// part is what an aggregator accesses in the round.
func (x *twoPhase) part(node int) (lo, hi int64) {
	begin := x.lo + int64(node)*x.domain
	lo = begin + int64(x.round)*x.window
	return min(lo, x.hi), min(lo+x.window, begin+x.domain, x.hi)
}

// node is which aggregator this rank is, or -1.
func (x *twoPhase) node(f *file) int {
	for i := range x.nodes {
		if f.aggregator(i, x.nodes) == f.comm().me {
			return i
		}
	}
	return -1
}

// placing is where a rank's data is; an aggregator knows it.
func (x *twoPhase) placing(f *file, rank int) *placing {
	if x.same || rank == f.comm().me || rank >= len(f.views) {
		return &f.view.placing
	}
	return &f.views[rank]
}

// share is which of a rank's data lies from lo to hi in the file: from where on in its view, and how many bytes.
func (x *twoPhase) share(v *placing, rank int, lo, hi int64) (from, n int64) {
	i := &x.intents[rank]
	if i.n == 0 || i.hi <= lo || i.lo >= hi {
		return 0, 0
	}
	from = max(i.from, v.before(lo))
	return from, max(0, min(i.from+i.n, v.before(hi))-from)
}

// Tags of the file's own messages.
const (
	tagView = 1
	tagData = 2
)

// transfer begins to send a span to a rank of the file, or to receive it.
func (p *Proc) transfer(f *file, send bool, rank int, tag int32, buf layout.Span) (uint32, error) {
	c := f.comm()
	var r *request
	var err error
	if send {
		r, err = p.startSend(c, c.context(contextPoint), c.group.ranks[rank], tag, buf, modeStandard, true)
	} else {
		r, err = p.startRecv(c, c.context(contextPoint), c.group.ranks[rank], tag, buf, true)
	}
	if err != nil {
		return 0, err
	}
	return r.index, nil
}

// tellViews begins to tell the aggregators this rank's view.
func (p *Proc) tellViews(o *fileOp) error {
	x, f := o.plan, o.file
	c := f.comm()
	mine := layout.Span{Host: &layout.Buffer{Bytes: f.code()}, Len: uint32(len(f.code()))}
	if x.node(f) >= 0 {
		total := int64(0)
		for k := range x.intents {
			total += x.intents[k].view
		}
		x.host = &layout.Buffer{Bytes: make([]byte, total)}
		at := uint32(0)
		for rank := range x.intents {
			n := uint32(x.intents[rank].view)
			buf := layout.Span{Host: x.host, Off: at, Len: n}
			at += n
			if rank == c.me {
				continue
			}
			if err := p.add(x, f, false, rank, tagView, buf); err != nil {
				return err
			}
		}
	}
	for i := range x.nodes {
		if to := f.aggregator(i, x.nodes); to != c.me {
			if err := p.add(x, f, true, to, tagView, mine); err != nil {
				return err
			}
		}
	}
	return nil
}

// add begins a transfer of the round.
func (p *Proc) add(x *twoPhase, f *file, send bool, rank int, tag int32, buf layout.Span) error {
	r, err := p.transfer(f, send, rank, tag, buf)
	if err == nil {
		x.reqs = append(x.reqs, r)
	}
	return err
}

// moved reports whether the round's transfers are over.
func (p *Proc) moved(x *twoPhase) bool {
	for _, i := range x.reqs {
		if q := p.request(i); q != nil && !q.done && !p.lost(q, false) {
			return false
		}
	}
	return true
}

// endRound ends the round's transfers, and returns how many bytes were received, and the first error.
func (p *Proc) endRound(x *twoPhase) (received int64, err error) {
	for _, i := range x.reqs {
		q := p.request(i)
		if q == nil {
			continue
		}
		recv := q.kind == reqRecv
		st := p.conclude(i)
		if st.class != abi.Success && err == nil {
			err = st.failed()
		}
		if recv {
			received += int64(st.count)
		}
	}
	x.reqs = x.reqs[:0]
	return received, err
}
