package mpi

// comm is a rank's side of a communicator. Each has two contexts, so that
// collectives never match what the program sends: 2*id and 2*id+1.
type comm struct {
	handle     uint32
	id         uint32
	self       bool // the group is this rank alone; else all ranks of the world
	errhandler uint32
	collSeq    uint32 // collectives started here: their messages' tag
}

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
	switch handle {
	case commWorld:
		return p.world, nil
	case commSelf:
		return p.self, nil
	}
	return nil, fail(errComm, "communicator %#x is not known", handle)
}

// on makes err an error raised on c, if it is an MPI error.
func (c *comm) on(err error) error {
	if e, ok := err.(*callError); ok { //nolint:errorlint // a callError is never wrapped
		e.comm = c
	}
	return err
}
