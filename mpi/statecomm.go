package mpi

import (
	"cmp"
	"maps"
	"slices"

	"github.com/godwit-run/godwit/mpi/abi"
	"github.com/godwit-run/godwit/mpi/coll"
	"github.com/godwit-run/godwit/mpi/layout"
)

func (c *codec) group(v **group) {
	ref(c, &c.groups, v, func(g *group) {
		list(c, &g.ranks, c.rank)
		seen := map[Rank]bool{}
		for _, r := range g.ranks {
			c.check(!seen[r], "rank %d is twice in a group", r)
			seen[r] = true
		}
	})
}

func (c *codec) comm(v **comm) {
	ref(c, &c.comms, v, func(m *comm) {
		c.u32(&m.handle)
		c.uint64(&m.id)
		c.check(m.id < 1<<62, "the id of a communicator is damaged")
		c.group(&m.group)
		c.group(&m.remote)
		c.int(&m.me)
		c.check(m.group != nil && (m.remote == nil || len(m.remote.ranks) > 0) && (c.err != nil || m.me >= 0 && m.me < len(m.group.ranks)),
			"a communicator is damaged")
		c.errhandler(&m.errhandler)
		c.string(&m.name)
		c.info(&m.info)
		c.attributes(&m.attrs)
		c.topology(&m.topology, m)
		c.u32(&m.collSeq)
		c.partsOf(&m.parts)
		c.bool(&m.freed)
	})
}

// partsOf are in order, so that equal states have equal bytes.
func (c *codec) partsOf(m *map[partsOf]uint32) {
	kinds := slices.SortedFunc(maps.Keys(*m), func(a, b partsOf) int {
		return cmp.Or(cmp.Compare(a.peer, b.peer), cmp.Compare(a.tag, b.tag), cmp.Compare(truth(a.send), truth(b.send)))
	})
	if c.reading {
		*m = nil
	}
	list(c, &kinds, func(k *partsOf) {
		n := (*m)[*k]
		c.rank(&k.peer)
		c.i32(&k.tag)
		c.bool(&k.send)
		c.u32(&n)
		c.check(n < partNumbers, "the number of a partitioned operation is damaged")
		if c.reading && *m == nil {
			*m = map[partsOf]uint32{}
		}
		if c.reading {
			(*m)[*k] = n
		}
	})
}

// info is never shared.
func (c *codec) info(v **info) {
	there := *v != nil
	if c.bool(&there); !there {
		*v = nil
		return
	}
	if c.reading {
		*v = &info{}
	}
	list(c, &(*v).pairs, func(kv *[2]string) {
		c.string(&kv[0])
		c.string(&kv[1])
	})
}

func (c *codec) topology(v **topology, m *comm) {
	ref(c, &c.topologies, v, func(t *topology) {
		c.int(&t.kind)
		for _, l := range []*[]int{&t.dims, &t.index, &t.edges, &t.sources, &t.destinations, &t.inWeights, &t.outWeights} {
			list(c, l, c.int)
		}
		list(c, &t.periods, c.bool)
		c.bool(&t.weighted)
	})
	if c.reading && c.err == nil && *v != nil {
		c.check((*v).whole(len(m.group.ranks)), "a topology is damaged")
	}
}

// whole reports whether a topology is one of n ranks.
func (t *topology) whole(n int) bool {
	inside := func(list []int) bool {
		for _, r := range list {
			if r < 0 || r >= n {
				return false
			}
		}
		return true
	}
	switch t.kind {
	case abi.TopoCart:
		total := 1
		for _, d := range t.dims {
			if d < 1 || total > n {
				return false
			}
			total *= d
		}
		return total == n && len(t.periods) == len(t.dims) && len(t.dims) <= coll.MaxSlots/2
	case abi.TopoGraph:
		last := 0
		for _, v := range t.index {
			if v < last || v > len(t.edges) {
				return false
			}
			last = v
		}
		return len(t.index) == n && inside(t.edges)
	case abi.TopoDist:
		return inside(t.sources) && inside(t.destinations)
	}
	return false
}

func (c *codec) window(v **window) {
	ref(c, &c.windows, v, func(w *window) {
		c.u32(&w.handle)
		c.comm(&w.comm)
		c.int(&w.flavor)
		c.u32(&w.base)
		list(c, &w.bytes, c.int64)
		list(c, &w.units, c.i32)
		c.errhandler(&w.errhandler)
		c.string(&w.name)
		c.info(&w.info)
		c.attributes(&w.attrs)
		list(c, &w.regions, func(r *region) { c.u32(&r.addr); c.u32(&r.size) })
		c.u32(&w.memory)
		c.u32(&w.values)
		list(c, &w.origins, func(o *origin) {
			c.bool(&o.dirty)
			c.int(&o.local)
			c.int(&o.waiting)
			c.u8(&o.locked)
			c.i32(&o.class)
		})
		list(c, &w.targets, c.inbound)
		c.bool(&w.lock.exclusive)
		c.int(&w.lock.holders)
		list(c, &w.lock.waiting, func(l *lockWait) { c.int(&l.origin); c.bool(&l.exclusive) })
		c.bool(&w.fenced)
		for _, l := range []*[]int{&w.started, &w.exposed, &w.posted, &w.over} {
			list(c, l, c.int)
		}
		c.bool(&w.lockAll)
		c.u32(&w.tagNext)
		c.check(c.err != nil || w.whole(), "a window is damaged")
	})
}

// whole reports whether the window's lists fit its communicator.
func (w *window) whole() bool {
	if w.comm == nil || w.info == nil || w.comm.inter() {
		return false
	}
	n := w.comm.size()
	for _, l := range []int{len(w.bytes), len(w.units), len(w.origins), len(w.targets), len(w.posted), len(w.over)} {
		if l != n {
			return false
		}
	}
	for _, list := range [][]int{w.started, w.exposed} {
		for _, r := range list {
			if r < 0 || r >= n {
				return false
			}
		}
	}
	for i, t := range w.targets {
		for _, op := range t.queue {
			if op.origin != i {
				return false
			}
		}
	}
	for _, l := range w.lock.waiting {
		if l.origin < 0 || l.origin >= n {
			return false
		}
	}
	return w.flavor != abi.FlavorShared
}

func (c *codec) inbound(v **inbound) {
	if c.reading {
		*v = &inbound{}
	}
	list(c, &(*v).queue, c.targetOp)
	c.i32(&(*v).class)
}

func (c *codec) targetOp(v **targetOp) {
	ref(c, &c.targetOps, v, func(op *targetOp) {
		c.int(&op.origin)
		c.u8(&op.kind)
		c.bool(&op.ready)
		c.host(&op.message)
		c.bool(&op.decoded)
		if op.decoded {
			op.header.fields(c)
			c.check(op.header.typ != nil && op.header.count >= 0 && op.header.count <= 1<<32 && op.header.typ.Size <= 1<<32,
				"a one-sided operation is damaged")
		}
		c.span(&op.data)
		c.bool(&op.direct)
		c.check(op.message != nil && op.kind >= msgPut && op.kind <= lastMessage, "a window's message is damaged")
	})
	c.check(*v != nil, "a window's message is missing")
}

func (c *codec) host(v **layout.Buffer) {
	ref(c, &c.hosts, v, func(h *layout.Buffer) { c.bytes(&h.Bytes) })
}

func (c *codec) span(s *layout.Span) {
	c.host(&s.Host)
	c.u32(&s.Off)
	c.u32(&s.Len)
	c.datatype(&s.Type)
	c.u32(&s.Skip)
}
