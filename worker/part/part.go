// Package part is what one host does for one app: it follows the committed record of it, and what the executor here says, and
// decides what is done next. It is pure: it has no clock, waits for nothing and starts nothing; what it wants done it tells its
// [Hands]. So the worker drives it with processes, files and connections, and a simulation with whatever order of things it likes.
// It decides nothing that the log has not decided: what was frozen waits until the record says commit or abort.
package part

import (
	"cmp"
	"fmt"
	"iter"
	"maps"
	"slices"
	"time"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/internal/text"
)

// Exit codes that are given to ranks which did not end by themselves.
const (
	CodeGodwitFailed = 125
	CodeNotRunnable  = 126
	CodeKilled       = 137
)

// Bounds of what one app's reasons may take in a status, in bytes.
const (
	maxReasonBytes  = 1 << 10   // of one
	maxReasonsBytes = 256 << 10 // of all; the ranks after those that fill it have none
)

// Clean makes a text that came from a program, or from a request, fit to be shown and stored.
func Clean(s string) string { return text.Escape(s, maxReasonBytes) }

// Executor is the state of an app's executor on this host.
type Executor uint8

// States of an executor.
const (
	None     Executor = iota // there is none
	Starting                 // it is being started: it runs nothing of the program
	Running
	Gone // it has ended, or could not be started, and what it ran with it
)

// Hands do what is decided. None of these waits for anything but what its comment says, and none calls the Part.
type Hands interface {
	Executing
	Logs
	Home
	Saving
	// Now is the time, by a clock that never goes back.
	Now() time.Time
}

// Executing are the hands at the executor.
type Executing interface {
	// Say gives the executor, if there is one, a command; they are done in the order in which they come.
	Say(c *apiv1.ExecCommand)
	// Start starts an executor; Part.Begun, Part.Ready and Part.ExecutorGone follow, or Part.StartFailed.
	Start()
	// GiveUpStart ends a start of which there is no process yet, and says whether it has: then nothing more is heard of it.
	GiveUpStart() bool
	// Kill has the executor end; ExecutorGone follows.
	Kill(why string)
	// Cancel has the executor end its ranks, those that can be told of it not before a grace is over, and kills it if it has not some time after that. Called again, with none, it has them end now.
	Cancel(reason string, grace time.Duration)
	// Stop ends the executor, or its start, and waits until it is gone: nothing more is heard of it. The app's home hears of that.
	Stop()
}

// Logs are the hands at the output of ranks that move.
type Logs interface {
	// SendLog begins to send a rank's output after its memory; Part.LogAhead follows, and Part.MoveFailed if it cannot be sent.
	SendLog(migration string, rank int32, to string)
	// EndLog has the rest of the output go: the rank stands still.
	EndLog(migration string, rank int32)
	// LogSent is how many bytes of a rank's output have gone.
	LogSent(rank int32) int64
	// EndSending ends what is being sent for a migration.
	EndSending(migration string)
	// LogMoved forgets the output of a rank that is elsewhere: all of it is there.
	LogMoved(rank int32)
}

// Home are the hands at the app's directory.
type Home interface {
	// Files does what the record says of it.
	Files()
	// CanPack says whether it is here, and serves.
	CanPack() bool
	// Pack has all of it be written for a checkpoint: all ranks stand still. Part.Packed follows, or Part.SaveFault.
	Pack(checkpoint string)
}

// Saving are the hands at this host's part of a checkpoint.
type Saving interface {
	// BeginSaving begins what is done for it.
	BeginSaving(c *apiv1.Checkpoint)
	// Write has the executor write the memory of these ranks.
	Write(checkpoint string, ranks []int32) error
	// Stood notes where the output of a rank is that stands still.
	Stood(checkpoint string, rank int32)
	// Store makes what was written a part that this host holds, and the second host as well. Part.Held follows, or Part.SaveFault.
	Store(c *apiv1.Checkpoint, part *apiv1.CheckpointPart, saved map[int32]*apiv1.ExecSaved, packed bool)
	// EndSaving ends what was done: the part was held, and is kept, or is not. taken says whether anybody may hold anything of it.
	EndSaving(checkpoint string, taken, kept bool)
	// Stored is how many bytes were hashed and sent for the checkpoint under way.
	Stored() int64
}

// Rank is one rank on this host.
type Rank struct {
	Epoch        uint64
	State        State
	Code         int32
	Reason       string
	ToldByReason bool   // the reason says how it ended
	HostLost     bool   // it ended with this host's lease
	Migration    string // that brought it, or takes it away

	pauseMs float64
	unsure  bool // it had come, staged, before this process began, and the leader is not told so by this one

	// Of an arrived rank.
	stopped    time.Time // when it stopped at its source
	bytes      int64     // that have come, and of these while it stood still
	pauseBytes int64
	rounds     int32
	digest     string
}

// State is one of the Rank... words of a status.
type State string

// Part is one host's part of one app. It is not safe for concurrent use.
type Part struct {
	app, host string

	rec     *apiv1.AppRecord
	attempt uint32 // of the app's, that all of it here is of
	exec    Executor
	why     string // the executor is gone
	code    int32  // of ranks that end with it, for it has said why it cannot go on; 0: it has not
	lost    bool   // the executor ended while there was no worker, or with its lease
	ranks   map[int32]*Rank

	acked    string  // migration that this host is ready for
	move     *moving // this host's part of the migration under way; nil: none
	failed   string  // migration that failed here, and why
	failure  string
	saving   *saving   // this host's part of the checkpoint under way; nil: none
	standing still     // ranks that stand still since before this process began
	severed  [2]string // the migration, and the checkpoint, that were under way when the process before this one ended
	stopping bool
	grace    time.Duration // for which its ranks may go on that are told so; of the last that was said
	routed   uint64        // index of the record whose routes the executor has

	restoring map[int32]bool // ranks that the executor makes of a checkpoint
}

// New is a host's part of an app of which nothing is here, and nothing is known.
func New(app, host string) *Part {
	return &Part{app: app, host: host, ranks: map[int32]*Rank{}, restoring: map[int32]bool{}}
}

// Record is the newest that Follow has been given; nil: none.
func (p *Part) Record() *apiv1.AppRecord { return p.rec }

// Executor is the state of the executor, and if it is gone why.
func (p *Part) Executor() (state Executor, why string) { return p.exec, p.why }

// Attempt is the attempt of the app that what is here is of; 0: none yet.
func (p *Part) Attempt() uint32 { return p.attempt }

// Rank is a rank that is here; nil: it is not.
func (p *Part) Rank(id int32) *Rank { return p.ranks[id] }

// Ranks are those that are here, in order.
func (p *Part) Ranks() iter.Seq2[int32, *Rank] {
	return func(yield func(int32, *Rank) bool) {
		for _, id := range slices.Sorted(maps.Keys(p.ranks)) {
			if !yield(id, p.ranks[id]) {
				return
			}
		}
	}
}

// Follow takes a record, which is never older than the one before. newAttempt says that what is here is of an earlier attempt: the caller
// ends all of it, and Forget is to be called before anything else.
func (p *Part) Follow(rec *apiv1.AppRecord) (newAttempt bool) {
	p.rec = rec
	attempt := rec.App.Attempt
	if attempt == p.attempt || rec.Gone || apiv1.AppOver(rec.App.Phase) {
		return false
	}
	newAttempt = p.attempt != 0
	p.attempt = attempt
	return newAttempt
}

// Forget forgets all that is here of an earlier attempt: its ranks are over, and its executor is stopped.
func (p *Part) Forget(h Hands) {
	if p.move != nil {
		h.EndSending(p.move.id)
		p.move = nil
	}
	if p.saving != nil {
		p.saving.held = nil
		p.endSaving(h)
	}
	p.ranks, p.restoring = map[int32]*Rank{}, map[int32]bool{}
	p.exec, p.why, p.code, p.lost = None, "", 0, false
	p.acked, p.failed, p.failure = "", "", ""
	p.stopping, p.routed, p.standing = false, 0, still{}
}

// End ends what is under way: the app is over for this host, or its process ends.
func (p *Part) End(h Hands) {
	if p.move != nil {
		h.EndSending(p.move.id)
		p.move = nil
	}
	if p.saving != nil {
		p.endSaving(h)
	}
}

// Step does the next steps towards the record.
func (p *Part) Step(h Hands) {
	for id, epoch := range p.Mine() {
		if r := p.ranks[id]; r != nil && r.State == apiv1.RankEnded {
			r.Epoch = epoch // it may have ended here, staged, before the migration that has brought it was committed
		}
	}
	if p.pending() == nil {
		maps.DeleteFunc(p.ranks, func(id int32, r *Rank) bool {
			return r.State == apiv1.RankEnded && !p.IsMine(id) // lost, staged, before its migration was aborted: it may come again
		})
	}
	h.Files()
	if p.rec.App.Verdict != "" {
		p.stop(h)
		if p.exec == Running && !p.standsWhereItIs() { // who stands still for what is over goes on, and is told
			p.follow(h)
			p.endOver(h)
		}
		return
	}
	if p.wantsExecutor() && p.exec == None {
		p.exec = Starting
		h.Start()
	}
	if p.exec == Gone { // also one that could not even be started
		p.endAll(cmp.Or(p.code, CodeGodwitFailed), p.why)
	}
	if p.exec == Running {
		p.follow(h)
	}
	p.endOver(h)
	p.save(h) // ranks go on that stood still for it, before they are to move
	p.migrate(h)
	if p.idle() {
		h.Stop()
		p.exec, p.why, p.code, p.lost = None, "", 0, false
	}
}

// idle says whether the executor, starting, running or gone, has nothing left to do here: no live rank, none that has come, no migration
// under way.
func (p *Part) idle() bool {
	if p.exec == None || p.pending() != nil {
		return false
	}
	for range p.Mine() {
		return false
	}
	for _, r := range p.ranks {
		if r.State != apiv1.RankEnded {
			return false
		}
	}
	return true
}

// wantsExecutor says whether ranks of the app are, or are about to be, on this host.
func (p *Part) wantsExecutor() bool {
	for _, mv := range p.pending().GetMoves() {
		if mv.To == p.host {
			return true
		}
	}
	for r := range p.Mine() {
		if p.ranks[r] == nil {
			return true
		}
	}
	return false
}

// Mine yields the live ranks that the record puts on this host, in order, with their epochs.
func (p *Part) Mine() iter.Seq2[int32, uint64] {
	return func(yield func(int32, uint64) bool) {
		epoch := p.rec.App.RankEpochs()
		for r := range p.rec.App.Placement {
			id := int32(r)
			if p.IsMine(id) && !p.rec.App.HasEnded(id) && !yield(id, epoch(id)) {
				return
			}
		}
	}
}

// IsMine says whether the record puts a rank on this host, live or not.
func (p *Part) IsMine(rank int32) bool {
	return int(rank) < len(p.rec.App.Placement) && p.rec.App.Placement[rank] == p.host
}

// noneHere says whether the record has no live rank here.
func (p *Part) noneHere() bool {
	for range p.Mine() {
		return false
	}
	return true
}

// pending is the migration under way; nil: there is none, or nothing is known of the app yet.
func (p *Part) pending() *apiv1.Migration {
	m := p.rec.GetMigration()
	if m == nil || apiv1.MigrationOver(m.Phase) {
		return nil
	}
	return m
}

// follow brings the executor's ranks in line with the placement.
func (p *Part) follow(h Hands) {
	routed := false
	var drop []int32
	for id, r := range p.Ranks() {
		standsStill := r.State == apiv1.RankFrozen || r.State == apiv1.RankStaged
		if p.IsMine(id) || !standsStill {
			continue
		}
		if m := p.pending(); m != nil && m.Id == r.Migration {
			continue // not decided yet
		}
		drop = append(drop, id)
	}
	if len(drop) > 0 {
		h.Say(&apiv1.ExecCommand{Msg: &apiv1.ExecCommand_Drop{Drop: &apiv1.ExecDrop{Ranks: drop}}})
		for _, id := range drop {
			delete(p.ranks, id)
			h.LogMoved(id)
		}
		p.route(h)
		routed = true
	}
	var thaw []*apiv1.ExecThaw
	for id, epoch := range p.Mine() {
		r := p.ranks[id]
		switch {
		case r == nil:
			p.ranks[id] = &Rank{
				Epoch: epoch, State: apiv1.RankEnded, Code: CodeGodwitFailed,
				Reason: fmt.Sprintf("rank %d is not on %s, though it should be", id, p.host),
			}
		case r.State == apiv1.RankStaged && epoch > r.Epoch:
			r.State, r.Epoch, r.unsure = apiv1.RankRunning, epoch, false
			if n := len(thaw); n == 0 || thaw[n-1].Epoch != epoch {
				thaw = append(thaw, &apiv1.ExecThaw{Epoch: epoch})
			}
			thaw[len(thaw)-1].Ranks = append(thaw[len(thaw)-1].Ranks, id)
		}
	}
	if !routed && p.routed != p.rec.Index { // before ranks that it puts here run
		p.route(h)
	}
	for _, t := range thaw {
		h.Say(&apiv1.ExecCommand{Msg: &apiv1.ExecCommand_Thaw{Thaw: t}})
	}
}

// route tells the executor where all ranks are.
func (p *Part) route(h Hands) {
	p.routed = p.rec.Index
	h.Say(&apiv1.ExecCommand{Msg: &apiv1.ExecCommand_Routes{Routes: p.Routes()}})
}

// Routes are where all ranks are, by the record.
func (p *Part) Routes() *apiv1.ExecRoutes {
	app := p.rec.App
	n, epoch := app.GetSize(), app.RankEpochs()
	r := &apiv1.ExecRoutes{
		Epoch: app.Epoch, Placement: app.Placement, Addrs: p.rec.Addrs, RankEpochs: make([]uint64, n), Ended: make([]bool, n), LinkKey: p.rec.LinkKey,
	}
	for rank := range n {
		r.RankEpochs[rank], r.Ended[rank] = epoch(rank), app.HasEnded(rank)
	}
	return r
}

// stop cancels the ranks, and kills them after the grace.
func (p *Part) stop(h Hands) {
	if p.exec == None || p.exec == Gone {
		p.endAll(CodeKilled, "stopped before it ran")
		return
	}
	if p.exec == Starting && h.GiveUpStart() { // whatever holds the start up does not hold up its end
		p.exec, p.why = Gone, "stopped before it ran"
		p.endAll(CodeKilled, p.why)
		return
	}
	grace := time.Duration(p.rec.App.GraceMs) * time.Millisecond
	if p.stopping && grace >= p.grace {
		return
	}
	p.stopping, p.grace = true, grace
	switch p.rec.App.Verdict {
	case apiv1.AppQueued, apiv1.AppFrozen: // it runs again from elsewhere: what its ranks do until they stop is nobody's
		h.Kill("the app runs again from a checkpoint")
	default:
		h.Cancel(Clean(p.rec.App.Reason), grace)
	}
}

// standsWhereItIs says whether ranks that stand still end so: the app ends, and none of its ranks may go on until it does.
func (p *Part) standsWhereItIs() bool { return p.rec.App.Verdict != "" && p.rec.App.GraceMs == 0 }

// endAll ends every live rank of this host: there is no executor, or none any more.
func (p *Part) endAll(code int32, reason string) {
	reason = Clean(reason)
	for id, epoch := range p.Mine() {
		if r := p.ranks[id]; r == nil || r.State != apiv1.RankEnded {
			p.ranks[id] = &Rank{Epoch: epoch, State: apiv1.RankEnded, Code: code, Reason: reason, HostLost: p.lost}
		}
	}
}
