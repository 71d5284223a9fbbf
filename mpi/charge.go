package mpi

import "cmp"

// What the library keeps for a rank beside its program's memory is bounded: by numbers (MaxRequests, MaxObjects), and, where the program chooses how long a thing
// is, by bytes. Datatypes are charged by their blocks, groups and communicators by their ranks, infos by their texts, nonblocking and persistent calls by their
// scratch memory and copies, until they end; lists of arguments are only asked for. Beyond MaxMemory a call fails with MPI_ERR_NO_MEM.

// room fails if so many bytes more are too many.
func (p *Proc) room(n int64) error {
	if limit := p.w.cfg.MaxMemory; n > limit-p.kept {
		return fail(errNoMem, "%d bytes are too many beside the %d that the library keeps for this rank: the limit is %d", n, p.kept, limit)
	}
	return nil
}

// charge keeps so many bytes, or fails.
func (p *Proc) charge(n int64) error {
	if err := p.room(n); err != nil {
		return err
	}
	p.kept += n
	return nil
}

// Sizes of what lists are made of, about.
const (
	typeCost  = 256
	pieceCost = 48
	wordCost  = 8
	blockCost = 128 // of a constructor's argument, while the type is being made
	commCost  = 512
	groupCost = 64
	rankCost  = 4
	infoCost  = 64 // and of each pair
)

// costly is what the rank is charged for as long as it is in a table.
type costly interface{ cost() int64 }

func (g *group) cost() int64 {
	if g == nil {
		return 0
	}
	return groupCost + rankCost*int64(len(g.ranks))
}

func (c *comm) cost() int64 { return commCost + c.group.cost() + c.remote.cost() }

func (x *info) cost() int64 {
	n := int64(infoCost)
	for _, kv := range x.pairs {
		n += infoCost + int64(len(kv[0])+len(kv[1]))
	}
	return n
}

// addTo gives a thing a handle, and charges for it.
func addTo[T any, P interface {
	*T
	costly
}](p *Proc, t *table[T], v P) (uint32, error) {
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
func dropFrom[T any, P interface {
	*T
	costly
}](p *Proc, t *table[T], h uint32) {
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

// chargeAll charges for what a table has.
func chargeAll[T any, P interface {
	*T
	costly
}](p *Proc, t *table[T]) error {
	for _, v := range t.items {
		if err := p.charge(P(v).cost()); err != nil {
			return err
		}
	}
	return nil
}

// cost is what a type takes without the types that it was made of, but with those that were made for it alone.
func (t *datatype) cost() int64 {
	m := &t.made
	n := int64(typeCost + pieceCost*len(t.pieces) + wordCost*(len(m.ints)+len(m.addrs)+len(m.counts)+len(m.types)))
	var last *datatype
	for i := range t.pieces {
		if inner := t.pieces[i].typ; inner != nil && inner != last && inner.handle == 0 {
			n += inner.cost()
			last = inner
		}
	}
	return n
}

// use notes that the program, or another type, needs a type: it is charged for once, and what it was made of, too.
func (p *Proc) use(t *datatype) error {
	if t.predefined() || t.fixed {
		return nil
	}
	if t.users == 0 {
		if err := p.charge(t.cost()); err != nil {
			return err
		}
		for i, inner := range t.made.types {
			if err := p.use(inner); err != nil {
				for _, used := range t.made.types[:i] {
					p.disuse(used)
				}
				p.kept -= t.cost()
				return err
			}
		}
	}
	t.users++
	return nil
}

// disuse ends that. Messages that are on their way may still need the type.
func (p *Proc) disuse(t *datatype) {
	if t.predefined() || t.fixed {
		return
	}
	if t.users--; t.users == 0 {
		p.kept -= t.cost()
		for _, inner := range t.made.types {
			p.disuse(inner)
		}
	}
}

// recharge charges a decoded rank for what it has.
func (p *Proc) recharge() error {
	if err := cmp.Or(chargeAll(p, &p.groups), chargeAll(p, &p.comms), chargeAll(p, &p.infos)); err != nil {
		return err
	}
	for _, t := range p.types.items {
		if err := p.use(t); err != nil {
			return err
		}
	}
	for _, r := range p.requests {
		if r.coll == nil {
			continue
		}
		n := collectiveCost(len(r.coll.host.b), len(r.coll.rounds))
		if err := p.charge(n); err != nil {
			return err
		}
		r.charged = n
	}
	return nil
}

// collectiveCost is what a collective takes beside its request.
func collectiveCost(scratch, rounds int) int64 { return int64(scratch) + wordCost*int64(rounds) }
