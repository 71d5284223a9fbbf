package fsm

import apiv1 "github.com/godwit-run/godwit/api/v1"

// AppID, HostID, MigrationID, CheckpointID and Digest name the objects of the state.
type (
	// AppID is an app's unique id, minted by the server that took the submission.
	AppID string
	// HostID is a host's unique name.
	HostID string
	// MigrationID is a migration's unique id, minted by the leader.
	MigrationID string
	// CheckpointID is a checkpoint's unique id, minted by who asks for it.
	CheckpointID string
	// Digest is the hex SHA-256 of a module's bytes.
	Digest string
)

// Phase is where an app is in its life. Within an attempt it only goes forward, but
// for running, migrating and frozen, which alternate.
type Phase string

// Phases of an app.
const (
	Queued    Phase = apiv1.AppQueued
	Starting  Phase = apiv1.AppStarting
	Running   Phase = apiv1.AppRunning
	Migrating Phase = apiv1.AppMigrating
	Frozen    Phase = apiv1.AppFrozen
	Succeeded Phase = apiv1.AppSucceeded
	Failed    Phase = apiv1.AppFailed
	Cancelled Phase = apiv1.AppCancelled
)

// Terminal tells whether an app in this phase has ended for good.
func (p Phase) Terminal() bool {
	return p == Succeeded || p == Failed || p == Cancelled
}

// Placed tells whether an app in this phase has a host for each of its ranks,
// some of which may still run.
func (p Phase) Placed() bool {
	return p == Starting || p == Running || p == Migrating
}

func (p Phase) mayBecome(next Phase) bool {
	switch p {
	case Queued:
		return next == Starting || next == Failed || next == Cancelled
	case Starting:
		return next == Running || next == Queued || next.Terminal()
	case Running:
		return next == Migrating || next == Frozen || next == Queued || next.Terminal()
	case Migrating:
		return next == Running
	case Frozen:
		return next == Running || next == Queued || next == Failed || next == Cancelled
	case Succeeded, Failed, Cancelled:
		return false
	}
	return false
}

// MigrationPhase is where a migration is. Committed and Aborted are its two ends.
type MigrationPhase string

// Phases of a migration.
const (
	Pending         MigrationPhase = apiv1.MigrationPending
	Announced       MigrationPhase = apiv1.MigrationAnnounced
	FrozenMigration MigrationPhase = apiv1.MigrationFrozen
	Committed       MigrationPhase = apiv1.MigrationCommitted
	Aborted         MigrationPhase = apiv1.MigrationAborted
)

// Ended tells whether the migration was committed or aborted.
func (p MigrationPhase) Ended() bool { return p == Committed || p == Aborted }

func (p MigrationPhase) mayBecome(next MigrationPhase) bool {
	switch p {
	case Pending:
		return next == Announced || next == Aborted
	case Announced:
		return next == FrozenMigration || next == Aborted
	case FrozenMigration:
		return next == Committed || next == Aborted
	case Committed, Aborted:
		return false
	}
	return false
}

// CheckpointPhase is where a checkpoint is. CheckpointComplete and CheckpointAborted
// are its two ends.
type CheckpointPhase string

// Phases of a checkpoint.
const (
	CheckpointPending   CheckpointPhase = apiv1.CheckpointPending
	CheckpointAnnounced CheckpointPhase = apiv1.CheckpointAnnounced
	CheckpointTaken     CheckpointPhase = apiv1.CheckpointTaken
	CheckpointComplete  CheckpointPhase = apiv1.CheckpointComplete
	CheckpointAborted   CheckpointPhase = apiv1.CheckpointAborted
)

// Ended tells whether the checkpoint is complete or was aborted.
func (p CheckpointPhase) Ended() bool { return p == CheckpointComplete || p == CheckpointAborted }

// HoldsRanks tells whether no rank may move, for what is written of each is of the
// host that it is on.
func (p CheckpointPhase) HoldsRanks() bool {
	return p == CheckpointPending || p == CheckpointAnnounced
}

func (p CheckpointPhase) mayBecome(next CheckpointPhase) bool {
	switch p {
	case CheckpointPending:
		return next == CheckpointAnnounced || next == CheckpointAborted
	case CheckpointAnnounced:
		return next == CheckpointTaken || next == CheckpointAborted
	case CheckpointTaken:
		return next == CheckpointComplete || next == CheckpointAborted
	case CheckpointComplete, CheckpointAborted:
		return false
	}
	return false
}
