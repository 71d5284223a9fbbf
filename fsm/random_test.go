package fsm

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"
	"pgregory.net/rapid"

	apiv1 "github.com/godwit-run/godwit/api/v1"
)

// TestRandomLogs applies random logs, biased towards commands that make sense,
// to one machine, to a second, and to a third that goes through a snapshot at
// random points. All must agree at every index, and keep the invariants.
func TestRandomLogs(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		one, two, three := New(), New(), New()
		slots := map[string]*apiv1.Host{}
		setUp := new(apiv1.Entry)
		for _, line := range []string{
			"level 4", "module m migratable", "host h0 4 nh0 i0 mem=300", "host h1 6 nh1 i0 speed=2 mem=400", "host h2 8 nh2 i0",
			"submit a m 3 restarts=1", "place a h0 h1 h1", "started a h0 1", "started a h1 1",
			"checkpoint c a 1 h0>h2 h1>h0", "announce-checkpoint c", "take c", "complete c h0 h1",
		} {
			setUp.Commands = append(setUp.Commands, command(t, line))
		}
		requireCapacity(t, slots, one.View(), setUp, requireAgree(t, 1, setUp, one, two, three))
		last := uint64(rapid.IntRange(2, 60).Draw(t, "last index"))
		for index := uint64(2); index <= last; index++ {
			entry := drawEntry(t, one.View(), index)
			results := requireAgree(t, index, entry, one, two, three)
			requireCapacity(t, slots, one.View(), entry, results)
			if rapid.IntRange(0, 9).Draw(t, "restore") == 0 {
				var buf bytes.Buffer
				_, err := three.View().WriteTo(&buf)
				require.NoError(t, err)
				three = New()
				require.NoError(t, three.Restore(&buf))
			}
		}
		require.Equal(t, describe(one.View()), describe(three.View()))
	})
}

func requireAgree(t *rapid.T, index uint64, entry *apiv1.Entry, machines ...*Machine) []*apiv1.Result {
	var first []*apiv1.Result
	for i, m := range machines {
		before := m.View()
		hash := before.Hash()
		results, err := applyEntry(m, index, entry)
		require.NoError(t, err, entry)
		require.Equal(t, hash, before.Hash(), "an old view has changed")
		require.NoError(t, CheckInvariants(m.View()))
		if index%3 == 0 {
			require.Equal(t, m.View().Hash(), m.View().seal(m.ledger.settle(m.View())))
		}
		if i == 0 {
			first = results
			continue
		}
		require.Equal(t, machines[0].View().Hash(), m.View().Hash())
		for j := range results {
			require.True(t, proto.Equal(first[j], results[j]))
		}
	}
	return first
}

// requireCapacity checks that no host uses more slots, and more memory, than the most that it has
// ever offered; none of the random apps oversubscribes.
func requireCapacity(t *rapid.T, most map[string]*apiv1.Host, v *View, entry *apiv1.Entry, results []*apiv1.Result) {
	for i, cmd := range entry.GetCommands() {
		if host := cmd.GetRegisterHost().GetHost(); host != nil && results[i].GetCode() == "" {
			old, memory := most[host.GetId()], host.GetMemoryBytes()
			if memory == 0 {
				memory = MaxHostMemory
			}
			most[host.GetId()] = &apiv1.Host{Slots: max(old.GetSlots(), host.GetSlots()), MemoryBytes: max(old.GetMemoryBytes(), memory)}
		}
	}
	for host := range v.Hosts() {
		require.LessOrEqual(t, host.GetUsed(), most[host.GetId()].GetSlots(), host.GetId())
		require.LessOrEqual(t, host.GetMemoryUsed(), most[host.GetId()].GetMemoryBytes(), host.GetId())
	}
}

func drawEntry(t *rapid.T, v *View, index uint64) *apiv1.Entry {
	entry := new(apiv1.Entry)
	for i := range rapid.IntRange(1, 3).Draw(t, "commands") {
		line := drawCommand(t, v, fmt.Sprintf("%d-%d", index, i))
		cmd, err := parseCommand(strings.Fields(line))
		require.NoError(t, err, line)
		cmd.At = &timestamppb.Timestamp{Seconds: int64(index)}
		if check := cmd.GetCheckHash(); check != nil {
			check.Index, check.Hash = v.LastHash().GetIndex(), v.LastHash().GetHash()
		}
		entry.Commands = append(entry.Commands, cmd)
	}
	return entry
}

// drawCommand draws a line of the command language: half of the time the next
// step in an app's life, else anything.
func drawCommand(t *rapid.T, v *View, unique string) string {
	if app := drawApp(t, v); app != nil && rapid.Bool().Draw(t, "advance") {
		return drawStep(t, v, app, unique)
	}
	return drawAny(t, v, drawApp(t, v), unique)
}

func drawHost(t *rapid.T) string {
	return rapid.SampledFrom([]string{"h0", "h1", "h2"}).Draw(t, "host")
}

func drawStep(t *rapid.T, v *View, app *apiv1.App, unique string) string {
	id := app.GetId()
	switch PhaseOf(app) {
	case Queued:
		line := "place " + id
		for range app.GetSize() {
			line += " " + drawHost(t)
		}
		return line
	case Starting:
		for _, host := range app.GetPlacement() {
			if !slices.Contains(app.GetStartedHosts(), host) {
				return fmt.Sprintf("started %s %s %d", id, host, app.GetEpoch())
			}
		}
	case Running:
		if rapid.IntRange(0, 2).Draw(t, "files") == 0 || Storing(app) {
			return drawFiles(t, app)
		}
		if rapid.Bool().Draw(t, "capture") {
			return drawCheckpoint(t, v, app, unique)
		}
		if rapid.Bool().Draw(t, "end") {
			return drawEnd(t, app)
		}
		return drawProposal(t, app, unique)
	case Migrating:
		mig, _ := v.PendingMigrationOf(AppID(id))
		switch MigrationPhaseOf(mig) {
		case Pending:
			return "announce " + mig.GetId()
		case Announced:
			line := rapid.SampledFrom([]string{"freeze ", "freeze+commit "}).Draw(t, "freeze") + mig.GetId()
			for _, move := range mig.GetMoves() {
				line += fmt.Sprintf(" %d", move.GetRank())
			}
			return line
		default:
			return "commit " + mig.GetId()
		}
	}
	return drawEnd(t, app)
}

// drawCheckpoint draws the next step of an app's checkpoint.
func drawCheckpoint(t *rapid.T, v *View, app *apiv1.App, unique string) string {
	ck, ok := v.CheckpointUnderWay(AppID(app.GetId()))
	if !ok {
		line := fmt.Sprintf("checkpoint c%s %s %d", unique, app.GetId(), app.GetEpoch())
		for _, host := range []string{"h0", "h1", "h2"} {
			if second := drawHost(t); second != host {
				line += " " + host + ">" + second
			}
		}
		return line
	}
	switch CheckpointPhaseOf(ck) {
	case CheckpointPending:
		return "announce-checkpoint " + ck.GetId()
	case CheckpointAnnounced:
		return fmt.Sprintf("take %s %s=1.5+files", ck.GetId(), ck.GetParts()[0].GetHost())
	default:
		line := "complete " + ck.GetId()
		for _, p := range ck.GetParts() {
			line += " " + p.GetHost()
		}
		return line
	}
}

// drawAnyCheckpoint draws one that is there; empty if there is none.
func drawAnyCheckpoint(t *rapid.T, v *View) string {
	all := slices.Collect(v.Checkpoints())
	if len(all) == 0 {
		return ""
	}
	return rapid.SampledFrom(all).Draw(t, "checkpoint").GetId()
}

// drawFiles draws the next step of an app's directory.
func drawFiles(t *rapid.T, app *apiv1.App) string {
	files := app.GetFiles()
	switch {
	case files == nil:
		return fmt.Sprintf("files %s %s opened", app.GetId(), app.GetPlacement()[0])
	case Storing(app):
		return fmt.Sprintf("files %s %s stored %s", app.GetId(), files.GetHost(), rapid.SampledFrom([]string{"tree", "tree", "no room"}).Draw(t, "stored"))
	case files.GetTo() != "":
		return fmt.Sprintf("files %s %s %s", app.GetId(), files.GetTo(), rapid.SampledFrom([]string{"moved", "stays"}).Draw(t, "settled"))
	}
	return fmt.Sprintf("files %s %s moves", app.GetId(), drawHost(t))
}

func drawEnd(t *rapid.T, app *apiv1.App) string {
	r := rapid.IntRange(0, int(app.GetSize())-1).Draw(t, "rank")
	if len(app.GetPlacement()) <= r {
		return fmt.Sprintf("ended %s h0 %d@1=0", app.GetId(), r)
	}
	code := rapid.SampledFrom([]int{0, 0, 0, 7, 256}).Draw(t, "code")
	return fmt.Sprintf("ended %s %s %d@%d=%d", app.GetId(), app.GetPlacement()[r], r, app.RankEpoch(int32(r)), code)
}

func drawProposal(t *rapid.T, app *apiv1.App, unique string) string {
	line := fmt.Sprintf("propose g%s %s %d", unique, app.GetId(), app.GetEpoch())
	to := drawHost(t)
	for r, from := range app.GetPlacement() {
		if from != to && !app.HasEnded(int32(r)) && rapid.IntRange(0, 3).Draw(t, "move") > 0 {
			line += fmt.Sprintf(" %d:%s>%s", r, from, to)
		}
	}
	return line
}

func drawAny(t *rapid.T, v *View, app *apiv1.App, unique string) string {
	pick := func(name string, n int) int { return rapid.IntRange(0, n-1).Draw(t, name) }
	host := drawHost(t)
	switch pick("op", 22) {
	case 20:
		return fmt.Sprintf("tenant t%d %d %d", pick("tenant", 2), pick("quota", 6), pick("shares", 3))
	case 21:
		return "policy spot"
	case 17:
		return "abort-checkpoint " + app.GetCheckpointId()
	case 18:
		return "remove-checkpoint " + drawAnyCheckpoint(t, v)
	case 19:
		return fmt.Sprintf("submit a%s m %d restore=%s restarts=%d", unique, 1+pick("size", 4), drawAnyCheckpoint(t, v), pick("restarts", 2))
	case 16:
		what := rapid.SampledFrom([]string{"opened", "moves", "moved", "stays", "stored tree", "stored why", ""}).Draw(t, "what")
		return fmt.Sprintf("files %s %s %s", app.GetId(), host, what)
	case 0:
		return fmt.Sprintf("host %s %d n%s i%d mem=%d speed=%d", host, pick("slots", 9), host, pick("inc", 4), 100*pick("memory", 5), pick("speed", 3))
	case 1:
		h, _ := v.Host(HostID(host))
		return fmt.Sprintf("host %s %d n%s %s", host, 8, host, h.GetIncarnation())
	case 2:
		return fmt.Sprintf("wish %s %s", host, rapid.SampledFrom(wishes).Draw(t, "wish"))
	case 3:
		h, _ := v.Host(HostID(host))
		state := rapid.SampledFrom([]string{"ready", "lost", "left"}).Draw(t, "state")
		return fmt.Sprintf("state %s %s %s", host, h.GetIncarnation(), state)
	case 4, 5, 6, 7:
		return fmt.Sprintf("submit a%s m %d key=k%d mem=%d restarts=%d onloss=%s lossrestarts=%d", unique, 1+pick("size", 4), pick("key", 60), rapid.SampledFrom([]int{0, 40, 100}).Draw(t, "mem"), max(0, pick("restarts", 4)-1),
			rapid.SampledFrom([]string{"", "", "restart", "fail"}).Draw(t, "onloss"), pick("lossrestarts", 3)) + drawQueueing(t, v)
	case 8:
		return fmt.Sprintf("stop %s %s %d", app.GetId(), []string{"cancelled", "failed"}[pick("phase", 2)], pick("code", 300))
	case 9:
		return "abort " + app.GetMigrationId()
	case 10:
		return "commit " + app.GetMigrationId()
	case 11:
		return fmt.Sprintf("started %s %s %d", app.GetId(), host, app.GetEpoch())
	case 13:
		return fmt.Sprintf("restart %s %d again", app.GetId(), app.GetAttempt())
	case 14:
		return []string{"unmodule m", "module m2", "module m migratable"}[pick("module", 3)]
	case 12:
		return fmt.Sprintf("pause g%d-0 0 1.5", pick("old", 40))
	default:
		return "hash"
	}
}

// drawQueueing draws options of submit that bear on the queue.
func drawQueueing(t *rapid.T, v *View) string {
	line := ""
	if rapid.IntRange(0, 2).Draw(t, "queueing") > 0 {
		line += fmt.Sprintf(" prio=%d tenant=t%d", rapid.IntRange(-1, 1).Draw(t, "prio"), rapid.IntRange(0, 2).Draw(t, "tenant"))
	}
	if app := drawApp(t, v); app != nil && rapid.IntRange(0, 2).Draw(t, "after") == 0 {
		line += rapid.SampledFrom([]string{" after=", " afterany="}).Draw(t, "end") + app.GetId()
	} else if rapid.IntRange(0, 3).Draw(t, "after array") == 0 {
		line += rapid.SampledFrom([]string{" afterarray=arr0", " afteranyarray=arr1"}).Draw(t, "array's end")
	}
	if rapid.IntRange(0, 3).Draw(t, "array") == 0 {
		line += fmt.Sprintf(" array=arr%d,0,%d", rapid.IntRange(0, 1).Draw(t, "which"), rapid.IntRange(0, 2).Draw(t, "at once"))
	}
	return line
}

// drawApp draws an app that has not ended; nil if there is none.
func drawApp(t *rapid.T, v *View) *apiv1.App {
	apps := slices.Collect(v.appsOf(v.live))
	if len(apps) == 0 {
		return nil
	}
	return apps[rapid.IntRange(0, len(apps)-1).Draw(t, "app")]
}
