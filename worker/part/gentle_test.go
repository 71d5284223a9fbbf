package part

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	apiv1 "github.com/godwit-run/godwit/api/v1"
)

// noted are hands that note what is wanted of them.
type noted struct {
	hands

	said *[]string
}

func (n noted) note(format string, args ...any) {
	*n.said = append(*n.said, fmt.Sprintf(format, args...))
}

func (n noted) Say(c *apiv1.ExecCommand) {
	switch m := c.Msg.(type) {
	case *apiv1.ExecCommand_Freeze:
		n.note("freeze %v", m.Freeze.Ranks)
	case *apiv1.ExecCommand_Resume:
		n.note("resume %v", m.Resume.Ranks)
	}
}
func (n noted) Cancel(reason string, grace time.Duration) { n.note("cancel %s %s", reason, grace) }
func (n noted) BeginSaving(*apiv1.Checkpoint)             {}
func (n noted) EndSaving(string, bool, bool)              {}
func (n noted) Write(string, []int32) error               { return nil }
func (n noted) Stood(string, int32)                       {}

// TestGentleEnd: ranks that stand still for what the end of their app ends go on where they have a time to end by themselves, and else do not; less time counts when it is said, more does not.
func TestGentleEnd(t *testing.T) {
	for grace, want := range map[int64][]string{
		5000: {"freeze [0]", "cancel enough 5s", "resume [0]", "cancel enough 2s", "cancel enough 0s"},
		0:    {"freeze [0]", "cancel enough 0s"},
	} {
		var said []string
		h := noted{said: &said}
		p := New("a", "h1")
		rec := &apiv1.AppRecord{Index: 5, App: &apiv1.App{
			Id: "a", Attempt: 1, Size: 1, Epoch: 1, Placement: []string{"h1"}, FirstEpoch: 1, Epochs: []*apiv1.EpochRun{{Count: 1, Epoch: 1}}, Spec: &apiv1.AppSpec{Size: 1},
		}}
		next := func(change func(*apiv1.AppRecord)) {
			rec = proto.CloneOf(rec)
			rec.Index++
			change(rec)
			p.Follow(rec)
			p.Step(h)
		}
		p.Adopting()
		p.Follow(rec)
		_, why := p.Adopt(h, &apiv1.ExecStanding{Ranks: []*apiv1.StandingRank{{Rank: 0, Epoch: 1, State: apiv1.StandingRank_STATE_RUNS}}})
		require.Empty(t, why)
		next(func(r *apiv1.AppRecord) {
			r.Checkpoint = &apiv1.Checkpoint{Id: "c", App: "a", Phase: apiv1.CheckpointPending, Parts: []*apiv1.CheckpointPart{{Host: "h1"}}}
		})
		next(func(r *apiv1.AppRecord) { r.Checkpoint.Phase = apiv1.CheckpointAnnounced })
		p.Frozen(h, &apiv1.ExecFrozen{Migration: "c", Rank: 0})
		next(func(r *apiv1.AppRecord) {
			r.App.Verdict, r.App.Reason, r.App.GraceMs, r.Checkpoint.Phase = apiv1.AppCancelled, "enough", grace, apiv1.CheckpointAborted
		})
		for _, ms := range []int64{2000, 3000, 0, 10} {
			next(func(r *apiv1.AppRecord) { r.App.GraceMs = min(ms, r.App.GraceMs) })
		}
		require.Equal(t, want, said)
	}
}
