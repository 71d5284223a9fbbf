package raftnode

import (
	"errors"
	"fmt"

	"github.com/hashicorp/raft"

	"github.com/godwit-run/godwit/internal/dirlock"
)

var (
	// ErrNotLeader is returned when this server is not the leader, or not able to serve as one yet. A proposal that gets it
	// was definitely not applied and never will be.
	ErrNotLeader = errors.New("not the leader")
	// ErrUnknownOutcome is returned when a proposal may or may not have been applied, or may still be: leadership was lost,
	// the server stopped, the store failed, or the caller's context ended while the entry was under way. Only a proposal with
	// the same idempotency key may be tried again.
	ErrUnknownOutcome = errors.New("outcome unknown")
	// ErrOverloaded is returned when the proposal queue is full, or Raft did not take an entry in time. The proposal was
	// definitely not applied.
	ErrOverloaded = errors.New("too many proposals in flight")
	// ErrTooLarge is returned when one command alone is over the bound of a log entry. It was not applied.
	ErrTooLarge = errors.New("command too large")
	// ErrLocked is returned when another process holds the data directory.
	ErrLocked = dirlock.ErrHeld
	// ErrStore is returned by Run when a write to the log store failed, or a read from it. The process must exit and may be started again.
	ErrStore = errors.New("log store failed")
	// ErrFatal is returned by Run when the state machine could not apply a committed entry. The process must exit (status 70):
	// to go on would let this replica differ from the others.
	ErrFatal = errors.New("state machine failed")
	// ErrNewer is what a Machine returns, wrapped, for an entry or a snapshot of a newer build: nothing is damaged.
	ErrNewer = errors.New("written by a newer build")
	// ErrRemoved is returned by Run when this server was removed from the Raft group.
	ErrRemoved = errors.New("this server was removed from the cluster")
	// ErrHasState is returned by Bootstrap when the data directory already holds Raft state.
	ErrHasState = errors.New("data directory already holds a cluster's state")
	// ErrForeignCluster is returned when a cluster id contradicts the one on disk.
	ErrForeignCluster = errors.New("data directory belongs to another cluster")
	// ErrNoServer is returned when a membership change names a server that is not in the group.
	ErrNoServer = errors.New("no such server")
	// ErrUnsafe is returned when a membership change would leave fewer reachable voters than a majority.
	ErrUnsafe = errors.New("refused: the cluster would lose its majority")
	// ErrTaken is returned when a server cannot be added at an address because another one answers there.
	ErrTaken = errors.New("refused: another server has the address")
	// ErrBehind is returned when leadership cannot go to a server: it has no vote, its log does not reach the leader's, or there is none.
	ErrBehind = errors.New("refused: leadership stays where it is")
	// ErrStuck is returned by Run when a transfer of leadership does not end, and this server, the leader, refuses every write
	// meanwhile. The process must exit and may be started again.
	ErrStuck = errors.New("a transfer of leadership does not end")
	// ErrCloseTimeout is returned by Run when Raft did not stop in time. The data directory stays locked until exit.
	ErrCloseTimeout = errors.New("raft did not stop in time")
)

// classify maps an error of a Raft future to this package's errors. What is not known to have failed before the entry was
// handed to the log has an unknown outcome: an error of the log store, too, may leave the entry on disk.
func classify(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, raft.ErrNotLeader), errors.Is(err, raft.ErrLeadershipTransferInProgress),
		errors.Is(err, raft.ErrAbortedByRestore):
		return fmt.Errorf("%w: %w", ErrNotLeader, err)
	case errors.Is(err, raft.ErrEnqueueTimeout):
		return fmt.Errorf("%w: %w", ErrOverloaded, err)
	default:
		return fmt.Errorf("%w: %w", ErrUnknownOutcome, err)
	}
}
