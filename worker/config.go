package worker

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/internal/name"
	"github.com/godwit-run/godwit/internal/trust"
)

// Config says what a worker is. Fields without a default must be set.
type Config struct {
	// Name of the host, unique in the cluster.
	Name string
	// NameMayChange allows a suffix to the name when another machine has it.
	NameMayChange bool
	// Renamed, if set, is told the name that the worker takes when NameMayChange and another machine has Name.
	Renamed func(name string)
	// DataDir holds modules, files, logs and the compilation cache.
	DataDir string
	// Listen is host:port of the worker's port for other hosts.
	Listen string
	// Advertise is the address other hosts use; default: Listen as bound.
	Advertise string
	// Holder has this worker's certificate, in a secured cluster; nil: the cluster is not.
	Holder *trust.Holder
	// OwnUserOnly has the port closed to processes of other users of this machine.
	OwnUserOnly bool
	// Slots is the host's capacity in ranks.
	Slots int
	// Memory is what ranks of apps that declare memory may have of this host's together, in bytes; default: what the ranks of one executor may grow to, of TotalMemory.
	Memory int64
	// Speed is how fast this host is beside others, 0.01 to 100; default 1.
	Speed float64
	// Labels are what apps choose hosts by.
	Labels map[string]string
	// Volumes are directories of this host that apps may mount, by name.
	Volumes map[string]Volume
	// Executor is the command that runs an executor; the socket that it listens on is file descriptor 3.
	Executor []string
	// Maker is the command that compiles a module for the native engine (see makers); default: none, and nothing is compiled here.
	Maker []string
	// Play, if set, has executors played in place of processes: it returns the worker's end of the link to one, of an app. For worlds of more hosts than
	// a machine can run executors of (bench/fleet). Nothing outlives this process then, and no connection of another host's executor is taken.
	Play func(app string) Link
	// Welcomed, if set, is told the term of each leader that has taken up a session with this worker. It must not block.
	Welcomed func(term uint64)
	// MemoryLimitPages bounds a guest's memory in pages of 64 KiB; default 65,536 (4 GiB).
	MemoryLimitPages uint32
	// TotalMemory bounds the memory of all executors together, in bytes: the ranks of one may grow to a little less, and where control groups are to be had
	// the kernel ends an executor, and no other process, when all take more. At least 256 MiB; default: what the machine has, but for an eighth.
	TotalMemory int64
	// Ahead is how many executors are started before there is an app for them, so that one whose tenant has none that waits need not wait for a process; default: none.
	Ahead int
	// ExecutorsEnd has executors end with this process, however it ends. Else they go on for as long as the lease lasts, and the worker's next process adopts them.
	ExecutorsEnd bool
	// StreamsOnly has messages between hosts go over gRPC, without direct connections beside it.
	StreamsOnly bool
	// ExactNaNs has results that are not a number have the bits that amd64 gives them, which costs time on other processors: for hosts of those that share apps with
	// hosts of amd64. On amd64 it does nothing.
	ExactNaNs bool
	// Engine is what runs ranks: wazero; native, where a module is compiled by clang before its first rank begins; or auto, where ranks begin in wazero and go on
	// natively when that is done. What cannot be compiled runs in wazero. Default wazero.
	Engine string
	// LogBytes bounds the output kept on this host; the logs of apps that ended longest ago go first. Default 4 GiB.
	LogBytes int64
	// LogLimit bounds the output of one running app on this host that nobody reads, in bytes: what it prints beyond is lost, and told of, and its ranks
	// end as failed. While somebody follows it, its disk alone bounds it. Default 1 GiB.
	LogLimit int64
	// FilesLimit bounds the directory of an app that has its home on this host, in bytes: beyond, nothing is added to it (EDQUOT). It is looked at now and
	// then, and may be passed meanwhile. Default 64 GiB, which is what can be stored.
	FilesLimit int64
	// ModuleBytes bounds the modules kept on this host and their compiled code; those used longest ago go first. Default 2 GiB.
	ModuleBytes int64
	// MinFreeBytes is the room that the disk of DataDir must have for the host to take new ranks; default 32 MiB.
	MinFreeBytes int64
	// ScrubPeriod is how often all that this host holds of checkpoints is read, to find what its disk has damaged; 0: never. Default a day.
	ScrubPeriod time.Duration
	// CancelGrace is how long a cancelled app's ranks may take to make a call before they are killed; default 2 s.
	CancelGrace time.Duration
}

// Volume is a directory of the host that apps may mount. Hosts that offer one of the same name share its content.
type Volume struct {
	Dir      string
	ReadOnly bool
}

// MaxSlots bounds the slots of one host.
const MaxSlots = apiv1.MaxSlots

// DefaultConfig is a Config with the defaults filled in.
func DefaultConfig() Config {
	return Config{MemoryLimitPages: 65_536, Speed: 1, Engine: engineWazero, LogBytes: 4 << 30, LogLimit: 1 << 30, FilesLimit: 64 << 30, ModuleBytes: 2 << 30, MinFreeBytes: 32 << 20, ScrubPeriod: 24 * time.Hour, CancelGrace: 2 * time.Second}
}

// What can run ranks (worker/wasm).
const (
	engineWazero = "wazero"
	engineNative = "native"
	engineAuto   = "auto"
)

var engines = []string{engineWazero, engineNative, engineAuto} //nolint:gochecknoglobals // an immutable list

// maxAhead bounds the executors that wait for their first app.
const maxAhead = 64

const (
	// nameFile, in the data directory, holds the name under which its worker last joined.
	nameFile = "name"
	// clusterFile holds the id of the cluster that the directory belongs to.
	clusterFile = "cluster_id"
)

// NameIn is the name under which the worker of a data directory last joined; empty: none yet.
func NameIn(dataDir string) (string, error) { return readWord(filepath.Join(dataDir, nameFile)) }

// Validate says what is wrong with c and which flag to change.
func (c Config) Validate() error {
	switch {
	case !name.Valid(c.Name):
		return fmt.Errorf("--name %q: %s", c.Name, name.Rule)
	case c.DataDir == "":
		return fmt.Errorf("--data-dir is missing")
	case c.Slots < 1 || c.Slots > MaxSlots:
		return fmt.Errorf("--slots %d: must be 1 to %d", c.Slots, MaxSlots)
	case c.Ahead < 0 || c.Ahead > maxAhead:
		return fmt.Errorf("--warm %d: must be 0 to %d", c.Ahead, maxAhead)
	case c.TotalMemory != 0 && c.TotalMemory < minTotalMemory:
		return fmt.Errorf("--total-memory %d: give at least %d MiB", c.TotalMemory>>20, minTotalMemory>>20)
	case c.Memory < 0 || c.Memory > apiv1.MaxHostMemory:
		return fmt.Errorf("--memory %d: give bytes, up to 1 PiB", c.Memory)
	case !(c.Speed >= apiv1.MinSpeed && c.Speed <= apiv1.MaxSpeed): // also what is no number
		return fmt.Errorf("--speed %v: give a number from %v to %v", c.Speed, apiv1.MinSpeed, float64(apiv1.MaxSpeed))
	case len(c.Volumes) > apiv1.MaxVolumes:
		return fmt.Errorf("--volume: %d of them; at most %d are possible", len(c.Volumes), apiv1.MaxVolumes)
	case c.LogLimit < 1<<20:
		return fmt.Errorf("--log-limit %d: give at least 1 MiB", c.LogLimit>>20)
	case c.FilesLimit < 1<<20:
		return fmt.Errorf("--files-limit %d: give at least 1 MiB", c.FilesLimit>>20)
	case c.ScrubPeriod < 0 || c.ScrubPeriod > 0 && c.ScrubPeriod < time.Second:
		return fmt.Errorf("--scrub-period %s: give at least 1s, or 0 for never", c.ScrubPeriod)
	case !slices.Contains(engines, c.Engine):
		return fmt.Errorf("--engine %q: give one of %s", c.Engine, strings.Join(engines, ", "))
	case len(c.Executor) == 0 && c.Play == nil:
		return fmt.Errorf("worker: no command for executors")
	}
	return nil
}

func (c *Config) dir(part string) string { return filepath.Join(c.DataDir, part) }
