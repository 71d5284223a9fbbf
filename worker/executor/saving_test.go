package executor

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/encoding/protodelim"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/internal/pages"
)

// startHungry starts ranks that have memory to which they do not write any more.
func startHungry(t *testing.T, placement []int, hosts int, args ...string) *testApp {
	t.Helper()
	a := startApp(t, "../../jepsen/testdata/hungry.wasm", placement, hosts, args...)
	require.Eventually(t, func() bool { return a.lines(0) > 0 && a.lines(1) > 0 }, testWait, time.Millisecond)
	return a
}

// conformance does all that MPI has.
const conformance = "../../mpi/conformance/conformance.wasm"

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
	return a.saveBegin(id, func(*apiv1.ExecEvent) bool { return false })
}

// saveBegin is saveAhead, but for ranks of which something else is told.
func (a *testApp) saveBegin(id string, told func(ev *apiv1.ExecEvent) bool) bool {
	a.t.Helper()
	a.command(func(_ *host, ranks []int32) *apiv1.ExecCommand {
		dir := a.t.TempDir()
		for _, r := range ranks {
			a.files[savedPart{id, r}] = dir
		}
		return &apiv1.ExecCommand{Msg: &apiv1.ExecCommand_Checkpoint{Checkpoint: &apiv1.ExecCheckpoint{Id: id, Dir: dir, Ranks: ranks, Anew: a.anew}}}
	})
	return a.await(func(ev *apiv1.ExecEvent) (int32, bool) {
		if told(ev) {
			return ev.GetSaved().GetRank(), true
		}
		return ev.GetAhead().GetRank(), ev.GetAhead().GetReady() && ev.GetAhead().Migration == id
	})
}

func (a *testApp) freezeAll(id string) {
	a.t.Helper()
	a.command(func(_ *host, ranks []int32) *apiv1.ExecCommand {
		return &apiv1.ExecCommand{Msg: &apiv1.ExecCommand_Freeze{Freeze: &apiv1.ExecFreeze{Migration: id, Ranks: ranks}}}
	})
}

// saveRest stops all ranks, and has the rest of them written. Those that have ended are not in it.
func (a *testApp) saveRest(id string) *savedApp {
	a.t.Helper()
	s := &savedApp{id: id, of: a, ranks: map[int32]*apiv1.ExecSaved{}}
	a.freezeAll(id)
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
	of := &apiv1.RestoredRank{Rank: rank, State: s.of.file(s.id, rank, "state")}
	for _, id := range s.ranks[rank].Memory {
		of.Memory = append(of.Memory, s.of.file(id, rank, "memory"))
	}
	return &apiv1.ExecRestore{Checkpoint: s.id, App: "app-test", Ranks: []*apiv1.RestoredRank{of}}
}

// restoreRank has a host make a rank of files.
func (a *testApp) restoreRank(h *host, x *apiv1.ExecRestore) *apiv1.ExecStaged {
	a.t.Helper()
	h.say(a.t, &apiv1.ExecCommand{Msg: &apiv1.ExecCommand_Restore{Restore: x}})
	staged := a.nextStaged(h)
	require.Equal(a.t, x.Checkpoint, staged.Migration)
	require.Equal(a.t, x.Ranks[0].Rank, staged.Rank)
	return staged
}

// restore makes an app of the checkpoint.
func (s *savedApp) restore(placement []int, hosts int) *testApp {
	t := s.of.t
	t.Helper()
	a := startAt(t, placement, hosts, s.of.as, 7, false)
	a.rnd = s.of.rnd
	ranks := make([]int32, len(placement))
	for i := range ranks {
		ranks[i] = int32(i)
	}
	s.restoreTo(a, ranks...)
	return a
}

// restoreTo makes ranks of the checkpoint, and has them run when all of them are there.
func (s *savedApp) restoreTo(a *testApp, ranks ...int32) {
	a.t.Helper()
	here := map[*host]*apiv1.ExecRestore{}
	for _, r := range ranks {
		h, x := a.hosts[a.placement[r]], s.restoreCommand(r)
		if here[h] != nil {
			x.Ranks = append(here[h].Ranks, x.Ranks...)
		}
		here[h] = x
	}
	for h, x := range here {
		h.say(a.t, &apiv1.ExecCommand{Msg: &apiv1.ExecCommand_Restore{Restore: x}})
		for range x.Ranks {
			staged := a.nextStaged(h)
			require.Empty(a.t, staged.Error)
			require.Len(a.t, staged.Digest, 64)
		}
	}
	for _, r := range ranks {
		a.hosts[a.placement[r]].say(a.t, &apiv1.ExecCommand{Msg: &apiv1.ExecCommand_Thaw{Thaw: &apiv1.ExecThaw{Ranks: []int32{r}, Epoch: a.epoch}}})
	}
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
		{"conformance", conformance, []string{"-io_*", "-rma_dynamic_shared", "all"}},
		{"loops", "../wasm/testdata/loops.wasm", []string{"20"}},
		{"deep", "../wasm/testdata/deep.wasm", []string{"250000", "20000"}}, // deeper than what a program has for its stack
	}
	for _, p := range programs {
		for _, guess := range []bool{false, true} {
			if guess && p.name != "heat2d" { // the ways are the same
				continue
			}
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
				if s := a.save("first", true); s != nil {
					taken = append(taken, s)
				}
				for i := range 8 {
					if len(a.ended) > 0 || !a.saveSomehow(fmt.Sprint("c", i), &taken) {
						break
					}
				}
				t.Logf("%d checkpoints", len(taken))
				require.Equal(t, want, a.finish())
				require.NotEmpty(t, taken)
				rnd.Shuffle(len(taken), func(i, j int) { taken[i], taken[j] = taken[j], taken[i] })
				for _, s := range taken[len(taken)-1:] {
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

// TestSavesWhatChanged: a checkpoint costs what was written since the last one that was kept, the files stay few, and what is made of them is whole.
func TestSavesWhatChanged(t *testing.T) {
	for _, guess := range []bool{false, true} {
		t.Run(fmt.Sprint("guess ", guess), func(t *testing.T) {
			a := startHungry(t, []int{0, 1}, 2, "8", "60")
			if guess {
				a.guesses()
			}
			first := a.save("c0", true)
			require.Equal(t, []string{"c0"}, first.ranks[0].Memory)
			var last *savedApp
			for i := range 15 {
				id := fmt.Sprint("c", i+1)
				kept := i%3 > 0
				last = a.save(id, kept)
				for r, saved := range last.ranks {
					require.Less(t, saved.NewBytes, first.ranks[r].NewBytes/2)
					require.LessOrEqual(t, saved.PauseBytes, saved.NewBytes)
					require.Positive(t, saved.PauseBytes)
					require.Positive(t, saved.SinceMs)
					require.LessOrEqual(t, len(saved.Memory), 8)
					require.Equal(t, "c0", saved.Memory[0])
					require.Equal(t, id, saved.Memory[len(saved.Memory)-1])
					for _, old := range saved.Memory[1 : len(saved.Memory)-1] {
						n, err := strconv.Atoi(old[1:])
						require.NoError(t, err)
						require.NotEqual(t, 1, n%3, "%s was not kept", old)
					}
				}
			}
			info, err := os.Stat(a.file("c0", 0, "memory"))
			require.NoError(t, err)
			require.EqualValues(t, 0o600, info.Mode().Perm())
			next := last.nextLine()
			want := a.finish()
			require.Equal(t, want, last.restore([]int{0, 0}, 1).outputFrom(next, want))
		})
	}
}

// TestSeriesBeginsAnew: a checkpoint that is to have everything of a rank needs no file before it, and later ones go on from it.
func TestSeriesBeginsAnew(t *testing.T) {
	for _, guess := range []bool{false, true} {
		t.Run(fmt.Sprint("guess ", guess), func(t *testing.T) {
			a := startHungry(t, []int{0, 1}, 2, "8", "60")
			if guess {
				a.guesses()
			}
			a.save("c1", true)
			a.anew = []int32{1}
			s := a.save("c2", true)
			require.Contains(t, s.ranks[0].Memory, "c1", "little of its memory changes")
			require.Equal(t, []string{"c2"}, s.ranks[1].Memory)
			a.anew = nil
			last := a.save("c3", true)
			require.NotContains(t, last.ranks[1].Memory, "c1")
			require.Contains(t, last.ranks[1].Memory, "c2")
			require.Less(t, last.ranks[1].NewBytes, s.ranks[1].NewBytes)
			require.NoError(t, os.Remove(a.file("c1", 1, "memory")))
			next := last.nextLine()
			want := a.finish()
			require.Equal(t, want, last.restore([]int{0, 0}, 1).outputFrom(next, want))
		})
	}
}

// TestFewFilesStay: whatever changes between checkpoints the files of a series are few, and what is written is in proportion to what has changed.
func TestFewFilesStay(t *testing.T) {
	rnd := rand.New(rand.NewPCG(testSeed(t), 1))
	const whole = 1 << 18
	for range 50 {
		files := []savedFile{{pages: whole}}
		changed, written := 0, 0
		most := 1 + rnd.IntN(1<<rnd.IntN(19))
		for range 300 {
			n := rnd.IntN(most)
			stay := staying(files, n)
			now := n
			for _, f := range files[stay:] {
				now += f.pages
			}
			now = min(now, whole) // a page is written once
			more := rnd.IntN(1 + n/4)
			files = append(files[:stay:stay], savedFile{pages: now + more}) // with what was written in later rounds
			changed, written = changed+n+more, written+now+more
			for i := range files[:len(files)-1] {
				if i+2 < len(files) {
					require.Greater(t, files[i].pages, 2*files[i+1].pages)
				}
			}
			require.LessOrEqual(t, len(files), 20)
		}
		require.LessOrEqual(t, written, 20*(changed+whole))
	}
}

// TestLastMessagesAreSaved: a rank whose program has ended is in a checkpoint with what it has not delivered, and one that waits with what it has.
func TestLastMessagesAreSaved(t *testing.T) {
	for ms := 500; ; ms *= 2 {
		a := startApp(t, lastword, []int{0, 1}, 2, strconv.Itoa(ms), "200000")
		require.True(t, a.saveAhead("c"))
		freeze := func(rank int32) *apiv1.ExecSaved {
			h := a.hosts[a.placement[rank]]
			h.say(t, &apiv1.ExecCommand{Msg: &apiv1.ExecCommand_Freeze{Freeze: &apiv1.ExecFreeze{Migration: "c", Ranks: []int32{rank}}}})
			for {
				if s := a.next(h).GetSaved(); s != nil {
					return s
				}
			}
		}
		s := &savedApp{id: "c", of: a, ranks: map[int32]*apiv1.ExecSaved{1: freeze(1)}}
		if s.ranks[1].Error == "" && a.drains(0) {
			s.ranks[0] = freeze(0)
			require.Empty(t, s.ranks[0].Error)
			a.goOn()
			a.finish()
			require.Equal(t, 3, a.lines(1))
			b := s.restore([]int{0, 1}, 2)
			b.finishAll()
			require.Equal(t, 3, b.lines(1))
			require.Zero(t, b.lines(0))
			return
		}
		require.Less(t, ms, 60_000, "the machine is too slow for this test")
	}
}

// TestBadSavedFiles: what is no image, or another's, is refused with the reason, and another try is good.
func TestBadSavedFiles(t *testing.T) {
	a := startHungry(t, []int{0, 0}, 1, "2", "10")
	require.NotNil(t, a.save("c0", true))
	s := a.save("c1", true)
	next := s.nextLine()
	want := a.finish()
	require.Equal(t, []string{"c0", "c1"}, s.ranks[1].Memory)
	b := startAt(t, []int{0, 0}, 1, a.as, 3, false)
	h := b.hosts[0]
	copied := func(name string, change func(data []byte) []byte) string {
		data, err := os.ReadFile(name)
		require.NoError(t, err)
		to := filepath.Join(t.TempDir(), "copy")
		require.NoError(t, os.WriteFile(to, change(data), 0o400))
		return to
	}
	flip := func(at int) func([]byte) []byte {
		return func(data []byte) []byte {
			data[(at+len(data))%len(data)] ^= 0x40
			return data
		}
	}
	cut := func(n int) func([]byte) []byte { return func(data []byte) []byte { return data[:len(data)-n] } }
	for name, c := range map[string]struct {
		damage func(x *apiv1.ExecRestore)
		want   string
	}{
		"no memory":      {func(x *apiv1.ExecRestore) { x.Ranks[0].Memory[1] = "/nonesuch/1.memory" }, "rank 1: read the part 2 of 2 of the memory in checkpoint c1: no such file"},
		"no state":       {func(x *apiv1.ExecRestore) { x.Ranks[0].State = "/nonesuch/1.state" }, "rank 1: read the state in checkpoint c1: no such file"},
		"memory cut":     {func(x *apiv1.ExecRestore) { x.Ranks[0].Memory[0] = copied(x.Ranks[0].Memory[0], cut(5)) }, "rank 1: read the part 1 of 2 of the memory in checkpoint c1: receive pages: unexpected EOF"},
		"memory junk":    {func(x *apiv1.ExecRestore) { x.Ranks[0].Memory[0] = copied(x.Ranks[0].Memory[0], flip(0)) }, "rank 1: read the part 1 of 2 of the memory in checkpoint c1: receive pages: these are no pages of a memory"},
		"memory flipped": {func(x *apiv1.ExecRestore) { x.Ranks[0].Memory[0] = copied(x.Ranks[0].Memory[0], flip(1<<20)) }, "the image of rank 1 arrived with digest"},
		"part missing":   {func(x *apiv1.ExecRestore) { x.Ranks[0].Memory = x.Ranks[0].Memory[:1] }, "the image of rank 1 arrived with digest"},
		"order": {func(x *apiv1.ExecRestore) {
			x.Ranks[0].Memory[0], x.Ranks[0].Memory[1] = x.Ranks[0].Memory[1], x.Ranks[0].Memory[0]
		}, "the image of rank 1 arrived with digest"},
		"no parts":  {func(x *apiv1.ExecRestore) { x.Ranks[0].Memory = nil }, "rank 1: "},
		"state cut": {func(x *apiv1.ExecRestore) { x.Ranks[0].State = copied(x.Ranks[0].State, cut(3)) }, "rank 1: read the image: unexpected EOF (of checkpoint c1)"},
		"state empty": {func(x *apiv1.ExecRestore) {
			x.Ranks[0].State = copied(x.Ranks[0].State, func([]byte) []byte { return nil })
		}, "rank 1: read the image: EOF"},
		"state long": {func(x *apiv1.ExecRestore) {
			x.Ranks[0].State = copied(x.Ranks[0].State, func([]byte) []byte { return []byte{0xff, 0xff, 0xff, 0xff, 1} })
		}, "rank 1: read the image: "},
		"another's state": {func(x *apiv1.ExecRestore) { x.Ranks[0].State = a.file("c1", 0, "state") }, "an image is version 2, app app-test, rank 0; want version 2, app app-test, rank 1"},
		"another app":     {func(x *apiv1.ExecRestore) { x.App = "app-other" }, "app app-test, rank 1; want version 2, app app-other, rank 1"},
		"a directory":     {func(x *apiv1.ExecRestore) { x.Ranks[0].State = t.TempDir() }, "rank 1: read the image: "},
		"no such rank":    {func(x *apiv1.ExecRestore) { x.Ranks[0].Rank = 77 }, "rank 77"},
	} {
		x := s.restoreCommand(1)
		c.damage(x)
		require.Contains(t, b.restoreRank(h, x).Error, c.want, name)
	}
	rnd := rand.New(rand.NewPCG(testSeed(t), 1))
	for range 60 { // wherever it is, it is found, or changes nothing that counts
		x := s.restoreCommand(1)
		at := rnd.IntN(3 << 20)
		if rnd.IntN(2) == 0 {
			x.Ranks[0].State = copied(x.Ranks[0].State, flip(at))
		} else {
			x.Ranks[0].Memory[0] = copied(x.Ranks[0].Memory[0], flip(at))
		}
		if staged := b.restoreRank(h, x); staged.Error == "" {
			require.Len(t, staged.Digest, 64)
		} else {
			require.Contains(t, staged.Error, "rank 1")
		}
	}
	for r := range int32(2) {
		require.Empty(t, b.restoreRank(h, s.restoreCommand(r)).Error, "another takes its place")
	}
	s.restoreTo(b, 0, 1)
	require.Equal(t, want, b.outputFrom(next, want))
}

// nextSaved is what a host says of the rank that it saves next.
func (a *testApp) nextSaved(h *host) *apiv1.ExecSaved {
	a.t.Helper()
	for {
		if s := a.next(h).GetSaved(); s != nil {
			return s
		}
	}
}

// TestNotSaved: what keeps a rank from being written is told, and it runs on.
func TestNotSaved(t *testing.T) {
	a := startApp(t, "../../jepsen/testdata/steady.wasm", []int{0, 0}, 1, "60", "10")
	h := a.hosts[0]
	begin := func(id, dir string, ranks ...int32) {
		h.say(t, &apiv1.ExecCommand{Msg: &apiv1.ExecCommand_Checkpoint{Checkpoint: &apiv1.ExecCheckpoint{Id: id, Dir: dir, Ranks: ranks}}})
	}
	begin("gone", "/nonesuch", 0)
	require.Equal(t, "executor: rank 0: write the image: no such file or directory", a.nextSaved(h).Error)
	h.say(t, &apiv1.ExecCommand{Msg: &apiv1.ExecCommand_Freeze{Freeze: &apiv1.ExecFreeze{Migration: "gone", Ranks: []int32{0}}}})
	require.Equal(t, "executor: rank 0: write the image: no such file or directory", a.nextSaved(h).Error)
	a.goOn()
	a.endSaving("gone", false)
	h.say(t, &apiv1.ExecCommand{Msg: &apiv1.ExecCommand_Freeze{Freeze: &apiv1.ExecFreeze{Migration: "gone", Ranks: []int32{7}}}})
	require.Equal(t, "rank 7 has ended", a.nextSaved(h).Error)

	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "1.state"), nil, 0o600)) // in the way
	begin("full", dir, 1)
	for !a.next(h).GetAhead().GetReady() {
		continue
	}
	h.say(t, &apiv1.ExecCommand{Msg: &apiv1.ExecCommand_Freeze{Freeze: &apiv1.ExecFreeze{Migration: "full", Ranks: []int32{1}}}})
	require.Equal(t, "executor: rank 1: write the image: file exists", a.nextSaved(h).Error)
	a.goOn()
	a.endSaving("full", false)

	require.Equal(t, []string{"whole"}, a.save("whole", true).ranks[1].Memory)
	a.finish()
	begin("late", t.TempDir(), 0, 7)
	for _, r := range []int32{0, 7} {
		s := a.nextSaved(h)
		require.Equal(t, r, s.Rank)
		require.Equal(t, fmt.Sprintf("rank %d has ended", r), s.Error)
	}
}

// TestSavingAndMoving: of a checkpoint and a migration of a rank the newer counts, and what is written for a checkpoint after a move that was not made is everything.
func TestSavingAndMoving(t *testing.T) {
	a := startHungry(t, []int{0, 0}, 2, "2", "25")
	a.rnd = rand.New(rand.NewPCG(1, 1))
	src, dst := a.hosts[0], a.hosts[1]
	require.NotNil(t, a.save("c0", true))
	require.True(t, a.saveAhead("c1"))
	require.True(t, a.move(0, 1, false)) // takes the place of the checkpoint
	a.endSaving("c1", false)
	s := a.save("c2", true)
	require.Equal(t, []string{"c2"}, s.ranks[0].Memory)
	require.Equal(t, []string{"c0", "c2"}, s.ranks[1].Memory)
	a.expect("m", 0, dst)
	require.True(t, a.precopy("m", 0, src, dst))
	src.say(t, &apiv1.ExecCommand{Msg: &apiv1.ExecCommand_Freeze{Freeze: &apiv1.ExecFreeze{Migration: "gone", Ranks: []int32{0}}}})
	require.Contains(t, a.nextFrozen(src).Error, "it is not said where rank 0 is to go")
	s = a.save("c3", true) // takes the place of the migration
	require.Equal(t, []string{"c3"}, s.ranks[0].Memory)
	dst.say(t, &apiv1.ExecCommand{Msg: &apiv1.ExecCommand_Drop{Drop: &apiv1.ExecDrop{Ranks: []int32{0}}}})
	require.True(t, a.move(0, 1, true))
	s = a.save("c4", true)
	require.Equal(t, []string{"c4"}, s.ranks[0].Memory)
	next := s.nextLine()
	want := a.finish()
	require.Equal(t, want, s.restore([]int{1, 0}, 2).outputFrom(next, want))
}

func (a *testApp) nextFrozen(h *host) *apiv1.ExecFrozen {
	a.t.Helper()
	for {
		if f := a.next(h).GetFrozen(); f != nil {
			return f
		}
	}
}

// TestStoppedSaving: ranks that stand still for a checkpoint end when the app is cancelled, and may be dropped; so may those that are made of one.
func TestStoppedSaving(t *testing.T) {
	a := startApp(t, "../../jepsen/testdata/steady.wasm", []int{0, 0, 1}, 2, "10000", "10")
	require.True(t, a.saveAhead("c"))
	s := a.saveRest("c")
	require.Len(t, s.ranks, 3)
	a.hosts[0].say(t, &apiv1.ExecCommand{Msg: &apiv1.ExecCommand_Drop{Drop: &apiv1.ExecDrop{Ranks: []int32{0}}}})
	for _, h := range a.hosts {
		h.say(t, &apiv1.ExecCommand{Msg: &apiv1.ExecCommand_Cancel{Cancel: &apiv1.ExecCancel{Reason: "enough"}}})
	}
	for len(a.ended) < 2 {
		a.nextOfAny()
	}
	require.Nil(t, a.ended[0])
	b := startAt(t, []int{0, 0, 0}, 1, a.as, 2, false)
	h := b.hosts[0]
	require.Empty(t, b.restoreRank(h, s.restoreCommand(0)).Error)
	require.Empty(t, b.restoreRank(h, s.restoreCommand(1)).Error)
	h.say(t, &apiv1.ExecCommand{Msg: &apiv1.ExecCommand_Drop{Drop: &apiv1.ExecDrop{Ranks: []int32{0}}}})
	h.say(t, &apiv1.ExecCommand{Msg: &apiv1.ExecCommand_Cancel{Cancel: &apiv1.ExecCancel{Reason: "enough"}}})
	for b.ended[1] == nil {
		b.nextOfAny()
	}
	require.Contains(t, b.restoreRank(h, s.restoreCommand(2)).Error, "cancelled: enough")
}

// TestTiedRanksAreNotSaved: ranks that share memory are not written, now or when they stand still, and say so; they go on, and what is written later is whole.
func TestTiedRanksAreNotSaved(t *testing.T) {
	for _, guess := range []bool{false, true} {
		t.Run(fmt.Sprint("guess ", guess), func(t *testing.T) {
			args := slices.Concat(slices.Repeat([]string{"rma_dynamic_shared"}, 1000), []string{"p2p_*", "p2p_*"})
			a := startApp(t, conformance, []int{0, 0, 0}, 1, args...)
			if guess {
				a.guesses()
			}
			tied := 0
			isTied := func(ev *apiv1.ExecEvent) bool {
				if ev.GetSaved().GetError() == "" {
					return false
				}
				require.Regexp(t, "holds a window of MPI_Win_allocate_shared|it is not said where", ev.GetSaved().Error)
				tied++
				return true
			}
			var last *savedApp
			for i := 0; i < 500 && (tied < 3 || last == nil); i++ {
				s := &savedApp{id: fmt.Sprint("c", i), of: a, ranks: map[int32]*apiv1.ExecSaved{}}
				ready := a.saveBegin(s.id, isTied)
				a.freezeAll(s.id)
				a.await(func(ev *apiv1.ExecEvent) (int32, bool) {
					saved := ev.GetSaved()
					if saved != nil && !isTied(ev) {
						s.ranks[saved.Rank] = saved
					}
					return saved.GetRank(), saved != nil
				})
				require.True(t, ready)
				a.goOn()
				whole := len(s.ranks) == 3
				a.endSaving(s.id, whole)
				if whole {
					last = s
				}
			}
			require.Positive(t, tied)
			require.NotNil(t, last)
			next := last.nextLine()
			want := a.finish()
			require.Equal(t, want, last.restore([]int{0, 1, 0}, 2).outputFrom(next, want))
		})
	}
}

// TestEndedRanksAreNotSaved: a checkpoint of an app of which ranks have ended goes on without them.
func TestEndedRanksAreNotSaved(t *testing.T) {
	a := startApp(t, lastword, []int{0, 1, 1}, 2, "1500", "20000")
	for a.ended[2] == nil { // it has nobody to send to
		if a.nextOfAny().GetEnded() != nil {
			a.tellRoutes()
		}
	}
	a.saveAhead("c")
	s := a.saveRest("c")
	require.Len(t, s.ranks, 2, "the machine is too slow for this test")
	next := s.nextLine()
	a.goOn()
	a.endSaving("c", true)
	want := a.finish()
	b := startAt(t, []int{0, 1, 1}, 2, a.as, 4, false)
	b.ended[2] = &apiv1.ExecEnded{Rank: 2}
	b.tellRoutes()
	s.restoreTo(b, 0, 1)
	require.Equal(t, want, b.outputFrom(next, want))
	require.Equal(t, 3, b.lines(1))
}

// TestWaitingFilesAreBounded: the file of a rank that writes much, and waits for others, becomes no larger than a few times its memory.
func TestWaitingFilesAreBounded(t *testing.T) {
	a := startApp(t, "../wasm/testdata/bigmem.wasm", []int{0, 0}, 1, "4", "100000000")
	h := a.hosts[0]
	require.True(t, a.saveAhead("c"))
	h.exec.mu.Lock()
	memory := int64(len(h.exec.ranks[0].guest.Memory().Bytes()))
	h.exec.mu.Unlock()
	size := func() int64 {
		info, err := os.Stat(a.file("c", 0, "memory"))
		require.NoError(t, err)
		return info.Size()
	}
	for was := int64(0); was != size(); { // a round may be under way
		was = size()
		require.Less(t, was, 2*mostTimes*memory)
		a.quietFor(h, 500*time.Millisecond)
	}
	s := a.saveRest("c")
	require.Less(t, s.ranks[0].NewBytes, 2*mostTimes*memory)
	a.cancelAll(h)
}

func (a *testApp) cancelAll(h *host) {
	h.say(a.t, &apiv1.ExecCommand{Msg: &apiv1.ExecCommand_Cancel{Cancel: &apiv1.ExecCancel{Reason: "enough"}}})
	for len(a.ended) < len(a.placement) {
		a.nextOfAny()
	}
}

// TestBusyRankIsWrittenOnce: of a rank that writes to all of its memory all the time the file has each page once, and needs no other; it can be restored.
func TestBusyRankIsWrittenOnce(t *testing.T) {
	const mib, whole = "4", 4 << 20
	want := startApp(t, "../wasm/testdata/sweep.wasm", []int{0, 0}, 1, mib, "1500").finish()
	a := startApp(t, "../wasm/testdata/sweep.wasm", []int{0, 0}, 1, mib, "1500")
	var last *savedApp
	once := 0
	for i := 0; i < 12 && once < 3; i++ {
		s := a.save(fmt.Sprint("c", i), true)
		if s == nil {
			break
		}
		last = s
		if r := s.ranks[0]; len(r.Memory) == 1 && r.NewBytes > whole && r.NewBytes < whole+whole/4 {
			once++
		}
	}
	require.Positive(t, once)
	next := last.nextLine()
	require.Equal(t, want, a.finish())
	require.Equal(t, want, last.restore([]int{0, 0}, 1).outputFrom(next, want))
}

// TestBusyForATime: a rank that wrote to most of its memory once is taken for one that does for some checkpoints, and then looked at again.
func TestBusyForATime(t *testing.T) {
	a := startHungry(t, []int{0, 0}, 1, "16", "100000")
	e := a.hosts[0].exec
	const all = 16 << 20
	saved := func(i int) int64 {
		s := a.save(fmt.Sprint("c", i), true)
		require.NotNil(t, s)
		return s.ranks[0].NewBytes
	}
	saved(0)
	require.Less(t, saved(1), int64(all/2))
	e.mu.Lock()
	e.ranks[0].series.busy = busyFor
	e.mu.Unlock()
	for i := range busyFor {
		require.Greater(t, saved(2+i), int64(all/2))
	}
	require.Less(t, saved(2+busyFor), int64(all/2))
}
