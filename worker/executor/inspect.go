package executor

import (
	"fmt"
	"maps"
	"slices"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/mpi"
	"github.com/godwit-run/godwit/worker/stand"
	"github.com/godwit-run/godwit/worker/wasm"
)

// maxPeersTold bounds what is told of traffic at a time, over all ranks, and leastPeersTold is of how many peers of each rank it is told at least.
const (
	maxPeersTold   = 1 << 16
	leastPeersTold = 16
)

func peersTold(list []mpi.Heard) []*apiv1.RankTraffic {
	out := make([]*apiv1.RankTraffic, len(list))
	for i, h := range list {
		out[i] = &apiv1.RankTraffic{From: int32(h.From), BytesPerSecond: h.BytesPerSecond}
	}
	return out
}

// engineOf says in which engine a rank runs, where that is a question. Holds mu.
func (e *Executor) engineOf(r *rank) string {
	name, why := r.guest.Engine()
	switch {
	case e.start.Engine == "" || e.start.Engine == wasm.EngineWazero:
		return ""
	case why != "":
		return fmt.Sprintf(" (in %s: %s)", name, why)
	}
	if made := e.madeOf(r); made != "" && name == wasm.EngineNative {
		return fmt.Sprintf(" (in the %s engine, %s)", name, made)
	}
	return fmt.Sprintf(" (in the %s engine)", name)
}

// inspect says what each rank does that has not ended here, and, if asked, what it receives from others.
func (e *Executor) inspect(traffic bool) *apiv1.ExecInspected {
	states, engines := map[mpi.Rank]stand.State{}, map[mpi.Rank]string{}
	e.mu.Lock()
	for id, r := range e.ranks {
		if r.State != stand.Ended && r.State != stand.Expected {
			states[id], engines[id] = r.State, e.engineOf(r)
		}
	}
	e.mu.Unlock()
	out := &apiv1.ExecInspected{}
	for _, id := range slices.Sorted(maps.Keys(states)) {
		line := &apiv1.RankDoing{Rank: int32(id), Host: e.start.Host, Doing: "arrived by a migration that is not decided yet"}
		if states[id] != stand.Staged {
			line.Doing = e.world.Inspect(id)
			if at := e.home.asksAt(id); at != "" {
				line.Doing += ", asks host " + at + " for a file: each access but small writes is a request that it waits for"
			}
			line.Doing += engines[id]
		}
		if states[id] == stand.Running {
			if traffic {
				line.MemoryBytes, line.Heard = e.world.MemoryBytes(id), peersTold(e.world.Traffic(id, max(leastPeersTold, maxPeersTold/len(states))))
			}
			if s := e.world.Standing(id); s.Waits {
				line.Wait = &apiv1.RankWait{Sent: s.Sent, Received: s.Received, Over: int32(s.Over), Mark: s.Mark} //nolint:gosec // at most MaxAppSize
			}
		}
		out.Ranks = append(out.Ranks, line)
	}
	return out
}
