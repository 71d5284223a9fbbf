package fsm

import apiv1 "github.com/godwit-run/godwit/api/v1"

// Bounds of the replicated state. Together they bound its memory, and a snapshot's size.
const (
	// MaxEntryBytes is the largest encoded entry: larger ones would hold up
	// Raft's heartbeats on slow links.
	MaxEntryBytes = 512 << 10
	// MinKeys is how many client commands are remembered for retries, however old.
	MinKeys = 8192
	// MaxKeys is how many are remembered at most.
	MaxKeys = 1 << 16
	// MinEndedApps is how many ended apps are kept, however old; the first to end
	// is the first to go.
	MinEndedApps = 4096
	// MaxEndedBytes is how many bytes of memory ended apps take at most: for apps of
	// few ranks and short arguments, those of an hour in which 2,000 end each minute.
	MaxEndedBytes = 512 << 20
	// MinEndedMigrations is how many ended migrations are kept, however old.
	MinEndedMigrations = 1024
	// MaxMigrationBytes is how many bytes of memory ended migrations take at most.
	MaxMigrationBytes = 96 << 20
	// KeepSeconds is for how long keys and history beyond the least are kept, by the
	// times in the entries: an hour.
	KeepSeconds = 3600
	// MaxLiveApps is how many apps may be queued or placed at once.
	MaxLiveApps = 1 << 15
	// MaxLiveBytes is how many bytes of memory they may take in all, beside their ranks.
	MaxLiveBytes = 256 << 20
	// MaxPlacedBytes is how many bytes of memory the ranks of placed apps may come to
	// take in all, were each to take what a rank can: 145,000 ranks in apps of 64
	// or fewer, or 200,000 in large ones.
	MaxPlacedBytes = 512 << 20
	// MaxAppSize is the largest app: its PlaceApp entry must fit MaxEntryBytes.
	MaxAppSize = 4096
	// MaxHosts is how many hosts are known at once; gone ones make room.
	MaxHosts = 1 << 14
	// MaxSlots is the most slots a host may offer.
	MaxSlots = apiv1.MaxSlots
	// MaxModules is how many modules are known.
	MaxModules = 4096
	// MaxModuleBytes is the size of the largest module.
	MaxModuleBytes = apiv1.MaxModuleBytes
	// MaxModulesBytes is the size of all known modules together, which bounds the
	// servers' stores.
	MaxModulesBytes = 16 << 30
	// MaxModuleTexts is how many bytes of memory all that is known of modules may
	// take, the names of their imports above all.
	MaxModuleTexts = 64 << 20
	// MaxCheckpoints is how many checkpoints are known, and MaxCheckpointBytes how many
	// bytes of memory they take when another is begun; aborted ones make room.
	MaxCheckpoints     = 4096
	MaxCheckpointBytes = 256 << 20
	// KeepAborted is how many aborted checkpoints of an app are kept.
	KeepAborted = 8
	// MaxLeaseMs is the longest lease of hosts: an hour.
	MaxLeaseMs = 3600 * 1000
	// MaxReasonsBytes is how many bytes of reasons the ranks of one app may have;
	// beyond them, ranks keep their exit codes only.
	MaxReasonsBytes = 64 << 10
	// MaxAlarms is how many alarms are kept; the oldest goes first.
	MaxAlarms = 32
)

// Bounds of live apps and of history until feature level 3, in bytes of their
// encodings; of what has ended each counts for historyOverhead besides.
const (
	maxLiveEncoded      = 256 << 20
	maxEndedEncoded     = 320 << 20
	maxMigrationEncoded = 64 << 20
	historyOverhead     = 2 << 10
)

// Bounds of texts, lists and numbers that enter the log, for Check. The largest
// command of every kind fits MaxEntryBytes.
const (
	// MaxIDBytes bounds digests, and the names of policies.
	MaxIDBytes = 128
	// MaxWordBytes bounds words that workers make, and names of modules.
	MaxWordBytes = 256
	// MaxKeyBytes bounds idempotency keys.
	MaxKeyBytes = 128
	// MaxPrincipalBytes bounds the name of who asks.
	MaxPrincipalBytes = 128
	// MaxReasonBytes bounds a reason; longer ones are cut.
	MaxReasonBytes = 1024
	// MaxLabels and MaxLabelsBytes bound a host's labels.
	MaxLabels      = 64
	MaxLabelsBytes = 4 << 10
	// MaxVolumes bounds the volumes of a host, MaxMounts the mounts of an app.
	MaxVolumes = apiv1.MaxVolumes
	MaxMounts  = 32
	// MaxPacks bounds the blobs that a tree of files has.
	MaxPacks = apiv1.MaxPacks
	// MaxPathBytes bounds the path of a mount, and the URL that checkpoints are stored at.
	MaxPathBytes = 1024
	// MaxImportsBytes bounds the names of a module's imports, all together.
	MaxImportsBytes = 64 << 10
	// MaxArgsBytes and MaxEnvBytes bound an app's arguments and environment, of all
	// its parts together, each with one byte more.
	MaxArgsBytes = 128 << 10
	MaxEnvBytes  = 32 << 10
	// MaxParts is how many programs, or lists of arguments, an app has.
	MaxParts = 256
	// MaxSpecBytes bounds what is submitted, encoded.
	MaxSpecBytes = 384 << 10
	// MinOwnerMs and MaxOwnerMs bound for how long an app goes on without a word of
	// its owner.
	MinOwnerMs = 1000
	MaxOwnerMs = 3600 * 1000
	// MaxPeriodSeconds bounds the time between looks at whether an app should move: a week.
	MaxPeriodSeconds = 7 * 24 * 3600
	// MaxPriority bounds priorities, on both sides of 0.
	MaxPriority = 1000
	// MaxDependencies bounds the apps, and arrays, that one depends on.
	MaxDependencies = 64
	// MaxTimeLimitMs bounds for how long an app may say that it runs at most: a year.
	MaxTimeLimitMs = 365 * 24 * 3600 * 1000
	// maxSchedulingFields bounds the fields of the rules of scheduling that one command names.
	maxSchedulingFields = 64
	// MaxTenants is of how many tenants something is said.
	MaxTenants = 1024
	// MaxTokens is how many tokens may be used at a time.
	MaxTokens = 256
	// maxTokenIDBytes and maxTokenHashBytes bound what is kept of a token, maxAuthorityBytes the certificate of a cluster's authority, and that sealed with its key.
	maxTokenIDBytes   = 16
	maxTokenHashBytes = 32
	maxAuthorityBytes = 4 << 10
	// maxTokenMs bounds for how long a token is good that has an end: ten years.
	maxTokenMs = 10 * 365 * 24 * 3600 * 1000
	// maxFirstTokens bounds those that a cluster begins with.
	maxFirstTokens = 16
	// maxTokenUses bounds how often a token may be used for joining.
	maxTokenUses = 1 << 20
	// MaxShares bounds a tenant's shares.
	MaxShares = 1 << 20
	// MaxMigrationsAtOnce bounds how many migrations policies may be let ask for at once.
	MaxMigrationsAtOnce = 4096
	// MaxRestarts bounds how often an app may run again.
	MaxRestarts = 1000
	// MaxCheckpointKeep bounds how many complete checkpoints of an app are kept.
	MaxCheckpointKeep = 64
	// MaxPartsBytes bounds the parts that BeginCheckpoint names, encoded: those of
	// 3,600 hosts with names of the longest.
	MaxPartsBytes = 480 << 10
	// MaxWishMs is in how many milliseconds a host may be to be left at the most: a year.
	MaxWishMs = 365 * 24 * 3600 * 1000
	// DefaultHostLossRestarts is how often an app runs again from checkpoints without a
	// new one in between, if it does not say.
	DefaultHostLossRestarts = 3
	// MaxGraceMs bounds for how long ranks that are told that they are to end may go on: an hour.
	MaxGraceMs = 3600 * 1000
	// StopGraceMs is for how long they may where nobody says otherwise.
	StopGraceMs = 10 * 1000
	// MaxAcks is how many hosts that have acknowledged a migration are noted.
	MaxAcks = 256
	// MaxDigestBytes is the length of a SHA-256.
	MaxDigestBytes = 32
)

// Exit codes of apps and ranks that did not end by themselves.
const (
	// ExitCancelled is the exit code of a cancelled app, as a shell would say it.
	ExitCancelled = 130
	// ExitTimeLimit is the exit code of an app that has run for as long as it may, as
	// timeout(1) has it.
	ExitTimeLimit = 124
	// ExitFailed is the exit code of ranks on a lost host, and of an app failed
	// by the control plane for no exit code of its own.
	ExitFailed = 125
)
