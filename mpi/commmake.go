package mpi

import (
	"cmp"
	"hash/fnv"
	"slices"

	"github.com/godwit-run/godwit/mpi/abi"
	"github.com/godwit-run/godwit/mpi/coll"
	"github.com/godwit-run/godwit/mpi/layout"
)

// Communicators are made by collectives in the library's own memory. Every rank offers an id that it has never used, and
// the first rank of each new group decides with its own: no rank can meet an id twice.

// newID takes an id that nobody else makes.
func (p *Proc) newID() uint64 {
	p.nextID++
	return uint64(p.rank)<<idBits | p.nextID
}

// newComm makes a communicator of which this rank is a member.
func (p *Proc) newComm(from *comm, id uint64, local, remote *group) (*comm, error) {
	c := &comm{id: id, group: local, remote: remote, me: local.find(p.rank), errhandler: from.errhandler}
	var err error
	c.handle, err = addTo(p, &p.comms, c)
	return c, from.on(err)
}

// giveComm stores the handle of a new communicator, or MPI_COMM_NULL.
func (p *Proc) giveComm(c *comm, out uint32) error {
	if c == nil {
		return p.putWord(out, abi.CommNull)
	}
	return p.putWord(out, c.handle)
}

// gatherBoth gathers as many bytes as mine has of every rank: of the local group, then of the other one. They are
// the first in the host buffer.
func (s *sketch) gatherBoth(mine []byte) {
	c, n := s.comm, uint32(len(mine))
	all := s.Alloc(n * uint32(c.size()))
	remote := layout.Span{Host: s.Host, Off: all.Off + all.Len}
	if c.inter() {
		s.Scratch = uint64(all.Len)
		remote = layout.Span{Host: s.Host, Off: all.Len, Len: n * uint32(len(c.remote.ranks))}
		s.Scratch += uint64(remote.Len)
	}
	s.Seed, s.SeedAt = mine, uint32(c.me)*n
	to := make(coll.Parts, c.size())
	for i := range to {
		to[i] = all.Part(uint32(i)*n, n)
	}
	if !c.inter() {
		s.Allgather(c.me, c.size(), to, true)
		return
	}
	s.Among(c.group.ranks, func() { s.Gather(c.me, c.size(), 0, to[c.me], to, true) })
	if c.me == 0 {
		s.Round(s.RecvFrom(0, remote), s.SendTo(0, all))
	}
	all.Len += remote.Len
	s.Among(c.group.ranks, func() { s.Bcast(c.me, c.size(), 0, all) })
}

// contribute gathers some bytes of every rank of c: of the local group, then of the other one. mine is asked once, and
// always returns n bytes.
func (p *Proc) contribute(c *comm, n int, mine func() ([]byte, error)) ([]byte, error) {
	reqs, err := p.once(func() ([]uint32, error) {
		b, err := mine()
		if err != nil {
			return nil, err
		}
		return p.begin(c, func(s *sketch) error { s.gatherBoth(b); return nil }, true)
	})
	if err != nil {
		return nil, c.on(err)
	}
	if err := p.finish(reqs); err != nil {
		return nil, err
	}
	total := n * c.size()
	if c.inter() {
		total += n * len(c.remote.ranks)
	}
	r := p.request(reqs[0])
	if r == nil || r.coll == nil || len(r.coll.host.Bytes) < total {
		return nil, c.on(abi.Fail(abi.ErrIntern, "the captured state does not fit the call"))
	}
	all := slices.Clone(r.coll.host.Bytes[:total])
	return all, c.on(p.concludeCollective(reqs[0]))
}

// chooser is the index, among all that contribute, of the rank that decides: the first of the local group, or of the other
// one if that is lower in the world.
func (c *comm) chooser() int {
	if c.inter() && c.remote.ranks[0] < c.group.ranks[0] {
		return c.size()
	}
	return 0
}

func (p *Proc) offer() ([]byte, error) {
	return order.AppendUint64(nil, p.newID()), nil
}

type commDupArgs struct {
	comm    handle
	newcomm address
}

func callCommDup(p *Proc, a commDupArgs) error { return p.dup(a.comm, abi.InfoNull, false, a.newcomm) }

type commDupWithInfoArgs struct {
	comm, info handle
	newcomm    address
}

func callCommDupWithInfo(p *Proc, a commDupWithInfoArgs) error {
	return p.dup(a.comm, a.info, true, a.newcomm)
}

func (p *Proc) dup(handle, hints uint32, given bool, out uint32) error {
	c, err := p.comm(handle)
	if err != nil {
		return err
	}
	x, err := p.hints(hints)
	if err == nil {
		_, err = p.handles(out, 1)
	}
	if err != nil {
		return c.on(err)
	}
	all, err := p.contribute(c, 8, func() ([]byte, error) {
		if err := p.roomForComm(c.ranks(), c.topology); err != nil {
			return nil, err
		}
		return p.offer()
	})
	if err != nil {
		return err
	}
	d, err := p.duplicate(c, order.Uint64(all[8*c.chooser():]), pick(given, x, c.info))
	if err != nil {
		if bad := p.putWord(out, abi.CommNull); bad != nil {
			return bad
		}
		return c.on(err)
	}
	return p.giveComm(d, out)
}

// roomForComm fails if there is none for a communicator of so many ranks. It is asked before the others hear of anything: then the call can be made again.
func (p *Proc) roomForComm(ranks int, t *topology) error {
	if err := p.comms.room(p.w.cfg.MaxObjects); err != nil {
		return err
	}
	return p.room(commCost + 2*groupCost + rankCost*int64(ranks) + t.cost())
}

// ranks is how many there are, of both groups.
func (c *comm) ranks() int {
	if c.inter() {
		return c.size() + len(c.remote.ranks)
	}
	return c.size()
}

// duplicate makes a communicator like c, with the attributes that want to be copied.
func (p *Proc) duplicate(c *comm, id uint64, hints *info) (*comm, error) {
	d, err := p.like(c, id, hints)
	if err != nil {
		return nil, err
	}
	return d, p.inherit(d, c)
}

// like makes a communicator like c, without attributes.
func (p *Proc) like(c *comm, id uint64, hints *info) (*comm, error) {
	d, err := p.newComm(c, id, c.group, c.remote)
	if err != nil {
		return nil, err
	}
	if err := p.shape(d, c.topology); err != nil {
		return nil, err
	}
	d.info = hints.heeded()
	return d, nil
}

// inherit gives d the attributes of c that want to be copied. It drops d if one cannot be.
func (p *Proc) inherit(d, c *comm) error {
	err := p.copyAttributes(c.handle, &c.attrs, &d.attrs)
	if err != nil {
		dropFrom(p, &p.comms, d.handle)
	}
	return err
}

type commIdupArgs struct {
	comm             handle
	newcomm, request address
}

func callCommIdup(p *Proc, a commIdupArgs) error {
	return p.idup(a.comm, abi.InfoNull, false, a.newcomm, a.request)
}

type commIdupWithInfoArgs struct {
	comm, info       handle
	newcomm, request address
}

func callCommIdupWithInfo(p *Proc, a commIdupWithInfoArgs) error {
	return p.idup(a.comm, a.info, true, a.newcomm, a.request)
}

// idup makes the communicator at once; it may be used when its id has come (MPI 5.0 section 7.4.2).
func (p *Proc) idup(handle, hints uint32, given bool, out, request uint32) error {
	c, err := p.comm(handle)
	if err != nil {
		return err
	}
	x, err := p.hints(hints)
	for _, ptr := range []uint32{out, request} {
		if _, bad := p.handles(ptr, 1); err == nil {
			err = bad
		}
	}
	if err != nil {
		return c.on(err)
	}
	s := newSketch(c)
	b, _ := p.offer()
	s.gatherBoth(b)
	r, err := p.scheduled(s, false)
	if err != nil {
		return err
	}
	d, err := p.like(c, 0, pick(given, x, c.info))
	if err != nil {
		p.freeRequest(r)
		c.collSeq--
		return c.on(err)
	}
	if err := p.inherit(d, c); err != nil {
		p.takePart(r) // as MPI_Comm_dup has: the others do not hear of it
		return c.on(err)
	}
	r.coll.made, r.coll.madeAt = d, uint32(8*c.chooser())
	if err := p.launch(r); err != nil {
		return err
	}
	if err := p.giveComm(d, out); err != nil {
		return err
	}
	return p.putWord(request, baseRequest+r.index)
}

// member is what a rank says about its place in a new communicator.
type member struct {
	rank  Rank // of the world
	order int  // among those that contribute
	color int64
	key   int32
	id    uint64
}

const memberBytes = 24

func (m member) encode() []byte {
	b := order.AppendUint64(nil, uint64(m.color))
	b = order.AppendUint64(b, m.id)
	b = order.AppendUint32(b, uint32(m.key))
	return order.AppendUint32(b, 0)
}

// members decodes the contributions of one group.
func members(b []byte, ranks []Rank) []member {
	out := make([]member, len(ranks))
	for i, r := range ranks {
		e := b[memberBytes*i:]
		out[i] = member{rank: r, order: i, color: int64(order.Uint64(e)), id: order.Uint64(e[8:]), key: int32(order.Uint32(e[16:]))}
	}
	return out
}

// noColor is a rank's that takes no part: MPI_UNDEFINED, or one outside of the group.
const noColor = int64(abi.Undefined)

// regroup makes the communicators of those ranks that contribute equal colors, ordered by key, then by rank. The result is
// nil for a rank without color, or where one side of an intercommunicator is empty. t is the topology that it is to have, or nil.
func (p *Proc) regroup(c *comm, t *topology, mine func() (color int64, key int32, err error)) (*comm, error) {
	all, err := p.contribute(c, memberBytes, func() ([]byte, error) {
		color, key, err := mine()
		if err == nil && color != noColor {
			err = p.roomForComm(c.ranks(), t)
		}
		return member{color: color, key: key, id: p.newID()}.encode(), err
	})
	if err != nil {
		return nil, err
	}
	color := members(all, c.group.ranks)[c.me].color // as it was said: the rank may be on another host by now
	if color == noColor {
		return nil, nil
	}
	pickOut := func(all []member) (g *group, id uint64) {
		all = slices.DeleteFunc(all, func(m member) bool { return m.color != color })
		slices.SortStableFunc(all, func(a, b member) int { return cmp.Or(cmp.Compare(a.key, b.key), a.order-b.order) })
		g = &group{}
		for _, m := range all {
			g.ranks = append(g.ranks, m.rank)
		}
		if len(all) > 0 {
			id = all[0].id
		}
		return g, id
	}
	local, id := pickOut(members(all, c.group.ranks))
	if !c.inter() {
		return p.newComm(c, id, local, nil)
	}
	remote, other := pickOut(members(all[memberBytes*c.size():], c.remote.ranks))
	if len(remote.ranks) == 0 {
		return nil, nil
	}
	if remote.ranks[0] < local.ranks[0] {
		id = other
	}
	return p.newComm(c, id, local, remote)
}

type commSplitArgs struct {
	comm       handle
	color, key int
	newcomm    address
}

func callCommSplit(p *Proc, a commSplitArgs) error {
	color := int64(a.color)
	return p.split(a.comm, color, func(*comm) error {
		if color < 0 && color != noColor {
			return abi.Fail(abi.ErrArg, "color is %d", color)
		}
		return nil
	}, a.key, a.newcomm)
}

// split checks, regroups and stores the result.
func (p *Proc) split(from handle, color int64, check func(*comm) error, key int, out address) error {
	c, err := p.comm(from)
	if err != nil {
		return err
	}
	if _, err := p.handles(out, 1); err != nil {
		return c.on(err)
	}
	d, err := p.regroup(c, nil, func() (int64, int32, error) { return color, int32(key), check(c) })
	if err != nil {
		return c.on(err)
	}
	return p.giveComm(d, out)
}

type commSplitTypeArgs struct {
	comm           handle
	splitType, key int
	info           handle
	newcomm        address
}

// callCommSplitType: MPI_COMM_TYPE_SHARED joins the ranks that are on one host at this moment. Of hardware inside a host
// nothing is known: those kinds give MPI_COMM_NULL (MPI 5.0 section 7.4.2).
func callCommSplitType(p *Proc, a commSplitTypeArgs) error {
	h := fnv.New64a()
	h.Write([]byte(p.w.cfg.Host))
	color := int64(h.Sum64() >> 1)
	switch a.splitType {
	case abi.SplitShared:
	case abi.SplitHWGuided, abi.SplitResource:
		color = noColor
		if x, err := p.hints(a.info); err == nil {
			if i := x.find("mpi_hw_resource_type"); i >= 0 && x.pairs[i][1] == "mpi_shared_memory" {
				color = int64(h.Sum64() >> 1)
			}
		}
	default:
		color = noColor
	}
	return p.split(a.comm, color, func(*comm) error {
		if t := a.splitType; t != abi.Undefined && (t < abi.SplitShared || t > abi.SplitResource) {
			return abi.Fail(abi.ErrArg, "split_type %d is not known", t)
		}
		_, err := p.hints(a.info)
		return err
	}, a.key, a.newcomm)
}

type commCreateArgs struct {
	comm, group handle
	newcomm     address
}

// callCommCreate makes a communicator of a group that its members agree on; several groups may do it at once.
func callCommCreate(p *Proc, a commCreateArgs) error {
	c, err := p.comm(a.comm)
	if err != nil {
		return err
	}
	g, err := p.group(a.group)
	if err == nil {
		_, err = p.handles(a.newcomm, 1)
	}
	if err != nil {
		return c.on(err)
	}
	color, place := noColor, g.find(p.rank)
	if place != abi.Undefined {
		color = 0
		if !c.inter() {
			color = int64(g.ranks[0]) // groups are disjoint
		}
	}
	d, err := p.regroup(c, nil, func() (int64, int32, error) {
		if len(without(g.ranks, c.group)) > 0 {
			return 0, 0, abi.Fail(abi.ErrGroup, "the group has ranks that are not in the communicator")
		}
		return color, int32(place), nil
	})
	if err != nil {
		return c.on(err)
	}
	return p.giveComm(d, a.newcomm)
}

type commCreateGroupArgs struct {
	comm, group handle
	tag         int
	newcomm     address
}

// callCommCreateGroup is collective over the group alone (MPI 5.0 section 7.4.2): its first rank tells the others.
func callCommCreateGroup(p *Proc, a commCreateGroupArgs) error {
	c, err := p.intra(a.comm)
	if err != nil {
		return err
	}
	g, err := p.group(a.group)
	if err == nil {
		_, err = p.handles(a.newcomm, 1)
	}
	if err == nil && (a.tag < 0 || a.tag > abi.TagUB) {
		err = abi.Fail(abi.ErrTag, "tag %d is not in 0..%d", a.tag, abi.TagUB)
	}
	if err == nil && len(without(g.ranks, c.group)) > 0 {
		err = abi.Fail(abi.ErrGroup, "the group has ranks that are not in the communicator")
	}
	if err != nil {
		return c.on(err)
	}
	if !g.has(p.rank) {
		return p.giveComm(nil, a.newcomm)
	}
	id, err := p.agree(c, g, a.tag)
	if err != nil {
		return c.on(err)
	}
	d, err := p.newComm(c, id, &group{ranks: g.ranks}, nil)
	if err != nil {
		return err
	}
	return p.giveComm(d, a.newcomm)
}

// agree gives all ranks of a group the id that its first rank takes.
func (p *Proc) agree(c *comm, g *group, tag int) (uint64, error) {
	reqs, err := p.once(func() ([]uint32, error) {
		if err := p.roomForComm(len(g.ranks), nil); err != nil {
			return nil, err
		}
		s := &sketch{comm: c}
		s.Begin(g.ranks, c.context(contextPrivate), int32(tag), &s.own)
		s.Seed = order.AppendUint64(nil, p.newID())
		s.Bcast(g.find(p.rank), len(g.ranks), 0, s.Alloc(8))
		r, err := p.scheduled(s, true)
		if err != nil {
			return nil, err
		}
		return []uint32{r.index}, p.launch(r)
	})
	if err != nil {
		return 0, err
	}
	if err := p.finish(reqs); err != nil {
		return 0, err
	}
	r := p.request(reqs[0])
	if r == nil || r.coll == nil || len(r.coll.host.Bytes) < 8 {
		return 0, abi.Fail(abi.ErrIntern, "the captured state does not fit the call")
	}
	id := order.Uint64(r.coll.host.Bytes)
	return id, p.concludeCollective(reqs[0])
}
