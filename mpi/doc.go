// Package mpi is the MPI library: matching, requests, collectives, datatypes
// and reliable channels between ranks, over an abstract Network.
//
// It knows a guest only as a linear Memory and a stream of calls (Proc.Invoke),
// so worlds of plain goroutines can run it. See DESIGN.md in this directory for
// how channels, freezing and collectives work together.
package mpi

import (
	"github.com/godwit-run/godwit/mpi/abi"
	"github.com/godwit-run/godwit/mpi/channel"
)

// Rank is a rank of the app's MPI_COMM_WORLD, 0..Size-1.
type Rank = abi.Rank

// HeaderBytes is how long a frame's header is, which is the same for all.
const HeaderBytes = channel.HeaderBytes

// Memory is a rank's linear memory.
//
// Bytes returns the whole memory as it is now. The base never moves and the
// length only grows. Bytes is called from any goroutine that makes progress for
// the rank, concurrently with the guest, so it must be safe for that.
type Memory interface {
	Bytes() []byte
}

// Network carries frames to ranks that are not local to this World.
//
// Send must not block and must not call back into the World (it is called under
// a rank's lock). Frames to one destination leave in order, but may be lost;
// whoever loses frames calls World.Reconnect on both sides once frames flow
// again. A frame is head and then payload, which are the caller's again when Send returns. Urgent frames may overtake others, and are
// short.
//
// Room reports whether there is room for frames to dst that are not urgent. Where it says no, the network calls World.Room, without any
// lock of its own, when there is again; or the route is new, and Reconnect says so.
//
// Poll is called by a rank that waits, without any lock: it gives frames to World.TryReceive and World.Land as they come, until stop, which it asks before each look,
// reports true; it tells stop whether the look before has found anything. It reports false at once if frames come only by themselves.
type Network interface {
	Send(dst Rank, head, payload []byte, urgent bool)
	Room(dst Rank) bool
	Poll(stop func(came bool) bool) bool
}
