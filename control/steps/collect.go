package steps

import (
	"cmp"
	"slices"
	"time"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/fsm"
)

// checkpointKeep is how many of an app's complete checkpoints that its period has made are kept if it does not say.
const checkpointKeep = 2

// Collect has checkpoints of an app forgotten that nobody wants, each by itself, for another app may begin from one of them: of an app that goes on, those that its
// period has made, but for the last few; of one that has succeeded, all; of others that are over, those that ended before oldest. What asks for them by hand keeps
// them until the app is over. onItsWay says whether one is just brought to its object store.
func Collect(v *fsm.View, id fsm.AppID, oldest time.Time, onItsWay func(id string) bool) (out []*Step) {
	app, known := v.App(id)
	over := !known || fsm.PhaseOf(app).Terminal()
	for _, c := range unwanted(app, known, slices.Collect(v.CheckpointsOf(id)), oldest) {
		if over || c.Id != app.GetRestore() && c.Id != app.GetLastCheckpoint() && !onItsWay(c.Id) {
			out = append(out, &Step{What: "remove checkpoint " + c.Id, Command: &apiv1.Command{
				Op: &apiv1.Command_RemoveCheckpoint{RemoveCheckpoint: &apiv1.RemoveCheckpoint{Ids: []string{c.Id}}},
			}})
		}
	}
	return out
}

// unwanted are those of all checkpoints of an app, oldest first, that nobody wants, the newest first. known says whether the app is.
func unwanted(app *apiv1.App, known bool, all []*apiv1.Checkpoint, oldest time.Time) (out []*apiv1.Checkpoint) {
	over := !known || fsm.PhaseOf(app).Terminal()
	keep, stored := cmp.Or(int(app.GetSpec().GetCheckpointKeep()), checkpointKeep), false
	for _, c := range slices.Backward(all) {
		complete := c.Phase == apiv1.CheckpointComplete
		switch {
		case !apiv1.CheckpointOver(c.Phase):
		case c.Imported: // whether its app is known here, and how it stands, has nothing to do with it
			if c.GetEndedAt().AsTime().Before(oldest) {
				out = append(out, c)
			}
		case over && (known && fsm.PhaseOf(app) == fsm.Succeeded || c.GetEndedAt().AsTime().Before(oldest)):
			out = append(out, c)
		case over:
		case complete && c.Lost: // it takes no place of another's, and is not removed from a store that may only be away
		case complete && c.Cause == CausePeriod:
			last := c.StoredAt != nil && !stored // when its hosts are lost the app goes on from there
			stored = stored || last
			if keep--; keep < 0 && !last {
				out = append(out, c)
			}
		}
	}
	return out
}
