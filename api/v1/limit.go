package apiv1

// Bounds that servers, workers and commands all know.
const (
	// MaxModuleBytes is the size of the largest module that the servers take, and so the most that they send.
	MaxModuleBytes = 64 << 20
	// MaxSlots is the most slots that a host may offer.
	MaxSlots = 1 << 16
	// MaxPacks bounds the blobs that a tree of files has, beside its list.
	MaxPacks = 1024
	// MaxHostMemory is the most memory that a host may declare, in bytes: 1 PiB.
	MaxHostMemory = 1 << 50
	// MinRankMemory and MaxRankMemory bound what an app may declare for each rank, in bytes: 32-bit addresses reach no further.
	MinRankMemory = 1 << 20
	MaxRankMemory = 4 << 30
	// MinSpeed and MaxSpeed bound a host's speed.
	MinSpeed = 0.01
	MaxSpeed = 100
	// MaxVolumes is the most volumes that a host may offer.
	MaxVolumes = 64
	// MaxManifestBytes is the size of the largest manifest of a checkpoint's part, which goes in one message.
	MaxManifestBytes = 3 << 20
	// MaxDamagedParts is of how many parts of checkpoints a host says at a time that they are damaged there. When some are whole again it says others.
	MaxDamagedParts = 256
)

// Parts of an app's directory on its home: what is kept, and what is of the moment.
const (
	HomeKept    = "kept"
	HomeScratch = "scratch"
)
