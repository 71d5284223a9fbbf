package coll

import (
	"github.com/godwit-run/godwit/mpi/abi"
	"github.com/godwit-run/godwit/mpi/layout"
)

// Schedule is a collective as rounds over point-to-point operations, while it is built. It depends only on the
// call's arguments, the rank and the communicator, never on where ranks are.
type Schedule struct {
	ranks   []abi.Rank // whom a transfer's peer counts in
	context uint64
	tag     int32
	Rounds  []Round
	Host    *layout.Buffer // the scratch memory, which is made when the schedule is whole
	Scratch uint64         // bytes of host
	Seed    []byte         // what Host holds at the start, from SeedAt on
	SeedAt  uint32

	Transfers []Transfer // of all rounds, one behind the other
	actions   []Action   // likewise
}

// Begin makes the schedule an empty one, in the memory that it has: between some ranks, with messages of a context and a tag of TagOf.
func (s *Schedule) Begin(ranks []abi.Rank, context uint64, tag int32, host *layout.Buffer) {
	*s = Schedule{
		ranks: ranks, context: context, tag: tag, Host: host,
		Rounds: s.Rounds[:0], Transfers: s.Transfers[:0], actions: s.actions[:0],
	}
}

// Round starts its transfers together, waits for them all, then does its local
// work in order.
type Round struct {
	Transfers []Transfer
	Work      []Action
}

// Transfer is one send or receive.
type Transfer struct {
	Recv    bool
	Peer    abi.Rank
	Context uint64
	Tag     int32
	Buf     layout.Span

	// Whole: the message fills its buffer. One of another length says that the sender has not got all of it itself; the collective has failed then, and nobody uses what came.
	Whole bool
}

// Failed is what a transfer that is Whole sends instead, where the collective has failed at the sender: less than its buffer, or, if that is empty, more.
func (t *Transfer) Failed(host *layout.Buffer) layout.Span {
	if t.Buf.Len > 0 {
		return layout.Span{}
	}
	return layout.Span{Host: host, Len: 1}
}

// Whole reports whether the round's transfers are.
func (r *Round) Whole() bool { return len(r.Transfers) > 0 && r.Transfers[0].Whole }

// Action is local work: dst = left, or dst = left op right.
type Action struct {
	Dst, Left, Right layout.Span
	Op               *layout.Op // nil: copy
	Type             *layout.Type
}

// Tags of collectives: a number that counts them, and a slot where one rank may send several messages to another
// that must not be mixed up.
const (
	slotBits = 10
	MaxSlots = 1 << slotBits
	seqMask  = abi.TagUB>>slotBits - 1 // wraps: a million collectives later no old one is alive
)

// TagOf is the tag of the number-th collective of a communicator, in slot 0.
func TagOf(number uint32) int32 { return int32(number&seqMask) << slotBits }

// Alloc returns n bytes of scratch.
func (s *Schedule) Alloc(n uint32) layout.Span {
	off := s.Scratch
	s.Scratch += (uint64(n) + 15) &^ 15 // elements stay aligned
	return layout.Span{Host: s.Host, Off: uint32(off), Len: n}
}

// Round adds a round of transfers.
func (s *Schedule) Round(t ...Transfer) {
	n := len(s.Transfers)
	s.Transfers = append(s.Transfers, t...)
	s.Rounds = append(s.Rounds, Round{Transfers: s.Transfers[n:len(s.Transfers):len(s.Transfers)]})
}

// add adds a transfer to the last round.
func (s *Schedule) add(t Transfer) {
	last := &s.Rounds[len(s.Rounds)-1]
	n := len(s.Transfers) - len(last.Transfers)
	s.Transfers = append(s.Transfers, t)
	last.Transfers = s.Transfers[n:len(s.Transfers):len(s.Transfers)]
}

// work adds local work to the last round.
func (s *Schedule) work(a ...Action) {
	if len(s.Rounds) == 0 {
		s.Round()
	}
	last := &s.Rounds[len(s.Rounds)-1]
	n := len(s.actions) - len(last.Work)
	s.actions = append(s.actions, a...)
	last.Work = s.actions[n:len(s.actions):len(s.actions)]
}

// Copy adds a copy, unless it would do nothing.
func (s *Schedule) Copy(dst, src layout.Span) {
	if dst != src && src.Len > 0 {
		s.work(Action{Dst: dst, Left: src})
	}
}

// SendTo is a send to the peer-th of the ranks.
func (s *Schedule) SendTo(peer int, buf layout.Span) Transfer { return s.Transfer(false, peer, 0, buf) }

// RecvFrom is a receive from the peer-th of the ranks.
func (s *Schedule) RecvFrom(peer int, buf layout.Span) Transfer {
	return s.Transfer(true, peer, 0, buf)
}

// whole is a transfer that fills its buffer.
func whole(t Transfer) Transfer {
	t.Whole = true
	return t
}

// Transfer is a send or receive whose slot tells it apart from others between the same two ranks.
func (s *Schedule) Transfer(recv bool, peer, slot int, buf layout.Span) Transfer {
	return Transfer{Recv: recv, Peer: s.ranks[peer], Context: s.context, Tag: s.tag + int32(slot), Buf: buf}
}

// Among makes the following transfers' peers count in other ranks.
func (s *Schedule) Among(ranks []abi.Rank, f func()) {
	old := s.ranks
	s.ranks = ranks
	f()
	s.ranks = old
}
