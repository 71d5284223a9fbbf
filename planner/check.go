package planner

import (
	"fmt"
	"slices"
	"strings"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/fsm"
)

// CauseManual is the cause of migrations that a person asked for; those of the
// checker have their policy's name.
const CauseManual = "manual"

// Proposal is a migration to propose to the log.
type Proposal struct {
	App       fsm.AppID
	FromEpoch uint64
	// Moves have rank, from and to set.
	Moves []*apiv1.Move
	// Cause is the policy that asks for it, or CauseManual.
	Cause string
}

// RefusedError is returned when a migration asked for by a person is not
// possible. Its code is the one that the log would answer.
type RefusedError struct {
	Code   fsm.Code
	Reason string
}

func (e *RefusedError) Error() string { return e.Reason }

func refused(code fsm.Code, format string, args ...any) error {
	return &RefusedError{Code: code, Reason: fmt.Sprintf(format, args...)}
}

// CheckMigrations plans, by its policy, for every running app of due that has opted in
// (migration_check_period > 0), in submission order. All plan against
// one view: the targets of earlier plans count as used, their sources are not
// free before they are committed. So all proposals can be accepted together.
// Apps that cannot be frozen, are being stopped, or migrate already are passed over.
// So are those on one host by BinPack, for no placement is better, and those by Spot,
// which leave hosts by Leaving, when these are to be left.
func CheckMigrations(v *fsm.View, due []fsm.AppID) []Proposal {
	var apps []*apiv1.App
	for _, id := range due {
		app, ok := v.App(id)
		if !ok || !(app.GetSpec().GetMigrationCheckPeriod() > 0) || movable(app) != nil {
			continue
		}
		if policy := migrationPolicy(app); policy == Compact || policy == BinPack && v.TotalOf(id).Hosts > 1 {
			apps = append(apps, app)
		}
	}
	if len(apps) == 0 {
		return nil
	}
	slices.SortFunc(apps, fsm.BySubmission)
	var out []Proposal
	hosts := hostsOf(v)
	for _, app := range apps {
		moves := planMoves(app, hosts)
		if len(moves) == 0 {
			continue
		}
		for _, m := range moves {
			at, _ := slices.BinarySearchFunc(hosts, m.GetTo(), func(h Host, name string) int { return strings.Compare(h.Name, name) })
			h := &hosts[at]
			h.Used++
			if tenant := app.GetSpec().GetTenant(); !slices.Contains(h.Tenants, tenant) {
				h.Tenants = append(slices.Clone(h.Tenants), tenant)
			}
		}
		out = append(out, Proposal{App: fsm.AppID(app.GetId()), FromEpoch: app.GetEpoch(), Moves: moves, Cause: migrationPolicy(app)})
	}
	return out
}

// migrationPolicy is the policy by which an app that runs is looked at: one that is of first placements only is BinPack then.
func migrationPolicy(app *apiv1.App) string {
	switch policy := app.GetSpec().GetPolicy(); policy {
	case Compact, Spot:
		return policy
	default:
		return BinPack
	}
}

// planMoves asks the policy about the app's live ranks.
func planMoves(app *apiv1.App, hosts []Host) []*apiv1.Move {
	live := liveRanks(app)
	req := Request{ID: app.GetId(), Kind: KindMigrate, Policy: migrationPolicy(app), Tenant: app.GetSpec().GetTenant(), Hosts: offering(hosts, app.GetSpec())}
	for _, r := range live {
		req.Current = append(req.Current, app.GetPlacement()[r])
	}
	plan, err := Decide(req)
	if err != nil {
		// A rank is on a host that is gone: the log ends it, or a migration under
		// way takes it from there. Either way there is nothing to plan now.
		return nil
	}
	var out []*apiv1.Move
	for _, m := range plan.Moves {
		out = append(out, &apiv1.Move{Rank: int32(live[m.Rank]), From: m.From, To: m.To})
	}
	return out
}

// movable says why no rank of the app may be moved now; nil if some may.
func movable(app *apiv1.App) error {
	id := app.GetId()
	switch phase := fsm.PhaseOf(app); {
	case phase.Terminal():
		return refused(fsm.CodeTerminal, "app %s %s", id, apiv1.AppStands(string(phase), false))
	case app.GetMigrationId() != "":
		return refused(fsm.CodeMigrationPending, "app %s has migration %s under way; wait for its end", id, app.GetMigrationId())
	case app.GetFiles().GetTo() != "":
		return refused(fsm.CodeMigrationPending, "the files of app %s move to host %s; wait for their end", id, app.GetFiles().GetTo())
	case app.GetCheckpointId() != "":
		return refused(fsm.CodeCheckpointPending, "app %s has checkpoint %s under way; wait for its end", id, app.GetCheckpointId())
	case app.GetVerdict() != "":
		return refused(fsm.CodeStopping, "app %s is being stopped", id)
	case phase != fsm.Running:
		return refused(fsm.CodeWrongPhase, "app %s %s, not running", id, apiv1.AppStands(string(phase), false))
	case !app.GetMigratable():
		return refused(fsm.CodeNotMigratable, "the module of app %s cannot be frozen; build it with godwit cc", id)
	}
	return nil
}

// ManualMove plans to move ranks to a host, all of them at once. Errors are *RefusedError.
func ManualMove(v *fsm.View, app *apiv1.App, ranks []int32, to fsm.HostID) (Proposal, error) {
	if err := movable(app); err != nil {
		return Proposal{}, err
	}
	id := app.GetId()
	p := Proposal{App: fsm.AppID(id), FromEpoch: app.GetEpoch(), Cause: CauseManual}
	for i, rank := range ranks {
		switch {
		case rank < 0 || rank >= app.GetSize():
			return Proposal{}, refused(fsm.CodeInvalid, "app %s has ranks 0 to %d, not %d", id, app.GetSize()-1, rank)
		case slices.Contains(ranks[:i], rank):
			return Proposal{}, refused(fsm.CodeInvalid, "rank %d is named twice", rank)
		case app.HasEnded(rank):
			return Proposal{}, refused(fsm.CodeRankEnded, "rank %d of app %s has ended", rank, id)
		case app.GetPlacement()[rank] == string(to):
			return Proposal{}, refused(fsm.CodeInvalid, "rank %d of app %s is on host %s already", rank, id, to)
		}
		p.Moves = append(p.Moves, &apiv1.Move{Rank: rank, From: app.GetPlacement()[rank], To: string(to)})
	}
	return p, takes(v, app, len(ranks), to)
}

// takes says why a host cannot have so many more ranks of an app; nil: it can.
func takes(v *fsm.View, app *apiv1.App, ranks int, to fsm.HostID) error {
	host, ok := v.Host(to)
	switch {
	case !ok:
		var there []string
		for h := range v.Hosts() {
			there = append(there, h.GetId())
		}
		return refused(fsm.CodeNotFound, "%.80s is not a host of this cluster; %s", to, hostsThere(there))
	case !fsm.TakesRanks(host):
		return refused(fsm.CodeHostNotReady, "host %s is %s", to, fsm.Condition(host))
	case fsm.LacksVolume(host, app.GetSpec()) != "":
		return refused(fsm.CodeHostNotReady, "host %s has no volume %s, which the app mounts", to, fsm.LacksVolume(host, app.GetSpec()))
	case fsm.Free(host) < 1:
		return refused(fsm.CodeNotEnoughSlots, "host %s has no free slot (%d of %d are used)", to, host.GetUsed(), host.GetSlots())
	case int(fsm.Free(host)) < ranks:
		return refused(fsm.CodeNotEnoughSlots, "host %s has %d free slots (%d of %d are used); %d are needed", to, fsm.Free(host), host.GetUsed(), host.GetSlots(), ranks)
	}
	return nil
}
