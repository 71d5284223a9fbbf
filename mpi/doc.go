// Package mpi is the MPI library: its calls, matching, requests, windows and the state of ranks, over an abstract Network.
// What is pure of it stands in packages below: abi, layout and coll; the frames between two ranks in channel.
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
// again. A frame is head and then payload, which are the caller's again when Send returns. Frames of one Way keep their order.
//
// Room reports whether there is room for frames to dst, of BulkWay or of OrderedWay. Where it says no, the network calls World.Room, without any
// lock of its own, when there is again; or the route is new, and Reconnect says so.
//
// Poll is called by a rank that waits, without any lock: it gives frames to World.TryReceive and World.Land as they come, and asks next what the rank wants before each
// look, telling it whether the one before has found anything, until that is LookNoMore, or LookLater while another rank does so. It reports false at once if frames come only by themselves.
// Wake is called when something else may have changed what a rank wants that has said LookLater: next is asked again. It must not block.
type Network interface {
	Send(dst Rank, head, payload []byte, way Way)
	Room(dst Rank, bulk bool) bool
	Poll(next func(came bool) Look) bool
	Wake()
}

// Way is how a frame may go.
type Way uint8

// The ways.
const (
	OrderedWay Way = iota + 1
	UrgentWay      // it is short, and may overtake all others
	BulkWay        // it may be long, and should hold up no others; it may overtake them, or be overtaken
)

// Look is what a rank that waits wants of its Network next.
type Look uint8

// What Poll is told.
const (
	LookAgain  Look = iota + 1 // at once
	LookLater                  // when something has come, or Wake was called; the rank sleeps until then
	LookNoMore                 // never, for this time
	LookForUs                  // never, but others of the World sleep that wait for what may come
)
