package mpi

import "slices"

// comm is a rank's side of a communicator. Each has two contexts, so that
// collectives never match what the program sends: 2*id and 2*id+1.
type comm struct {
	handle     uint32
	id         uint32
	self       bool // the group is this rank alone; else all ranks of the world
	errhandler uint32
	collSeq    uint32 // collectives started here: their messages' tag
	freed      bool   // kept only for requests that are not finished
}

// firstComm plus a communicator's id is the handle of one that the program made.
const firstComm = 0x40000000

// maxCommID bounds the ids, of which contexts are made; ids are never reused.
const maxCommID = 1 << 29

func (c *comm) pointContext() uint32      { return 2 * c.id }
func (c *comm) collectiveContext() uint32 { return 2*c.id + 1 }

// size and rank in the communicator.
func (p *Proc) commSize(c *comm) int {
	if c.self {
		return 1
	}
	return p.w.cfg.Size
}

func (p *Proc) commRank(c *comm) int {
	if c.self {
		return 0
	}
	return int(p.rank)
}

// worldRank translates a rank of the communicator, which must be in its range.
func (p *Proc) worldRank(c *comm, r int) Rank {
	if c.self {
		return p.rank
	}
	return Rank(r)
}

// localRank translates back, for a status.
func (c *comm) localRank(r Rank) int {
	if c.self {
		return 0
	}
	return int(r)
}

// comm finds a communicator by handle.
func (p *Proc) comm(handle uint32) (*comm, error) {
	if c := p.anyComm(handle); c != nil && !c.freed {
		return c, nil
	}
	return nil, fail(errComm, "communicator %#x is not known", handle)
}

// anyComm finds also a freed one, or returns nil.
func (p *Proc) anyComm(handle uint32) *comm {
	for _, c := range p.comms {
		if c.handle == handle {
			return c
		}
	}
	return nil
}

// callCommDup makes a communicator with contexts of its own. Ranks call the
// collectives over one group in one order (MPI 5.0 section 6.14), so each counts
// the ids by itself: even ones for the world's group, odd ones for a rank alone.
func callCommDup(p *Proc, a args) (uint64, error) {
	c, err := p.comm(a.u32(0))
	if err != nil {
		return 0, err
	}
	next := &p.nextID[truth(c.self)]
	if *next >= maxCommID || len(p.comms) >= p.w.cfg.MaxRequests {
		return 0, c.on(fail(errOther, "too many communicators"))
	}
	if err := p.putInt(a.u32(1), int(firstComm+*next)); err != nil {
		return 0, c.on(err)
	}
	p.comms = append(p.comms, &comm{handle: firstComm + *next, id: *next, self: c.self, errhandler: c.errhandler})
	*next += 2
	return success, nil
}

// callCommFree forgets a communicator once no request needs it (section 7.4.3).
func callCommFree(p *Proc, a args) (uint64, error) {
	s, err := p.handles(a.u32(0), 1)
	if err != nil || s.len == 0 {
		return 0, err
	}
	c, err := p.comm(order.Uint32(p.bytes(s)))
	if err != nil {
		return 0, err
	}
	if c == p.world || c == p.self {
		return 0, c.on(fail(errComm, "a predefined communicator cannot be freed"))
	}
	c.freed = true
	order.PutUint32(p.bytes(s), commNull)
	used := map[uint32]bool{}
	for _, r := range p.requests {
		if r.kind != 0 {
			used[r.comm] = true
		}
	}
	p.comms = slices.DeleteFunc(p.comms, func(c *comm) bool { return c.freed && !used[c.handle] })
	return success, nil
}

// on makes err an error raised on c, if it is an MPI error.
func (c *comm) on(err error) error {
	if e, ok := err.(*callError); ok { //nolint:errorlint // a callError is never wrapped
		e.comm = c
	}
	return err
}
