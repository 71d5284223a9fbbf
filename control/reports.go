package control

import (
	"context"
	"fmt"
	"slices"

	"golang.org/x/sync/errgroup"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/fsm"
)

// proposalsAtOnce bounds the proposals that one look at the reports makes at a time; the log batches them.
const proposalsAtOnce = 64

// takeReports commits what workers report: executors that run, ranks that have ended.
func (l *leader) takeReports(ctx context.Context) {
	v := l.c.state.View()
	var g errgroup.Group
	g.SetLimit(proposalsAtOnce)
	for host, reports := range l.allReports() {
		for id, st := range reports {
			app, ok := v.App(id)
			if !ok || fsm.PhaseOf(app).Terminal() {
				continue
			}
			if started(app, host, st) {
				g.Go(func() error {
					l.propose(ctx, "started "+app.Id+" on "+string(host), func(c *apiv1.Command) {
						c.Op = &apiv1.Command_HostStarted{HostStarted: &apiv1.HostStarted{App: app.Id, Host: string(host), Epoch: app.Epoch}}
					})
					return nil
				})
			}
			if ended := newlyEnded(app, host, st); len(ended) > 0 {
				g.Go(func() error {
					l.propose(ctx, "ranks ended "+app.Id+" on "+string(host), func(c *apiv1.Command) {
						c.Op = &apiv1.Command_RanksEnded{RanksEnded: &apiv1.RanksEnded{App: app.Id, Host: string(host), Ranks: ended}}
					})
					return nil
				})
			}
		}
	}
	_ = g.Wait() // propose reports its own failures
	l.recordPauses(ctx, v)
}

// allReports is a copy of the map of maps; the statuses in it are immutable.
func (l *leader) allReports() map[fsm.HostID]map[fsm.AppID]*apiv1.AppStatus {
	l.mu.Lock()
	defer l.mu.Unlock()
	out := make(map[fsm.HostID]map[fsm.AppID]*apiv1.AppStatus, len(l.reports))
	for h, reports := range l.reports {
		m := make(map[fsm.AppID]*apiv1.AppStatus, len(reports))
		for id, st := range reports {
			m[id] = st
		}
		out[h] = m
	}
	return out
}

// report is what a host last said of an app; nil: nothing.
func (l *leader) report(host string, app fsm.AppID) *apiv1.AppStatus {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.reports[fsm.HostID(host)][app]
}

// started says whether a report is news of an executor that runs.
func started(app *apiv1.App, host fsm.HostID, st *apiv1.AppStatus) bool {
	return fsm.PhaseOf(app) == fsm.Starting && st.Executor == "running" && !slices.Contains(app.StartedHosts, string(host))
}

// newlyEnded are the ranks that a report says have ended, and the log does not.
func newlyEnded(app *apiv1.App, host fsm.HostID, st *apiv1.AppStatus) []*apiv1.EndedRank {
	var out []*apiv1.EndedRank
	for _, r := range st.Ranks {
		if r.State != "ended" || int(r.Rank) >= len(app.Ranks) || app.Ranks[r.Rank].Ended ||
			app.Placement[r.Rank] != string(host) || app.Ranks[r.Rank].Epoch != r.Epoch {
			continue
		}
		out = append(out, &apiv1.EndedRank{Rank: r.Rank, Epoch: r.Epoch, ExitCode: r.ExitCode, Reason: r.Reason})
	}
	return out
}

// recordPauses notes how long moved ranks did not run, as their targets report it.
func (l *leader) recordPauses(ctx context.Context, v *fsm.View) {
	for mig := range v.Migrations() {
		if fsm.MigrationPhaseOf(mig) != fsm.Committed {
			continue
		}
		for _, mv := range mig.Moves {
			if mv.PauseMs > 0 {
				continue // known; most of the history is
			}
			st := l.report(mv.To, fsm.AppID(mig.App))
			for _, r := range st.GetRanks() {
				if r.Rank != mv.Rank || r.Migration != mig.Id || r.PauseMs <= 0 {
					continue
				}
				l.propose(ctx, fmt.Sprintf("pause %s/%d", mig.Id, mv.Rank), func(c *apiv1.Command) {
					c.Op = &apiv1.Command_RecordPause{RecordPause: &apiv1.RecordPause{
						Id: mig.Id, Rank: mv.Rank, PauseMs: r.PauseMs,
					}}
				})
			}
		}
	}
}
