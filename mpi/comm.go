package mpi

// comm is a rank's side of a communicator. Its id is unique in the app: the rank of the world that chose it, and a
// number that this rank has never used before. A communicator has several contexts, so that its messages of
// different kinds never match each other.
type comm struct {
	handle     uint32
	id         uint64
	group      *group
	remote     *group // the other group of an intercommunicator
	me         int    // rank in group
	errhandler *errhandler
	name       string
	info       *info
	attrs      attributes
	topology   *topology
	collSeq    uint32 // collectives started here: their messages' tag
	freed      bool   // only requests that are not finished point here
}

// Kinds of contexts.
const (
	contextPoint      = 0 // what the program sends
	contextCollective = 1
	contextWindow     = 2 // one-sided operations
	contextPrivate    = 3 // the library's own: making communicators, data of windows
	contextKinds      = 4
)

// idBits is the room for the number in a communicator's id.
const idBits = 40

func (c *comm) context(kind uint64) uint64 { return c.id*contextKinds + kind }
func (c *comm) size() int                  { return len(c.group.ranks) }
func (c *comm) inter() bool                { return c.remote != nil }

// peers are the ranks that messages go to: the remote group of an intercommunicator.
func (c *comm) peers() *group {
	if c.remote != nil {
		return c.remote
	}
	return c.group
}

// localRank translates a rank of the world back, for a status.
func (c *comm) localRank(r Rank) int { return c.peers().find(r) }

// comm finds a communicator by handle.
func (p *Proc) comm(handle uint32) (*comm, error) {
	switch handle {
	case commWorld:
		return p.world, nil
	case commSelf:
		return p.self, nil
	case commNull:
		return nil, fail(errComm, "communicator is MPI_COMM_NULL")
	}
	if c := p.comms.get(handle); c != nil {
		return c, nil
	}
	return nil, fail(errComm, "communicator %#x is not known", handle)
}

// intra finds a communicator that is no intercommunicator.
func (p *Proc) intra(handle uint32) (*comm, error) {
	c, err := p.comm(handle)
	if err == nil && c.inter() {
		return nil, c.on(fail(errComm, "an intercommunicator cannot be used here"))
	}
	return c, err
}

// commCalls are the functions about communicators (MPI 5.0 chapter 7).
func commCalls() []entry {
	get := func(f func(p *Proc, c *comm) int) func(*Proc, args) (uint64, error) {
		return func(p *Proc, a args) (uint64, error) {
			c, err := p.comm(a.u32(0))
			if err != nil {
				return 0, err
			}
			return success, c.on(p.putInt(a.u32(1), f(p, c)))
		}
	}
	return []entry{
		{name: "MPI_Comm_rank", impl: get(func(_ *Proc, c *comm) int { return c.me })},
		{name: "MPI_Comm_size", impl: get(func(_ *Proc, c *comm) int { return c.size() })},
		{name: "MPI_Comm_test_inter", impl: get(func(_ *Proc, c *comm) int { return truth(c.inter()) })},
		{name: "MPI_Topo_test", impl: get(func(_ *Proc, c *comm) int { return c.topology.status() })},
		{name: "MPI_Comm_remote_size", impl: callRemoteSize},
		{name: "MPI_Comm_group", impl: callCommGroup},
		{name: "MPI_Comm_remote_group", impl: callRemoteGroup},
		{name: "MPI_Comm_compare", impl: callCommCompare},
		{name: "MPI_Comm_get_name", impl: callCommGetName},
		{name: "MPI_Comm_set_name", impl: callCommSetName},
		{name: "MPI_Comm_free", impl: callCommFree},
		{name: "MPI_Comm_disconnect", impl: callCommFree},
		{name: "MPI_Comm_get_parent", impl: func(p *Proc, a args) (uint64, error) { return success, p.putWord(a.u32(0), commNull) }},
		{name: "MPI_Comm_dup", impl: callCommDup},
		{name: "MPI_Comm_dup_with_info", impl: callCommDupWithInfo},
		{name: "MPI_Comm_idup", impl: callCommIdup},
		{name: "MPI_Comm_idup_with_info", impl: callCommIdupWithInfo},
		{name: "MPI_Comm_create", impl: callCommCreate},
		{name: "MPI_Comm_create_group", impl: callCommCreateGroup},
		{name: "MPI_Comm_split", impl: callCommSplit},
		{name: "MPI_Comm_split_type", impl: callCommSplitType},
		{name: "MPI_Intercomm_create", impl: callIntercommCreate},
		{name: "MPI_Intercomm_create_from_groups", impl: callIntercommFromGroups},
		{name: "MPI_Intercomm_merge", impl: callIntercommMerge},
	}
}

func (p *Proc) interComm(handle uint32) (*comm, error) {
	c, err := p.comm(handle)
	if err == nil && !c.inter() {
		return nil, c.on(fail(errComm, "it is no intercommunicator"))
	}
	return c, err
}

func callRemoteSize(p *Proc, a args) (uint64, error) {
	c, err := p.interComm(a.u32(0))
	if err != nil {
		return 0, err
	}
	return success, c.on(p.putInt(a.u32(1), len(c.remote.ranks)))
}

func callCommGroup(p *Proc, a args) (uint64, error) {
	c, err := p.comm(a.u32(0))
	if err != nil {
		return 0, err
	}
	v, err := p.giveGroup(c.group.ranks, a.u32(1))
	return v, c.on(err)
}

func callRemoteGroup(p *Proc, a args) (uint64, error) {
	c, err := p.interComm(a.u32(0))
	if err != nil {
		return 0, err
	}
	v, err := p.giveGroup(c.remote.ranks, a.u32(1))
	return v, c.on(err)
}

func callCommCompare(p *Proc, a args) (uint64, error) {
	c, err := p.comm(a.u32(0))
	if err != nil {
		return 0, err
	}
	d, err := p.comm(a.u32(1))
	if err != nil {
		return 0, err
	}
	result := compareGroups(c.group, d.group)
	if c.inter() != d.inter() {
		result = unequal
	} else if c.inter() {
		result = max(result, compareGroups(c.remote, d.remote))
	}
	if result == ident && c != d {
		result = congruent
	}
	return success, c.on(p.putInt(a.u32(2), result))
}

func callCommGetName(p *Proc, a args) (uint64, error) {
	c, err := p.comm(a.u32(0))
	if err != nil {
		return 0, err
	}
	return success, c.on(p.putString(a.u32(1), a.u32(2), c.name, maxObjectName))
}

func callCommSetName(p *Proc, a args) (uint64, error) {
	c, err := p.comm(a.u32(0))
	if err != nil {
		return 0, err
	}
	name, err := p.cString(a.u32(1), 1<<16)
	if err != nil {
		return 0, c.on(err)
	}
	c.name = name[:min(len(name), maxObjectName-1)]
	return success, nil
}

// callCommFree forgets a communicator. Requests that are not finished keep it (section 7.4.3).
func callCommFree(p *Proc, a args) (uint64, error) {
	h, err := p.word(a.u32(0))
	if err != nil {
		return 0, err
	}
	c, err := p.comm(h)
	if err != nil {
		return 0, err
	}
	if c == p.world || c == p.self {
		return 0, c.on(fail(errComm, "a predefined communicator cannot be freed"))
	}
	if err := p.deleteAttributes(h, &c.attrs); err != nil {
		return 0, c.on(err)
	}
	if p.comms.get(h) != c {
		return 0, fail(errComm, freedInside)
	}
	c.freed = true
	dropFrom(p, &p.comms, h)
	return success, p.putWord(a.u32(0), commNull)
}
