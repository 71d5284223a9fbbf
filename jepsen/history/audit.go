package history

import (
	"errors"
	"fmt"
	"slices"

	apiv1 "github.com/godwit-run/godwit/api/v1"
)

// Audit replays a whole log and checks, at each entry, what must hold of slots, phases, incarnations and migrations; and
// that what readers were shown is what the log says was true at the index of their answer.
func Audit(ops []Op, log []Entry) error {
	a := &audit{state: newState(), reads: map[uint64][]Op{}}
	for _, op := range ops {
		if op.End == OK && op.Index > 0 && (op.Kind == Status || op.Kind == List) {
			a.reads[op.Index] = append(a.reads[op.Index], op)
		}
	}
	for _, e := range log {
		a.index = e.Index
		for i, cmd := range e.Commands {
			if !e.applied(i) {
				a.refused(e, i)
				continue
			}
			if cmd.GetTerm() != 0 && cmd.GetTerm() != e.Term {
				a.say("a command of the leader of term %d is applied in term %d", cmd.GetTerm(), e.Term)
			}
			a.command(cmd)
		}
		a.slots()
		a.read(e.Index)
		delete(a.reads, e.Index)
	}
	for index, ops := range a.reads {
		a.say("%s of client %d is of index %d, which the log does not hold", ops[0].Kind, ops[0].Client, index)
	}
	return errors.Join(a.wrong...)
}

type audit struct {
	*state
	index uint64
	reads map[uint64][]Op // by the index of their answer
	wrong []error
}

func (a *audit) say(format string, args ...any) {
	if len(a.wrong) < maxTold {
		a.wrong = append(a.wrong, fmt.Errorf("entry %d: "+format, append([]any{a.index}, args...)...))
	}
}

// codeBroken is the answer to a command that was refused because the state would have broken a promise.
const codeBroken = "broken_invariant"

// refused looks at a command that was not applied: a correct cluster proposes none that would break its state.
func (a *audit) refused(e Entry, i int) {
	if i < len(e.Results) && e.Results[i].GetCode() == codeBroken {
		a.say("a command was refused that would have broken the state: %s", e.Results[i].GetReason())
	}
}

func (a *audit) slots() {
	for name, h := range a.hosts {
		if used, over := a.used(name); used > h.slots && !over {
			a.say("host %s has %d slots and %d used", name, h.slots, used)
		}
	}
}

func (a *audit) read(index uint64) {
	for _, op := range a.reads[index] {
		for _, seen := range op.Apps {
			if err := a.shown(seen); err != nil {
				a.say("%s of client %d %w", op.Kind, op.Client, err)
			}
		}
		if op.Kind == List && !op.Partial && len(op.Apps) != len(a.apps) {
			a.say("list of client %d shows %d apps, by the log there are %d", op.Client, len(op.Apps), len(a.apps))
		}
	}
}

func (a *audit) command(cmd *apiv1.Command) {
	switch op := cmd.GetOp().(type) {
	case *apiv1.Command_RegisterHost:
		a.register(op.RegisterHost.GetHost())
	case *apiv1.Command_SetHostState:
		a.hostState(op.SetHostState)
	case *apiv1.Command_SubmitApp:
		a.submit(op.SubmitApp)
	case *apiv1.Command_PlaceApp:
		a.place(op.PlaceApp)
	case *apiv1.Command_HostStarted:
		a.started(op.HostStarted.GetApp(), op.HostStarted.GetEpoch())
	case *apiv1.Command_RanksEnded:
		a.ranksEnded(op.RanksEnded)
	case *apiv1.Command_StopApp:
		a.stop(op.StopApp)
	case *apiv1.Command_ProposeMigration:
		a.propose(op.ProposeMigration)
	case *apiv1.Command_FreezeMigration:
		if m := a.pending(op.FreezeMigration.GetId()); m != nil {
			m.frozen = true
		}
		if op.FreezeMigration.GetCommit() {
			a.commit(op.FreezeMigration.GetId())
		}
	case *apiv1.Command_CommitMigration:
		a.commit(op.CommitMigration.GetId())
	case *apiv1.Command_AbortMigration:
		if m := a.pending(op.AbortMigration.GetId()); m != nil {
			a.abort(op.AbortMigration.GetId())
			a.finish(a.apps[m.app])
		}
	}
}

func (a *audit) register(h *apiv1.Host) {
	old := a.hosts[h.GetId()]
	if old != nil && old.incarnation != h.GetIncarnation() {
		a.lose(h.GetId(), false)
	} else if old != nil && old.gone {
		a.say("host %s comes back as an incarnation that is over", h.GetId())
	}
	a.hosts[h.GetId()] = &hostState{slots: int(h.GetSlots()), incarnation: h.GetIncarnation()}
}

func (a *audit) hostState(op *apiv1.SetHostState) {
	h := a.hosts[op.GetHost()]
	if h == nil || h.incarnation != op.GetIncarnation() {
		a.say("the state of host %s changes, whose incarnation is another", op.GetHost())
		return
	}
	if gone := op.GetState() == "lost" || op.GetState() == "left"; gone && !h.gone {
		h.gone = true
		a.lose(op.GetHost(), true)
	}
}

func (a *audit) submit(op *apiv1.SubmitApp) {
	if a.apps[op.GetId()] != nil {
		a.say("app %s is submitted twice", op.GetId())
		return
	}
	n := int(op.GetSpec().GetSize())
	a.apps[op.GetId()] = &appState{
		size: n, over: op.GetSpec().GetOversubscribe(), phase: "queued", ended: make([]bool, n), epochs: make([]uint64, n),
	}
}

// placedApp finds an app that must have hosts.
func (a *audit) placedApp(what, id string) *appState {
	app := a.apps[id]
	switch {
	case app == nil:
		a.say("%s of app %s, which was never submitted", what, id)
		return nil
	case app.phase != placed:
		a.say("%s of app %s, which is %s", what, id, app.phase)
		return nil
	}
	return app
}

func (a *audit) place(op *apiv1.PlaceApp) {
	app := a.apps[op.GetApp()]
	if app == nil || app.phase != "queued" {
		a.say("app %s is placed, which is not queued", op.GetApp())
		return
	}
	hosts := hostsOf(op)
	if len(hosts) != app.size {
		a.say("app %s of %d ranks gets %d hosts", op.GetApp(), app.size, len(hosts))
		return
	}
	for _, name := range hosts {
		if h := a.hosts[name]; h == nil || h.gone {
			a.say("app %s is placed on host %s, which is not there", op.GetApp(), name)
		}
	}
	app.placement, app.phase, app.epoch = hosts, placed, 1
	for r := range app.epochs {
		app.epochs[r] = 1
	}
}

// hostsOf are the hosts of an app's ranks: named one by one, or in runs.
func hostsOf(op *apiv1.PlaceApp) []string {
	hosts := slices.Clone(op.GetPlacement())
	for _, run := range op.GetRuns() {
		hosts = append(hosts, slices.Repeat([]string{run.GetHost()}, int(max(0, run.GetRanks())))...)
	}
	return hosts
}

// started checks that an app starts at its epoch.
func (a *audit) started(id string, epoch uint64) {
	if app := a.placedApp("a start", id); app != nil && epoch != app.epoch {
		a.say("a start of app %s at epoch %d, which is at %d", id, epoch, app.epoch)
	}
}

func (a *audit) ranksEnded(op *apiv1.RanksEnded) {
	app := a.placedApp("an end of ranks", op.GetApp())
	if app == nil {
		return
	}
	if h := a.hosts[op.GetHost()]; h == nil || h.gone {
		a.say("host %s, which is gone, ends ranks of app %s", op.GetHost(), op.GetApp())
	}
	if epoch := op.GetStartedEpoch(); epoch != 0 {
		a.started(op.GetApp(), epoch)
	}
	n := 0
	for _, e := range op.GetRanks() {
		r := int(e.GetRank())
		if r < 0 || r >= app.size || app.placement[r] != op.GetHost() || app.ended[r] || app.epochs[r] != e.GetEpoch() {
			continue
		}
		app.end(r, e.GetExitCode())
		n++
	}
	if n == 0 {
		a.say("host %s ends ranks of app %s, and none of them is there at its epoch", op.GetHost(), op.GetApp())
	}
	if m := a.migrations[app.migration]; m != nil {
		for _, mv := range m.moves {
			if app.ended[mv.GetRank()] {
				a.abort(app.migration)
				break
			}
		}
	}
	a.finish(app)
}

func (a *audit) stop(op *apiv1.StopApp) {
	app := a.apps[op.GetApp()]
	if app == nil || app.phase != "queued" && app.phase != placed {
		a.say("app %s is stopped, which does not run", op.GetApp())
		return
	}
	if app.verdict == "" {
		app.verdict, app.code = op.GetPhase(), stopCode(op)
	}
	a.finish(app)
}

func (a *audit) propose(op *apiv1.ProposeMigration) {
	app := a.placedApp("a migration", op.GetApp())
	switch {
	case app == nil:
		return
	case a.migrations[op.GetId()] != nil:
		a.say("migration %s is proposed twice", op.GetId())
		return
	case app.migration != "" || app.verdict != "" || app.epoch != op.GetFromEpoch():
		a.say("migration %s of app %s is proposed at epoch %d; it is at %d, migration %q, verdict %q",
			op.GetId(), op.GetApp(), op.GetFromEpoch(), app.epoch, app.migration, app.verdict)
		return
	}
	for _, mv := range op.GetMoves() {
		if h := a.hosts[mv.GetTo()]; h == nil || h.gone {
			a.say("migration %s goes to host %s, which is not there", op.GetId(), mv.GetTo())
		}
	}
	a.migrations[op.GetId()] = &migrationState{app: op.GetApp(), moves: op.GetMoves()}
	app.migration = op.GetId()
}

// pending finds a migration that has not ended.
func (a *audit) pending(id string) *migrationState {
	m := a.migrations[id]
	if m == nil || m.end != "" {
		a.say("migration %s goes on, which has ended or never began", id)
		return nil
	}
	return m
}

func (a *audit) commit(id string) {
	m := a.pending(id)
	if m == nil {
		return
	}
	if !m.frozen {
		a.say("migration %s is committed, and its images were never reported", id)
	}
	app := a.apps[m.app]
	app.epoch++
	for _, mv := range m.moves {
		app.placement[mv.GetRank()], app.epochs[mv.GetRank()] = mv.GetTo(), app.epoch
	}
	m.end, app.migration = "committed", ""
}
