package fsm

import (
	"math"

	"google.golang.org/protobuf/proto"

	apiv1 "github.com/godwit-run/godwit/api/v1"
)

// What the parts of the state take in memory, in bytes: a struct with what the allocator rounds it up to, and the pointer to it where
// it stands in a list. They are rules of the log, so they are numbers, not what a compiler says, and TestWeights measures that they are near
// the truth. To change one needs a feature level.
const (
	placeBytes      = 440 // a key in a radix tree: a node and a leaf, each with the channel that would tell of its change, and the edge to them
	appBytes        = 416
	specBytes       = 240
	migrationBytes  = 208
	moduleBytes     = 144
	timeBytes       = 64
	ruleBytes       = 72
	mountBytes      = 88
	dependencyBytes = 72 + textBytes
	arrayBytes      = 72
	treeBytes       = 112
	filesBytes      = 120
	moveBytes       = 120
	endsBytes       = 88
	epochBytes      = 72
	partBytes       = 176
	ckptBytes       = 320
	ckptPartBytes   = 160
	textBytes       = 20 // a text's place in a list that has grown by appending

	// appPlaces, livePlaces and the like are in how many trees it stands.
	appPlaces       = 2 // apps, submitted
	livePlaces      = 3 // live, queued or placed, and that of its module's users
	endedPlaces     = 2 // ended, endMinutes
	migrationPlaces = 4
	modulePlaces    = 2
	ckptPlaces      = 3 // checkpoints, begun, ckptsOf
)

// rankReserve is what a placed app's rank may take at most, beside a reason: alone on a host whose name is of the longest, started there,
// ended in its own way, with an epoch of its own, and moving to another such host.
const rankReserve = 2*(textBytes+64) + epochBytes + endsBytes + moveBytes + 2*64 + 4*(placeBytes+64)

// load is what a kind of objects takes. Which of the two counts is the feature level's to say; both are kept, so that to raise it costs no
// walk over the state.
type load struct {
	encoded int // until levelWeighsMemory
	memory  int
}

func (l *load) add(d load)  { l.encoded, l.memory = l.encoded+d.encoded, l.memory+d.memory }
func (l *load) drop(d load) { l.encoded, l.memory = l.encoded-d.encoded, l.memory-d.memory }

// bounds are those of loads, at a feature level.
type bounds struct{ live, ended, migrations int }

// weighed are what live apps, ended apps and ended migrations weigh, by the rules of the level, and how much they may.
func (v *View) weighed() (now, most bounds) {
	if v.feature < levelWeighsMemory {
		return bounds{v.liveLoad.encoded, v.endedLoad.encoded, v.migrationLoad.encoded},
			bounds{maxLiveEncoded, maxEndedEncoded, maxMigrationEncoded}
	}
	return bounds{v.liveLoad.memory, v.endedLoad.memory, v.migrationLoad.memory}, bounds{MaxLiveBytes, MaxEndedBytes, MaxMigrationBytes}
}

// liveLoad is what an app takes from its submission to its end, whatever becomes of its ranks.
func liveLoad(app *apiv1.App) load {
	spec := app.GetSpec()
	places := livePlaces + furtherModules(spec) + len(spec.GetDependsOn()) // waiters
	if spec.GetArray() != nil {
		places += 2 // held, ofArray
	}
	return load{encoded: proto.Size(spec), memory: appWeight(app) + places*placeBytes}
}

// leftWeight is what the list of where its ranks were takes, of an app that ended
// without hosts. It is short: of live apps it is not counted.
func leftWeight(app *apiv1.App) int {
	n := 0
	for _, rule := range app.GetLeft() {
		n += ruleBytes + text(rule.GetHost())
	}
	return n
}

// endedLoad is what an ended app takes.
func endedLoad(app *apiv1.App) load {
	n := appWeight(app) + leftWeight(app) + endedPlaces*placeBytes + 2*timeBytes + text(app.GetReason()) + text(app.GetLastCheckpoint())
	var names names
	n += names.list(app.GetPlacement()) + texts(app.GetStartedHosts()) + round(len(app.GetEnded())) + epochBytes*len(app.GetEpochs())
	if app.GetFiles() != nil {
		n += filesBytes + text(app.GetFiles().GetHost()) + text(app.GetFiles().GetFault())
		if app.GetFiles().GetTree() != nil {
			n += treeWeight(app.GetFiles().GetTree())
		}
	}
	for _, end := range app.GetEnds() {
		n += endsBytes + text(end.GetReason())
	}
	return load{encoded: proto.Size(app) + historyOverhead, memory: n}
}

// appWeight is what an app takes for what was submitted.
func appWeight(app *apiv1.App) int {
	n := appBytes + timeBytes + appPlaces*placeBytes + text(app.GetId()) + text(app.GetIdempotencyKey()) + text(app.GetPrincipal())
	if name := app.GetSpec().GetName(); name != "" {
		n += placeBytes + text(name)
	}
	return n + specWeight(app.GetSpec())
}

// specWeight is what was submitted takes.
func specWeight(spec *apiv1.AppSpec) int {
	n := specBytes + texts(spec.GetArgs()) + texts(spec.GetEnv())
	for _, s := range []string{
		spec.GetName(), spec.GetModuleDigest(), spec.GetPolicy(), spec.GetHint(), spec.GetMainHost(), spec.GetTenant(),
		spec.GetOnHostLoss(), spec.GetRestore(), spec.GetCheckpointTo(), spec.GetProgram(),
	} {
		n += text(s)
	}
	for _, rule := range spec.GetPlace() {
		n += ruleBytes + text(rule.GetHost())
	}
	for _, m := range spec.GetMounts() {
		n += mountBytes + text(m.GetVolume()) + text(m.GetPath())
	}
	for _, d := range spec.GetDependsOn() {
		n += dependencyBytes + 2*text(d.GetApp()+d.GetArray()) // what is waited for is a list of its own
	}
	n += texts(spec.GetOn()) + text(spec.GetSpread())
	if spec.GetArray() != nil {
		n += arrayBytes + text(spec.GetArray().GetId())
	}
	n += text(spec.GetDir())
	if spec.GetInputs() != nil {
		n += treeWeight(spec.GetInputs())
	}
	for _, part := range spec.GetParts() {
		n += partBytes + text(part.GetName()) + text(part.GetProgram()) + text(part.GetModuleDigest()) + texts(part.GetArgs()) + texts(part.GetEnv())
	}
	return n
}

// treeWeight is what a tree takes: its bytes are elsewhere.
func treeWeight(tree *apiv1.Tree) int {
	return treeBytes + text(tree.GetList()) + texts(tree.GetPacks())
}

// furtherModules is how many modules an app has beyond the first.
func furtherModules(spec *apiv1.AppSpec) int { return len(spec.Modules()) - 1 }

// placedReserve is what an app's ranks may come to take while it has hosts. It is kept free for it when it is placed, for what happens to
// ranks then is not refused.
func placedReserve(app *apiv1.App) int {
	size := int(app.GetSize())
	return placeBytes + size*rankReserve + min(size*MaxReasonBytes, MaxReasonsBytes)
}

// PlacingRoom counts what placing apps would take.
type PlacingRoom struct{ left int }

// PlacingRoom is the room that apps to be placed have.
func (v *View) PlacingRoom() PlacingRoom {
	if v.feature < levelWeighsMemory {
		return PlacingRoom{math.MaxInt}
	}
	return PlacingRoom{MaxPlacedBytes - v.placedBytes}
}

// Take takes the app's part, if that is there.
func (r *PlacingRoom) Take(app *apiv1.App) bool {
	need := placedReserve(app)
	if need > r.left {
		return false
	}
	r.left -= need
	return true
}

// migrationLoad is what an ended migration takes.
func migrationLoad(mig *apiv1.Migration) load {
	n := migrationBytes + migrationPlaces*placeBytes + 2*timeBytes + text(mig.GetId()) + text(mig.GetApp()) + text(mig.GetReason()) +
		text(mig.GetCause()) + texts(mig.GetAcks())
	var names names
	for _, m := range mig.GetMoves() {
		n += moveBytes + text(m.GetImageDigest()) + names.add(m.GetFrom()) + names.add(m.GetTo())
	}
	return load{encoded: proto.Size(mig) + historyOverhead, memory: n}
}

// checkpointWeight is what a checkpoint takes. Its spec is counted, though its app, and
// others of that, may have the same one: it may outlive them.
func checkpointWeight(ck *apiv1.Checkpoint) int {
	n := ckptBytes + ckptPlaces*placeBytes + 4*timeBytes + round(len(ck.GetEnded())) + specWeight(ck.GetSpec())
	for _, s := range []string{ck.GetId(), ck.GetApp(), ck.GetReason(), ck.GetCause(), ck.GetName(), ck.GetTo(), ck.GetNext()} {
		n += text(s)
	}
	var names names
	for _, run := range ck.GetRuns() {
		n += ruleBytes + names.add(run.GetHost())
	}
	for _, p := range ck.GetParts() {
		n += ckptPartBytes + names.add(p.GetHost()) + names.add(p.GetSecond()) + names.add(p.GetThird()) + round(len(p.GetDigest()))
	}
	for _, end := range ck.GetEnds() {
		n += endsBytes + text(end.GetReason())
	}
	if !CheckpointPhaseOf(ck).Ended() {
		n += 2 * len(ck.GetParts()) * placeBytes // partsOn
	}
	return n
}

// moduleWeight is what is known of a module: its bytes are elsewhere.
func moduleWeight(mod *apiv1.Module) int {
	return moduleBytes + modulePlaces*placeBytes + timeBytes + text(mod.GetDigest()) + text(mod.GetReason()) + text(mod.GetName()) + texts(mod.GetImports())
}

// round is what the allocator makes of so many bytes, near enough. A text of one byte takes none: it is one of 256 that are there.
func round(n int) int {
	if n <= 1 {
		return 0
	}
	return (n + 7) &^ 7
}

func text(s string) int { return round(len(s)) }

func texts(list []string) int {
	n := textBytes * len(list)
	for _, s := range list {
		n += text(s)
	}
	return n
}

// names counts names of which equal ones share their memory, as shareNames makes them.
type names struct {
	last  string
	known map[string]struct{}
}

func (k *names) add(name string) int {
	if name == k.last {
		return 0
	}
	k.last = name
	if _, ok := k.known[name]; ok {
		return 0
	}
	if k.known == nil {
		k.known = make(map[string]struct{})
	}
	k.known[name] = struct{}{}
	return text(name)
}

func (k *names) list(list []string) int {
	n := textBytes * len(list)
	for _, name := range list {
		n += k.add(name)
	}
	return n
}
