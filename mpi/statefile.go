package mpi

import "github.com/godwit-run/godwit/mpi/layout"

// placing writes or reads where a view's data is.
func (c *codec) placing(v *placing) {
	c.int64(&v.disp)
	c.datatype(&v.inFile)
	c.check(v.inFile != nil && v.disp >= 0 && v.disp <= layout.MaxBytes, "a file's view is damaged")
	if c.reading && c.err == nil {
		t := v.inFile
		c.check(t.Size == 0 || t.TrueLB >= 0 && t.Extent() > 0, "a file's view is damaged")
	}
}

func (c *codec) fileView(v *fileView) {
	c.placing(&v.placing)
	c.datatype(&v.etype)
	c.datatype(&v.filetype)
	c.string(&v.rep)
	c.int64(&v.unit)
	c.check(v.etype != nil && v.filetype != nil && v.unit > 0 && v.unit <= layout.MaxBytes, "a file's view is damaged")
}

func (c *codec) file(v **file) {
	ref(c, &c.files, v, func(f *file) {
		c.u32(&f.handle)
		c.window(&f.win)
		c.u32(&f.number)
		c.string(&f.name)
		c.int(&f.amode)
		c.info(&f.info)
		c.errhandler(&f.errhandler)
		c.bool(&f.atomic)
		c.bool(&f.unsynced)
		c.fileView(&f.view)
		c.int64(&f.at)
		there := f.split != nil
		if c.bool(&there); there {
			if c.reading {
				f.split = &split{}
			}
			c.u32(&f.split.request)
			c.string(&f.split.begin)
		}
		list(c, &f.views, c.placing)
		c.int(&f.told)
		c.u32(&f.lock)
		whole := c.err != nil || f.win != nil && f.info != nil && f.at >= 0 && f.at <= 2*layout.MaxBytes && (f.views == nil || len(f.views) == f.win.comm.size())
		c.check(whole, "a file is damaged")
	})
	c.check(*v != nil, "a file is missing")
}

func (c *codec) datarep(v **datarep) {
	if c.reading {
		*v = &datarep{}
	}
	d := *v
	c.string(&d.name)
	for _, x := range []*uint32{&d.read, &d.write, &d.extent, &d.extra} {
		c.u32(x)
	}
	c.bool(&d.large)
}

func (c *codec) fileOp(o *fileOp) {
	c.file(&o.file)
	for _, b := range []*bool{&o.write, &o.collective, &o.only, &o.locked} {
		c.bool(b)
	}
	c.u8(&o.pointer)
	c.span(&o.buf)
	there := o.conv != nil
	if c.bool(&there); there {
		if c.reading {
			o.conv = &conversion{}
		}
		c.span(&o.conv.user)
		c.u32(&o.conv.addr)
		c.datatype(&o.conv.typ)
		c.int64(&o.conv.count)
		c.check(o.conv.typ != nil && o.buf.Host != nil && o.conv.count >= 0, "a conversion is damaged")
	}
	c.int64(&o.from)
	c.u8(&o.stage)
	c.u32(&o.req)
	c.host(&o.answer)
	c.int64(&o.before)
	c.int64(&o.done)
	c.i32(&o.class)
	c.string(&o.why)
	planned := o.plan != nil
	if c.bool(&planned); planned {
		if c.reading {
			o.plan = &twoPhase{}
		}
		c.twoPhase(o.plan)
	}
	c.check(c.err != nil || o.whole(), "an access to a file is damaged")
}

// whole reports whether an access can go on from what was read.
func (o *fileOp) whole() bool {
	f := o.file
	n := f.win.comm.size()
	switch {
	case o.stage > lastStage, o.from < 0, o.done < 0, o.done > int64(o.buf.Len):
		return false
	case o.stage == stageFetched && (o.answer == nil || len(o.answer.Bytes) != pointerBytes):
		return false
	case o.stage >= stageLocked && f.view.reaches(o.from, int64(o.buf.Len)) != nil:
		return false
	case o.buf.Host != nil && uint64(o.buf.Off)+uint64(o.buf.Len) > uint64(len(o.buf.Host.Bytes)):
		return false
	}
	needs := o.stage >= stageHeld && o.stage <= stageMoved
	return o.plan == nil && !needs || o.plan != nil && o.plan.whole(o, n)
}

func (c *codec) twoPhase(x *twoPhase) {
	list(c, &x.intents, func(i *intent) {
		for _, w := range i.words() {
			c.int64(w)
		}
	})
	c.int(&x.nodes)
	c.int64(&x.window)
	c.bool(&x.same)
	for _, v := range []*int64{&x.lo, &x.hi, &x.domain, &x.read} {
		c.int64(v)
	}
	c.int(&x.round)
	list(c, &x.reqs, c.u32)
	c.host(&x.host)
	c.host(&x.parts)
}

// whole reports whether an exchange is one of n ranks, and its aggregator's memory is large enough.
func (x *twoPhase) whole(o *fileOp, n int) bool {
	ordered := 0 <= x.lo && x.lo <= x.hi && x.hi <= 2*layout.MaxBytes && x.domain >= 0 && x.domain <= 2*layout.MaxBytes
	if len(x.intents) != n || x.nodes < 1 || x.nodes > n || x.window < leastWindow || x.window > mostWindow || !ordered || x.round < 0 || x.round > x.rounds() {
		return false
	}
	for k := range x.intents {
		i := &x.intents[k]
		far := i.from < 0 || i.n < 0 || i.n >= 1<<32 || i.from > layout.MaxBytes || i.lo < 0 || i.hi > 2*layout.MaxBytes || i.view < 0 || i.view >= 1<<32
		if far {
			return false
		}
	}
	me := &x.intents[o.file.comm().me]
	if me.from != o.from || me.n != int64(o.buf.Len) {
		return false
	}
	if x.node(o.file) < 0 {
		return true
	}
	switch o.stage {
	case stageKnown:
		total := int64(0)
		for k := range x.intents {
			total += x.intents[k].view
		}
		return x.host != nil && int64(len(x.host.Bytes)) == total
	case stageRound, stageMoved:
		return x.remembers(o)
	}
	return true
}

// remembers reports whether an aggregator in the midst of a round has what it needs.
func (x *twoPhase) remembers(o *fileOp) bool {
	f := o.file
	if !x.same && len(f.views) != len(x.intents) {
		return false
	}
	if !f.view.orderly() {
		return false
	}
	for k := range x.intents {
		if v := x.placing(f, k); !v.orderly() || v.reaches(x.intents[k].from, x.intents[k].n) != nil {
			return false
		}
	}
	if o.stage == stageRound || !o.write {
		return true
	}
	lo, hi := x.part(x.node(f))
	if lo >= hi {
		return true
	}
	list, parts := x.pieces(f, lo, hi)
	return len(list) == 0 || x.host != nil && x.parts != nil && int64(len(x.host.Bytes)) >= hi-lo && int64(len(x.parts.Bytes)) >= parts
}
