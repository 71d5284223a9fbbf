package worker

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/internal/cgroup"
)

// executorOOMScore is what the kernel adds to an executor's score, in thousandths of the memory, when it looks for a process to end because the machine
// has no memory left: an executor goes before any worker or server.
const executorOOMScore = 1000

// ownMemory is at least what an executor takes beside its ranks' memory: the code, the library, what is on its way.
const ownMemory = 128 << 20

// minTotalMemory is the least that all executors may be given, in bytes.
const minTotalMemory = 2 * ownMemory

// ranksMemory is what the ranks of one executor may grow to together: so much less than what all executors may take that their malloc says so before the kernel
// ends one.
func ranksMemory(total int64) int64 { return total - max(total/16, ownMemory) }

// callsOfRank is what each rank has for its calls in any case, beside its memory (worker/wasm counts it).
const callsOfRank = 256 << 10

// executorMemory is what the ranks of one executor may have together, with the least for their calls: that is of what is left beside the ranks' memory.
func executorMemory(total int64, ranks int) int64 {
	most := ranksMemory(total)
	return most + min(int64(ranks)*callsOfRank, (total-most)/2)
}

// warmMemory is what an executor that waits for its next app has, as it may: it counts for nobody.
const warmMemory = 64 << 20

// mostWarm is how many executors may wait for an app, of what is left beside the ranks: all of it would leave nothing for those that run.
func mostWarm(total int64) int { return int(max(1, (total-ranksMemory(total))/warmMemory)) }

// rankPages is what a rank may grow to, in pages of 64 KiB: the host's bound, or what its app declares, if that is less.
func rankPages(host uint32, declared int64) (pages uint32, less bool) {
	if n := declared >> 16; declared > 0 && n < int64(host) {
		return uint32(max(n, 1)), true //nolint:gosec // at most host
	}
	return host, false
}

// declares is what the host says that ranks may declare of its memory together: what is configured, or what the ranks of one executor may grow to. That leaves out of what all
// executors may take what they need beside their ranks, and so does not promise what a rank would not get.
func (c *Config) declares() (int64, error) {
	switch most := ranksMemory(c.TotalMemory); {
	case c.Memory == 0:
		return most, nil
	case c.Memory > most:
		return 0, fmt.Errorf("--memory: %s are more than the %s that ranks may have of the %s of all executors together (--total-memory, by default the machine's but for an eighth): give at most those",
			apiv1.Bytes(c.Memory), apiv1.Bytes(most), apiv1.Bytes(c.TotalMemory))
	}
	return c.Memory, nil
}

// DefaultMemory is what a host says, where nothing is configured, that ranks may declare of its memory together, in bytes.
func DefaultMemory() (int64, error) {
	total, err := defaultTotal()
	return ranksMemory(total), err
}

// defaultTotal is what all executors may take together where nothing is configured: the machine's memory, or what this process may have of it, but for an eighth.
func defaultTotal() (int64, error) {
	has, err := cgroup.Memory()
	return max(has-has/8, minTotalMemory), err
}

// ofRank is what the host says that one rank may declare at most; 0: as much as it can address.
func (c *Config) ofRank() int64 {
	if bytes := int64(c.MemoryLimitPages) << 16; bytes < apiv1.MaxRankMemory {
		return bytes
	}
	return 0
}

// memory bounds what executors take together.
type memory struct {
	bytes int64
	group *cgroup.Group       // nil: none is to be had
	count func() (int, error) // processes of the group that the kernel has ended; nil: nobody counts them
	log   *slog.Logger

	mu     sync.Mutex // guards the fields below
	told   int        // of the count, what ended has told of
	living int        // executors of apps
}

// newMemory bounds what executors take, in a group whose place is noted in a file. Where some are left by a process before it is theirs.
func newMemory(bytes int64, note string, left bool, log *slog.Logger) *memory {
	m := &memory{bytes: bytes, log: log}
	err := errors.New("none is left")
	if left {
		var dir []byte
		if dir, err = os.ReadFile(note); err == nil {
			m.group, err = cgroup.Take(strings.TrimSpace(string(dir)), bytes)
		}
	}
	if err != nil {
		if m.group, err = cgroup.New(bytes); err != nil {
			log.Info("the kernel does not bound what all executors take together, but ends them first when the machine runs out of memory", "err", err)
			return m
		}
	}
	if err := os.WriteFile(note, []byte(m.group.Dir()+"\n"), 0o600); err != nil {
		log.Warn("the control group of the executors is not found again", "err", err)
	}
	m.count = m.group.Kills
	if m.told, err = m.count(); err != nil { // of processes that nobody asks about
		m.told = 0
	}
	return m
}

// begins is called once for each process that is an app's executor from now on. rests, or ended, follows.
func (m *memory) begins() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.living++
}

// rests is called for an executor whose app is over, and that waits for its next one.
func (m *memory) rests() { m.ended(false) }

// bound bounds a process that has been started.
func (m *memory) bound(pid int) {
	if m.group != nil {
		if err := m.group.Add(pid); err != nil {
			m.log.Warn("the memory of an executor is not bounded", "err", err)
		}
	}
	if err := os.WriteFile(fmt.Sprintf("/proc/%d/oom_score_adj", pid), fmt.Append(nil, executorOOMScore), 0); err != nil {
		m.log.Debug("the kernel does not end an executor first: it has ended already, or may not be told so", "err", err)
	}
}

// ended is called once for each executor that has ended; killed: by a signal, and nobody says that it was he. If the kernel has ended one more, for want of
// memory, it was that one, and what all may take is returned. One that the worker kills in the same moment counts for none: what the kernel has counted for it is forgotten when
// no app's executor is left whose it could be.
func (m *memory) ended(killed bool) (starved int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.living--
	return m.tell(killed)
}

// waited is as ended, of one that was no app's.
func (m *memory) waited(killed bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.tell(killed)
}

// tell is ended and waited. Holds mu.
func (m *memory) tell(killed bool) (starved int64) {
	if m.count == nil || !killed && m.living > 0 {
		return 0
	}
	n, err := m.count()
	if err != nil {
		if killed {
			m.log.Warn("why an executor was killed cannot be told", "err", err)
		}
		return 0
	}
	if n < m.told {
		m.told = 0 // the group was made again
	}
	if killed && n > m.told {
		m.told, starved = m.told+1, m.bytes
	}
	if m.living == 0 {
		m.told = n
	}
	return starved
}

// close removes the group, when all executors are gone.
func (m *memory) close() {
	if m.group == nil {
		return
	}
	if err := m.group.Remove(); err != nil {
		m.log.Debug("the control group of the executors stays", "err", err)
	}
}
