package fsm

import (
	"iter"

	apiv1 "github.com/godwit-run/godwit/api/v1"
)

// Checkpoint returns the checkpoint with this id.
func (v *View) Checkpoint(id CheckpointID) (*apiv1.Checkpoint, bool) {
	return v.checkpoints.Get([]byte(id))
}

// Checkpoints iterates over all checkpoints, ended ones too, in id order.
func (v *View) Checkpoints() iter.Seq[*apiv1.Checkpoint] { return values(v.checkpoints) }

// PendingCheckpoints iterates over the checkpoints that have not ended, in the
// order of their beginnings.
func (v *View) PendingCheckpoints() iter.Seq[*apiv1.Checkpoint] {
	return v.checkpointsIn(values(v.underWay))
}

// PendingCheckpointsOn iterates over those of them of which a host makes a part, or is to
// hold one, the oldest first.
func (v *View) PendingCheckpointsOn(host HostID) iter.Seq[*apiv1.Checkpoint] {
	return v.checkpointsIn(after(v.partsOn, pairKey(string(host), ""), nil))
}

// CheckpointsOf iterates over the app's checkpoints, ended ones too, the oldest
// first. The app may be forgotten.
func (v *View) CheckpointsOf(id AppID) iter.Seq[*apiv1.Checkpoint] {
	return v.CheckpointsOfAfter(id, Place{})
}

// CheckpointUnderWay returns the checkpoint that the app has under way.
func (v *View) CheckpointUnderWay(id AppID) (*apiv1.Checkpoint, bool) {
	app, ok := v.App(id)
	if !ok || app.GetCheckpointId() == "" {
		return nil, false
	}
	return v.Checkpoint(CheckpointID(app.GetCheckpointId()))
}

// HoldingCheckpoint returns the checkpoint for which no rank of the app may move, nor its
// files, if it has one under way that is not taken yet, or with which it is to leave its
// hosts: its ranks stand still until that is complete.
func (v *View) HoldingCheckpoint(id AppID) (*apiv1.Checkpoint, bool) {
	ck, ok := v.CheckpointUnderWay(id)
	return ck, ok && (CheckpointPhaseOf(ck).HoldsRanks() || ck.GetThen() != apiv1.AfterCheckpoint_AFTER_CHECKPOINT_UNSPECIFIED)
}

func (v *View) checkpointsIn(ids iter.Seq[CheckpointID]) iter.Seq[*apiv1.Checkpoint] {
	return func(yield func(*apiv1.Checkpoint) bool) {
		for id := range ids {
			if ck, ok := v.Checkpoint(id); ok && !yield(ck) {
				return
			}
		}
	}
}
