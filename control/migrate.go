package control

import (
	"context"
	"encoding/hex"
	"fmt"
	"time"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/fsm"
	"github.com/godwit-run/godwit/planner"
)

// watched is how long this leader has seen a migration in its phase.
type watched struct {
	phase fsm.MigrationPhase
	since time.Time
}

// driver takes each migration under way to its next phase, or to its abort.
func (l *leader) driver() func(context.Context) {
	seen := map[string]*watched{}
	return func(ctx context.Context) {
		v := l.c.state.View()
		live := map[string]bool{}
		for mig := range v.PendingMigrations() {
			live[mig.Id] = true
			w := seen[mig.Id]
			if w == nil || w.phase != fsm.MigrationPhaseOf(mig) {
				w = &watched{phase: fsm.MigrationPhaseOf(mig), since: time.Now()}
				seen[mig.Id] = w
			}
			l.drive(ctx, v, mig, w)
		}
		for id := range seen {
			if !live[id] {
				delete(seen, id)
			}
		}
	}
}

// drive does the next step of one migration, if it is due.
func (l *leader) drive(ctx context.Context, v *fsm.View, mig *apiv1.Migration, w *watched) {
	app, ok := v.App(fsm.AppID(mig.App))
	if !ok {
		return
	}
	if w.phase != fsm.FrozenMigration {
		if why := l.failure(app, mig); why != "" {
			l.abort(ctx, mig, why)
			return
		}
	}
	switch w.phase {
	case fsm.Pending:
		if missing := l.unacked(app, mig); missing == "" {
			l.announce(ctx, app, mig)
		} else if time.Since(w.since) > l.c.cfg.AnnounceDeadline {
			l.abort(ctx, mig, fmt.Sprintf("host %s did not acknowledge within %s", missing, l.c.cfg.AnnounceDeadline))
		}
	case fsm.Announced:
		l.driveImages(ctx, mig, w)
	case fsm.FrozenMigration:
		l.commit(ctx, mig)
	default:
	}
}

// driveImages commits when every image is on its target, and aborts when that takes too long.
func (l *leader) driveImages(ctx context.Context, mig *apiv1.Migration, w *watched) {
	ranks, waiting, frozen := l.images(mig)
	age := time.Since(w.since)
	switch {
	case waiting == "":
		done := l.propose(ctx, "freeze "+mig.Id, func(c *apiv1.Command) {
			c.Op = &apiv1.Command_FreezeMigration{FreezeMigration: &apiv1.FreezeMigration{Id: mig.Id, Ranks: ranks}}
		})
		if done {
			l.commit(ctx, mig)
		}
	case !frozen && age > l.c.cfg.FreezeDeadline:
		l.abort(ctx, mig, fmt.Sprintf("%s within %s: it computes without an MPI call", waiting, l.c.cfg.FreezeDeadline))
	case age > l.c.cfg.TransferDeadline:
		l.abort(ctx, mig, fmt.Sprintf("%s within %s", waiting, l.c.cfg.TransferDeadline))
	}
}

func (l *leader) announce(ctx context.Context, app *apiv1.App, mig *apiv1.Migration) {
	l.propose(ctx, "announce "+mig.Id, func(c *apiv1.Command) {
		c.Op = &apiv1.Command_AnnounceMigration{AnnounceMigration: &apiv1.AnnounceMigration{Id: mig.Id, Acks: concerned(app, mig)}}
	})
}

func (l *leader) commit(ctx context.Context, mig *apiv1.Migration) {
	done := l.propose(ctx, "commit "+mig.Id, func(c *apiv1.Command) {
		c.Op = &apiv1.Command_CommitMigration{CommitMigration: &apiv1.CommitMigration{Id: mig.Id}}
	})
	if done {
		l.log.Info("migration committed", "app", mig.App, "migration", mig.Id, "cause", mig.Cause, "moves", len(mig.Moves))
	}
}

func (l *leader) abort(ctx context.Context, mig *apiv1.Migration, why string) {
	l.log.Info("migration aborted", "app", mig.App, "migration", mig.Id, "reason", why)
	l.propose(ctx, "abort "+mig.Id, func(c *apiv1.Command) {
		c.Op = &apiv1.Command_AbortMigration{AbortMigration: &apiv1.AbortMigration{Id: mig.Id, Reason: why}}
	})
}

// concerned are the hosts that must acknowledge: those of live ranks, and the targets, each once, in order of first mention.
func concerned(app *apiv1.App, mig *apiv1.Migration) []string {
	var hosts []string
	has := map[string]bool{}
	add := func(h string) {
		if !has[h] {
			has[h] = true
			hosts = append(hosts, h)
		}
	}
	for r, h := range app.Placement {
		if !app.Ranks[r].Ended {
			add(h)
		}
	}
	for _, m := range mig.Moves {
		add(m.To)
	}
	return hosts
}

// unacked is a host that has not acknowledged the migration yet; empty: all have.
func (l *leader) unacked(app *apiv1.App, mig *apiv1.Migration) string {
	for _, h := range concerned(app, mig) {
		if l.report(h, fsm.AppID(app.Id)).GetAckedMigration() != mig.Id {
			return h
		}
	}
	return ""
}

// failure is why a host could not do its part; empty: none has said so.
func (l *leader) failure(app *apiv1.App, mig *apiv1.Migration) string {
	for _, h := range concerned(app, mig) {
		if st := l.report(h, fsm.AppID(app.Id)); st.GetFailedMigration() == mig.Id {
			return st.FailedReason
		}
	}
	return ""
}

// images says whether each moved rank's image is on its target: what is known of the images, what is still
// waited for, and whether all the ranks stand still.
func (l *leader) images(mig *apiv1.Migration) (ranks []*apiv1.FrozenRank, waiting string, frozen bool) {
	frozen = true
	for _, mv := range mig.Moves {
		src := l.rank(mv.From, mig, mv.Rank)
		dst := l.rank(mv.To, mig, mv.Rank)
		if src.GetState() != "frozen" && dst == nil {
			frozen = false
			waiting = fmt.Sprintf("rank %d on %s did not stop", mv.Rank, mv.From)
			continue
		}
		if dst.GetState() != "staged" {
			if waiting == "" {
				waiting = fmt.Sprintf("the image of rank %d did not reach %s", mv.Rank, mv.To)
			}
			continue
		}
		digest, _ := hex.DecodeString(dst.ImageDigest) // what is no digest is not known
		ranks = append(ranks, &apiv1.FrozenRank{Rank: mv.Rank, ImageBytes: dst.ImageBytes, ImageDigest: digest})
	}
	return ranks, waiting, frozen
}

// rank is what a host reports of a rank that this very migration moves; nil: nothing.
func (l *leader) rank(host string, mig *apiv1.Migration, rank int32) *apiv1.RankStatus {
	st := l.report(host, fsm.AppID(mig.App))
	if st.GetAckedMigration() != mig.Id {
		return nil
	}
	for _, r := range st.Ranks {
		if r.Rank == rank && r.Migration == mig.Id {
			return r
		}
	}
	return nil
}

// checker proposes migrations for the apps that have opted in, each at least once in its period.
func (l *leader) checker() func(context.Context) {
	checked := map[fsm.AppID]time.Time{}
	return func(ctx context.Context) {
		v, now := l.c.state.View(), time.Now()
		due := map[fsm.AppID]bool{}
		live := map[fsm.AppID]bool{}
		for app := range v.Placed() {
			period := time.Duration(app.Spec.MigrationCheckPeriod * float64(time.Second))
			if period <= 0 {
				continue
			}
			id := fsm.AppID(app.Id)
			live[id] = true
			if _, ok := checked[id]; !ok {
				checked[id] = now
			}
			if now.Sub(checked[id]) >= period-tick {
				due[id] = true
				checked[id] = now
			}
		}
		for id := range checked {
			if !live[id] {
				delete(checked, id)
			}
		}
		if len(due) == 0 {
			return
		}
		for _, p := range planner.CheckMigrations(v, func(id fsm.AppID) bool { return due[id] }) {
			done := l.propose(ctx, "migrate "+string(p.App), func(c *apiv1.Command) { migrationCommand(c, p) })
			if done {
				l.log.Info("migration proposed", "app", p.App, "cause", p.Cause, "moves", len(p.Moves))
			}
		}
	}
}
