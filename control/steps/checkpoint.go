package steps

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/fsm"
	"github.com/godwit-run/godwit/internal/text"
)

// Standing is how the hosts stand with a checkpoint under way, by what they report.
type Standing struct {
	Waiting  string // a host that has not done its part of this phase; empty: all have
	Fault    string // why a host cannot do its part; empty: none has said so
	Retry    bool   // who says so says that another checkpoint may do better
	Trouble  string // what keeps a host, for now
	Progress int64  // bytes that all have written or sent

	ready, still, taken, held bool                    // all are
	parts                     []*apiv1.CheckpointPart // taken, or held
}

// StandingOf is how hosts stand with a checkpoint. reports are of its app; nothing in them is trusted: what does not fit is passed over.
func StandingOf(c *apiv1.Checkpoint, reports Reports) *Standing {
	s := &Standing{Retry: true, ready: true, still: true, taken: true, held: true}
	for _, p := range c.Parts {
		st := reports(fsm.HostID(p.Host)).GetCheckpoint()
		if st.GetId() != c.Id {
			st = nil
		}
		s.Progress += max(0, st.GetProgress())
		s.Fault = cmp.Or(s.Fault, text.Line(st.GetFault(), fsm.MaxReasonBytes))
		s.Retry = s.Retry && (st.GetFault() == "" || st.GetRetry())
		s.Trouble = cmp.Or(s.Trouble, text.Line(st.GetTrouble(), fsm.MaxReasonBytes))
		s.ready = s.ready && st.GetReady()
		s.still = s.still && st.GetStill()
		s.taken = s.taken && st.GetTaken() != nil
		s.held = s.held && st.GetHeld() != nil
		part := &apiv1.CheckpointPart{Host: p.Host, Files: p.Files, PauseMs: finite(st.GetHeld().GetPauseMs())}
		switch {
		case c.Phase == apiv1.CheckpointPending && !st.GetReady(), c.Phase == apiv1.CheckpointAnnounced && !c.Still && !st.GetStill(),
			c.Phase == apiv1.CheckpointAnnounced && c.Still && st.GetTaken() == nil, c.Phase == apiv1.CheckpointTaken && st.GetHeld() == nil:
			s.Waiting = p.Host
		}
		if held := st.GetHeld(); held != nil {
			part.Digest, part.Bytes, part.NewBytes = held.Digest, max(0, held.Bytes), max(0, min(held.NewBytes, held.Bytes))
		}
		s.parts = append(s.parts, part)
	}
	s.Retry = s.Retry && s.Fault != ""
	return s
}

// finite is a number of milliseconds that makes sense.
func finite(ms float64) float64 {
	const most = float64(24 * time.Hour / time.Millisecond)
	if !(ms >= 0 && ms <= most) {
		return 0
	}
	return ms
}

// checkpoint is one under way, as one look finds it.
type checkpoint struct {
	*apiv1.Checkpoint
	view  *fsm.View
	stand *Standing
	now   time.Time
}

// Checkpoint is the next step of a checkpoint under way, or its abort; nil: it waits. reports are of its app.
func Checkpoint(v *fsm.View, c *apiv1.Checkpoint, reports Reports, w *Watch, now time.Time, d Deadlines) *Step {
	s := StandingOf(c, reports)
	w.at(fmt.Sprint(c.Phase, c.Still), now)
	w.got(s.Progress, now)
	k := &checkpoint{Checkpoint: c, view: v, stand: s, now: now}
	if s.Fault != "" {
		return k.abort(s.Fault, s.Retry)
	}
	switch {
	case c.Phase == apiv1.CheckpointPending && s.ready:
		return k.announce(false)
	case c.Phase == apiv1.CheckpointPending:
		return k.late(w.moved, d.Announce, "host "+s.Waiting+" is not ready")
	case c.Phase == apiv1.CheckpointAnnounced && s.taken && (c.Still || !hasFiles(c)):
		return k.take()
	case c.Phase == apiv1.CheckpointAnnounced && !c.Still && s.still:
		return k.announce(true)
	case c.Phase == apiv1.CheckpointAnnounced && !c.Still:
		return k.late(w.since, d.Freeze, "a rank on host "+s.Waiting+" did not stop")
	case c.Phase == apiv1.CheckpointAnnounced:
		return k.late(w.moved, d.Freeze, "the app's files on host "+s.Waiting+" were not written")
	case c.Phase == apiv1.CheckpointTaken && s.held:
		return k.complete()
	case c.Phase == apiv1.CheckpointTaken:
		return k.late(w.moved, d.Transfer, "the part of host "+s.Waiting+" is not stored")
	}
	return nil
}

func hasFiles(c *apiv1.Checkpoint) bool {
	return slices.ContainsFunc(c.Parts, func(p *apiv1.CheckpointPart) bool { return p.Files })
}

func (k *checkpoint) announce(still bool) *Step {
	what := "announce "
	if still {
		what = "hold still for "
	}
	return &Step{What: what + k.Id, Command: &apiv1.Command{
		Op: &apiv1.Command_AnnounceCheckpoint{AnnounceCheckpoint: &apiv1.AnnounceCheckpoint{Id: k.Id, Still: still}},
	}}
}

// take says that all parts are taken, without what is known later.
func (k *checkpoint) take() *Step {
	op := &apiv1.TakeCheckpoint{Id: k.Id}
	for _, p := range k.stand.parts {
		op.Parts = append(op.Parts, &apiv1.CheckpointPart{Host: p.Host, Files: p.Files})
	}
	return &Step{What: "take " + k.Id, Command: &apiv1.Command{Op: &apiv1.Command_TakeCheckpoint{TakeCheckpoint: op}}}
}

func (k *checkpoint) complete() *Step {
	parts := k.stand.parts
	longest := slices.MaxFunc(parts, func(a, b *apiv1.CheckpointPart) int { return cmp.Compare(a.PauseMs, b.PauseMs) })
	for _, p := range parts {
		if p != longest { // nobody looks at the others, and the entry of an app on thousands of hosts has to stay small
			p.PauseMs = 0
		}
	}
	return &Step{What: "complete " + k.Id, Command: &apiv1.Command{
		Op: &apiv1.Command_CompleteCheckpoint{CompleteCheckpoint: &apiv1.CompleteCheckpoint{Id: k.Id, Parts: parts}},
	}}
}

// late aborts a checkpoint that has not got on for long.
func (k *checkpoint) late(since time.Time, most time.Duration, what string) *Step {
	if k.now.Sub(since) <= most {
		return nil
	}
	why := fmt.Sprintf("%s within %s", what, most)
	if k.stand.Trouble != "" {
		why += ": " + k.stand.Trouble
	} else if k.Phase == apiv1.CheckpointAnnounced && !k.Still {
		why += ": it computes without an MPI call (godwit cc --preemptible builds programs that stop in loops, too), it is in a function that MPI has called back, or it writes or reads files on another host piece by piece (godwit show --ranks says so)"
	}
	return k.abort(why, k.Phase == apiv1.CheckpointTaken) // another second host may take it
}

// abort aborts it. Where another one may do better, that is begun in the same entry: with other second hosts, and of all memory where what there was of it is damaged.
func (k *checkpoint) abort(why string, retry bool) *Step {
	op := &apiv1.AbortCheckpoint{Id: k.Id, Reason: text.Clean(why, fsm.MaxReasonBytes)}
	app, ok := k.view.App(fsm.AppID(k.App))
	switch {
	case !retry || !ok || !k.view.BeginsAnew():
	case k.Tries < fsm.MostInPlace:
		op.Next = begin(k.view, app, fsm.NextInPlace(k.Checkpoint), k.Cause, k.Then, AbortedSince(k.view, app)+1)
		op.Next.To = k.To
	default:
		op.Reason = text.Clean(fmt.Sprintf("tried %d times in a row, the last time: %s", k.Tries+1, why), fsm.MaxReasonBytes)
	}
	return &Step{What: "abort " + k.Id, Command: &apiv1.Command{Op: &apiv1.Command_AbortCheckpoint{AbortCheckpoint: op}}}
}
