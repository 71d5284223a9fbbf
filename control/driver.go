package control

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"
	"google.golang.org/protobuf/proto"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/fsm"
	"github.com/godwit-run/godwit/internal/text"
)

const (
	// maxCommandBytes bounds a command of the leader's own: what fits an entry of the log, with its frame.
	maxCommandBytes = fsm.MaxEntryBytes - 1024
)

// watched is how long this leader has seen a migration in its phase, and at what point of it.
type watched struct {
	phase fsm.MigrationPhase
	since time.Time
	ahead int64     // bytes that have gone ahead of the ranks
	moved time.Time // when these became more
}

// driver takes each migration under way to its next phase, or to its abort.
func (l *leader) driver() func(context.Context) {
	seen := map[string]*watched{}
	return func(ctx context.Context) {
		v := l.c.state.View()
		live := map[string]bool{}
		var g errgroup.Group
		g.SetLimit(proposalsAtOnce)
		for mig := range v.PendingMigrations() {
			live[mig.Id] = true
			w := seen[mig.Id]
			if w == nil || w.phase != fsm.MigrationPhaseOf(mig) {
				w = &watched{phase: fsm.MigrationPhaseOf(mig), since: time.Now(), moved: time.Now()}
				seen[mig.Id] = w
			}
			g.Go(func() error { l.drive(ctx, v, mig, w); return nil })
		}
		_ = g.Wait() // what fails is left to a later look
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
		} else {
			l.awaitAcks(ctx, mig, w, missing)
		}
	case fsm.Announced:
		l.driveImages(ctx, v, mig, w)
	case fsm.FrozenMigration:
		l.commit(ctx, mig)
	default:
	}
}

// awaitAcks aborts when a host has not acknowledged for long, and no rank's memory has come further ahead meanwhile.
func (l *leader) awaitAcks(ctx context.Context, mig *apiv1.Migration, w *watched, missing string) {
	ahead, trouble := l.ahead(mig)
	if ahead > w.ahead {
		w.ahead, w.moved = ahead, time.Now()
	}
	if time.Since(w.moved) <= l.c.cfg.AnnounceDeadline {
		return
	}
	why := fmt.Sprintf("host %s did not acknowledge within %s", missing, l.c.cfg.AnnounceDeadline)
	if silent := l.silence(mig); silent != "" {
		trouble = silent
	}
	if trouble != "" {
		why += ": " + trouble
	}
	l.abort(ctx, mig, why)
}

// ahead is how many bytes have gone ahead of the ranks that move, and what keeps one from its target, if anything does.
func (l *leader) ahead(mig *apiv1.Migration) (bytes int64, trouble string) {
	said := map[string]*apiv1.AppStatus{}
	for _, mv := range mig.Moves {
		if said[mv.From] == nil {
			st := l.inbox.report(fsm.HostID(mv.From), fsm.AppID(mig.App))
			said[mv.From] = st
			for _, r := range st.GetRanks() {
				bytes += max(0, r.AheadBytes)
				if r.Trouble != "" && trouble == "" {
					trouble = fmt.Sprintf("rank %d on %s: %s", r.Rank, mv.From, r.Trouble)
				}
			}
		}
	}
	return bytes, trouble
}

// driveImages commits when every image is on its target, and aborts when that takes too long.
func (l *leader) driveImages(ctx context.Context, v *fsm.View, mig *apiv1.Migration, w *watched) {
	ranks, waiting, frozen := l.images(mig)
	age := time.Since(w.since)
	switch {
	case waiting == "":
		l.freeze(ctx, v, mig, ranks, age)
	case !frozen && age > l.c.cfg.FreezeDeadline:
		why := "it computes without an MPI call (godwit cc --preemptible builds programs that stop in loops, too), it is in a function that MPI has called back, what it prints waits for the disk of its host, or it has thousands of removed files open"
		if silent := l.silence(mig); silent != "" {
			why = silent
		}
		l.abort(ctx, mig, fmt.Sprintf("%s within %s: %s", waiting, l.c.cfg.FreezeDeadline, why))
	case age > l.c.cfg.TransferDeadline:
		if _, trouble := l.ahead(mig); trouble != "" {
			waiting += ": " + trouble
		}
		l.abort(ctx, mig, fmt.Sprintf("%s within %s", waiting, l.c.cfg.TransferDeadline))
	case frozen:
		if host, silent := l.deaf(mig); silent > l.c.cfg.FreezeDeadline { // the ranks stand still for it
			l.abort(ctx, mig, fmt.Sprintf("the executor on %s, which the ranks go to, does not answer, for %s at least", host, silent))
		}
	}
}

// oneEntryLevel is the feature level from which one entry freezes and commits, and says how the images were sent.
const oneEntryLevel = 4

// freeze notes the images and commits. An entry that is too large, and a refusal that stays, end in an abort.
func (l *leader) freeze(ctx context.Context, v *fsm.View, mig *apiv1.Migration, ranks []*apiv1.FrozenRank, age time.Duration) {
	op := &apiv1.FreezeMigration{Id: mig.Id, Ranks: ranks, Commit: v.FeatureLevel() >= oneEntryLevel}
	if !op.Commit {
		for _, r := range ranks {
			r.PauseBytes, r.Rounds = 0, 0
		}
	}
	if n := proto.Size(op); n > maxCommandBytes {
		l.abort(ctx, mig, fmt.Sprintf("its entry in the log would take %d bytes, at most %d are possible: move fewer ranks at a time", n, maxCommandBytes))
		return
	}
	done := l.propose(ctx, "freeze "+mig.Id, func(c *apiv1.Command) { c.Op = &apiv1.Command_FreezeMigration{FreezeMigration: op} })
	switch {
	case done && op.Commit:
		l.committed(mig)
	case done:
		l.commit(ctx, mig)
	case age > l.c.cfg.TransferDeadline:
		l.abort(ctx, mig, fmt.Sprintf("all images arrived, but the log did not take them within %s", l.c.cfg.TransferDeadline))
	}
}

func (l *leader) announce(ctx context.Context, app *apiv1.App, mig *apiv1.Migration) {
	acks := concerned(app, mig)
	l.propose(ctx, "announce "+mig.Id, func(c *apiv1.Command) {
		c.Op = &apiv1.Command_AnnounceMigration{AnnounceMigration: &apiv1.AnnounceMigration{Id: mig.Id, Acks: acks[:min(len(acks), fsm.MaxAcks)]}}
	})
}

func (l *leader) commit(ctx context.Context, mig *apiv1.Migration) {
	done := l.propose(ctx, "commit "+mig.Id, func(c *apiv1.Command) {
		c.Op = &apiv1.Command_CommitMigration{CommitMigration: &apiv1.CommitMigration{Id: mig.Id}}
	})
	if done {
		l.committed(mig)
	}
}

func (l *leader) committed(mig *apiv1.Migration) {
	l.log.Info("migration committed", "app", mig.App, "migration", mig.Id, "cause", mig.Cause, "moves", len(mig.Moves))
}

func (l *leader) abort(ctx context.Context, mig *apiv1.Migration, why string) {
	why = text.Clean(why, maxReasonBytes)
	done := l.propose(ctx, "abort "+mig.Id, func(c *apiv1.Command) {
		c.Op = &apiv1.Command_AbortMigration{AbortMigration: &apiv1.AbortMigration{Id: mig.Id, Reason: why}}
	})
	if done {
		l.log.Info("migration aborted", "app", mig.App, "migration", mig.Id, "reason", why)
	}
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
		if !app.HasEnded(int32(r)) {
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
		if l.inbox.report(fsm.HostID(h), fsm.AppID(app.Id)).GetAckedMigration() != mig.Id {
			return h
		}
	}
	return ""
}

// failure is why a host could not do its part; empty: none has said so.
func (l *leader) failure(app *apiv1.App, mig *apiv1.Migration) string {
	for _, h := range concerned(app, mig) {
		st := l.inbox.report(fsm.HostID(h), fsm.AppID(app.Id))
		switch {
		case st.GetFailedMigration() != mig.Id:
		case st.FailedReason == "":
			return "host " + h + " could not do its part"
		default:
			return st.FailedReason
		}
	}
	return ""
}

// silence names a host whose executor does not answer its worker, of those that the ranks leave; empty: all answer.
func (l *leader) silence(mig *apiv1.Migration) string {
	for _, mv := range mig.Moves {
		if ms := l.inbox.report(fsm.HostID(mv.From), fsm.AppID(mig.App)).GetSilentMs(); ms > 0 {
			return fmt.Sprintf("the executor on %s does not answer, for %s at least", mv.From, time.Duration(ms)*time.Millisecond)
		}
	}
	return ""
}

// deaf names a target whose executor does not answer its worker, and for how long.
func (l *leader) deaf(mig *apiv1.Migration) (host string, silent time.Duration) {
	for _, mv := range mig.Moves {
		if ms := l.inbox.report(fsm.HostID(mv.To), fsm.AppID(mig.App)).GetSilentMs(); time.Duration(ms)*time.Millisecond > silent {
			host, silent = mv.To, time.Duration(ms)*time.Millisecond
		}
	}
	return host, silent
}

// images says whether each moved rank's image is on its target: what is known of the images, what is still
// waited for, and whether all the ranks stand still.
func (l *leader) images(mig *apiv1.Migration) (ranks []*apiv1.FrozenRank, waiting string, frozen bool) {
	frozen = true
	said := map[string]map[int32]*apiv1.RankStatus{}
	for _, mv := range mig.Moves {
		src, dst := l.ranks(said, mv.From, mig)[mv.Rank], l.ranks(said, mv.To, mig)[mv.Rank]
		if src.GetState() != apiv1.RankFrozen && dst == nil {
			frozen = false
			waiting = fmt.Sprintf("rank %d on %s did not stop", mv.Rank, mv.From)
			continue
		}
		if dst.GetState() != apiv1.RankStaged {
			if waiting == "" {
				waiting = fmt.Sprintf("the image of rank %d did not reach %s", mv.Rank, mv.To)
			}
			continue
		}
		digest, err := hex.DecodeString(dst.ImageDigest)
		if err != nil || len(digest) != sha256.Size {
			digest = nil // what is no digest is not known
		}
		ranks = append(ranks, &apiv1.FrozenRank{
			Rank: mv.Rank, ImageBytes: max(0, dst.ImageBytes), ImageDigest: digest, PauseBytes: max(0, dst.PauseBytes), Rounds: max(0, dst.Rounds),
		})
	}
	return ranks, waiting, frozen
}

// ranks are what a host reports of the ranks that this very migration moves, by rank; said keeps them for the next move.
func (l *leader) ranks(said map[string]map[int32]*apiv1.RankStatus, host string, mig *apiv1.Migration) map[int32]*apiv1.RankStatus {
	if m, ok := said[host]; ok {
		return m
	}
	m := map[int32]*apiv1.RankStatus{}
	said[host] = m
	st := l.inbox.report(fsm.HostID(host), fsm.AppID(mig.App))
	if st.GetAckedMigration() != mig.Id {
		return m
	}
	for _, r := range st.Ranks {
		if r.Migration == mig.Id {
			m[r.Rank] = r
		}
	}
	return m
}
