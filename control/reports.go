package control

import (
	"context"
	"fmt"
	"slices"

	"golang.org/x/sync/errgroup"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/fsm"
	"github.com/godwit-run/godwit/internal/text"
)

// proposalsAtOnce bounds the proposals that one look at the reports makes at a time; the log batches them.
const proposalsAtOnce = 64

// takeReports commits what workers report: executors that run, ranks that have ended, pauses. It looks at the apps that
// have had news since the last look, and at those where a proposal came to nothing.
func (l *leader) takeReports(ctx context.Context) {
	fresh := l.inbox.takeFresh() // before the view: a report is never ahead of the state it is compared with
	v := l.c.state.View()
	var g errgroup.Group
	g.SetLimit(proposalsAtOnce)
	for _, id := range fresh {
		app, ok := v.App(id)
		if !ok || fsm.PhaseOf(app).Terminal() {
			continue
		}
		for host, st := range l.inbox.ofApp(id) {
			all := news(v, app, host, st)
			if len(all) == 0 {
				continue
			}
			g.Go(func() error { // one after the other: an app has started before it ends
				for _, p := range all {
					if !l.propose(ctx, p.what, p.fill) {
						l.inbox.again(id)
					}
				}
				return nil
			})
		}
	}
	_ = g.Wait() // propose reports its own failures
}

// proposal is a command of the leader's own, before it is made.
type proposal struct {
	what string // for the log; the same for the same thing
	fill func(*apiv1.Command)
}

// news are the commands that follow from what a host reports of an app, and the log does not have. Nothing in the report
// is trusted: what does not fit the state is passed over.
func news(v *fsm.View, app *apiv1.App, host fsm.HostID, st *apiv1.AppStatus) []proposal {
	var out []proposal
	if started(app, host, st) {
		out = append(out, proposal{"started " + app.Id + " on " + string(host), func(c *apiv1.Command) {
			c.Op = &apiv1.Command_HostStarted{HostStarted: &apiv1.HostStarted{App: app.Id, Host: string(host), Epoch: app.Epoch}}
		}})
	}
	ended := &apiv1.RanksEnded{App: app.Id, Host: string(host), Ranks: newlyEnded(v, app, host, st)}
	for i, part := range fsm.SplitRanksEnded(ended) {
		out = append(out, proposal{fmt.Sprintf("ranks ended %s on %s from %d (%d)", app.Id, host, part.Ranks[0].Rank, i), func(c *apiv1.Command) {
			c.Op = &apiv1.Command_RanksEnded{RanksEnded: part}
		}})
	}
	if v.Mounts() {
		out = append(out, filesNews(app, host, st.GetFiles())...)
	}
	return append(out, newPauses(v, app, host, st)...)
}

// started says whether a report is news of an executor that runs.
func started(app *apiv1.App, host fsm.HostID, st *apiv1.AppStatus) bool {
	return fsm.PhaseOf(app) == fsm.Starting && st.Executor == apiv1.ExecutorRunning &&
		slices.Contains(app.Placement, string(host)) && !slices.Contains(app.StartedHosts, string(host))
}

// newlyEnded are the ranks that a report says have ended, and the log does not, each once.
func newlyEnded(v *fsm.View, app *apiv1.App, host fsm.HostID, st *apiv1.AppStatus) []*apiv1.EndedRank {
	var out []*apiv1.EndedRank
	seen, epoch := map[int32]bool{}, app.RankEpochs()
	for _, r := range st.Ranks {
		if r.State != apiv1.RankEnded || !onHost(app, r.Rank, host) || app.HasEnded(r.Rank) || epoch(r.Rank) != r.Epoch ||
			seen[r.Rank] {
			continue
		}
		seen[r.Rank] = true
		out = append(out, &apiv1.EndedRank{
			Rank: r.Rank, Epoch: r.Epoch, ExitCode: r.ExitCode, Reason: text.Clean(r.Reason, reasonBytes(int(app.Size))),
			ToldByReason: r.ToldByReason && v.TellsByReason(), HostLost: r.HostLost && v.MakesCheckpoints(),
		})
	}
	return out
}

// onHost says whether the app has such a rank, and has it placed on the host.
func onHost(app *apiv1.App, rank int32, host fsm.HostID) bool {
	return rank >= 0 && int(rank) < len(app.Placement) && app.Placement[rank] == string(host)
}

// newPauses note how long moved ranks did not run, as their targets report it.
func newPauses(v *fsm.View, app *apiv1.App, host fsm.HostID, st *apiv1.AppStatus) []proposal {
	var out []proposal
	for _, r := range st.Ranks {
		if r.Migration == "" || !(r.PauseMs > 0) {
			continue
		}
		mig, ok := v.Migration(fsm.MigrationID(r.Migration))
		if !ok || mig.App != app.Id || fsm.MigrationPhaseOf(mig) != fsm.Committed {
			continue
		}
		i := slices.IndexFunc(mig.Moves, func(m *apiv1.Move) bool { return m.Rank == r.Rank && m.To == string(host) })
		if i < 0 || mig.Moves[i].PauseMs > 0 {
			continue
		}
		out = append(out, proposal{fmt.Sprintf("pause %s/%d", mig.Id, r.Rank), func(c *apiv1.Command) {
			c.Op = &apiv1.Command_RecordPause{RecordPause: &apiv1.RecordPause{Id: mig.Id, Rank: r.Rank, PauseMs: r.PauseMs}}
		}})
	}
	return out
}
