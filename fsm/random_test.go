package fsm

import (
	"bytes"
	"fmt"
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
		steps := rapid.IntRange(1, 150).Draw(t, "steps")
		slots := map[string]int32{}
		for index := uint64(1); index <= uint64(steps); index++ {
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

// requireCapacity checks that no host uses more slots than the most that it has
// ever offered; none of the random apps oversubscribes.
func requireCapacity(t *rapid.T, most map[string]int32, v *View, entry *apiv1.Entry, results []*apiv1.Result) {
	for i, cmd := range entry.GetCommands() {
		if host := cmd.GetRegisterHost().GetHost(); host != nil && results[i].GetCode() == "" {
			most[host.GetId()] = max(most[host.GetId()], host.GetSlots())
		}
	}
	for host := range v.Hosts() {
		require.LessOrEqual(t, host.GetUsed(), most[host.GetId()], host.GetId())
	}
}

func drawEntry(t *rapid.T, v *View, index uint64) *apiv1.Entry {
	entry := new(apiv1.Entry)
	for i := range rapid.IntRange(1, 3).Draw(t, "commands") {
		line := drawCommand(t, v, fmt.Sprintf("%d-%d", index, i))
		cmd, err := parseCommand(strings.Fields(line))
		require.NoError(t, err, line)
		cmd.At = &timestamppb.Timestamp{Seconds: int64(index)}
		if cmd.GetCheckHash() != nil {
			cmd.GetCheckHash().Index, cmd.GetCheckHash().Hash = v.LastHash().GetIndex(), v.LastHash().GetHash()
			if i > 0 {
				cmd.GetCheckHash().Index = 0 // one before it in this entry may have made a new record
			}
		}
		entry.Commands = append(entry.Commands, cmd)
	}
	return entry
}

// drawCommand draws a line of the command language that often fits the state.
func drawCommand(t *rapid.T, v *View, unique string) string {
	pick := func(name string, n int) int { return rapid.IntRange(0, n-1).Draw(t, name) }
	host := fmt.Sprintf("h%d", pick("host", 3))
	app := drawApp(t, v)
	id, mig := app.GetId(), app.GetMigrationId()
	switch pick("op", 17) {
	case 0:
		return "module m migratable"
	case 1, 2:
		return fmt.Sprintf("host %s %d n%s i%d", host, pick("slots", 5), host, pick("inc", 4))
	case 3:
		h, _ := v.Host(HostID(host))
		states := []string{"lost", "left", "ready", "ready", "draining", "evicting"}
		return fmt.Sprintf("state %s %s %s", host, h.GetIncarnation(), states[pick("state", len(states))])
	case 4, 5:
		return fmt.Sprintf("submit a%s m %d key=k%d", unique, 1+pick("size", 4), pick("key", 40))
	case 6, 7:
		line := "place " + id
		for range app.GetSize() {
			line += fmt.Sprintf(" h%d", pick("on", 3))
		}
		return line
	case 8, 9:
		return fmt.Sprintf("started %s %s %d", id, host, app.GetEpoch())
	case 10:
		r := pick("rank", max(1, int(app.GetSize())))
		if len(app.GetPlacement()) > r {
			host = app.GetPlacement()[r]
			return fmt.Sprintf("ended %s %s %d@%d=%d", id, host, r, app.GetRanks()[r].GetEpoch(), pick("code", 2)*256)
		}
		return fmt.Sprintf("ended %s %s 0@1=0", id, host)
	case 11:
		return fmt.Sprintf("stop %s %s %d", id, []string{"cancelled", "failed"}[pick("phase", 2)], pick("code", 300))
	case 12, 13:
		line := fmt.Sprintf("propose g%s %s %d", unique, id, app.GetEpoch())
		for r, from := range app.GetPlacement() {
			if pick("move", 2) == 0 {
				line += fmt.Sprintf(" %d:%s>h%d", r, from, pick("to", 3))
			}
		}
		return line
	case 14:
		return "announce " + mig
	case 15:
		m, _ := v.Migration(MigrationID(mig))
		if MigrationPhaseOf(m) == FrozenMigration {
			return "commit " + mig
		}
		line := "freeze " + mig
		for _, move := range m.GetMoves() {
			line += fmt.Sprintf(" %d:%s>%s", move.GetRank(), move.GetFrom(), move.GetTo())
		}
		return line
	default:
		if pick("last", 2) == 0 {
			return "hash"
		}
		return "abort " + mig
	}
}

func drawApp(t *rapid.T, v *View) *apiv1.App {
	var apps []*apiv1.App
	for app := range v.InFlight() {
		apps = append(apps, app)
	}
	if len(apps) == 0 {
		return nil
	}
	return apps[rapid.IntRange(0, len(apps)-1).Draw(t, "app")]
}
