package fsm

import (
	"slices"

	apiv1 "github.com/godwit-run/godwit/api/v1"
)

// What a host that leaves, or is gone, holds of checkpoints is given to another one.

// ThinPart is a part of the checkpoint that a live app goes on from of which fewer than two hosts that stay have a copy.
type ThinPart struct {
	App        *apiv1.App
	Checkpoint *apiv1.Checkpoint
	Part       *apiv1.CheckpointPart
	From       []HostID // that are there and hold it; those that stay come first
	Leaving    bool     // a holder is to be left
}

// ThinParts are those of an app; none of a checkpoint that an object store has. It costs a look at the parts.
func (v *View) ThinParts(app *apiv1.App) (out []ThinPart) {
	ck := v.goesOnFrom(app)
	if ck == nil || PhaseOf(app).Terminal() || CheckpointPhaseOf(ck) != CheckpointComplete || ck.GetStoredAt() != nil || ck.GetImported() || ck.GetLost() {
		return nil
	}
	for _, part := range ck.GetParts() {
		p, staying := ThinPart{App: app, Checkpoint: ck, Part: part}, 0
		for _, by := range part.Holders() {
			host, ok := v.Host(HostID(by.Host))
			switch {
			case !ok || !v.holds(by.Host, by.Node):
			case stays(host):
				p.From, staying = slices.Insert(p.From, staying, HostID(by.Host)), staying+1
			default:
				p.From, p.Leaving = append(p.From, HostID(by.Host)), true
			}
		}
		if staying < 2 && len(p.From) > 0 {
			out = append(out, p)
		}
	}
	return out
}

// holdPart notes that another host holds a part: in the place of the second, if that does not stay, else as the third.
func (t *tx) holdPart(op *apiv1.HoldPart) outcome {
	old, ok := t.Checkpoint(CheckpointID(op.GetId()))
	to, known := t.Host(HostID(op.GetTo()))
	switch {
	case !ok:
		return refuse(CodeNotFound, "no checkpoint %s", op.GetId())
	case CheckpointPhaseOf(old) != CheckpointComplete || old.GetImported():
		return refuse(CodeWrongPhase, "checkpoint %s is %s, or no host of this cluster holds it", op.GetId(), old.GetPhase())
	case !known:
		return refuse(CodeNotFound, "no host %s", op.GetTo())
	case HostStateOf(to) != Ready:
		return refuse(CodeHostNotReady, "host %s is %s", op.GetTo(), to.GetState())
	case op.GetIncarnation() != "" && op.GetIncarnation() != to.GetIncarnation():
		return refuse(CodeStaleIncarnation, "host %s has restarted since, or is another machine", op.GetTo())
	}
	ck := draftCheckpoint(old)
	bad := changeParts(ck, []*apiv1.CheckpointPart{{Host: op.GetHost()}}, func(part, _ *apiv1.CheckpointPart) outcome {
		node := t.nodeOf(op.GetTo())
		second, third := apiv1.Holder{Host: part.GetSecond(), Node: part.GetSecondNode()}, apiv1.Holder{Host: part.GetThird(), Node: part.GetThirdNode()}
		switch {
		case HeldBy(part, to):
			return refuse(CodeAlreadyExists, "host %s holds the part of host %s of checkpoint %s", op.GetTo(), op.GetHost(), op.GetId())
		case second.Host == op.GetTo(), third.Host != op.GetTo() && !t.staysWith(second): // or another machine of the name had it
			part.Second, part.SecondNode = to.GetId(), node
		case third.Host == op.GetTo(), !t.staysWith(third):
			part.Third, part.ThirdNode = to.GetId(), node
		default:
			return refuse(CodeAlreadyExists, "hosts %s and %s hold the part of host %s of checkpoint %s, and stay", part.GetSecond(), part.GetThird(), op.GetHost(), op.GetId())
		}
		return applied("")
	})
	if bad.code != CodeApplied {
		return bad
	}
	t.putCheckpoint(ck) // its new name of a host is the host's own; the others, and the runs, are of the view that others read
	return applied(op.GetId())
}
