package executor

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/internal/pages"
)

// startEmpty starts an app of so many ranks on one host, none of which is there.
func startEmpty(t *testing.T, ranks int) *testApp {
	t.Helper()
	module, err := filepath.Abs("../../examples/hello/hello.wasm")
	require.NoError(t, err)
	return startAt(t, make([]int, ranks), 1, &apiv1.ExecStart{
		Programs: []*apiv1.ExecProgram{{ModulePath: module, CacheDir: cacheDir(t), Args: []string{"hello"}, Ranks: int32(ranks)}},
	}, 7, false)
}

// TestManyRanksAreRestored: a host may have more ranks than the executor has room for commands that wait.
func TestManyRanksAreRestored(t *testing.T) {
	const ranks = 600
	a := startEmpty(t, ranks)
	h := a.hosts[0]
	x := &apiv1.ExecRestore{Checkpoint: "c", App: "app-test"}
	for i := range int32(ranks) {
		x.Ranks = append(x.Ranks, &apiv1.RestoredRank{Rank: i, Memory: []string{"/nonesuch/memory"}, State: "/nonesuch/state"})
	}
	h.say(t, &apiv1.ExecCommand{Msg: &apiv1.ExecCommand_Restore{Restore: x}})
	told := map[int32]bool{}
	for len(told) < ranks {
		s := a.nextStaged(h)
		require.Contains(t, s.Error, fmt.Sprintf("rank %d: read the part 1 of 1 of the memory in checkpoint c: no such file", s.Rank))
		told[s.Rank] = true
	}
}

// TestFewRanksAreReadAtOnce: so few files are open at once, however many ranks there are.
func TestFewRanksAreReadAtOnce(t *testing.T) {
	const ranks = 3 * mostLoads
	a := startEmpty(t, ranks)
	h, dir := a.hosts[0], t.TempDir()
	x := &apiv1.ExecRestore{Checkpoint: "c", App: "app-test"}
	pipe := func(rank int) string { return filepath.Join(dir, fmt.Sprint(rank)) }
	for i := range ranks {
		require.NoError(t, unix.Mkfifo(pipe(i), 0o600))
		x.Ranks = append(x.Ranks, &apiv1.RestoredRank{Rank: int32(i), Memory: []string{pipe(i)}, State: os.DevNull})
	}
	h.say(t, &apiv1.ExecCommand{Msg: &apiv1.ExecCommand_Restore{Restore: x}})
	here := func() int {
		h.exec.mu.Lock()
		defer h.exec.mu.Unlock()
		return len(h.exec.ranks)
	}
	require.Eventually(t, func() bool { return here() > mostLoads }, testWait, time.Millisecond) // that many, and one that is next
	for i := range ranks {
		require.LessOrEqual(t, here(), i+mostLoads+1)
		f, err := os.OpenFile(pipe(i), os.O_RDWR, 0) // who reads it waits no longer
		require.NoError(t, err)
		_, err = f.Write(bytes.Repeat([]byte{0xff}, 100))
		require.NoError(t, err)
		require.Contains(t, a.nextStaged(h).Error, "these are no pages of a memory")
		require.NoError(t, f.Close())
	}
}

// TestReadingIsTold: the worker hears how much is read of what ranks are made of, while that takes long.
func TestReadingIsTold(t *testing.T) {
	a := startEmpty(t, 1)
	h, memory := a.hosts[0], filepath.Join(t.TempDir(), "memory")
	require.NoError(t, unix.Mkfifo(memory, 0o600))
	f, err := os.OpenFile(memory, os.O_RDWR, 0)
	require.NoError(t, err)
	defer f.Close() //nolint:errcheck // of a test
	h.say(t, &apiv1.ExecCommand{Msg: &apiv1.ExecCommand_Restore{Restore: &apiv1.ExecRestore{
		Checkpoint: "c", App: "app-test", Ranks: []*apiv1.RestoredRank{{Rank: 0, Memory: []string{memory}, State: os.DevNull}},
	}}})
	var round bytes.Buffer
	_, err = pages.NewSender(func() []byte { return bytes.Repeat([]byte{1}, 16<<10) }, pages.NewGuess()).Round([]io.Writer{&round}, false, false)
	require.NoError(t, err)
	for told, size := int64(0), 0; told < 2000; { // one piece after the other, each when the one before was told
		size += 1000
		_, err = f.Write(round.Next(1000))
		require.NoError(t, err)
		for told < int64(size) {
			ev := a.next(h)
			r := ev.GetRestoring()
			require.NotNil(t, r, "%v", ev)
			require.Greater(t, r.Bytes, told)
			told = r.Bytes
		}
	}
	_, err = f.Write(bytes.Repeat([]byte{0xff}, round.Len()))
	require.NoError(t, err)
	_, err = f.Write(bytes.Repeat([]byte{0xff}, 100))
	require.NoError(t, err)
	require.Contains(t, a.nextStaged(h).Error, "these are no pages of a memory")
}
