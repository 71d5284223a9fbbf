package mpi

// schedule is a collective as rounds over point-to-point operations, while it is built. It depends only on the
// call's arguments, the rank and the communicator, never on where ranks are.
type schedule struct {
	ranks   []Rank // whom a transfer's peer counts in
	context uint64
	tag     int32
	rounds  []round
	host    *hostBuffer // the scratch memory, which is made when the schedule is whole
	scratch uint64      // bytes of host
	seed    []byte      // what host holds at the start, from seedAt on
	seedAt  uint32

	transfers []transfer // of all rounds, one behind the other
	actions   []action   // likewise
}

// begin makes the schedule an empty one, in the memory that it has: between some ranks, with messages of a context and a tag of tagOf.
func (s *schedule) begin(ranks []Rank, context uint64, tag int32, host *hostBuffer) {
	*s = schedule{
		ranks: ranks, context: context, tag: tag, host: host,
		rounds: s.rounds[:0], transfers: s.transfers[:0], actions: s.actions[:0],
	}
}

// round starts its transfers together, waits for them all, then does its local
// work in order.
type round struct {
	transfers []transfer
	work      []action
}

// transfer is one send or receive.
type transfer struct {
	recv    bool
	peer    Rank
	context uint64
	tag     int32
	buf     span
}

// action is local work: dst = left, or dst = left op right.
type action struct {
	dst, left, right span
	op               *operation // nil: copy
	typ              *datatype
}

// Tags of collectives: a number that counts them, and a slot where one rank may send several messages to another
// that must not be mixed up.
const (
	slotBits = 10
	maxSlots = 1 << slotBits
	seqMask  = tagUB>>slotBits - 1 // wraps: a million collectives later no old one is alive
)

// tagOf is the tag of the number-th collective of a communicator, in slot 0.
func tagOf(number uint32) int32 { return int32(number&seqMask) << slotBits }

// alloc returns n bytes of scratch.
func (s *schedule) alloc(n uint32) span {
	off := s.scratch
	s.scratch += (uint64(n) + 15) &^ 15 // elements stay aligned
	return span{host: s.host, off: uint32(off), len: n}
}

// round adds a round of transfers.
func (s *schedule) round(t ...transfer) {
	n := len(s.transfers)
	s.transfers = append(s.transfers, t...)
	s.rounds = append(s.rounds, round{transfers: s.transfers[n:len(s.transfers):len(s.transfers)]})
}

// add adds a transfer to the last round.
func (s *schedule) add(t transfer) {
	last := &s.rounds[len(s.rounds)-1]
	n := len(s.transfers) - len(last.transfers)
	s.transfers = append(s.transfers, t)
	last.transfers = s.transfers[n:len(s.transfers):len(s.transfers)]
}

// work adds local work to the last round.
func (s *schedule) work(a ...action) {
	if len(s.rounds) == 0 {
		s.round()
	}
	last := &s.rounds[len(s.rounds)-1]
	n := len(s.actions) - len(last.work)
	s.actions = append(s.actions, a...)
	last.work = s.actions[n:len(s.actions):len(s.actions)]
}

// copy adds a copy, unless it would do nothing.
func (s *schedule) copy(dst, src span) {
	if dst != src && src.len > 0 {
		s.work(action{dst: dst, left: src})
	}
}

// sendTo is a send to the peer-th of the ranks.
func (s *schedule) sendTo(peer int, buf span) transfer { return s.transfer(false, peer, 0, buf) }

// recvFrom is a receive from the peer-th of the ranks.
func (s *schedule) recvFrom(peer int, buf span) transfer {
	return s.transfer(true, peer, 0, buf)
}

// transfer is a send or receive whose slot tells it apart from others between the same two ranks.
func (s *schedule) transfer(recv bool, peer, slot int, buf span) transfer {
	return transfer{recv, s.ranks[peer], s.context, s.tag + int32(slot), buf}
}

// among makes the following transfers' peers count in other ranks.
func (s *schedule) among(ranks []Rank, f func()) {
	old := s.ranks
	s.ranks = ranks
	f()
	s.ranks = old
}
