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
