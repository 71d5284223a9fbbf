// Package apiv1 is the protobufs of api/proto as Go types, and the words that their text fields hold.
package apiv1

// What AppStatus.executor says. They are untyped, so that they compare with the fields as they are.
const (
	ExecutorStarting = "starting"
	ExecutorRunning  = "running"
	ExecutorFailed   = "failed"
	ExecutorEnded    = "ended"
)

// What RankStatus.state says.
const (
	RankRunning = "running"
	RankFrozen  = "frozen"
	RankStaged  = "staged"
	RankEnded   = "ended"
)

// What App.phase says.
const (
	AppQueued    = "queued"
	AppStarting  = "starting"
	AppRunning   = "running"
	AppMigrating = "migrating"
	AppFrozen    = "frozen"
	AppSucceeded = "succeeded"
	AppFailed    = "failed"
	AppCancelled = "cancelled"
)

// AppOver says whether an app in this phase has ended for good.
func AppOver(phase string) bool {
	return phase == AppSucceeded || phase == AppFailed || phase == AppCancelled
}

// AppStands is an app's phase as what is said of it: "is running", "has failed". already says that this was so before.
func AppStands(phase string, already bool) string {
	verb, then := "is", ""
	switch phase {
	case AppSucceeded, AppFailed:
		verb = "has"
	case AppCancelled:
		verb = "was"
	}
	if already {
		then = "already "
	}
	return verb + " " + then + phase
}

// What Migration.phase says.
const (
	MigrationPending   = "pending"
	MigrationAnnounced = "announced"
	MigrationFrozen    = "frozen"
	MigrationCommitted = "committed"
	MigrationAborted   = "aborted"
)

// What Checkpoint.phase says.
const (
	CheckpointPending   = "pending"
	CheckpointAnnounced = "announced"
	CheckpointTaken     = "taken"
	CheckpointComplete  = "complete"
	CheckpointAborted   = "aborted"
)

// CheckpointOver says whether a checkpoint in this phase is complete or was aborted.
func CheckpointOver(phase string) bool {
	return phase == CheckpointComplete || phase == CheckpointAborted
}

// What AppSpec.on_host_loss says.
const (
	OnHostLossRestart = "restart"
	OnHostLossFail    = "fail"
)

// What Server.role says.
const (
	ServerLeader   = "leader"
	ServerVoter    = "voter"
	ServerNonvoter = "nonvoter"
)

// MigrationOver says whether a migration in this phase was committed or aborted.
func MigrationOver(phase string) bool {
	return phase == MigrationCommitted || phase == MigrationAborted
}

// ArrayPrefix begins the ids of arrays, and no app's name.
const ArrayPrefix = "arr-"

// ArrayIndexMark stands between an array's id and the index of one of its apps, where people name that.
const ArrayIndexMark = "_"
