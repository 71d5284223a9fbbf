package planner

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

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

// DefaultMigrationsAtOnce is how many migrations that policies ask for may be under way at once, where the cluster does not say.
const DefaultMigrationsAtOnce = 16

// Checker looks at a view for apps that should move.
type Checker struct {
	View *fsm.View
	// Now is for what apps are left alone after they have moved; zero: nobody is.
	Now time.Time
	// Traffic is what is known of what an app's live ranks send each other; nil: nothing.
	Traffic func(fsm.AppID) *Matrix
}

// CheckMigrations is a Checker's Check of a view, where it is all the same when that is.
func CheckMigrations(v *fsm.View, due []fsm.AppID) []Proposal { return Checker{View: v}.Check(due) }

// Check plans, by its policy, for every running app of due that has opted in
// (migration_check_period > 0), in submission order. All plan against
// one view: the targets of earlier plans count as used, their sources are not
// free before they are committed. So all proposals can be accepted together. Where one of due is of EmptyHosts, all such apps that have opted in are
// planned for together. There are no more proposals than migrations may be under way at once beside those that are.
func (k Checker) Check(due []fsm.AppID) []Proposal {
	room := k.Room()
	if room < 1 {
		return nil
	}
	var apps []*apiv1.App
	emptying := false
	for _, id := range due {
		app, ok := k.View.App(id)
		if !ok || emptying && k.policyOf(app) == EmptyHosts || k.whyNot(app) != "" {
			continue
		}
		if k.policyOf(app) == EmptyHosts {
			emptying = true
		} else if !k.bestAlready(app) {
			apps = append(apps, app)
		}
	}
	if len(apps) == 0 && !emptying {
		return nil
	}
	slices.SortFunc(apps, fsm.BySubmission)
	var out []Proposal
	on := &ground{v: k.View}
	for _, app := range apps {
		if len(out) == room {
			return out
		}
		if k.stays(app, on) {
			continue
		}
		if moves, _ := k.plan(app, on); len(moves) > 0 {
			out = append(out, Proposal{App: fsm.AppID(app.GetId()), FromEpoch: app.GetEpoch(), Moves: moves, Cause: k.policyOf(app)})
			on.take(app, moves)
		}
	}
	if emptying {
		out = append(out, k.empty(on.bare(), room-len(out))...)
	}
	return out
}

// bestAlready tells whether no plan can be better than what an app of BinPack has: one host, and none is faster. It costs nothing.
func (k Checker) bestAlready(app *apiv1.App) bool {
	if k.policyOf(app) != BinPack || k.View.TotalOf(fsm.AppID(app.GetId())).Hosts > 1 {
		return false
	}
	top := k.View.TopSpeed()
	for host := range k.View.HostsOf(fsm.AppID(app.GetId())) {
		if h, ok := k.View.Host(host); ok && fsm.SpeedOf(h) < top {
			return false
		}
	}
	return true
}

// ground is the hosts of a view as the plans of one look leave them: in order of name, and as a board, each made when it is asked for first.
type ground struct {
	v     *fsm.View
	hosts []Host
	board *Board
	taken []Proposal // what has been planned
}

// all are the hosts, in order of name.
func (g *ground) all() []Host {
	if g.hosts == nil {
		g.hosts = g.taking(hostsOf(g.v))
	}
	return g.hosts
}

// bare are the hosts, in order of name, without what is known of tenants if nobody has asked for that.
func (g *ground) bare() []Host {
	if g.hosts != nil {
		return g.hosts
	}
	return g.taking(bareHostsOf(g.v))
}

// taking is hosts of the view with all targets used.
func (g *ground) taking(hosts []Host) []Host {
	for _, p := range g.taken {
		app, _ := g.v.App(p.App)
		takeMoves(hosts, app, p.Moves)
	}
	return hosts
}

// ordered is a board of the hosts.
func (g *ground) ordered() *Board {
	if g.board == nil {
		g.board = NewBoard()
		g.board.Reset(g.v)
		for _, p := range g.taken {
			app, _ := g.v.App(p.App)
			g.board.takeMoves(app, p.Moves)
		}
	}
	return g.board
}

// take counts the targets of an app's moves as used.
func (g *ground) take(app *apiv1.App, moves []*apiv1.Move) {
	g.taken = append(g.taken, Proposal{App: fsm.AppID(app.GetId()), Moves: moves})
	if g.hosts != nil {
		takeMoves(g.hosts, app, moves)
	}
	if g.board != nil {
		g.board.takeMoves(app, moves)
	}
}

// takeMoves counts the targets of moves as used.
func takeMoves(hosts []Host, app *apiv1.App, moves []*apiv1.Move) {
	for _, m := range moves {
		at, _ := slices.BinarySearchFunc(hosts, m.GetTo(), func(h Host, name string) int { return strings.Compare(h.Name, name) })
		h := &hosts[at]
		h.take(1, fsm.RankMemory(app))
		if tenant := app.GetSpec().GetTenant(); !slices.Contains(h.Tenants, tenant) {
			h.Tenants = append(slices.Clone(h.Tenants), tenant)
		}
	}
}

// AtOnce is how many migrations that policies ask for may be under way at once.
func AtOnce(v *fsm.View) int {
	return cmp.Or(int(v.Scheduling().GetMigrationsAtOnce()), DefaultMigrationsAtOnce)
}

// Room is how many more migrations policies may ask for. Where Check has proposed as many, it may have more to propose later.
func (k Checker) Room() int {
	n := AtOnce(k.View)
	for mig := range k.View.PendingMigrations() {
		if OfPolicy(mig.GetCause()) {
			n--
		}
	}
	return n
}

// OfPolicy tells whether that is the cause of a migration that a policy has asked for, rather than somebody.
func OfPolicy(cause string) bool {
	return slices.Contains([]string{BinPack, Compact, Spot, EmptyHosts, Traffic}, cause)
}

func (k Checker) policyOf(app *apiv1.App) string { return PolicyOf(k.View, app) }

// PolicyOf is the policy by which an app of a view that runs is looked at: its own, or the cluster's. One that is of first placements only is BinPack then.
func PolicyOf(v *fsm.View, app *apiv1.App) string {
	switch policy := cmp.Or(app.GetSpec().GetPolicy(), v.Scheduling().GetPolicy()); policy {
	case Compact, Spot, EmptyHosts, Traffic:
		return policy
	default:
		return BinPack
	}
}

// whyNot says why no policy moves an app now; empty: one may.
func (k Checker) whyNot(app *apiv1.App) string {
	if !(app.GetSpec().GetMigrationCheckPeriod() > 0) {
		return "it has not opted in to migrations"
	}
	if err := movable(app); err != nil {
		return err.Error()
	}
	if left := k.coolsFor(app); left > 0 {
		return fmt.Sprintf("it has moved, and is left alone for %v more", left.Round(time.Second))
	}
	return ""
}

// coolsFor is for how long an app is left alone yet.
func (k Checker) coolsFor(app *apiv1.App) time.Duration {
	ms := k.View.Scheduling().GetCoolDownMs()
	if ms == 0 || k.Now.IsZero() {
		return 0
	}
	last, ok := k.View.LastMigrationOf(fsm.AppID(app.GetId()))
	if !ok || last.GetEndedAt() == nil {
		return 0
	}
	return last.GetEndedAt().AsTime().Add(time.Duration(ms) * time.Millisecond).Sub(k.Now)
}

// plan asks an app's policy about its live ranks, on hosts as they are with other plans. why says why it stays, or what it gains.
func (k Checker) plan(app *apiv1.App, on *ground) (moves []*apiv1.Move, why string) {
	live := liveRanks(app)
	if minGain := int(k.View.Scheduling().GetMinGainPercent()); k.policyOf(app) == BinPack && app.GetSpec().GetSpread() == "" {
		plan, ok := on.ordered().migrateBinPack(k.View, app, live, minGain)
		if !ok {
			return nil, hostGone
		}
		return liveMoves(plan.Moves, live), plan.Reason
	}
	return k.planByAll(app, live, on.all())
}

// hostGone is why nothing is planned for an app that has a rank on a host that is gone: the log ends it, or a migration under way takes it from there.
const hostGone = "a rank of it is on a host that is gone"

// planByAll asks an app's policy, by a look at all hosts.
func (k Checker) planByAll(app *apiv1.App, live []int, hosts []Host) (moves []*apiv1.Move, why string) {
	req := Request{
		ID: app.GetId(), Kind: KindMigrate, Policy: k.policyOf(app), Tenant: app.GetSpec().GetTenant(), Hosts: offering(hosts, app.GetSpec()),
		Spread: app.GetSpec().GetSpread(), MinGainPercent: int(k.View.Scheduling().GetMinGainPercent()),
		RankMemory: fsm.RankMemory(app),
	}
	switch {
	case req.Policy == Spot: // it leaves hosts with all others, by Leaving
		return nil, "by spot it moves only off hosts that are to be left"
	case req.Policy == Traffic && k.Traffic != nil:
		req.Traffic = k.Traffic(fsm.AppID(app.GetId()))
	}
	for _, r := range live {
		req.Current = append(req.Current, app.GetPlacement()[r])
	}
	plan, err := Decide(req)
	if err != nil {
		return nil, hostGone
	}
	return liveMoves(plan.Moves, live), plan.Reason
}

// liveMoves are moves by the ranks that an app's live ones are of all.
func liveMoves(moves []Move, live []int) []*apiv1.Move {
	var out []*apiv1.Move
	for _, m := range moves {
		out = append(out, &apiv1.Move{Rank: int32(live[m.Rank]), From: m.From, To: m.To})
	}
	return out
}

// empty plans for all apps of EmptyHosts together, of which at most limit move. While a plan is carried out there is no other: hosts that it empties still look like hosts in use.
func (k Checker) empty(hosts []Host, limit int) []Proposal {
	for mig := range k.View.PendingMigrations() {
		if mig.GetCause() == EmptyHosts {
			return nil
		}
	}
	var apps []*apiv1.App
	var residents []Resident
	for app := range k.View.Placed() {
		if k.policyOf(app) != EmptyHosts || k.whyNot(app) != "" || app.GetSpec().GetSpread() != "" {
			continue
		}
		r := Resident{ID: app.GetId(), Volumes: mounted(app.GetSpec()), On: app.GetSpec().GetOn(), RankMemory: fsm.RankMemory(app)}
		r.Current = liveHosts(app)
		apps, residents = append(apps, app), append(residents, r)
	}
	var out []Proposal
	for i, moves := range emptyHosts(residents, hosts, limit) {
		if len(moves) > 0 && len(out) < limit {
			out = append(out, Proposal{App: fsm.AppID(apps[i].GetId()), FromEpoch: apps[i].GetEpoch(), Moves: liveMoves(moves, liveRanks(apps[i])), Cause: EmptyHosts})
		}
	}
	return out
}

// liveHosts are the hosts of an app's live ranks; not to be changed.
func liveHosts(app *apiv1.App) []string {
	live := liveRanks(app)
	if len(live) == len(app.GetPlacement()) {
		return app.GetPlacement()
	}
	hosts := make([]string, len(live))
	for i, rank := range live {
		hosts[i] = app.GetPlacement()[rank]
	}
	return hosts
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
		return refused(fsm.CodeHostNotReady, "host %s has no volume %s, which the app mounts", to, fsm.VolumeText(fsm.LacksVolume(host, app.GetSpec())))
	case fsm.LacksLabel(host.GetLabels(), app.GetSpec()) != "":
		return refused(fsm.CodeHostNotReady, "host %s is without %s, for which the app asks", to, fsm.LacksLabel(host.GetLabels(), app.GetSpec()))
	case fsm.Free(host) < 1:
		return refused(fsm.CodeNotEnoughSlots, "host %s has no free slot (%d of %d are used)", to, host.GetUsed(), host.GetSlots())
	case int(fsm.Free(host)) < ranks:
		return refused(fsm.CodeNotEnoughSlots, "host %s has %d free slots (%d of %d are used); %d are needed", to, fsm.Free(host), host.GetUsed(), host.GetSlots(), ranks)
	case ranks > fsm.MemoryOf(host).For(fsm.RankMemory(app)):
		return refused(fsm.CodeNotEnoughMemory, "host %s %s", to, fsm.MemoryOf(host).Lacks(ranks, fsm.RankMemory(app)))
	}
	return nil
}
