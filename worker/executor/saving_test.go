package executor

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/encoding/protodelim"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/internal/pages"
)

// savedPart is what a checkpoint has of a rank.
type savedPart struct {
	checkpoint string
	rank       int32
}

// savedApp is a checkpoint that is taken.
type savedApp struct {
	id    string
	of    *testApp
	ranks map[int32]*apiv1.ExecSaved
}

// file is one of the checkpoint's.
func (a *testApp) file(checkpoint string, rank int32, what string) string {
	return filepath.Join(a.files[savedPart{checkpoint, rank}], fmt.Sprintf("%d.%s", rank, what))
}

// command tells every host that has ranks which have not ended.
func (a *testApp) command(c func(h *host, ranks []int32) *apiv1.ExecCommand) {
	a.t.Helper()
	for i, h := range a.hosts {
		var ranks []int32
		for r, on := range a.placement {
			if on == i && a.ended[int32(r)] == nil {
				ranks = append(ranks, int32(r))
			}
		}
		if len(ranks) > 0 {
			h.say(a.t, c(h, ranks))
		}
	}
}

// await waits for events until all ranks that have not ended are told of, and says whether none has ended.
func (a *testApp) await(told func(ev *apiv1.ExecEvent) (rank int32, is bool)) bool {
	a.t.Helper()
	is := map[int32]bool{}
	for {
		left := 0
		for r := range a.placement {
			if !is[int32(r)] && a.ended[int32(r)] == nil {
				left++
			}
		}
		if left == 0 {
			return len(a.ended) == 0
		}
		ev := a.nextOfAny()
		if ev.GetEnded() != nil {
			a.tellRoutes()
		}
		if r, ok := told(ev); ok {
			is[r] = true
		}
	}
}

func (a *testApp) tellRoutes() {
	a.t.Helper()
	for _, h := range a.hosts {
		h.say(a.t, &apiv1.ExecCommand{Msg: &apiv1.ExecCommand_Routes{Routes: a.routes()}})
	}
}

// saveAhead has all ranks written while they run, until all are ready. It returns false when one has ended.
func (a *testApp) saveAhead(id string) bool {
	a.t.Helper()
	a.command(func(_ *host, ranks []int32) *apiv1.ExecCommand {
		dir := a.t.TempDir()
		for _, r := range ranks {
			a.files[savedPart{id, r}] = dir
		}
		return &apiv1.ExecCommand{Msg: &apiv1.ExecCommand_Checkpoint{Checkpoint: &apiv1.ExecCheckpoint{Id: id, Dir: dir, Ranks: ranks}}}
	})
	return a.await(func(ev *apiv1.ExecEvent) (int32, bool) {
		return ev.GetAhead().GetRank(), ev.GetAhead().GetReady() && ev.GetAhead().Migration == id
	})
}

// saveRest stops all ranks, and has the rest of them written. Those that have ended are not in it.
func (a *testApp) saveRest(id string) *savedApp {
	a.t.Helper()
	s := &savedApp{id: id, of: a, ranks: map[int32]*apiv1.ExecSaved{}}
	a.command(func(_ *host, ranks []int32) *apiv1.ExecCommand {
		return &apiv1.ExecCommand{Msg: &apiv1.ExecCommand_Freeze{Freeze: &apiv1.ExecFreeze{Migration: id, Ranks: ranks}}}
	})
	a.await(func(ev *apiv1.ExecEvent) (int32, bool) {
		saved := ev.GetSaved()
		if saved != nil {
			require.Equal(a.t, id, saved.Checkpoint)
			if saved.Error != fmt.Sprintf("rank %d has ended", saved.Rank) { // its end follows
				require.Empty(a.t, saved.Error)
				s.ranks[saved.Rank] = saved
			}
		}
		return saved.GetRank(), saved.GetError() == "" && saved != nil
	})
	return s
}

// goOn has all ranks go on that stand still.
func (a *testApp) goOn() {
	a.t.Helper()
	a.command(func(_ *host, ranks []int32) *apiv1.ExecCommand {
		return &apiv1.ExecCommand{Msg: &apiv1.ExecCommand_Resume{Resume: &apiv1.ExecResume{Ranks: ranks}}}
	})
}

// endSaving says what has become of a checkpoint.
func (a *testApp) endSaving(id string, kept bool) {
	a.t.Helper()
	for _, h := range a.hosts {
		h.say(a.t, &apiv1.ExecCommand{Msg: &apiv1.ExecCommand_CheckpointEnd{CheckpointEnd: &apiv1.ExecCheckpointEnd{Id: id, Kept: kept}}})
	}
}

// save makes a checkpoint of all ranks; nil: one has ended.
func (a *testApp) save(id string, kept bool) *savedApp {
	a.t.Helper()
	a.saveAhead(id)
	s := a.saveRest(id)
	a.goOn()
	a.endSaving(id, kept)
	if len(s.ranks) < len(a.placement) {
		return nil
	}
	return s
}

// restoreCommand is what has a rank made of the checkpoint.
func (s *savedApp) restoreCommand(rank int32) *apiv1.ExecRestore {
	x := &apiv1.ExecRestore{Checkpoint: s.id, Rank: rank, App: "app-test", State: s.of.file(s.id, rank, "state")}
	for _, id := range s.ranks[rank].Memory {
		x.Memory = append(x.Memory, s.of.file(id, rank, "memory"))
	}
	return x
}

// restoreRank has a host make a rank of files.
func (a *testApp) restoreRank(h *host, x *apiv1.ExecRestore) *apiv1.ExecStaged {
	a.t.Helper()
	h.say(a.t, &apiv1.ExecCommand{Msg: &apiv1.ExecCommand_Restore{Restore: x}})
	staged := a.nextStaged(h)
	require.Equal(a.t, x.Checkpoint, staged.Migration)
	require.Equal(a.t, x.Rank, staged.Rank)
	return staged
}

// restore makes an app of the checkpoint.
func (s *savedApp) restore(placement []int, hosts int) *testApp {
	t := s.of.t
	t.Helper()
	a := startAt(t, placement, hosts, s.of.as, 7, false)
	a.rnd = s.of.rnd
	for r, on := range placement {
		staged := a.restoreRank(a.hosts[on], s.restoreCommand(int32(r)))
		require.Empty(t, staged.Error)
		require.Len(t, staged.Digest, 64)
	}
	for r, on := range placement {
		a.hosts[on].say(t, &apiv1.ExecCommand{Msg: &apiv1.ExecCommand_Thaw{Thaw: &apiv1.ExecThaw{Rank: int32(r), Epoch: a.epoch}}})
	}
	return a
}

// lastOf is the number of rank 0's next line at a checkpoint.
func (s *savedApp) nextLine() int {
	data, err := os.ReadFile(s.of.file(s.id, 0, "state"))
	require.NoError(s.of.t, err)
	var h apiv1.ImageHeader
	require.NoError(s.of.t, protodelim.UnmarshalOptions{MaxSize: maxHeaderBytes}.UnmarshalFrom(bytes.NewReader(data), &h))
	return int(h.NextLine)
}

// guesses has an app's hosts find out by checksums what was written.
func (a *testApp) guesses() {
	for _, h := range a.hosts {
		h.exec.newWatch = func([]byte) *pages.Watch { return pages.NewGuess() }
	}
}

// outputFrom is what rank 0 has printed when all have ended, the lines before next being another's.
func (a *testApp) outputFrom(next int, before string) string {
	a.t.Helper()
	var b bytes.Buffer
	for i, l := range bytes.SplitAfter([]byte(before), []byte("\n")) {
		if i < next {
			b.Write(l)
		}
	}
	for _, l := range a.finishAll() {
		if l.Rank == 0 {
			require.EqualValues(a.t, next, l.Seq)
			next++
			fmt.Fprintf(&b, "%s\n", l.Text)
		}
	}
	return b.String()
}

// TestSavedRunsPrintTheSame runs programs of which checkpoints are made, some of them kept, and which move meanwhile: they print the same, and so does what is made of a checkpoint, wherever
// its ranks go.
func TestSavedRunsPrintTheSame(t *testing.T) {
	programs := []struct {
		name, module string
		args         []string
	}{
		{"heat2d", "../../examples/heat2d/heat2d.wasm", []string{"64", "64", "3000", "500"}},
		{"alltoall", "../../examples/alltoall/alltoall.wasm", []string{"800", "2000"}},
		{"cg", "../../examples/cg/cg.wasm", []string{"2000", "300"}},
		{"loops", "../wasm/testdata/loops.wasm", []string{"40"}},
	}
	for _, p := range programs {
		for _, guess := range []bool{false, true} {
			t.Run(fmt.Sprint(p.name, " guess ", guess), func(t *testing.T) {
				rnd := rand.New(rand.NewPCG(testSeed(t), 1))
				want := startApp(t, p.module, []int{0, 0, 0, 0}, 1, p.args...).finish()
				require.NotEmpty(t, want)
				a := startApp(t, p.module, []int{0, 1, 2, 0}, 3, p.args...)
				a.rnd = rnd
				if guess {
					a.guesses()
				}
				var taken []*savedApp
				for i := range 12 {
					if len(a.ended) > 0 || !a.saveSomehow(fmt.Sprint("c", i), &taken) {
						break
					}
				}
				t.Logf("%d checkpoints", len(taken))
				require.Equal(t, want, a.finish())
				require.NotEmpty(t, taken)
				rnd.Shuffle(len(taken)-1, func(i, j int) { taken[i], taken[j] = taken[j], taken[i] })
				for _, s := range taken[max(len(taken)-2, 0):] {
					next := s.nextLine()
					b := s.restore([]int{rnd.IntN(2), rnd.IntN(2), rnd.IntN(2), rnd.IntN(2)}, 2)
					if guess {
						b.guesses()
					}
					var again []*savedApp
					b.saveSomehow("again", &again)
					require.Equal(t, want, b.outputFrom(next, want))
				}
			})
		}
	}
}

// saveSomehow makes a checkpoint, or begins one, or moves a rank. It returns false when one has ended.
func (a *testApp) saveSomehow(id string, taken *[]*savedApp) bool {
	a.t.Helper()
	switch a.rnd.IntN(6) {
	case 0:
		rank := int32(a.rnd.IntN(len(a.placement)))
		return a.move(rank, (a.placement[rank]+1)%len(a.hosts), a.rnd.IntN(3) > 0)
	case 1:
		if !a.saveAhead(id) {
			return false
		}
		a.goOn()
		a.endSaving(id, false)
	case 2: // nothing is said of its end
		if !a.saveAhead(id) {
			return false
		}
		a.saveRest(id)
		a.goOn()
	default:
		s := a.save(id, a.rnd.IntN(4) > 0)
		if s == nil {
			return false
		}
		*taken = append(*taken, s)
	}
	return true
}
