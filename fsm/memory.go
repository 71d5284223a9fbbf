package fsm

import (
	"encoding/binary"
	"fmt"
	"math"

	apiv1 "github.com/godwit-run/godwit/api/v1"
)

// Bounds of what apps and hosts declare.
const (
	// MinRankMemory and MaxRankMemory bound what a rank may declare, in bytes: 32-bit addresses reach no further.
	MinRankMemory = apiv1.MinRankMemory
	MaxRankMemory = apiv1.MaxRankMemory
	// MaxHostMemory is the most that a host may declare, in bytes: 1 PiB.
	MaxHostMemory = apiv1.MaxHostMemory
	// MinSpeed and MaxSpeed bound a host's speed.
	MinSpeed = apiv1.MinSpeed
	MaxSpeed = apiv1.MaxSpeed
)

// RankMemory is what each rank of the app takes of its host's memory, in bytes; 0: none is declared.
func RankMemory(app *apiv1.App) int64 { return app.GetSpec().GetMemoryBytes() }

// declareDefault has an app that declares no memory take what the cluster says, unless it asks for none. One that begins from a checkpoint does not: its memory may be larger already.
func (t *tx) declareDefault(app *apiv1.App) {
	if bytes := t.Scheduling().GetRankMemoryBytes(); bytes > 0 && RankMemory(app) == 0 && !app.GetSpec().GetNoDefaultMemory() && app.GetRestore() == "" {
		app.Spec.MemoryBytes, app.MemoryByDefault = bytes, true
	}
}

// SpeedOf is how fast a host is beside others: 1, where nobody says.
func SpeedOf(host *apiv1.Host) float64 {
	if host.GetSpeed() == 0 {
		return 1
	}
	return host.GetSpeed()
}

// EvenSpeeds tells whether all hosts that are there are as fast. It costs nothing.
func (v *View) EvenSpeeds() bool { return v.speeds.Len() < 2 }

// TopSpeed is the speed of the fastest hosts that are there; 1, if there is none. It costs nothing.
func (v *View) TopSpeed() float64 {
	if key, _, ok := v.speeds.Root().Maximum(); ok {
		return math.Float64frombits(binary.BigEndian.Uint64(key))
	}
	return 1
}

// countSpeeds counts a host that was as old and is as now, either of which may be nil.
func (v *View) countSpeeds(old, now *apiv1.Host) {
	was, is := countedSpeed(old), countedSpeed(now)
	if was == is {
		return
	}
	v.countSpeed(was, -1)
	v.countSpeed(is, 1)
}

func (v *View) countSpeed(speed float64, by int) {
	if speed == 0 {
		return
	}
	key := binary.BigEndian.AppendUint64(nil, math.Float64bits(speed)) // in order: none is below 0
	n, _ := v.speeds.Get(key)
	v.speeds = putOrDrop(v.speeds, key, n+by)
}

// countedSpeed is the speed as which a host counts; 0: it does not.
func countedSpeed(h *apiv1.Host) float64 {
	if h == nil || HostStateOf(h).Gone() {
		return 0
	}
	return SpeedOf(h)
}

// Memory is what a host has for ranks that declare memory, in bytes.
type Memory struct {
	All    int64 // of them together; 0: it is not known, and bounds nobody
	Used   int64 // what is declared
	OfRank int64 // what one of them may declare at most; 0: as much as any may
}

// MemoryOf is what a host has.
func MemoryOf(h *apiv1.Host) Memory {
	return Memory{All: h.GetMemoryBytes(), Used: h.GetMemoryUsed(), OfRank: h.GetRankMemoryBytes()}
}

// For is how many more ranks that take so many bytes each there is memory for, whatever slots the host has. It is below 0 where more is declared than there is.
func (m Memory) For(rank int64) int {
	n := math.MaxInt32
	if m.All > 0 && rank > 0 {
		if free := m.All - m.Used; free < 0 {
			n = -int((-free + rank - 1) / rank)
		} else {
			n = int(min(free/rank, math.MaxInt32))
		}
	}
	if m.TooLittleFor(rank) {
		return min(n, 0)
	}
	return n
}

// TooLittleFor tells whether even one rank may not have so much there.
func (m Memory) TooLittleFor(rank int64) bool { return m.OfRank > 0 && rank > m.OfRank }

// Lacks says, of a host with so much, why it cannot have so many more such ranks, to be put behind its name; empty: it can.
func (m Memory) Lacks(ranks int, rank int64) string {
	switch {
	case ranks <= m.For(rank):
		return ""
	case m.TooLittleFor(rank):
		return fmt.Sprintf("gives a rank at most %s of memory (its worker's --memory-limit); needed are %d x %s", apiv1.Bytes(m.OfRank), ranks, apiv1.Bytes(rank))
	}
	return fmt.Sprintf("has %s free of %s of memory; needed are %d x %s", apiv1.Bytes(max(0, m.All-m.Used)), apiv1.Bytes(m.All), ranks, apiv1.Bytes(rank))
}

// lacksMemory says what a host lacks that is to have so many more ranks of an app; empty: nothing.
func lacksMemory(host *apiv1.Host, app *apiv1.App, ranks int) string {
	if why := MemoryOf(host).Lacks(ranks, RankMemory(app)); why != "" {
		return "host " + host.GetId() + " " + why
	}
	return ""
}

// declares checks what a host says of its memory and its speed.
func (c *checker) declares(h *apiv1.Host) {
	if m := h.GetMemoryBytes(); m < 0 || m > MaxHostMemory {
		c.wrong("host.memory_bytes", "%d; 0 (not known) to %d are possible", m, int64(MaxHostMemory))
	}
	if m := h.GetRankMemoryBytes(); m < 0 || m > MaxRankMemory {
		c.wrong("host.rank_memory_bytes", "%d; 0 (no bound of its own) to %d are possible", m, int64(MaxRankMemory))
	}
	if s := h.GetSpeed(); s != 0 && !(s >= MinSpeed && s <= MaxSpeed) { // also what is no number
		c.wrong("host.speed", "%v; %v to %v are possible, or 0 for 1", s, MinSpeed, MaxSpeed)
	}
}

// rankMemory checks what an app declares of its ranks.
func (c *checker) rankMemory(s *apiv1.AppSpec) {
	if m := s.GetMemoryBytes(); m != 0 && (m < MinRankMemory || m > MaxRankMemory) {
		c.wrong("spec.memory_bytes", "%d; %d to %d are possible, or 0 for none", m, int64(MinRankMemory), int64(MaxRankMemory))
	} else if m != 0 && s.GetNoDefaultMemory() {
		c.wrong("spec.no_default_memory", "%d bytes are declared as well (spec.memory_bytes); say one of them", m)
	}
}
