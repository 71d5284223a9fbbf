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
