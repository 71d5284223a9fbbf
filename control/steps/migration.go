package steps

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"time"

	"google.golang.org/protobuf/proto"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/fsm"
	"github.com/godwit-run/godwit/internal/text"
)

const (
	// maxCommandBytes bounds a command of the leader's own: what fits an entry of the log, with its frame.
	maxCommandBytes = fsm.MaxEntryBytes - 1024
	// oneEntryLevel is the feature level from which one entry freezes and commits, and says how the images were sent.
	oneEntryLevel = 4
)

// migration is one under way, as one look finds it.
type migration struct {
	*apiv1.Migration
	app       *apiv1.App
	level     uint32 // the feature level in force
	reports   Reports
	watch     *Watch
	now       time.Time
	deadlines Deadlines
}

// Migration is the next step of a migration under way, or its abort; nil: it waits. reports are of its app.
func Migration(v *fsm.View, mig *apiv1.Migration, reports Reports, w *Watch, now time.Time, d Deadlines) *Step {
	app, ok := v.App(fsm.AppID(mig.App))
	if !ok {
		return nil
	}
	phase := fsm.MigrationPhaseOf(mig)
	w.at(string(phase), now)
	m := &migration{Migration: mig, app: app, level: v.FeatureLevel(), reports: reports, watch: w, now: now, deadlines: d}
	if phase != fsm.FrozenMigration { // images that have all arrived are never given up
		if why := m.failure(); why != "" {
			return m.abort(why)
		}
	}
	switch phase {
	case fsm.Pending:
		if missing := m.unacked(); missing != "" {
			return m.awaitAcks(missing)
		}
		return m.announce()
	case fsm.Announced:
		return m.awaitImages()
	case fsm.FrozenMigration:
		return m.commit()
	default:
		return nil
	}
}

// awaitAcks aborts when a host has not acknowledged for long, no rank's memory has come further ahead meanwhile, and no target has been at work at its start: at a large module, which it gets and compiles.
func (m *migration) awaitAcks(missing string) *Step {
	ahead, trouble := m.ahead()
	m.watch.got(ahead, m.now)
	m.watch.works(m.startSteps(), m.now)
	if m.now.Sub(m.watch.moved) <= m.deadlines.Announce {
		return nil
	}
	why := fmt.Sprintf("host %s did not acknowledge within %s", missing, m.deadlines.Announce)
	if silent := m.silence(); silent != "" {
		trouble = silent
	}
	if trouble != "" {
		why += ": " + trouble
	}
	return m.abort(why)
}

// startSteps is how far the targets are that start the app.
func (m *migration) startSteps() (steps uint64) {
	counted := map[string]bool{}
	for _, mv := range m.Moves {
		if !counted[mv.To] {
			counted[mv.To] = true
			steps += m.reports(fsm.HostID(mv.To)).GetStartSteps()
		}
	}
	return steps
}

// ahead is how many bytes have gone ahead of the ranks that move, and what keeps one from its target, if anything does.
func (m *migration) ahead() (bytes int64, trouble string) {
	said := map[string]*apiv1.AppStatus{}
	for _, mv := range m.Moves {
		if said[mv.From] == nil {
			st := m.reports(fsm.HostID(mv.From))
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

// awaitImages commits when every image is on its target, and aborts when that takes too long.
func (m *migration) awaitImages() *Step {
	ranks, waiting, frozen := m.images()
	age := m.now.Sub(m.watch.since)
	switch {
	case waiting == "":
		return m.freeze(ranks, age)
	case !frozen && age > m.deadlines.Freeze:
		why := "it computes without an MPI call (godwit cc --preemptible builds programs that stop in loops, too), it is in a function that MPI has called back, it writes or reads files on another host piece by piece (godwit show --ranks says so), what it prints waits for the disk of its host, or it has thousands of removed files open"
		if silent := m.silence(); silent != "" {
			why = silent
		}
		return m.abort(fmt.Sprintf("%s within %s: %s", waiting, m.deadlines.Freeze, why))
	case age > m.deadlines.Transfer:
		if _, trouble := m.ahead(); trouble != "" {
			waiting += ": " + trouble
		}
		return m.abort(fmt.Sprintf("%s within %s", waiting, m.deadlines.Transfer))
	case frozen:
		// The ranks stand still for it. What it did not answer before, as it compiled, they did not wait for.
		if host, silent := m.deaf(); min(silent, age) > m.deadlines.Freeze {
			return m.abort(fmt.Sprintf("the executor on %s, which the ranks go to, does not answer, for %s at least", host, silent))
		}
	}
	return nil
}

// freeze notes the images and commits. An entry that is too large, and a refusal that stays, end in an abort.
func (m *migration) freeze(ranks []*apiv1.FrozenRank, age time.Duration) *Step {
	op := &apiv1.FreezeMigration{Id: m.Id, Ranks: ranks, Commit: m.level >= oneEntryLevel}
	if !op.Commit {
		for _, r := range ranks {
			r.PauseBytes, r.Rounds = 0, 0
		}
	}
	if n := proto.Size(op); n > maxCommandBytes {
		return m.abort(fmt.Sprintf("its entry in the log would take %d bytes, at most %d are possible: move fewer ranks at a time", n, maxCommandBytes))
	}
	s := &Step{What: "freeze " + m.Id, Command: &apiv1.Command{Op: &apiv1.Command_FreezeMigration{FreezeMigration: op}}}
	if !op.Commit {
		s.Then = m.commit()
	}
	if age > m.deadlines.Transfer {
		s.Else = m.abort(fmt.Sprintf("all images arrived, but the log did not take them within %s", m.deadlines.Transfer))
	}
	return s
}

func (m *migration) announce() *Step {
	acks := concerned(m.app, m.Migration)
	return &Step{What: "announce " + m.Id, Command: &apiv1.Command{
		Op: &apiv1.Command_AnnounceMigration{AnnounceMigration: &apiv1.AnnounceMigration{Id: m.Id, Acks: acks[:min(len(acks), fsm.MaxAcks)]}},
	}}
}

func (m *migration) commit() *Step {
	return &Step{What: "commit " + m.Id, Command: &apiv1.Command{
		Op: &apiv1.Command_CommitMigration{CommitMigration: &apiv1.CommitMigration{Id: m.Id}},
	}}
}

func (m *migration) abort(why string) *Step {
	return &Step{What: "abort " + m.Id, Command: &apiv1.Command{
		Op: &apiv1.Command_AbortMigration{AbortMigration: &apiv1.AbortMigration{Id: m.Id, Reason: text.Clean(why, fsm.MaxReasonBytes)}},
	}}
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
func (m *migration) unacked() string {
	for _, h := range concerned(m.app, m.Migration) {
		if m.reports(fsm.HostID(h)).GetAckedMigration() != m.Id {
			return h
		}
	}
	return ""
}

// failure is why a host could not do its part; empty: none has said so.
func (m *migration) failure() string {
	for _, h := range concerned(m.app, m.Migration) {
		st := m.reports(fsm.HostID(h))
		switch {
		case st.GetFailedMigration() != m.Id:
		case st.FailedReason == "":
			return "host " + h + " could not do its part"
		default:
			return st.FailedReason
		}
	}
	return ""
}

// silence names a host whose executor does not answer its worker, of those that the ranks leave; empty: all answer.
func (m *migration) silence() string {
	for _, mv := range m.Moves {
		if ms := m.reports(fsm.HostID(mv.From)).GetSilentMs(); ms > 0 {
			return fmt.Sprintf("the executor on %s does not answer, for %s at least", mv.From, time.Duration(ms)*time.Millisecond)
		}
	}
	return ""
}

// deaf names a target whose executor does not answer its worker, and for how long.
func (m *migration) deaf() (host string, silent time.Duration) {
	for _, mv := range m.Moves {
		if ms := m.reports(fsm.HostID(mv.To)).GetSilentMs(); time.Duration(ms)*time.Millisecond > silent {
			host, silent = mv.To, time.Duration(ms)*time.Millisecond
		}
	}
	return host, silent
}

// images says whether each moved rank's image is on its target: what is known of the images, what is still
// waited for, and whether all the ranks stand still.
func (m *migration) images() (ranks []*apiv1.FrozenRank, waiting string, frozen bool) {
	frozen = true
	said := map[string]map[int32]*apiv1.RankStatus{}
	for _, mv := range m.Moves {
		src, dst := m.ranks(said, mv.From)[mv.Rank], m.ranks(said, mv.To)[mv.Rank]
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
func (m *migration) ranks(said map[string]map[int32]*apiv1.RankStatus, host string) map[int32]*apiv1.RankStatus {
	if by, ok := said[host]; ok {
		return by
	}
	by := map[int32]*apiv1.RankStatus{}
	said[host] = by
	st := m.reports(fsm.HostID(host))
	if st.GetAckedMigration() != m.Id {
		return by
	}
	for _, r := range st.Ranks {
		if r.Migration == m.Id {
			by[r.Rank] = r
		}
	}
	return by
}
