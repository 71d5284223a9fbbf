package fsm

import (
	"errors"
	"fmt"
	"slices"

	apiv1 "github.com/godwit-run/godwit/api/v1"
)

// ErrOrder is returned when an entry is applied that is not after the last one.
var ErrOrder = errors.New("log index does not grow")

// InvariantError is returned when the state would break a promise that it must
// keep at every index: a defect of Godwit. Apply refuses the command that would.
type InvariantError struct {
	What string
}

func (e *InvariantError) Error() string { return "invariant broken: " + e.What }

func broken(format string, args ...any) error {
	return &InvariantError{What: fmt.Sprintf(format, args...)}
}

func applyError(index uint64, err error) error {
	return fmt.Errorf("apply entry %d: %w", index, err)
}

// CheckInvariants checks the whole state and returns an *InvariantError at the
// first promise broken. It is meant for tests and for tools that replay logs:
// its cost grows with the state. That used slots stay within slots is checked
// at each command instead, for a host may lower its slots below its use.
func CheckInvariants(v *View) error {
	for app := range v.Apps() {
		if err := v.checkApp(app); err != nil {
			return err
		}
	}
	for mig := range v.Migrations() {
		if err := v.checkMigration(mig); err != nil {
			return err
		}
	}
	var hosts []HostID
	for host := range v.Hosts() {
		hosts = append(hosts, HostID(host.GetId()))
	}
	if err := v.checkSlots(hosts); err != nil {
		return err
	}
	return v.checkIndexes()
}

// checkTouched checks what the command has changed since before.
func (t *tx) checkTouched(before *View) error {
	for _, id := range t.touched.apps {
		now, ok := t.App(id)
		if !ok {
			continue // forgotten
		}
		if was, had := before.App(id); had && PhaseOf(was).Terminal() && was != now {
			return broken("app %s changes after it was %s", id, was.GetPhase())
		}
		if err := t.checkApp(now); err != nil {
			return err
		}
	}
	for _, id := range t.touched.migrations {
		now, ok := t.Migration(id)
		if !ok {
			continue
		}
		if was, had := before.Migration(id); had && MigrationPhaseOf(was).Ended() && was.GetPhase() != now.GetPhase() {
			return broken("migration %s changes after it was %s", id, was.GetPhase())
		}
		if err := t.checkMigration(now); err != nil {
			return err
		}
	}
	for _, id := range t.touched.hosts {
		now, ok := t.Host(id)
		was, _ := before.Host(id)
		if ok && now.GetUsed() > was.GetUsed() && now.GetUsed() > now.GetSlots() && !t.touched.mayExceed {
			return broken("host %s uses %d of %d slots", id, now.GetUsed(), now.GetSlots())
		}
	}
	return t.checkSlots(t.touched.hosts)
}

// checkSlots counts the used slots of these hosts anew. It trusts the shape of
// apps, which checkApp has looked at.
func (v *View) checkSlots(hosts []HostID) error {
	if len(hosts) == 0 {
		return nil
	}
	count := make(map[string]int, len(hosts))
	for _, id := range hosts {
		count[string(id)] = 0
	}
	add := func(host string) {
		if n, ok := count[host]; ok {
			count[host] = n + 1
		}
	}
	for app := range v.Placed() {
		for r, host := range app.GetPlacement() {
			if !app.GetRanks()[r].GetEnded() {
				add(host)
			}
		}
	}
	for mig := range v.PendingMigrations() {
		for _, m := range mig.GetMoves() {
			add(m.GetTo())
		}
	}
	for _, id := range hosts {
		host, ok := v.Host(id)
		if ok && int(host.GetUsed()) != count[string(id)] {
			return broken("host %s has %d used slots, its ranks and reservations are %d", id, host.GetUsed(), count[string(id)])
		}
	}
	return nil
}

func (v *View) checkApp(app *apiv1.App) error {
	phase, size := PhaseOf(app), int(app.GetSize())
	var wrong string
	switch {
	case len(app.GetRanks()) != size:
		wrong = fmt.Sprintf("knows %d of %d ranks", len(app.GetRanks()), size)
	case phase == Queued && (len(app.GetPlacement()) != 0 || app.GetEpoch() != 0 || app.GetVerdict() != ""):
		wrong = "is queued and has a placement or a verdict"
	case phase.Placed() && (len(app.GetPlacement()) != size || app.GetEpoch() == 0):
		wrong = fmt.Sprintf("is %s with %d of %d ranks placed", phase, len(app.GetPlacement()), size)
	case phase.Placed() && LiveRanks(app) == 0:
		wrong = fmt.Sprintf("is %s with no rank alive", phase)
	case phase.Terminal() && app.GetVerdict() != "":
		wrong = fmt.Sprintf("is %s and has a verdict", phase)
	case (phase == Migrating) != (app.GetMigrationId() != ""):
		wrong = fmt.Sprintf("is %s with migration %q", phase, app.GetMigrationId())
	case app.GetVerdict() != "" && app.GetMigrationId() != "":
		wrong = "is being stopped and migrates"
	}
	if wrong != "" {
		return broken("app %s %s", app.GetId(), wrong)
	}
	if !phase.Placed() {
		if phase.Terminal() && len(app.GetPlacement()) > 0 && slices.ContainsFunc(app.GetRanks(), alive) {
			return broken("app %s is %s with a rank alive", app.GetId(), phase)
		}
		return nil
	}
	return v.checkRanks(app)
}

func alive(r *apiv1.RankState) bool { return !r.GetEnded() }

// checkRanks checks where the live ranks of a placed app are.
func (v *View) checkRanks(app *apiv1.App) error {
	mig, _ := v.PendingMigrationOf(AppID(app.GetId()))
	for r, id := range app.GetPlacement() {
		rank := app.GetRanks()[r]
		if rank.GetEpoch() == 0 || rank.GetEpoch() > app.GetEpoch() {
			return broken("rank %d of app %s has epoch %d, the app %d", r, app.GetId(), rank.GetEpoch(), app.GetEpoch())
		}
		if rank.GetEnded() {
			continue
		}
		host, ok := v.Host(HostID(id))
		if !ok {
			return broken("rank %d of app %s is on host %s, which is not known", r, app.GetId(), id)
		}
		if HostStateOf(host).Gone() && (MigrationPhaseOf(mig) != FrozenMigration || !moves(mig, int32(r))) {
			return broken("rank %d of app %s is on host %s, which is %s", r, app.GetId(), id, host.GetState())
		}
		if PhaseOf(app) != Starting && !slices.Contains(app.GetStartedHosts(), id) {
			return broken("app %s is %s and host %s has not started", app.GetId(), app.GetPhase(), id)
		}
	}
	return nil
}

func moves(mig *apiv1.Migration, rank int32) bool {
	return slices.ContainsFunc(mig.GetMoves(), func(m *apiv1.Move) bool { return m.GetRank() == rank })
}

// checkMigration checks that a migration under way and its app know each other.
func (v *View) checkMigration(mig *apiv1.Migration) error {
	app, ok := v.App(AppID(mig.GetApp()))
	if !ok {
		return broken("migration %s is of app %s, which is not known", mig.GetId(), mig.GetApp())
	}
	under := app.GetMigrationId() == mig.GetId()
	if under == MigrationPhaseOf(mig).Ended() {
		return broken("migration %s is %s, its app has migration %q", mig.GetId(), mig.GetPhase(), app.GetMigrationId())
	}
	if !under {
		return nil
	}
	for _, m := range mig.GetMoves() {
		host, ok := v.Host(HostID(m.GetTo()))
		if !ok || HostStateOf(host).Gone() {
			return broken("migration %s moves rank %d to host %s, which is gone", mig.GetId(), m.GetRank(), m.GetTo())
		}
		r := int(m.GetRank())
		if r < 0 || r >= len(app.GetPlacement()) || app.GetPlacement()[r] != m.GetFrom() || app.GetRanks()[r].GetEnded() {
			return broken("migration %s moves rank %d, which is not alive on host %s", mig.GetId(), m.GetRank(), m.GetFrom())
		}
	}
	return nil
}

// checkIndexes compares the derived indexes with ones made anew.
func (v *View) checkIndexes() error {
	fresh := newView()
	for app := range v.Apps() {
		fresh.indexApp(app)
	}
	for mig := range v.Migrations() {
		fresh.indexMigration(mig)
	}
	same := slices.Equal(slices.Collect(values(v.live)), slices.Collect(values(fresh.live))) &&
		slices.Equal(slices.Collect(values(v.placed)), slices.Collect(values(fresh.placed))) &&
		slices.Equal(slices.Collect(values(v.ended)), slices.Collect(values(fresh.ended))) &&
		slices.Equal(slices.Collect(values(v.pending)), slices.Collect(values(fresh.pending))) &&
		slices.Equal(slices.Collect(values(v.endedMigs)), slices.Collect(values(fresh.endedMigs)))
	if !same {
		return broken("an index differs from what it is made of")
	}
	return nil
}
