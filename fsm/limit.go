package fsm

// Bounds of the replicated state. Together they bound a snapshot's size.
const (
	// MaxEntryBytes is the largest encoded entry: larger ones would hold up
	// Raft's heartbeats on slow links.
	MaxEntryBytes = 512 << 10
	// MinKeys is how many client commands are remembered for retries, however old.
	MinKeys = 8192
	// KeySeconds is for how long more than those are, by the times in the entries.
	KeySeconds = 3600
	// MaxKeys is how many are remembered at most.
	MaxKeys = 1 << 17
	// MaxEndedApps is how many ended apps are kept; the first to end goes first.
	MaxEndedApps = 4096
	// MaxEndedMigrations is how many ended migrations are kept.
	MaxEndedMigrations = 1024
	// MaxLiveApps is how many apps may be queued or placed at once.
	MaxLiveApps = 8192
	// MaxAppSize is the largest app: its PlaceApp entry must fit MaxEntryBytes.
	MaxAppSize = 4096
	// MaxHosts is how many hosts are known at once; gone ones make room.
	MaxHosts = 1 << 14
	// MaxSlots is the most slots a host may offer.
	MaxSlots = 1 << 16
	// MaxModules is how many modules are known.
	MaxModules = 4096
	// MaxLeaseMs is the longest lease of hosts: an hour.
	MaxLeaseMs = 3600 * 1000
	// MaxReasonsBytes is how many bytes of reasons the ranks of one app may have;
	// beyond them, ranks keep their exit codes only.
	MaxReasonsBytes = 64 << 10
	// MaxAlarms is how many alarms are kept; the oldest goes first.
	MaxAlarms = 32
)

// Exit codes of apps and ranks that did not end by themselves.
const (
	// ExitCancelled is the exit code of a cancelled app, as a shell would say it.
	ExitCancelled = 130
	// ExitFailed is the exit code of ranks on a lost host, and of an app failed
	// by the control plane for no exit code of its own.
	ExitFailed = 125
)
