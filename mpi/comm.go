package mpi

import "github.com/godwit-run/godwit/mpi/abi"

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
	collSeq    uint32             // collectives started here: their messages' tag
	parts      map[partsOf]uint32 // partitioned operations that were initialized here, of each kind
	freed      bool               // only requests that are not finished point here

	meeting *meeting    // that the rank has joined, in its World; nil: none
	met     func() bool // its wait there is over
	apart   uint32      // the World's changes when not all ranks of the communicator were in it
}

// Kinds of contexts.
const (
	contextPoint      = 0 // what the program sends
	contextCollective = 1
	contextWindow     = 2 // one-sided operations
	contextPrivate    = 3 // the library's own: making communicators, data of windows
	contextKinds      = 4
)

// idBits is the room for the number in a communicator's id, and idNumberBits what numbers take of it: behind them are those of partitioned operations, in contexts.
const (
	idBits       = 40
	idNumberBits = 30
)

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
	case abi.CommWorld:
		return p.world, nil
	case abi.CommSelf:
		return p.self, nil
	case abi.CommNull:
		return nil, abi.Fail(abi.ErrComm, "communicator is MPI_COMM_NULL")
	}
	if c := p.comms.get(handle); c != nil {
		return c, nil
	}
	return nil, abi.Fail(abi.ErrComm, "communicator %#x is not known", handle)
}

// intra finds a communicator that is no intercommunicator.
func (p *Proc) intra(handle uint32) (*comm, error) {
	c, err := p.comm(handle)
	if err == nil && c.inter() {
		return nil, c.on(abi.Fail(abi.ErrComm, "an intercommunicator cannot be used here"))
	}
	return c, err
}

// commCalls are the functions about communicators (MPI 5.0 chapter 7).
func commCalls() []entry {
	return []entry{
		{name: "MPI_Comm_rank", impl: commValue(func(c *comm) int { return c.me }).as("value", "rank")},
		{name: "MPI_Comm_size", impl: commValue(func(c *comm) int { return c.size() }).as("value", "size")},
		{name: "MPI_Comm_test_inter", impl: commValue(func(c *comm) int { return truth(c.inter()) }).as("value", "flag")},
		{name: "MPI_Topo_test", impl: commValue(func(c *comm) int { return c.topology.status() }).as("value", "status")},
		{name: "MPI_Comm_remote_size", impl: bind(callRemoteSize)},
		{name: "MPI_Comm_group", impl: bind(callCommGroup)},
		{name: "MPI_Comm_remote_group", impl: bind(callRemoteGroup)},
		{name: "MPI_Comm_compare", impl: bind(callCommCompare)},
		{name: "MPI_Comm_get_name", impl: bind(callCommGetName)},
		{name: "MPI_Comm_set_name", impl: bind(callCommSetName)},
		{name: "MPI_Comm_free", impl: bind(callCommFree)},
		{name: "MPI_Comm_disconnect", impl: bind(callCommFree)},
		{name: "MPI_Comm_get_parent", impl: bind(func(p *Proc, a getParentArgs) error { return p.putWord(a.parent, abi.CommNull) })},
		{name: "MPI_Comm_dup", impl: bind(callCommDup)},
		{name: "MPI_Comm_dup_with_info", impl: bind(callCommDupWithInfo)},
		{name: "MPI_Comm_idup", impl: bind(callCommIdup)},
		{name: "MPI_Comm_idup_with_info", impl: bind(callCommIdupWithInfo)},
		{name: "MPI_Comm_create", impl: bind(callCommCreate)},
		{name: "MPI_Comm_create_group", impl: bind(callCommCreateGroup)},
		{name: "MPI_Comm_split", impl: bind(callCommSplit)},
		{name: "MPI_Comm_split_type", impl: bind(callCommSplitType)},
		{name: "MPI_Intercomm_create", impl: bind(callIntercommCreate)},
		{name: "MPI_Intercomm_create_from_groups", impl: bind(callIntercommFromGroups)},
		{name: "MPI_Intercomm_merge", impl: bind(callIntercommMerge)},
	}
}

type commValueArgs struct {
	comm  handle
	value address
}

// commValue makes the call that stores an int that a communicator has.
func commValue(f func(c *comm) int) body {
	return bind(func(p *Proc, a commValueArgs) error {
		c, err := p.comm(a.comm)
		if err != nil {
			return err
		}
		return c.on(p.putInt(a.value, f(c)))
	})
}

type getParentArgs struct{ parent address }

func (p *Proc) interComm(handle uint32) (*comm, error) {
	c, err := p.comm(handle)
	if err == nil && !c.inter() {
		return nil, c.on(abi.Fail(abi.ErrComm, "it is no intercommunicator"))
	}
	return c, err
}

type remoteSizeArgs struct {
	comm handle
	size address
}

func callRemoteSize(p *Proc, a remoteSizeArgs) error {
	c, err := p.interComm(a.comm)
	if err != nil {
		return err
	}
	return c.on(p.putInt(a.size, len(c.remote.ranks)))
}

type commGroupArgs struct {
	comm  handle
	group address
}

func callCommGroup(p *Proc, a commGroupArgs) error {
	c, err := p.comm(a.comm)
	if err != nil {
		return err
	}
	return c.on(p.giveGroup(c.group.ranks, a.group))
}

func callRemoteGroup(p *Proc, a commGroupArgs) error {
	c, err := p.interComm(a.comm)
	if err != nil {
		return err
	}
	return c.on(p.giveGroup(c.remote.ranks, a.group))
}

type commCompareArgs struct {
	comm1, comm2 handle
	result       address
}

func callCommCompare(p *Proc, a commCompareArgs) error {
	c, err := p.comm(a.comm1)
	if err != nil {
		return err
	}
	d, err := p.comm(a.comm2)
	if err != nil {
		return err
	}
	result := compareGroups(c.group, d.group)
	if c.inter() != d.inter() {
		result = abi.Unequal
	} else if c.inter() {
		result = max(result, compareGroups(c.remote, d.remote))
	}
	if result == abi.Ident && c != d {
		result = abi.Congruent
	}
	return c.on(p.putInt(a.result, result))
}

type commGetNameArgs struct {
	comm                handle
	commName, resultlen address
}

// callCommGetName knows the name of no communicator, too (MPI 5.0 section 7.8).
func callCommGetName(p *Proc, a commGetNameArgs) error {
	if a.comm == abi.CommNull {
		return p.putString(a.commName, a.resultlen, "MPI_COMM_NULL", abi.MaxObjectName)
	}
	c, err := p.comm(a.comm)
	if err != nil {
		return err
	}
	return c.on(p.putString(a.commName, a.resultlen, c.name, abi.MaxObjectName))
}

type commSetNameArgs struct {
	comm     handle
	commName address
}

func callCommSetName(p *Proc, a commSetNameArgs) error {
	c, err := p.comm(a.comm)
	if err != nil {
		return err
	}
	name, err := p.cString(a.commName, 1<<16)
	if err != nil {
		return c.on(err)
	}
	c.name = name[:min(len(name), abi.MaxObjectName-1)]
	return nil
}

type commFreeArgs struct{ comm address }

// callCommFree forgets a communicator. Requests that are not finished keep it (section 7.4.3).
func callCommFree(p *Proc, a commFreeArgs) error {
	h, err := p.word(a.comm)
	if err != nil {
		return err
	}
	c, err := p.comm(h)
	if err != nil {
		return err
	}
	if c == p.world || c == p.self {
		return c.on(abi.Fail(abi.ErrComm, "a predefined communicator cannot be freed"))
	}
	if err := p.deleteAttributes(h, &c.attrs); err != nil {
		return c.on(err)
	}
	if p.comms.get(h) != c {
		return abi.Fail(abi.ErrComm, freedInside)
	}
	c.freed = true
	p.part(c)
	dropFrom(p, &p.comms, h)
	return p.putWord(a.comm, abi.CommNull)
}
