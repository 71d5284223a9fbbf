// Package sim drives the protocols of migrations, checkpoints, freezes and restarts with everything that can go wrong, in one goroutine, by a virtual clock and the dice of a seed. What decides is the real thing: the state machine
// (package fsm), the leader's steps (control/steps), each host's part (worker/part) and the library of MPI with its channels. The log, the leaders' and the workers' shells, the network and the executors are models. The same seed is the same run.
// See DESIGN.md in this directory.
package sim

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/control/steps"
	"github.com/godwit-run/godwit/fsm"
)

// Config is what is simulated.
type Config struct {
	Seed   uint64
	Hosts  int // with two or three slots each
	Ranks  int32
	Steps  int32 // of the program
	Faults int   // how many there are at the most
	Asks   int   // how often somebody asks for a migration, a checkpoint, a freeze, or wishes something of a host
	Trace  func(string)
	Fine   bool // rounds of memory have sizes, attempts to send a rank break or are refused, and what hosts have made for checkpoints is damaged as it is stored: by dice of their own

	Plan []Fault // that happen at their steps, beside those of the dice
}

// Of is the configuration of a seed.
func Of(seed uint64) Config {
	rnd := rand.New(rand.NewPCG(seed, 1))
	return Config{
		Seed: seed, Hosts: 2 + rnd.IntN(2), Ranks: 2 + rnd.Int32N(3), Steps: 8 + rnd.Int32N(24), Faults: rnd.IntN(6), Asks: 2 + rnd.IntN(8), Fine: true,
	}
}

// Sim is one run.
type Sim struct {
	cfg     Config
	rnd     *rand.Rand
	fine    *rand.Rand // for what Config.Fine adds
	now     time.Time
	log     *log
	leader  *leader
	deposed []*leader
	hosts   []*host
	links   []*link
	apps    map[string]*program
	cuts    map[[2]*host]time.Time

	executors int
	checks    int
	faults    int // left
	mishaps   int // that have happened
	asks      int
	calm      bool // no more of either
	lost      bool // a host was, or its executors
	steps     int
	actions   []action
	tracing   bool
	err       error
	effects   map[effect]string
	newest    map[string]uint32 // attempt of each app that has done something
	torn      map[string]bool   // checkpoints of which a host has lost what it held
	ranOn     map[string]string // what has run while an app was to leave its hosts with a checkpoint that was taken
	stats     Stats
}

// Stats say what has happened in a run.
type Stats struct {
	Steps, Entries                               int
	Committed, Aborted, Complete, Vain, Restarts int
	Faults, Wishes, Copies                       int
	Refused, Lost                                int    // starts from checkpoints: there was no room; nobody had it
	Phase                                        string // of the app, at the end
}

// Add adds another run's.
func (t *Stats) Add(o Stats) {
	t.Steps += o.Steps
	t.Entries += o.Entries
	t.Committed += o.Committed
	t.Aborted += o.Aborted
	t.Complete += o.Complete
	t.Vain += o.Vain
	t.Restarts += o.Restarts
	t.Faults += o.Faults
	t.Wishes += o.Wishes
	t.Copies += o.Copies
	t.Refused += o.Refused
	t.Lost += o.Lost
}

// String says what has happened, for people.
func (t Stats) String() string {
	return fmt.Sprintf("%d actions, %d entries, %d faults, %d wishes; migrations: %d committed, %d aborted; checkpoints: %d complete, %d aborted, %d parts copied; %d times begun again, %d starts refused, %d checkpoints lost",
		t.Steps, t.Entries, t.Faults, t.Wishes, t.Committed, t.Aborted, t.Complete, t.Vain, t.Copies, t.Restarts, t.Refused, t.Lost)
}

// action is something that may happen next.
type action struct {
	weight int
	name   string
	of     fmt.Stringer // nil: nobody's
	rank   int32        // of it; < 0: none
	do     func()
}

// effect is a step of a rank's program in an attempt: it is done once.
type effect struct {
	app     string
	attempt uint32
	rank    int32
	step    int32
}

// most is how many actions a run may have before it is called stuck.
const (
	most  = 60_000
	appID = "a"
)

// Run runs a configuration to its end. The error says what has gone wrong, and how to see it again.
func Run(cfg Config) (Stats, error) {
	s := &Sim{
		cfg: cfg, rnd: rand.New(rand.NewPCG(cfg.Seed, 2)), fine: rand.New(rand.NewPCG(cfg.Seed, 3)), now: time.Unix(1_000_000, 0), apps: map[string]*program{}, cuts: map[[2]*host]time.Time{},
		faults: cfg.Faults, asks: cfg.Asks, tracing: cfg.Trace != nil, effects: map[effect]string{}, newest: map[string]uint32{}, torn: map[string]bool{}, ranOn: map[string]string{},
	}
	s.log = &log{s: s, machine: fsm.New()}
	s.begin()
	for s.err == nil && !s.done() {
		s.next()
	}
	if s.err == nil {
		s.checkEnd()
	}
	s.count()
	if s.err != nil {
		again := fmt.Sprintf("SEED=%d", cfg.Seed)
		for i, f := range cfg.Plan {
			again += fmt.Sprintf("%s%d:%d:%d", map[bool]string{true: " PLAN=", false: ","}[i == 0], f.Step, f.Kind, f.Host)
		}
		return s.stats, fmt.Errorf("seed %d, at step %d, %s: %w (make sim %s prints all of it)", cfg.Seed, s.steps, s.now.Sub(time.Unix(1_000_000, 0)), s.err, again)
	}
	return s.stats, nil
}

func (s *Sim) begin() {
	s.elect()
	term := s.log.term
	for _, op := range []*apiv1.Command{
		{Op: &apiv1.Command_InitCluster{InitCluster: &apiv1.InitCluster{ClusterId: "c1"}}},
		{Op: &apiv1.Command_SetClusterConfig{SetClusterConfig: &apiv1.SetClusterConfig{Config: &apiv1.ClusterConfig{LeaseMs: lease.Milliseconds()}}}},
		{Op: &apiv1.Command_SetFeatureLevel{SetFeatureLevel: &apiv1.SetFeatureLevel{Level: fsm.FeatureLevel}}},
		{Op: &apiv1.Command_AddModule{AddModule: &apiv1.AddModule{Module: &apiv1.Module{Digest: digest, Migratable: true}}}},
	} {
		op.Term = term
		s.log.apply(op, term)
	}
	for i := range s.cfg.Hosts {
		h := &host{
			s: s, name: fmt.Sprintf("h%d", i+1), slots: 2 + s.rnd.Int32N(2), logs: map[string]map[int32][]string{},
			parts: map[string]*stored{}, written: map[string]*image{}, coming: map[string]*image{},
		}
		s.hosts = append(s.hosts, h)
		h.apps, h.records, h.statuses = map[string]*app{}, map[string]*apiv1.AppRecord{}, map[string]*apiv1.AppStatus{}
		h.boot()
		h.joinsLeader()
	}
	s.apps[appID] = newProgram(s.cfg.Seed, s.cfg.Ranks, s.cfg.Steps)
	s.log.apply(&apiv1.Command{Key: "submit", Op: &apiv1.Command_SubmitApp{SubmitApp: &apiv1.SubmitApp{Id: appID, Spec: &apiv1.AppSpec{
		Name: appID, ModuleDigest: digest, Size: s.cfg.Ranks, OnHostLoss: "restart", HostLossRestarts: 100,
	}}}}, term)
	s.leader.wake()
}

const digest = "00000000000000000000000000000000000000000000000000000000000000aa"

func (s *Sim) fail(format string, args ...any) {
	if s.err == nil {
		s.err = fmt.Errorf(format, args...)
		s.trace("FAILED: %v", s.err)
	}
}

func (s *Sim) trace(format string, args ...any) {
	if s.tracing {
		s.cfg.Trace(fmt.Sprintf("%6d %9.3fs ", s.steps, s.now.Sub(time.Unix(1_000_000, 0)).Seconds()) + fmt.Sprintf(format, args...))
	}
}

// pick is one of n, by the dice.
func (s *Sim) pick(n int) int { return s.rnd.IntN(n) }

func (s *Sim) shuffle(n int, swap func(i, j int)) { s.rnd.Shuffle(n, swap) }

func (s *Sim) host(name string) *host {
	for _, h := range s.hosts {
		if h.name == name {
			return h
		}
	}
	return nil
}

// cut says whether two hosts do not reach each other.
func (s *Sim) cut(a, b *host) bool { return s.now.Before(s.cuts[pair(a, b)]) }

func pair(a, b *host) [2]*host {
	if a.name > b.name {
		a, b = b, a
	}
	return [2]*host{a, b}
}

func (s *Sim) app() *apiv1.App {
	app, _ := s.log.view().App(appID)
	return app
}

func (s *Sim) done() bool { return fsm.PhaseOf(s.app()).Terminal() && s.quiet() }

// quiet says whether every host knows that the app is over.
func (s *Sim) quiet() bool {
	for _, h := range s.hosts {
		if len(h.apps)+len(h.execs) > 0 || !h.up || h.paused {
			return s.steps >= most
		}
	}
	return true
}

// next does one action, by the dice.
func (s *Sim) next() {
	s.steps++
	if s.steps >= most {
		s.fail("it is not over: the app is %s, %s", s.app().Phase, s.stuck())
		return
	}
	if !s.calm && (s.faults+s.asks == 0 && s.rnd.IntN(200) == 0 || s.steps > most/3) {
		s.settle()
	}
	for _, f := range s.cfg.Plan {
		if f.Step == s.steps {
			s.stats.Faults++
			s.happens(f.Kind, s.hosts[f.Host%len(s.hosts)])
		}
	}
	s.actions = s.actions[:0]
	s.collect()
	total := 0
	for i := range s.actions {
		total += s.actions[i].weight
	}
	at := s.rnd.IntN(total)
	for i := range s.actions {
		if at -= s.actions[i].weight; at < 0 {
			a := s.actions[i]
			if s.tracing {
				s.trace("%v: %s (%d)", a.of, a.name, a.rank)
			}
			if e, ok := a.of.(*executor); ok && s.fenced(e.h) { // it was begun past the lease's end: nothing goes out of it, and it ends
				e.die(true)
				return
			}
			a.do()
			return
		}
	}
}

// settle ends all disturbances: from here on everything is to come to its end.
func (s *Sim) settle() {
	s.trace("calm")
	s.calm = true
	clear(s.cuts)
	for _, h := range s.hosts {
		h.apart, h.paused, h.full = false, false, false
		h.fence()
	}
	s.wishNothing()
	for len(s.deposed) > 0 {
		s.retire(s.deposed[0])
	}
}

// tick lets the clock go on, mostly a little.
func (s *Sim) tick() {
	d := time.Duration(1+s.rnd.IntN(60)) * time.Millisecond
	if s.rnd.IntN(40) == 0 {
		d = time.Duration(s.rnd.IntN(2000)) * time.Millisecond
	}
	s.now = s.now.Add(d)
	s.leader.wake()
	for _, l := range s.deposed {
		l.dirty[dutyDispatch] = true
	}
	for _, h := range s.hosts {
		if h.paused && s.now.After(h.until) {
			h.paused = false
		}
		if h.apart && s.now.After(h.joins) {
			h.apart = false
		}
		if h.full && s.now.After(h.empties) {
			h.full = false
		}
		if !h.paused {
			h.fence()
		}
	}
}

// roundBytes is how much a round has.
func (s *Sim) roundBytes() int64 {
	if !s.cfg.Fine {
		return 0
	}
	return s.fine.Int64N(8 << 20)
}

// mishap is something that goes wrong once in so many times, and is no fault of a machine or of a line.
func (s *Sim) mishap(times int) bool {
	if !s.cfg.Fine || s.calm || s.fine.IntN(times) > 0 {
		return false
	}
	s.mishaps++
	return true
}

// deliver gives a rank that stands still to its target, and says whether it could begin to; an error: it is not there.
func (s *Sim) deliver(e *executor, r *rank) (begun bool, _ error) {
	x := s.peer(e, r.way.to)
	if x == nil || x.h.paused || s.cut(e.h, x.h) {
		return false, errNotThere
	}
	return x.arrive(r.way.name, r)
}

var errNotThere = fmt.Errorf("the target cannot be reached")

// client has somebody's command committed, through the leader.
func (s *Sim) client(cmd *apiv1.Command) string {
	cmd.At = nil
	res := s.log.apply(cmd, s.log.term)
	s.leader.wake()
	s.trace("  %s %s", res.Code, res.Reason)
	return res.Code
}

// ask is what people and policies want of the app.
func (s *Sim) ask() {
	s.asks--
	app := s.app()
	v := s.log.view()
	if s.rnd.IntN(4) == 0 {
		s.wish()
		return
	}
	if fsm.PhaseOf(app) == fsm.Frozen {
		s.client(&apiv1.Command{Op: &apiv1.Command_ThawApp{ThawApp: &apiv1.ThawApp{App: appID}}})
		return
	}
	s.checks++
	then := apiv1.AfterCheckpoint_AFTER_CHECKPOINT_UNSPECIFIED
	kind := s.rnd.IntN(9)
	if s.checks == 1 && s.rnd.IntN(2) == 0 {
		kind = 7
	}
	switch kind {
	case 0, 1, 2, 3:
		s.migrate(app)
		return
	case 4, 8:
		then = apiv1.AfterCheckpoint_AFTER_CHECKPOINT_FREEZE
	case 5:
		then = apiv1.AfterCheckpoint_AFTER_CHECKPOINT_QUEUE
	}
	s.leader.propose(steps.BeginCheckpoint(v, app, fsm.CheckpointID(fmt.Sprintf("c%d", s.checks)), steps.CauseAsked, then))
}

// migrate proposes some moves, to where there is room, or is not.
func (s *Sim) migrate(app *apiv1.App) {
	var moves []*apiv1.Move
	for r, from := range app.Placement {
		to := s.hosts[s.rnd.IntN(len(s.hosts))].name
		if s.rnd.IntN(2) == 0 && to != from && !app.HasEnded(int32(r)) {
			moves = append(moves, &apiv1.Move{Rank: int32(r), From: from, To: to})
		}
	}
	if len(moves) == 0 {
		s.asks++
		return
	}
	s.leader.propose(&steps.Step{What: fmt.Sprintf("migrate %d", s.checks), Command: &apiv1.Command{Op: &apiv1.Command_ProposeMigration{ProposeMigration: &apiv1.ProposeMigration{
		Id: fmt.Sprintf("m%d", s.checks), App: app.Id, FromEpoch: app.Epoch, Moves: moves, Cause: "manual",
	}}}})
}

// stuck says what everybody waits for.
func (s *Sim) stuck() string {
	var b strings.Builder
	for _, h := range s.hosts {
		fmt.Fprintf(&b, "\n%s: up %t paused %t session %t apps %d", h.name, h.up, h.paused, h.session != nil, len(h.apps))
		for _, e := range h.execs {
			fmt.Fprintf(&b, "\n  %s told %t in %d out %d", e, e.told, len(e.in), len(e.out))
			for _, id := range e.ids() {
				r := e.ranks[id]
				fmt.Fprintf(&b, "\n    rank %d state %d freeze %q way %+v step %d part %d drains %t", id, r.State, r.Freeze, r.way, r.mem.int(atStep), r.mem.int(atPart), r.drains)
			}
		}
		for _, a := range h.apps {
			if a.part.Record() != nil {
				fmt.Fprintf(&b, "\n  status %v", a.part.Status(hands{a}))
			}
		}
	}
	fmt.Fprintf(&b, "\n%v", s.app())
	for m := range s.log.view().Migrations() {
		fmt.Fprintf(&b, "\n%v", m)
	}
	for c := range s.log.view().Checkpoints() {
		fmt.Fprintf(&b, "\n%v", c)
	}
	return b.String()
}

// applied counts what an entry has done.
func (s *Sim) applied(cmd *apiv1.Command) {
	restart := cmd.GetRestartApp()
	switch {
	case cmd.GetHoldPart() != nil:
		s.stats.Copies++
	case cmd.GetSetHostWish() != nil:
		s.stats.Wishes++
	case restart.GetLost() != "":
		s.stats.Lost++
	case restart.GetFromCheckpoint():
		s.stats.Refused++
	}
}

func (s *Sim) count() {
	s.stats.Steps, s.stats.Entries = s.steps, int(s.log.index)
	v := s.log.view()
	for m := range v.Migrations() {
		switch fsm.MigrationPhaseOf(m) {
		case fsm.Committed:
			s.stats.Committed++
		case fsm.Aborted:
			s.stats.Aborted++
		default:
		}
	}
	for c := range v.Checkpoints() {
		switch c.Phase {
		case apiv1.CheckpointComplete:
			s.stats.Complete++
		case apiv1.CheckpointAborted:
			s.stats.Vain++
		}
	}
	if app := s.app(); app != nil {
		s.stats.Restarts += int(app.Attempt) - 1
		s.stats.Phase = app.Phase
	}
}
