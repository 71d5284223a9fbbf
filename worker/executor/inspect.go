package executor

import (
	"maps"
	"slices"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/mpi"
)

// inspect says what each rank does that has not ended here.
func (e *Executor) inspect() *apiv1.ExecInspected {
	states := map[mpi.Rank]rankState{}
	e.mu.Lock()
	for id, r := range e.ranks {
		if r.state != rankEnded && r.state != rankExpected {
			states[id] = r.state
		}
	}
	e.mu.Unlock()
	out := &apiv1.ExecInspected{}
	for _, id := range slices.Sorted(maps.Keys(states)) {
		line := &apiv1.RankDoing{Rank: int32(id), Host: e.start.Host, Doing: "arrived by a migration that is not decided yet"}
		if states[id] != rankStaged {
			line.Doing = e.world.Inspect(id)
		}
		if states[id] == rankRunning {
			if s := e.world.Standing(id); s.Waits {
				line.Wait = &apiv1.RankWait{Sent: s.Sent, Received: s.Received, Over: int32(s.Over), Mark: s.Mark} //nolint:gosec // at most MaxAppSize
			}
		}
		out.Ranks = append(out.Ranks, line)
	}
	return out
}
