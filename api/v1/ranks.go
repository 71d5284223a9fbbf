// Package apiv1 is the wire and log format of Godwit, made from api/proto, and
// what reads it.
package apiv1

import (
	"math/bits"
	"slices"

	"google.golang.org/protobuf/proto"
)

// The control plane keeps what it knows of an app's ranks packed: a bit a rank
// for those that have ended, and runs for the rest. These methods read that, and
// the form with one RankState a rank as well.

// HasEnded tells whether rank r has ended. It is false for a rank that is not there.
func (x *App) HasEnded(r int32) bool {
	if r < 0 || r >= x.GetSize() {
		return false
	}
	if ranks := x.GetRanks(); len(ranks) > 0 {
		return int(r) < len(ranks) && ranks[r].GetEnded()
	}
	i := int(r / 8)
	return i < len(x.GetEnded()) && x.GetEnded()[i]>>(r%8)&1 == 1
}

// CountEnded is the number of ranks that have ended.
func (x *App) CountEnded() int {
	n := 0
	for _, r := range x.GetRanks() {
		if r.GetEnded() {
			n++
		}
	}
	for _, b := range x.GetEnded() {
		n += bits.OnesCount8(b)
	}
	return n
}

// RankEpoch is the epoch at which rank r was put on its present host; 0 for a
// rank that was not placed. To look at many ranks, use RankEpochs.
func (x *App) RankEpoch(r int32) uint64 {
	if ranks := x.GetRanks(); len(ranks) > 0 {
		if r < 0 || int(r) >= len(ranks) {
			return 0
		}
		return ranks[r].GetEpoch()
	}
	for _, run := range x.GetEpochs() {
		if r < run.GetCount() {
			return run.GetEpoch()
		}
		r -= run.GetCount()
	}
	return 0
}

// RankEpochs is RankEpoch for whoever asks of many ranks: the runs are laid out once. Its result answers like RankEpoch.
func (x *App) RankEpochs() func(r int32) uint64 {
	runs := x.GetEpochs()
	if len(x.GetRanks()) > 0 || len(runs) < 2 {
		return x.RankEpoch
	}
	ends := make([]int32, len(runs)) // of each run, the rank after its last
	last := int32(0)
	for i, run := range runs {
		last += run.GetCount()
		ends[i] = last
	}
	return func(r int32) uint64 {
		i, at := slices.BinarySearch(ends, r)
		if at {
			i++
		}
		if r < 0 || i >= len(runs) {
			return 0
		}
		return runs[i].GetEpoch()
	}
}

// RankState is what is known of rank r. It is not to be changed.
func (x *App) RankState(r int32) *RankState {
	if ranks := x.GetRanks(); len(ranks) > 0 {
		if r < 0 || int(r) >= len(ranks) {
			return nil
		}
		return ranks[r]
	}
	st := &RankState{Ended: x.HasEnded(r), Epoch: x.RankEpoch(r)}
	for _, end := range x.GetEnds() {
		if r >= end.GetFirst() && r < end.GetFirst()+end.GetCount() {
			st.ExitCode, st.Reason = end.GetExitCode(), end.GetReason()
		}
	}
	return st
}

// RankStates is what is known of each rank, in order. It is not to be changed.
func (x *App) RankStates() []*RankState {
	if ranks := x.GetRanks(); len(ranks) > 0 {
		return ranks
	}
	out := make([]*RankState, x.GetSize())
	for r := range out {
		out[r] = &RankState{Ended: x.HasEnded(int32(r))}
	}
	r := 0
	for _, run := range x.GetEpochs() {
		for range run.GetCount() {
			if r < len(out) {
				out[r].Epoch = run.GetEpoch()
			}
			r++
		}
	}
	for _, end := range x.GetEnds() {
		for i := range end.GetCount() {
			if at := end.GetFirst() + i; int(at) < len(out) {
				out[at].ExitCode, out[at].Reason = end.GetExitCode(), end.GetReason()
			}
		}
	}
	return out
}

// Expanded is a copy of the app with one RankState a rank, for people and their
// scripts to read.
func (x *App) Expanded() *App {
	out := proto.CloneOf(x)
	out.Ranks = x.RankStates()
	out.Ended, out.Ends, out.Epochs = nil, nil, nil
	return out
}

// HostAt is the host of a rank by runs of ranks from rank 0; "": they do not reach so far.
func HostAt(runs []*PlaceRule, rank int32) string {
	for _, r := range runs {
		if rank < r.GetRanks() {
			return r.GetHost()
		}
		rank -= r.GetRanks()
	}
	return ""
}
