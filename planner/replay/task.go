package replay

import (
	"cmp"
	"fmt"
	"time"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/fsm"
)

// step is what a job is in the midst of. While it is in one it makes no headway.
type step uint8

const (
	noStep   step = iota
	moving        // the migration will be committed
	freezing      // the checkpoint will be complete
	thawing       // it goes on from its checkpoint
)

// task is a job in a run.
type task struct {
	*Job
	id        fsm.AppID
	submitted time.Duration // or first tried, in a closed loop
	begun     time.Duration // -1: not yet
	ended     time.Duration // -1: not yet
	// stamp grows when what was foreseen of the task is void.
	stamp int

	// While it is placed:
	shares []share
	links  int
	speed  float64 // of its slowest host
	step   step
	stepID string        // of the migration or the checkpoint
	since  time.Duration // its headway is known up to then

	done           float64 // share of the job
	saved          float64 // that of its last checkpoint
	lastCheckpoint string
	names          int // of migrations and checkpoints, made so far
}

func newTask(i int, j *Job) *task {
	return &task{Job: j, id: fsm.AppID(fmt.Sprintf("j%07d", i)), begun: -1, ended: -1}
}

// name makes an id for a migration or a checkpoint of the task.
func (t *task) name() string {
	t.names++
	return fmt.Sprintf("%s-%d", t.id, t.names)
}

// placed tells whether it holds hosts.
func (t *task) placed() bool { return len(t.shares) > 0 }

// ranks is how many slots it uses.
func (t *task) ranks() int {
	if t.placed() {
		return t.Ranks
	}
	return 0
}

// advance notes the headway up to now.
func (t *task) advance(now time.Duration) {
	if t.placed() && t.step == noStep {
		t.done = min(1, t.done+float64((now-t.since).Seconds()/t.whole()))
	}
	t.since = now
}

// left is how long it takes if nothing changes.
func (t *task) left() time.Duration { return duration((1 - t.done) * t.whole()) }

// whole is how many seconds all of it takes where it is: its ranks run in step, as fast as its slowest host.
func (t *task) whole() float64 { return t.seconds(t.links) / cmp.Or(t.speed, 1) }

// sharesOf is where a view has the ranks of an app.
func sharesOf(v *fsm.View, id fsm.AppID) (out []share) {
	for host, s := range v.HostsOf(id) {
		if s.Ranks > 0 {
			out = append(out, share{string(host), s.Ranks})
		}
	}
	return out
}

// endedOn are the reports of the hosts that all ranks have ended which a placed app still has.
func endedOn(app *apiv1.App, code int32) []*apiv1.Command {
	var order []string
	ended, epoch := make(map[string][]*apiv1.EndedRank), app.RankEpochs()
	for r, host := range app.GetPlacement() {
		if app.HasEnded(int32(r)) {
			continue
		}
		if _, ok := ended[host]; !ok {
			order = append(order, host)
		}
		ended[host] = append(ended[host], &apiv1.EndedRank{Rank: int32(r), Epoch: epoch(int32(r)), ExitCode: code})
	}
	var cmds []*apiv1.Command
	for _, host := range order {
		cmds = append(cmds, &apiv1.Command{Op: &apiv1.Command_RanksEnded{RanksEnded: &apiv1.RanksEnded{
			App: app.GetId(), Host: host, Ranks: ended[host],
		}}})
	}
	return cmds
}
