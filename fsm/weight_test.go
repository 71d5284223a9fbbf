package fsm

import (
	"bytes"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/types/known/timestamppb"

	apiv1 "github.com/godwit-run/godwit/api/v1"
)

// heap is what is in memory, without what nobody has any more.
func heap() int {
	runtime.GC()
	runtime.GC()
	var s runtime.MemStats
	runtime.ReadMemStats(&s)
	return int(s.HeapAlloc)
}

// must applies the commands in an entry each.
func must(t *testing.T, m *Machine, cmds ...*apiv1.Command) {
	for _, cmd := range cmds {
		if cmd.GetAt() == nil {
			cmd.At = &timestamppb.Timestamp{Seconds: 1}
		}
		results, err := applyEntry(m, m.View().Index()+1, &apiv1.Entry{Commands: []*apiv1.Command{cmd}})
		require.NoError(t, err)
		require.Empty(t, results[0].GetCode(), results[0].GetReason())
	}
}

func submitOf(id string, spec *apiv1.AppSpec) *apiv1.Command {
	return &apiv1.Command{Op: &apiv1.Command_SubmitApp{SubmitApp: &apiv1.SubmitApp{Id: id, Spec: spec}}}
}

// spread is a name as long as a name may be, of a host.
func spread(i int) string { return fmt.Sprintf("%s%05d", strings.Repeat("h", 58), i) }

// specOf are specs of extreme shapes, by what there is much of.
func specOf(shape string) *apiv1.AppSpec {
	spec := &apiv1.AppSpec{ModuleDigest: "m", Size: 1}
	rules := func(host func(i int) string) {
		spec.Size = MaxAppSize
		for i := range MaxAppSize {
			spec.Place = append(spec.Place, &apiv1.PlaceRule{Host: host(i), Ranks: 1})
		}
	}
	switch shape {
	case "little":
		spec.Name, spec.ModuleDigest, spec.Args = "little", "m", []string{"-n", "100"}
	case "rules":
		rules(func(int) string { return "h" })
	case "rules of long names":
		rules(spread)
	case "long texts":
		spec.Args, spec.Env = []string{strings.Repeat("a", MaxArgsBytes-1)}, []string{"A=" + strings.Repeat("a", MaxEnvBytes-3)}
	case "empty texts":
		spec.Args = make([]string, MaxArgsBytes)
	case "short texts":
		spec.Args, spec.Env = slices.Repeat([]string{"a"}, MaxArgsBytes/2), slices.Repeat([]string{"A="}, MaxEnvBytes/3)
	case "parts":
		spec.Name, spec.ModuleDigest, spec.Size = "parts", "", MaxParts
		for i := range MaxParts {
			spec.Parts = append(spec.Parts, &apiv1.AppPart{Name: fmt.Sprintf("part%d", i), ModuleDigest: "m", Ranks: 1, Args: []string{"-n", "100"}})
		}
	case "texts of a word":
		spec.Args = slices.Repeat([]string{"--threads"}, MaxArgsBytes/10)
	}
	return spec
}

var shapes = []string{"little", "rules", "rules of long names", "long texts", "empty texts", "short texts", "texts of a word", "parts"}

// enough is how many objects of so many bytes are measured: others are in the heap too.
func enough(each int) int { return max(2, 12<<20/each) }

// near fails unless the weight that is counted is within a factor of two of what the heap has grown by.
func near(t *testing.T, counted, grown int) {
	t.Helper()
	t.Logf("counted %d, in memory %d: %.2f", counted, grown, float64(counted)/float64(grown))
	require.Greater(t, counted, grown/2, "counted too little")
	require.Less(t, counted, grown*2, "counted too much")
}

// alone takes from the machine what it has beside the state: what changed last, and what was before.
func alone(m *Machine) {
	m.ledger = newLedger(m.View())
	m.feed.reset(m.View())
}

// measure measures what build adds to a machine, in the machine that has applied it and in one that has it from a snapshot.
func measure(t *testing.T, prepare, build func(m *Machine), counted func(v *View) int) {
	m, snapshots := New(), [2]*bytes.Buffer{new(bytes.Buffer), new(bytes.Buffer)}
	write := func(to *bytes.Buffer) {
		_, err := m.View().WriteTo(to)
		require.NoError(t, err)
	}
	at(t, m, 1, "init c1", fmt.Sprintf("level %d", FeatureLevel), "module m migratable")
	prepare(m)
	alone(m)
	before, had := heap(), counted(m.View())
	write(snapshots[0])
	small := heap() - before
	build(m)
	alone(m)
	n := counted(m.View()) - had
	t.Run("applied", func(t *testing.T) { near(t, n, heap()-before-small) })
	require.NoError(t, CheckInvariants(m.View()))
	write(snapshots[1])

	m = New()
	var took [2]int
	for i := range took {
		before := heap()
		require.NoError(t, m.Restore(bytes.NewReader(snapshots[i].Bytes())))
		took[i] = heap() - before // what it replaces is gone
	}
	t.Run("restored", func(t *testing.T) { near(t, n, took[1]) })
	runtime.KeepAlive(m)
	runtime.KeepAlive(snapshots)
}

// TestWeights: what is counted of an object is near what it takes in memory, whatever its shape.
func TestWeights(t *testing.T) {
	nothing := func(*Machine) {}
	live := func(v *View) int { return v.liveLoad.memory }
	ended := func(v *View) int { return v.endedLoad.memory }
	for _, shape := range shapes {
		spec := specOf(shape)
		n := enough(liveLoad(&apiv1.App{Spec: spec}).memory)
		submit := func(m *Machine) {
			for i := range n {
				must(t, m, submitOf(fmt.Sprintf("a%d", i), spec))
			}
		}
		t.Run("queued/"+shape, func(t *testing.T) { measure(t, nothing, submit, live) })
		t.Run("ended/"+shape, func(t *testing.T) {
			measure(t, nothing, func(m *Machine) {
				submit(m)
				for i := range n {
					must(t, m, command(t, fmt.Sprintf("stop a%d cancelled 0", i)))
				}
			}, ended)
		})
	}
}

// registered are hosts with long names, the first n of which take the ranks, and the others what moves.
func registered(t *testing.T, m *Machine, n int) {
	for i := range n {
		must(t, m, &apiv1.Command{Op: &apiv1.Command_RegisterHost{RegisterHost: &apiv1.RegisterHost{Host: &apiv1.Host{
			Id: spread(i), Name: spread(i), Addr: "a", Slots: 1024, NodeId: "n", Incarnation: "i",
		}}}})
	}
}

// scatter places an app of the largest size, a rank a host, and starts it.
func scatter(t *testing.T, m *Machine, id string, host func(i int) string) {
	must(t, m, submitOf(id, &apiv1.AppSpec{ModuleDigest: "m", Size: MaxAppSize, Oversubscribe: true}))
	hosts := make([]string, MaxAppSize)
	for i := range hosts {
		hosts[i] = host(i)
	}
	must(t, m, &apiv1.Command{Op: &apiv1.Command_PlaceApp{PlaceApp: NewPlaceApp(AppID(id), hosts)}})
	for _, host := range slices.Compact(slices.Sorted(slices.Values(hosts))) {
		must(t, m, &apiv1.Command{Op: &apiv1.Command_HostStarted{HostStarted: &apiv1.HostStarted{App: id, Host: host, Epoch: 1}}})
	}
}

// failAll ends all ranks that scatter has placed, each in its own way.
func failAll(t *testing.T, m *Machine, id string, host func(i int) string, reason string) {
	for i := range MaxAppSize {
		e := &apiv1.EndedRank{Rank: int32(i), Epoch: 1, ExitCode: int32(i + 1), Reason: reason}
		must(t, m, &apiv1.Command{Op: &apiv1.Command_RanksEnded{RanksEnded: &apiv1.RanksEnded{App: id, Host: host(i), Ranks: []*apiv1.EndedRank{e}}}})
	}
}

// move proposes that all ranks move, and freezes them.
func move(t *testing.T, m *Machine, id, app string, epoch uint64, to func(i int) string) {
	propose := &apiv1.ProposeMigration{Id: id, App: app, FromEpoch: epoch}
	freeze := &apiv1.FreezeMigration{Id: id}
	for i := range MaxAppSize {
		propose.Moves = append(propose.Moves, &apiv1.Move{Rank: int32(i), To: to(i)})
		freeze.Ranks = append(freeze.Ranks, &apiv1.FrozenRank{Rank: int32(i), ImageBytes: 1, ImageDigest: make([]byte, MaxDigestBytes), PauseBytes: 1, Rounds: 1})
	}
	must(t, m,
		&apiv1.Command{Op: &apiv1.Command_ProposeMigration{ProposeMigration: propose}},
		&apiv1.Command{Op: &apiv1.Command_AnnounceMigration{AnnounceMigration: &apiv1.AnnounceMigration{Id: id}}},
		&apiv1.Command{Op: &apiv1.Command_FreezeMigration{FreezeMigration: freeze}})
}

// TestWeightsOfRanks: of an app's ranks, on one host and on as many as there are, as they end and as they move.
func TestWeightsOfRanks(t *testing.T) {
	if testing.Short() {
		t.Skip("eight thousand hosts, six times")
	}
	one := func(int) string { return spread(0) }
	other := func(i int) string { return spread(MaxAppSize + i) }
	hosts := func(m *Machine) { registered(t, m, 2*MaxAppSize) }
	ended := func(v *View) int { return v.endedLoad.memory }
	for name, host := range map[string]func(int) string{"one host": one, "a host each": spread} {
		t.Run("ended/"+name, func(t *testing.T) {
			measure(t, hosts, func(m *Machine) {
				for i := range 2 {
					id := fmt.Sprintf("a%d", i)
					scatter(t, m, id, host)
					failAll(t, m, id, host, "")
				}
			}, ended)
		})
		t.Run("succeeded/"+name, func(t *testing.T) {
			measure(t, hosts, func(m *Machine) {
				for i := range 2 {
					scatter(t, m, fmt.Sprintf("a%d", i), host)
					must(t, m, command(t, fmt.Sprintf("stop a%d cancelled 0", i)))
					end(t, m, fmt.Sprintf("a%d", i))
				}
			}, ended)
		})
	}
	t.Run("moving", func(t *testing.T) {
		measure(t, hosts, func(m *Machine) {
			for i := range 2 {
				id := fmt.Sprintf("a%d", i)
				scatter(t, m, id, spread)
				move(t, m, "g"+id, id, 1, other)
			}
		}, func(v *View) int { return v.liveLoad.memory + v.placedBytes })
	})
	t.Run("moved", func(t *testing.T) {
		measure(t, func(m *Machine) {
			hosts(m)
			scatter(t, m, "a", spread)
		}, func(m *Machine) {
			for i := range 8 {
				to := spread
				if i%2 == 0 {
					to = other
				}
				id := fmt.Sprintf("g%d", i)
				move(t, m, id, "a", uint64(i+1), to)
				must(t, m, &apiv1.Command{Op: &apiv1.Command_CommitMigration{CommitMigration: &apiv1.CommitMigration{Id: id}}})
			}
		}, func(v *View) int { return v.migrationLoad.memory })
	})
}

// end ends all ranks of an app alike.
func end(t *testing.T, m *Machine, id string) {
	app, _ := m.View().App(AppID(id))
	for host := range m.View().HostsOf(AppID(id)) {
		op := &apiv1.RanksEnded{App: id, Host: string(host)}
		for _, r := range liveRanksOn(app, host) {
			op.Ranks = append(op.Ranks, &apiv1.EndedRank{Rank: r, Epoch: app.RankEpochs()(r)})
		}
		must(t, m, &apiv1.Command{Op: &apiv1.Command_RanksEnded{RanksEnded: op}})
	}
}

// TestWeightsOfModules: what is known of a module is counted too.
func TestWeightsOfModules(t *testing.T) {
	for name, imports := range map[string][]string{
		"few": {"wasi_snapshot_preview1.fd_write", "mpi.send"}, "empty": make([]string, MaxImportsBytes), "many": slices.Repeat([]string{"ab"}, MaxImportsBytes/3),
	} {
		t.Run(name, func(t *testing.T) {
			mod := &apiv1.Module{Digest: strings.Repeat("0", 64), Size: 1, Imports: imports}
			n := min(enough(moduleWeight(mod)), MaxModules)
			measure(t, func(*Machine) {}, func(m *Machine) {
				for i := range n {
					mod.Digest = fmt.Sprintf("%064d", i)
					data, err := Encode(&apiv1.Entry{Commands: []*apiv1.Command{{Op: &apiv1.Command_AddModule{AddModule: &apiv1.AddModule{Module: mod}}}}})
					require.NoError(t, err)
					_, err = m.Apply(m.View().Index()+1, 1, data)
					require.NoError(t, err)
				}
			}, func(v *View) int { return v.moduleUse.memory })
		})
	}
}
