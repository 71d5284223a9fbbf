package mpi

import (
	"github.com/godwit-run/godwit/mpi/abi"
	"github.com/godwit-run/godwit/mpi/coll"
)

type intercommCreateArgs struct {
	localComm         handle
	localLeader       int
	peerComm          handle
	remoteLeader, tag int
	newintercomm      address
}

// callIntercommCreate joins two groups (MPI 5.0 section 7.6.2): the leaders tell each other over the peer communicator
// who is in their group, and tell their groups.
func callIntercommCreate(p *Proc, a intercommCreateArgs) error {
	c, err := p.intra(a.localComm)
	if err != nil {
		return err
	}
	leader, tag := a.localLeader, a.tag
	if leader < 0 || leader >= c.size() {
		return c.on(abi.Fail(abi.ErrRank, "local_leader %d is not in 0..%d", leader, c.size()-1))
	}
	if _, err := p.handles(a.newintercomm, 1); err != nil {
		return c.on(err)
	}
	var peer *comm
	var remote Rank
	if c.me == leader {
		if peer, err = p.comm(a.peerComm); err != nil {
			return err
		}
		r := a.remoteLeader
		if r < 0 || r >= len(peer.peers().ranks) {
			return c.on(abi.Fail(abi.ErrRank, "remote_leader %d is not in 0..%d", r, len(peer.peers().ranks)-1))
		}
		if remote = peer.peers().ranks[r]; c.group.has(remote) {
			return c.on(abi.Fail(abi.ErrRank, "remote_leader %d is in the local group", r))
		}
		if tag < 0 || tag > abi.TagUB {
			return c.on(abi.Fail(abi.ErrTag, "tag %d is not in 0..%d", tag, abi.TagUB))
		}
	}
	return c.on(p.join(c, leader, peer, remote, tag, a.newintercomm))
}

// join makes an intercommunicator of c's group and another: the leader asks the other one over peer.
func (p *Proc) join(c *comm, leader int, peer *comm, remote Rank, tag int, out uint32) error {
	reqs, err := p.once(func() ([]uint32, error) {
		if err := p.roomForComm(p.w.cfg.Size, nil); err != nil { // both groups may be all ranks
			return nil, err
		}
		s := newSketch(c)
		half := uint32(16 + 4*p.w.cfg.Size) // id, number of ranks, ranks
		both := s.Alloc(2 * half)
		if c.me == leader {
			s.Seed = order.AppendUint64(nil, p.newID())
			s.Seed = order.AppendUint64(s.Seed, uint64(c.size()))
			for _, r := range c.group.ranks {
				s.Seed = order.AppendUint32(s.Seed, uint32(r))
			}
			context := peer.context(contextPrivate)
			s.Round(coll.Transfer{Recv: true, Peer: remote, Context: context, Tag: int32(tag), Buf: both.Part(half, half)},
				coll.Transfer{Peer: remote, Context: context, Tag: int32(tag), Buf: both.Part(0, uint32(len(s.Seed)))})
		}
		s.Bcast(c.me, c.size(), leader, both)
		r, err := p.scheduled(s, true)
		if err != nil {
			return nil, err
		}
		return []uint32{r.index}, p.launch(r)
	})
	if err != nil {
		return err
	}
	if err := p.finish(reqs); err != nil {
		return err
	}
	d, err := p.joined(c, reqs[0])
	if err != nil {
		return err
	}
	return p.giveComm(d, out)
}

type intercommFromGroupsArgs struct {
	localGroup   handle
	localLeader  int
	remoteGroup  handle
	remoteLeader int
	stringtag    address
	_            handle `mpi:"info"`
	errhandler   handle
	newintercomm address
}

// callIntercommFromGroups is MPI_Intercomm_create without communicators (MPI 5.0 section 7.6.2): the local group makes one
// first, and the leaders talk over the world's private context. The tag string becomes a tag.
func callIntercommFromGroups(p *Proc, a intercommFromGroupsArgs) error {
	h, err := p.errhandler(a.errhandler)
	if err != nil {
		return err
	}
	return (&callError{handler: h}).raise(p.intercommFromGroups(a, h))
}

// intercommFromGroups makes it; its error handler takes the errors of that, too.
func (p *Proc) intercommFromGroups(a intercommFromGroupsArgs, h *errhandler) error {
	local, err := p.group(a.localGroup)
	if err != nil {
		return err
	}
	remote, err := p.group(a.remoteGroup)
	if err != nil {
		return err
	}
	text, err := p.cString(a.stringtag, 1024)
	if err != nil {
		return err
	}
	_, err = p.handles(a.newintercomm, 1)
	leader, other := a.localLeader, a.remoteLeader
	if err == nil && (leader < 0 || leader >= len(local.ranks) || other < 0 || other >= len(remote.ranks)) {
		err = abi.Fail(abi.ErrRank, "the leaders are ranks %d of %d and %d of %d", leader, len(local.ranks), other, len(remote.ranks))
	}
	if err == nil && !local.has(p.rank) {
		err = abi.Fail(abi.ErrGroup, "the rank is not in the local group")
	}
	if err != nil {
		return err
	}
	tag := int(checksum(text) % (abi.TagUB / 2))
	id, err := p.phase(1, func() ([]byte, error) {
		id, err := p.agree(p.world, local, tag+abi.TagUB/2)
		return order.AppendUint64(nil, id), err
	})
	if err != nil {
		return err
	}
	c := &comm{id: order.Uint64(id), group: &group{ranks: local.ranks}, me: local.find(p.rank), errhandler: h}
	return p.join(c, leader, p.world, remote.ranks[other], tag, a.newintercomm)
}

// joined reads what the leaders have found out.
func (p *Proc) joined(c *comm, req uint32) (*comm, error) {
	bad := abi.Fail(abi.ErrIntern, "the captured state does not fit the call")
	r := p.request(req)
	half := 16 + 4*p.w.cfg.Size
	if r == nil || r.coll == nil || len(r.coll.host.Bytes) < 2*half {
		return nil, bad
	}
	b := r.coll.host.Bytes
	id := min(order.Uint64(b), order.Uint64(b[half:]))
	n := order.Uint64(b[half+8:])
	if n < 1 || n > uint64(p.w.cfg.Size) {
		return nil, bad
	}
	remote := &group{ranks: make([]Rank, n)}
	for i := range remote.ranks {
		v := order.Uint32(b[half+16+4*i:])
		if v >= uint32(p.w.cfg.Size) {
			return nil, bad
		}
		remote.ranks[i] = Rank(v)
	}
	if err := p.concludeCollective(req); err != nil {
		return nil, err
	}
	if len(without(remote.ranks, c.group)) < len(remote.ranks) {
		return nil, abi.Fail(abi.ErrComm, "the groups of an intercommunicator overlap")
	}
	return p.newComm(c, id, c.group, remote)
}

type intercommMergeArgs struct {
	intercomm    handle
	high         int
	newintracomm address
}

// callIntercommMerge makes one group of two: the low one first, or where both say the same, the one whose first rank is
// lower in the world (MPI 5.0 section 7.6.2).
func callIntercommMerge(p *Proc, a intercommMergeArgs) error {
	c, err := p.interComm(a.intercomm)
	if err != nil {
		return err
	}
	if _, err := p.handles(a.newintracomm, 1); err != nil {
		return c.on(err)
	}
	all, err := p.contribute(c, memberBytes, func() ([]byte, error) {
		if err := p.roomForComm(c.ranks(), nil); err != nil {
			return nil, err
		}
		return member{color: int64(truth(a.high != 0)), id: p.newID()}.encode(), nil
	})
	if err != nil {
		return err
	}
	local, remote := members(all, c.group.ranks), members(all[memberBytes*c.size():], c.remote.ranks)
	first := local[0].color < remote[0].color
	if local[0].color == remote[0].color {
		first = local[0].rank < remote[0].rank
	}
	if !first {
		local, remote = remote, local
	}
	g := &group{}
	for _, m := range append(local, remote...) {
		g.ranks = append(g.ranks, m.rank)
	}
	d, err := p.newComm(c, local[0].id, g, nil)
	if err != nil {
		return err
	}
	return p.giveComm(d, a.newintracomm)
}
