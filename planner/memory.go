package planner

import (
	"fmt"
	"strings"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/fsm"
)

// memoryFor is how many more ranks that take so many bytes each the host has memory for, whatever its slots; below 0: it has too many of them.
func (h Host) memoryFor(rank int64) int { return h.memory().For(rank) }

func (h Host) memory() fsm.Memory {
	return fsm.Memory{All: h.Memory, Used: h.MemoryUsed, OfRank: h.RankMemory}
}

// freeFor is how many more such ranks the host can take now.
func (h Host) freeFor(rank int64) int { return max(0, min(h.free(), h.memoryFor(rank))) }

// take counts n more such ranks on the host; n may be below 0.
func (h *Host) take(n int, rank int64) {
	h.Used += n
	h.MemoryUsed += int64(n) * rank
}

// roomFor is how many such ranks hosts have room for, if there is nothing on them but what is counted.
func roomFor(hosts []Host, rank int64) int {
	n := 0
	for _, h := range hosts {
		n += h.freeFor(rank)
	}
	return n
}

// slotsOnly tells whether an app asks nothing of its hosts but slots.
func slotsOnly(spec *apiv1.AppSpec) bool { return anywhere(spec) && spec.GetMemoryBytes() == 0 }

// validateMemory checks what a request says of memory and of speeds.
func (req Request) validateMemory() error {
	if m := req.RankMemory; m != 0 && (m < fsm.MinRankMemory || m > fsm.MaxRankMemory) {
		return fmt.Errorf("rank_memory: %d bytes; %d to %d are possible, or 0 for none", m, int64(fsm.MinRankMemory), int64(fsm.MaxRankMemory))
	}
	own := req.own()
	for i, h := range req.Hosts {
		switch least := int64(own[h.Name]) * req.RankMemory; {
		case h.Memory < 0 || h.Memory > fsm.MaxHostMemory:
			return fmt.Errorf("hosts[%d].memory: %d bytes; 0 (not known) to %d are possible", i, h.Memory, int64(fsm.MaxHostMemory))
		case h.MemoryUsed < least || h.MemoryUsed > maxRanks*fsm.MaxRankMemory:
			return fmt.Errorf("hosts[%d].memory_used: %d bytes; it counts the app's own %d ranks, which take %d", i, h.MemoryUsed, own[h.Name], least)
		case h.RankMemory < 0 || h.RankMemory > fsm.MaxRankMemory:
			return fmt.Errorf("hosts[%d].rank_memory: %d bytes; 0 (no bound of its own) to %d are possible", i, h.RankMemory, int64(fsm.MaxRankMemory))
		case h.Speed != 0 && !(h.Speed >= fsm.MinSpeed && h.Speed <= fsm.MaxSpeed):
			return fmt.Errorf("hosts[%d].speed: %v; %v to %v are possible, or 0 for 1", i, h.Speed, fsm.MinSpeed, float64(fsm.MaxSpeed))
		}
	}
	return nil
}

// slotsAnd is so many slots for ranks that take memory, for people: "4 slots", or "4 x 2 GiB" where memory is declared.
func slotsAnd(n int, rank int64) string {
	switch {
	case rank > 0:
		return fmt.Sprintf("%d x %s", n, apiv1.Bytes(rank))
	case n == 1:
		return "1 slot"
	}
	return fmt.Sprintf("%d slots", n)
}

// hasFree is what a host has for ranks that take memory, for people: "w1 2", or "w1 1 (2 slots, 3 GiB)".
func (c candidate) hasFree(rank int64) string {
	text := fmt.Sprintf("%s %d", c.Name, c.room)
	if rank == 0 {
		return text
	}
	has := []string{slotsAnd(c.free(), 0)}
	if c.Host.memory().TooLittleFor(rank) {
		has = append(has, "at most "+apiv1.Bytes(c.RankMemory)+" a rank")
	} else if c.Memory > 0 {
		has = append(has, apiv1.Bytes(max(0, c.Memory-c.MemoryUsed)))
	}
	return text + " (" + strings.Join(has, ", ") + ")"
}

// spill gives ranks that are left over to hosts beyond their slots, as memory allows: first to one, and to the others in order. It returns how many more each gets; ok is false if
// there is no memory for all.
func spill(cs []candidate, quotas []int, left, first int) (more []int, ok bool) {
	more = make([]int, len(cs))
	give := func(i int) {
		more[i] = min(left, max(0, cs[i].memory-quotas[i]))
		left -= more[i]
	}
	give(first)
	for i := range cs {
		if i != first {
			give(i)
		}
	}
	return more, left == 0
}
