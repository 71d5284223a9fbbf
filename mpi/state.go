package mpi

import (
	"slices"
	"time"

	"github.com/godwit-run/godwit/mpi/abi"
)

// stateVersion is the first value of captured state. A new field means a new version. Only ranks whose executors are of one version have frames that the
// others read, so no older one is read: versions 1 to 4 had one sequence of frames.
const stateVersion = 8

// encode writes the rank's state. Equal states give equal bytes.
func (p *Proc) encode() []byte {
	c := newWriter()
	c.typeAttrs = p.typeAttrs
	c.state(p)
	return c.out
}

// decode reads a state into a new Proc. It accepts nothing that could make the
// library panic later; it cannot tell a wrong state that is well formed.
func (p *Proc) decode(state []byte) error {
	c := newReader(state)
	c.typeAttrs = p.typeAttrs
	c.state(p)
	c.check(c.err != nil || len(c.in) == 0, "%d bytes are left over", len(c.in))
	if c.err == nil {
		c.verify(p)
	}
	if c.err == nil {
		p.recharge()
	}
	return c.err
}

// state writes or reads all of a rank.
func (c *codec) state(p *Proc) {
	version, rank, size := uint64(stateVersion), uint64(p.rank), uint64(p.w.cfg.Size)
	c.uint64(&version)
	c.check(version == stateVersion, "version %d is not known", version)
	c.uint64(&rank)
	c.uint64(&size)
	c.check(rank == uint64(p.rank) && size == uint64(p.w.cfg.Size), "it is of rank %d of %d", rank, size)
	c.size = p.w.cfg.Size
	c.bool(&p.initialized)
	c.bool(&p.finalized)
	c.bool(&p.ended)
	clock := int64(max(0, time.Since(p.clockStart)))
	c.int64(&clock)
	c.check(clock >= 0, "the clock is damaged")
	if c.reading {
		p.clockStart = time.Now().Add(-time.Duration(clock))
	}
	c.objects(p)
	c.requests(p)
	list(c, &p.unexpected, c.messageRef)
	c.suspended(&p.suspended)
	c.pairs(p)
}

func (c *codec) objects(p *Proc) {
	o := &p.objects
	c.comm(&o.world)
	c.comm(&o.self)
	c.check(o.world != nil && o.self != nil, "the communicators are damaged")
	c.uint64(&o.nextID)
	c.check(o.nextID < 1<<idBits-1, "the last id is damaged")
	tabled(c, &o.comms, c.comm)
	tabled(c, &o.groups, c.group)
	tabled(c, &o.types, c.datatype)
	dict(c, &o.named, c.u32, func(v **overlay) {
		if c.reading {
			*v = &overlay{}
		}
		c.string(&(*v).name)
		c.bool(&(*v).renamed)
		c.attributes(&(*v).attrs)
	})
	dict(c, &o.f90, c.string, c.datatype)
	for _, t := range o.f90 {
		c.check(t != nil, "a datatype is missing")
	}
	tabled(c, &o.ops, c.operation)
	tabled(c, &o.errhandlers, c.errhandler)
	c.errhandler(&o.fileHandler)
	tabled(c, &o.keyvals, c.keyval)
	tabled(c, &o.infos, c.info)
	tabled(c, &o.messages, c.messageRef)
	for _, m := range o.messages.items {
		c.check(m.comm != nil, "a message has no communicator")
	}
	tabled(c, &o.sessions, func(v **session) {
		if c.reading {
			*v = &session{}
		}
		c.u32(&(*v).handle)
		c.errhandler(&(*v).errhandler)
	})
	tabled(c, &o.wins, c.window)
	tabled(c, &o.files, c.file)
	list(c, &o.datareps, c.datarep)
	c.int(&o.codes.last)
	dict(c, &o.codes.classes, c.int, c.int)
	dict(c, &o.codes.texts, c.int, c.string)
	c.int(&o.tools)
	c.bool(&o.bufferAttached)
	c.u32(&o.bufferAddr)
	c.int64(&o.bufferSize)
	c.int64(&o.buffered)
	c.u32(&o.bufferNext)
	c.u32(&o.attrMemory)
	c.u32(&o.operandMemory)
	c.u32(&o.operandBytes)
	if c.reading && c.err == nil {
		for _, w := range o.wins.items {
			o.winByID[w.comm.id] = w
		}
		for _, f := range o.files.items {
			o.winByID[f.comm().id] = f.win
		}
	}
}

func (c *codec) requests(p *Proc) {
	n := c.count(len(p.requests))
	c.check(n <= p.w.cfg.MaxRequests+2*p.w.cfg.Size+maxInternal, "%d requests", n)
	for i := range n {
		if c.reading {
			p.requests = append(p.requests, &request{index: uint32(i)})
		}
		c.request(p.requests[i])
		if c.err != nil {
			return
		}
	}
	list(c, &p.freeList, c.u32)
	seen := map[uint32]bool{}
	for _, i := range p.freeList {
		c.check(uint64(i) < uint64(len(p.requests)) && !seen[i] && p.requests[i].kind == 0, "request %d is not free", i)
		if c.err != nil {
			return
		}
		seen[i] = true
	}
	c.pointers(p, &p.posted, func(q *request) bool {
		return q.kind == reqRecv && !q.matched && !q.done && q.peer >= abi.AnySource
	})
	c.pointers(p, &p.active, func(q *request) bool { return q.kind == reqCollective && !q.done })
	c.pointers(p, &p.filing, func(q *request) bool { return q.kind == reqFile && !q.done })
}

// pointers writes or reads a list of requests.
func (c *codec) pointers(p *Proc, v *[]*request, fits func(*request) bool) {
	n := c.count(len(*v))
	for i := range n {
		var index uint32
		if !c.reading {
			index = (*v)[i].index
		}
		c.u32(&index)
		if !c.reading {
			continue
		}
		q := p.request(index)
		if q == nil || !fits(q) || slices.Contains(*v, q) {
			c.fail("request %d is damaged", index)
			return
		}
		*v = append(*v, q)
	}
}

func (c *codec) pairs(p *Proc) {
	used := 0
	for _, x := range p.pairs {
		used += truth(x != nil)
	}
	if n := c.count(used); c.reading {
		for range n {
			var peer Rank
			c.rank(&peer)
			if c.err != nil || p.pairs[peer] != nil {
				c.fail("channel %d is there twice", peer)
				return
			}
			c.pair(p.pair(peer))
		}
		return
	}
	for _, x := range p.pairs {
		if x != nil {
			c.rank(&x.peer)
			c.pair(x)
		}
	}
}

// verify looks at what refers to each other, once all is read.
func (c *codec) verify(p *Proc) {
	for _, q := range p.requests {
		if q.kind == 0 {
			continue
		}
		if q.coll != nil {
			for _, i := range q.coll.reqs {
				r := p.request(i)
				c.check(r != nil && r.internal && r != q, "request %d is not of a collective", i)
			}
		}
		if q.after.kind == hookOwner {
			o := p.request(q.after.owner)
			c.check(o != nil && o.kind == reqPart, "request %d is not partitioned", q.after.owner)
		}
		if q.kind == reqFlush && !q.done {
			p.openFlush(q)
		}
		c.check(q.comm != nil || q.kind == reqNull || q.kind == reqGeneral, "request %d has no communicator", q.index)
		c.check(!q.persistent || q.active || q.done, "request %d is damaged", q.index)
	}
	c.check(p.world.group != nil && len(p.world.group.ranks) == p.w.cfg.Size && p.self.group.ranks[0] == p.rank, "the communicators are damaged")
	s := p.suspended
	if s == nil || c.err != nil {
		return
	}
	for i, r := range s.reqs {
		q := p.request(r)
		c.check(q != nil && q.internal && !slices.Contains(s.reqs[:i], r), "request %d is not of the frozen call", r)
	}
	for _, call := range calls() {
		if call.Name == s.call && len(call.Params) == len(s.args) {
			return
		}
	}
	c.fail("the frozen call %q is not known", s.call)
}
