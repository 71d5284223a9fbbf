package jepsen

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// nemesis does one kind of harm to a cluster, and undoes it. What it harms it chooses by the seed.
type nemesis interface {
	name() string
	// start does the harm and says what it was. It must not wait for the cluster.
	start(c *cluster, rng *rand.Rand) (string, error)
	// heal undoes it, whatever has become of it meanwhile. Healing twice, or what never began, is no error.
	heal(c *cluster) error
}

// pick chooses one of a list.
func pick[T any](rng *rand.Rand, list []T) T { return list[rng.IntN(len(list))] }

// pause stops a process from running, as a machine does that has no time for it.
type pause struct {
	of     string // leader, follower or worker
	victim *process
}

func (p *pause) name() string { return "pause " + p.of }

func (p *pause) start(c *cluster, rng *rand.Rand) (string, error) {
	p.victim = c.victim(p.of, rng)
	p.victim.freeze()
	return p.victim.name, nil
}

func (p *pause) heal(*cluster) error {
	if p.victim != nil {
		p.victim.thaw()
	}
	return nil
}

// crash kills a process, as a power cut does, and starts it again.
type crash struct {
	of     string
	victim *process
}

func (k *crash) name() string { return "crash " + k.of }

func (k *crash) start(c *cluster, rng *rand.Rand) (string, error) {
	k.victim = c.victim(k.of, rng)
	k.victim.signal(syscall.SIGKILL)
	return k.victim.name, nil
}

func (k *crash) heal(c *cluster) error { return restart(c, k.victim) }

// restart starts a process if it has ended. One that was killed while its disk was frozen ends when that is over.
func restart(c *cluster, p *process) error {
	if p == nil {
		return nil
	}
	if c.killed(p) {
		<-p.exited
	}
	if p.running() {
		return nil
	}
	if err := c.disks[p.name].restore(); err != nil {
		return err
	}
	p.start(c.t)
	return nil
}

// killed says whether a process has been sent SIGKILL and is on its way out.
func (c *cluster) killed(p *process) bool {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.pid()))
	if err != nil {
		return true
	}
	for line := range strings.Lines(string(status)) {
		name, value, _ := strings.Cut(line, ":")
		if name == "SigPnd" || name == "ShdPnd" {
			var mask uint64
			if _, err := fmt.Sscanf(strings.TrimSpace(value), "%x", &mask); err == nil && mask&(1<<(syscall.SIGKILL-1)) != 0 {
				return true
			}
		}
		if name == "State" && strings.Contains(value, "Z") {
			return true
		}
	}
	return false
}

// victim chooses a process that runs; a follower where no leader is known.
func (c *cluster) victim(role string, rng *rand.Rand) *process {
	if role == "worker" {
		return pick(rng, c.workers)
	}
	leader := c.leaderNow()
	if role == "leader" && leader != nil {
		return leader
	}
	var rest []*process
	for _, s := range c.servers {
		if s != leader && !c.disks[s.name].out() { // one that waits for its disk cannot even be killed
			rest = append(rest, s)
		}
	}
	return pick(rng, rest)
}

// wipe kills a server and loses all that it has stored. It comes back as another.
type wipe struct{ victim *process }

func (w *wipe) name() string { return "wiped disk" }

func (w *wipe) start(c *cluster, rng *rand.Rand) (string, error) {
	w.victim = c.victim("follower", rng)
	w.victim.kill()
	return w.victim.name, empty(w.victim.dir)
}

func (w *wipe) heal(c *cluster) error { return restart(c, w.victim) }

// empty removes what is in a directory, which may be a mount point.
func empty(dir string) error {
	list, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range list {
		if err := os.RemoveAll(filepath.Join(dir, e.Name())); err != nil {
			return err
		}
	}
	return nil
}

// flip kills a server, changes some bits of what it has stored, and starts it: it may refuse to run, then it is wiped.
type flip struct{ victim *process }

func (f *flip) name() string { return "flipped bits" }

func (f *flip) start(c *cluster, rng *rand.Rand) (string, error) {
	f.victim = c.victim("follower", rng)
	f.victim.kill()
	at, size, err := flipBits(filepath.Join(f.victim.dir, "raft", "raft.db"), rng)
	if err != nil {
		return "", err
	}
	if len(at) == 0 {
		return "nothing of " + f.victim.name, nil // it had nothing yet
	}
	c.damaged[f.victim.name] = true
	f.victim.start(c.t)
	return fmt.Sprintf("%s: bytes %v of %d of raft.db", f.victim.name, at, size), nil
}

// flipBits changes one bit in each of some bytes of a file, where they are: its disk may be full.
func flipBits(path string, rng *rand.Rand) (at []int64, size int64, err error) {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if errors.Is(err, os.ErrNotExist) {
		return nil, 0, nil
	}
	if err != nil {
		return nil, 0, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	info, err := f.Stat()
	if err != nil || info.Size() == 0 {
		return nil, 0, err
	}
	for range 8 {
		i := rng.Int64N(info.Size())
		b := make([]byte, 1)
		if _, err := f.ReadAt(b, i); err != nil {
			return nil, 0, err
		}
		b[0] ^= 1 << rng.IntN(8)
		if _, err := f.WriteAt(b, i); errors.Is(err, syscall.ENOSPC) {
			continue // nothing is stored there
		} else if err != nil {
			return nil, 0, err
		}
		at = append(at, i)
	}
	return at, info.Size(), nil
}

// heal wipes the server even if it runs: what it holds is not what it has promised to hold, and nobody can know.
func (f *flip) heal(c *cluster) error {
	if f.victim == nil {
		return nil
	}
	f.victim.kill()
	if err := empty(f.victim.dir); err != nil {
		return err
	}
	return restart(c, f.victim)
}

// hang freezes the disk of one server.
type hang struct{ victim *process }

func (h *hang) name() string { return "hung disk" }

func (h *hang) start(c *cluster, rng *rand.Rand) (string, error) {
	h.victim = c.process(pick(rng, c.withDisks()))
	return h.victim.name, c.disks[h.victim.name].freeze()
}

func (h *hang) heal(c *cluster) error {
	if h.victim == nil {
		return nil
	}
	c.disks[h.victim.name].thaw()
	return restart(c, h.victim)
}

// full leaves a server no room on its disk.
type full struct{ victim *process }

func (f *full) name() string { return "full disk" }

func (f *full) start(c *cluster, rng *rand.Rand) (string, error) {
	f.victim = c.process(pick(rng, c.withDisks()))
	return f.victim.name, c.disks[f.victim.name].fill()
}

func (f *full) heal(c *cluster) error {
	if f.victim == nil {
		return nil
	}
	d := c.disks[f.victim.name]
	err := d.restore() // its power may have been cut meanwhile
	d.empty()
	return errors.Join(err, restart(c, f.victim))
}

// withDisks are the servers that have a disk of their own that works, in order.
func (c *cluster) withDisks() []string {
	var out []string
	for _, s := range c.servers {
		if c.disks[s.name] != nil && !c.disks[s.name].out() {
			out = append(out, s.name)
		}
	}
	return out
}
