package fsm

// Code says how a command ended. The empty code means that it was applied;
// every other code is a refusal: the state is as if the command had never been
// in the log. Codes are part of the log's contract: they only grow.
type Code string

// Codes of results.
const (
	// CodeApplied: the command changed the state, or had nothing left to change.
	CodeApplied Code = ""
	// CodeInvalid: the command contradicts itself or the object it names.
	CodeInvalid Code = "invalid"
	// CodeNotFound: no such app, host, migration, checkpoint or module.
	CodeNotFound Code = "not_found"
	// CodeAlreadyExists: the id, or the cluster's name, is taken.
	CodeAlreadyExists Code = "already_exists"
	// CodeNameTaken: another live machine holds the host's name.
	CodeNameTaken Code = "name_taken"
	// CodeForbidden: the worker does not know the secret of the one that it would replace.
	CodeForbidden Code = "forbidden"
	// CodeTooMany: a bound of the replicated state is reached.
	CodeTooMany Code = "too_many"
	// CodeInUse: apps that are queued or running need the module, or the checkpoint.
	CodeInUse Code = "in_use"
	// CodeIncarnationOver: this incarnation of the host is lost or has left; the
	// worker must come back with a new one.
	CodeIncarnationOver Code = "incarnation_over"
	// CodeStaleIncarnation: the command speaks of another incarnation than the present one.
	CodeStaleIncarnation Code = "stale_incarnation"
	// CodeHostNotReady: the host takes no new ranks.
	CodeHostNotReady Code = "host_not_ready"
	// CodeNotEnoughSlots: a host has fewer free slots than asked for.
	CodeNotEnoughSlots Code = "not_enough_slots"
	// CodeNotEnoughMemory: a host has less memory free than the ranks declare.
	CodeNotEnoughMemory Code = "not_enough_memory"
	// CodeWrongPhase: the app or migration is not in a phase that allows it.
	CodeWrongPhase Code = "wrong_phase"
	// CodeTerminal: the app has ended.
	CodeTerminal Code = "terminal"
	// CodeStopping: the app's fate is decided and its ranks are being stopped.
	CodeStopping Code = "stopping"
	// CodeStaleEpoch: the app's placement has changed since the epoch given.
	CodeStaleEpoch Code = "stale_epoch"
	// CodeStale: the report speaks only of ranks that are not there any more.
	CodeStale Code = "stale"
	// CodeMigrationPending: the app already has a migration under way.
	CodeMigrationPending Code = "migration_pending"
	// CodeMigrationEnded: the migration has been committed or aborted.
	CodeMigrationEnded Code = "migration_ended"
	// CodeCheckpointPending: the app has a checkpoint under way that does not allow it.
	CodeCheckpointPending Code = "checkpoint_pending"
	// CodeCheckpointEnded: the checkpoint is complete or was aborted.
	CodeCheckpointEnded Code = "checkpoint_ended"
	// CodeNotPlaced: the rank, or the app, is not on the host named.
	CodeNotPlaced Code = "not_placed"
	// CodeRankEnded: the rank has ended.
	CodeRankEnded Code = "rank_ended"
	// CodeNotMigratable: the app's module cannot be frozen.
	CodeNotMigratable Code = "not_migratable"
	// CodeStaleTerm: the command was proposed by the leader of another term.
	CodeStaleTerm Code = "stale_term"
	// CodeKeyReused: the idempotency key was used for another request.
	CodeKeyReused Code = "key_reused"
	// CodeBroken: applying the command would have broken a promise of the state. It
	// is a defect of Godwit, noted as an alarm.
	CodeBroken Code = "broken_invariant"
)
