package mpi

import (
	"github.com/godwit-run/godwit/mpi/abi"
	"github.com/godwit-run/godwit/mpi/layout"
)

// What the library keeps for a rank beside its program's memory is bounded: by numbers (MaxRequests, MaxObjects), and, where the program chooses how long a thing
// is, by bytes. Datatypes are charged by their blocks, groups, communicators and topologies by their ranks, infos by their texts, nonblocking and persistent
// calls by their scratch memory and copies, until they end, accesses to files by data in other representations and by what an aggregator has of a round, files by the views that one knows. What a call needs only while it runs is asked for, if it is much. Beyond MaxMemory a
// call fails with MPI_ERR_NO_MEM. A rank that comes from elsewhere may have more than that.

// room fails if so many bytes more are too many.
func (p *Proc) room(n int64) error {
	if limit := p.w.cfg.MaxMemory; n > 0 && n > limit-p.kept {
		return abi.Fail(abi.ErrNoMem, "%d bytes are too many beside the %d that the library keeps for this rank: the limit is %d", n, p.kept, limit)
	}
	return nil
}

// passing is how many bytes a call may always have for as long as it runs: what gives memory back needs some.
const passing = 64 << 10

// roomToPass is room for what is given back when the call is over.
func (p *Proc) roomToPass(n int64) error {
	if n <= passing {
		return nil
	}
	return p.room(n)
}

// roomFor is room for the program's list of so many and for what is made of it, for as long as a call runs.
func (p *Proc) roomFor(n int) error { return p.roomToPass(2 * wordCost * int64(n)) }

// Sizes of what lists are made of, about: a list that grows has up to as much again in reserve.
const (
	wordCost  = 8
	blockCost = 128 // of a constructor's argument, while the type is being made
	commCost  = 512
	groupCost = 64
	rankCost  = 4
	infoCost  = 64 // and of each pair

	roundCost, transferCost, actionCost = 64, 88, 176 // of a collective
)

// costly is what the rank is charged for as long as it is in a table.
type costly[T any] interface {
	*T
	cost() int64
}

func (g *group) cost() int64 {
	if g == nil {
		return 0
	}
	return groupCost + rankCost*int64(len(g.ranks))
}

func (c *comm) cost() int64 { return commCost + c.group.cost() + c.remote.cost() + c.topology.cost() }

func (t *topology) cost() int64 {
	if t == nil {
		return 0
	}
	n := wordCost * len(t.periods)
	for _, list := range [][]int{t.dims, t.index, t.edges, t.sources, t.destinations, t.inWeights, t.outWeights} {
		n += wordCost * len(list)
	}
	return int64(n)
}

func (x *info) cost() int64 {
	n := int64(infoCost)
	for _, kv := range x.pairs {
		n += infoCost + int64(len(kv[0])+len(kv[1]))
	}
	return n
}

// addTo gives a thing a handle, and charges for it.
func addTo[T any, P costly[T]](p *Proc, t *table[T], v P) (uint32, error) {
	if err := p.room(v.cost()); err != nil {
		return 0, err
	}
	h, err := t.add(v, p.w.cfg.MaxObjects)
	if err == nil {
		p.kept += v.cost()
	}
	return h, err
}

// dropFrom takes the handle back.
func dropFrom[T any, P costly[T]](p *Proc, t *table[T], h uint32) {
	if v := t.get(h); v != nil {
		p.kept -= P(v).cost()
		t.drop(h)
	}
}

// recost changes an info, by so many bytes at the most.
func (p *Proc) recost(x *info, most int64, change func()) error {
	if err := p.room(most); err != nil {
		return err
	}
	p.kept -= x.cost()
	change()
	p.kept += x.cost()
	return nil
}

// costOf is what is charged for all that a table has.
func costOf[T any, P costly[T]](t *table[T]) (n int64) {
	for _, v := range t.items {
		n += P(v).cost()
	}
	return n
}

// use notes that the program, or another type, needs a type: it is charged for once. What it was made of is, too, but that has been needed before.
func (p *Proc) use(t *layout.Type) error {
	if t.Users == 0 && !t.Predefined() && !t.Fixed {
		if err := p.room(t.Cost()); err != nil {
			return err
		}
	}
	p.charge(t)
	return nil
}

// charge is use without a question.
func (p *Proc) charge(t *layout.Type) {
	if t.Predefined() || t.Fixed {
		return
	}
	if t.Users++; t.Users == 1 {
		p.kept += t.Cost()
		for _, inner := range t.Made.Types {
			p.charge(inner)
		}
	}
}

// disuse ends that. Requests that were made with the type may still need it: they are bounded by their number alone.
func (p *Proc) disuse(t *layout.Type) {
	if t.Predefined() || t.Fixed {
		return
	}
	if t.Users--; t.Users == 0 {
		p.kept -= t.Cost()
		for _, inner := range t.Made.Types {
			p.disuse(inner)
		}
	}
}

// recharge charges a decoded rank for what it has, however much that is: it had it before.
func (p *Proc) recharge() {
	p.kept += costOf(&p.groups) + costOf(&p.comms) + costOf(&p.infos)
	for _, t := range p.types.items {
		p.charge(t)
	}
	for _, f := range p.files.items {
		p.chargeViews(f)
	}
	shared := map[*layout.Buffer]bool{} // of collectives
	for _, r := range p.requests {
		if r.coll != nil {
			shared[r.coll.host] = true
			r.charged = r.coll.cost()
			p.kept += r.charged
		}
	}
	for _, r := range p.requests {
		if r.io != nil {
			p.chargeFile(r)
		}
		if h := r.buf.Host; r.kind == reqSend && h != nil && !shared[h] && !r.orphan { // a copy of MPI_Sendrecv_replace and the like
			r.charged = int64(len(h.Bytes))
			p.kept += r.charged
		}
	}
}

// cost is what a collective takes beside its request.
func (c *collective) cost() int64 {
	n := int64(len(c.host.Bytes))
	for i := range c.rounds {
		r := &c.rounds[i]
		n += roundCost + transferCost*int64(len(r.Transfers)) + actionCost*int64(len(r.Work))
	}
	return n
}

// shape gives a new communicator its topology, for which it must have room: else the communicator is gone.
func (p *Proc) shape(c *comm, t *topology) error {
	if err := p.room(t.cost()); err != nil {
		dropFrom(p, &p.comms, c.handle)
		return err
	}
	c.topology = t
	p.kept += t.cost()
	return nil
}
