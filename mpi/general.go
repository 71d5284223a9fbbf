package mpi

import "github.com/godwit-run/godwit/mpi/abi"

// general is a generalized request (MPI 5.0 section 12.2): the program does the work and says when it is done.
type general struct {
	query, free, cancel uint32 // functions
	extra               uint32
}

type grequestStartArgs struct {
	queryFn, freeFn, cancelFn, extraState address
	request                               address
}

func callGrequestStart(p *Proc, a grequestStartArgs) error {
	return p.giveRequest(p.self, a.request, func() (*request, error) {
		r, err := p.newRequest(reqGeneral, false)
		if err != nil {
			return nil, err
		}
		r.general = &general{query: a.queryFn, free: a.freeFn, cancel: a.cancelFn, extra: a.extraState}
		r.result = emptyStatus()
		return r, nil
	})
}

type grequestCompleteArgs struct{ request handle }

func callGrequestComplete(p *Proc, a grequestCompleteArgs) error {
	r, err := p.requestOf(a.request)
	if err != nil {
		// A request that the program has freed already is still its own to complete.
		if i := a.request - baseRequest; p.request(i) != nil && p.requests[i].kind == reqGeneral {
			r, err = p.requests[i], nil
		}
	}
	if err == nil && (r == nil || r.kind != reqGeneral || r.done) {
		err = abi.Fail(abi.ErrRequest, "it is no generalized request that is active")
	}
	if err != nil {
		return err
	}
	if r.orphan {
		if err := p.endGeneral(r); err != nil {
			return err
		}
	}
	p.complete(r)
	return nil
}

// queryGeneral asks the program for the status.
func (p *Proc) queryGeneral(r *request, ptr uint32) error {
	g := r.general
	words := make([]uint32, abi.StatusBytes/4)
	words[0], words[1] = uint32(0xffffffff), uint32(0xfffffffe) // MPI_ANY_SOURCE, MPI_ANY_TAG
	var result error
	err := p.withWords(words, func(addr uint32) error {
		if g.query == 0 {
			return nil
		}
		code, err := p.call(g.query, g.extra, addr)
		if err != nil {
			return err
		}
		result = callbackError(code, nil, "the request's query function")
		return nil
	})
	if err != nil {
		return err
	}
	if ptr != abi.StatusIgnore {
		b, err := p.statusAt(ptr)
		if err != nil {
			return err
		}
		for i, v := range words {
			if i != 2 { // MPI_ERROR
				order.PutUint32(b[4*i:], v)
			}
		}
	}
	return result
}

// endGeneral calls the free function of a request that is to end. It fails, too, if the request was ended meanwhile, by one of its own functions: what has its place
// then is another.
func (p *Proc) endGeneral(r *request) error {
	g := r.general
	if g.free == 0 {
		return nil
	}
	code, err := p.call(g.free, g.extra)
	if err == nil && r.general != g {
		return errEndedInside()
	}
	return callbackError(code, err, "the request's free function")
}

func errEndedInside() error {
	return abi.Fail(abi.ErrRequest, "the generalized request was ended by one of its own functions")
}

func (p *Proc) cancelGeneral(r *request) error {
	if r.general.cancel == 0 {
		return nil
	}
	code, err := p.call(r.general.cancel, r.general.extra, uint32(truth(r.done)))
	return callbackError(code, err, "the request's cancel function")
}

// partitions is a partitioned operation (MPI 5.0 section 4.2). A send goes as one message when all its parts are ready.
type partitions struct {
	send  bool
	ready []bool
	left  int // parts that are not ready
}

// maxParts bounds the parts of one operation.
const maxParts = 1 << 20

// partsOf are the partitioned operations of a communicator with one rank and tag, in one direction: they match those of the other side in the order in which both have initialized them, whatever is started first (MPI 5.0 section 4.2).
type partsOf struct {
	peer Rank
	tag  int32
	send bool
}

// Partitioned operations have contexts of their own, by their number of their kind: what is sent by one is received by the one that it matches.
const (
	partNumbers  = 1 << 10 // then they begin again: those that meet so match in the order of their starts
	maxPartKinds = 1 << 16 // of a communicator
)

// partContext is the context of the next partitioned operation of a kind. It is no other communicator's before a rank has made a billion of them.
func (c *comm) partContext(k partsOf) (uint64, error) {
	n, known := c.parts[k]
	if !known && len(c.parts) >= maxPartKinds {
		return 0, abi.Fail(abi.ErrIntern, "partitioned operations of %d pairs of a rank and a tag, of one communicator: no more are possible", len(c.parts))
	}
	if c.parts == nil {
		c.parts = map[partsOf]uint32{}
	}
	c.parts[k] = (n + 1) % partNumbers
	return (c.id|uint64(n)<<idNumberBits)*contextKinds + contextWindow, nil
}

// partsArgs are what the partitions of an operation are.
type partsArgs struct {
	buf        address
	partitions int
	count      count
	datatype   handle
}

type psendInitArgs struct {
	partsArgs
	dest, tag int
	comm      handle
	_         handle `mpi:"info"`
	request   address
}

func callPsendInit(p *Proc, a psendInitArgs) error {
	return p.initParts(a.partsArgs, true, a.comm, a.request, func(c *comm) (e envelope, err error) {
		e.peer, e.tag, e.null, err = p.destination(c, a.dest, a.tag)
		return e, err
	})
}

type precvInitArgs struct {
	partsArgs
	source, tag int
	comm        handle
	_           handle `mpi:"info"`
	request     address
}

func callPrecvInit(p *Proc, a precvInitArgs) error {
	return p.initParts(a.partsArgs, false, a.comm, a.request, func(c *comm) (envelope, error) {
		e, err := p.source(c, a.source, a.tag)
		if err == nil && (e.peer == abi.AnySource || e.tag == abi.AnyTag) && !e.null {
			err = abi.Fail(abi.ErrArg, "a partitioned receive has no wildcards")
		}
		return e, err
	})
}

// initParts gives a partitioned operation's request. peer checks the rest of its envelope.
func (p *Proc) initParts(a partsArgs, send bool, comm handle, out address, peer func(c *comm) (envelope, error)) error {
	c, err := p.comm(comm)
	if err != nil {
		return err
	}
	if a.partitions < 1 || a.partitions > maxParts {
		return c.on(abi.Fail(abi.ErrArg, "partitions is %d", a.partitions))
	}
	if a.count < 0 || a.count > 1<<32 {
		return c.on(abi.Fail(abi.ErrCount, "count is %d", a.count))
	}
	buf, err := p.buffer(a.buf, int64(a.partitions)*a.count, a.datatype)
	if err != nil {
		return c.on(err)
	}
	e, err := peer(c)
	if err != nil {
		return c.on(err)
	}
	return p.giveRequest(c, out, func() (*request, error) {
		r, err := p.newRequest(reqPart, false)
		if err != nil {
			return nil, err
		}
		r.comm, r.peer, r.tag, r.buf = c, e.peer, e.tag, buf
		if e.null {
			r.peer = abi.ProcNull
		} else if r.context, err = c.partContext(partsOf{e.peer, e.tag, send}); err != nil {
			p.freeRequest(r)
			return nil, err
		}
		r.persistent, r.done, r.parts = true, true, &partitions{send: send, ready: make([]bool, a.partitions)}
		return r, nil
	})
}

// startParts starts a partitioned operation.
func (p *Proc) startParts(r *request) error {
	clear(r.parts.ready)
	r.parts.left = len(r.parts.ready)
	if r.peer == abi.ProcNull && !r.parts.send {
		r.result = nullStatus()
		return nil
	}
	r.done = false
	if r.parts.send {
		return nil
	}
	q, err := p.newRequest(reqRecv, true)
	if err != nil {
		return err
	}
	q.comm, q.context, q.peer, q.tag, q.buf = r.comm, r.context, r.peer, r.tag, r.buf
	q.orphan, q.after = true, hook{kind: hookOwner, owner: r.index}
	p.postRecv(q)
	return nil
}

// ready marks parts, and sends the message when none is missing.
func (p *Proc) ready(handle uint32, list []int) error {
	r, err := p.requestOf(handle)
	if err == nil && (r == nil || r.kind != reqPart || !r.parts.send || !r.active) {
		err = abi.Fail(abi.ErrRequest, "it is no partitioned send that is active")
	}
	if err != nil {
		return err
	}
	if err := p.mark(r, list); err != nil {
		return r.comm.on(err)
	}
	if r.parts.left > 0 || len(list) == 0 {
		return nil
	}
	if r.peer == abi.ProcNull {
		p.complete(r)
		return nil
	}
	q, err := p.newRequest(reqSend, true)
	if err != nil {
		return err
	}
	q.comm, q.context, q.peer, q.tag, q.buf = r.comm, r.context, r.peer, r.tag, r.buf
	q.orphan, q.after = true, hook{kind: hookOwner, owner: r.index}
	p.pair(q.peer).push(item{kind: itemSend, req: q.index})
	return nil
}

// mark notes that parts are ready, all of the list or none: the last of a message needs a request.
func (p *Proc) mark(r *request, list []int) error {
	x := r.parts
	marked := 0
	var err error
	for _, i := range list {
		if i < 0 || i >= len(x.ready) || x.ready[i] {
			err = abi.Fail(abi.ErrArg, "partition %d of %d does not exist, or is ready already", i, len(x.ready))
			break
		}
		x.ready[i] = true
		marked++
	}
	if err == nil && marked == x.left && r.peer != abi.ProcNull {
		err = p.roomForRequests(1, true)
	}
	if err != nil {
		for _, i := range list[:marked] {
			x.ready[i] = false
		}
		return err
	}
	x.left -= marked
	return nil
}

type preadyArgs struct {
	partition int
	request   handle
}

func callPready(p *Proc, a preadyArgs) error { return p.ready(a.request, []int{a.partition}) }

type preadyRangeArgs struct {
	partitionLow, partitionHigh int
	request                     handle
}

func callPreadyRange(p *Proc, a preadyRangeArgs) error {
	low, high := a.partitionLow, a.partitionHigh
	if low < 0 || high >= maxParts {
		return abi.Fail(abi.ErrArg, "partitions %d to %d", low, high)
	}
	var list []int
	for i := low; i <= high; i++ {
		list = append(list, i)
	}
	return p.ready(a.request, list)
}

type preadyListArgs struct {
	length            int
	arrayOfPartitions address
	request           handle
}

func callPreadyList(p *Proc, a preadyListArgs) error {
	list, err := p.ints(a.arrayOfPartitions, a.length)
	if err != nil {
		return err
	}
	return p.ready(a.request, list)
}

type parrivedArgs struct {
	request   handle
	partition int
	flag      address
}

func callParrived(p *Proc, a parrivedArgs) error {
	r, err := p.requestOf(a.request)
	if err != nil {
		return err
	}
	if r != nil && (r.kind != reqPart || r.parts.send || a.partition < 0 || a.partition >= len(r.parts.ready)) {
		return r.comm.on(abi.Fail(abi.ErrRequest, "it is no partitioned receive with partition %d", a.partition))
	}
	if r.live() && !r.done {
		p.yield()
	}
	return p.putInt(a.flag, truth(!r.live() || r.done))
}
