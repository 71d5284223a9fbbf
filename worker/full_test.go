package worker

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/internal/dirlock"
	"github.com/godwit-run/godwit/worker/part"
)

// smallDisk is a directory on a file system of its own with that many bytes.
func smallDisk(t *testing.T, options string) string {
	t.Helper()
	dir := t.TempDir()
	if err := syscall.Mount("godwit-test", dir, "tmpfs", 0, options); err != nil {
		t.Skipf("needs the right to mount: %v", err)
	}
	t.Cleanup(func() { require.NoError(t, syscall.Unmount(dir, syscall.MNT_DETACH)) })
	return dir
}

// fill takes all room that a disk has; the function returned gives it back.
func fill(t *testing.T, dir string) (release func()) {
	t.Helper()
	path := filepath.Join(dir, "filler")
	f, err := os.Create(path)
	require.NoError(t, err)
	block := make([]byte, 4096)
	for err == nil {
		_, err = f.Write(block)
	}
	require.ErrorIs(t, err, syscall.ENOSPC)
	require.NoError(t, f.Close())
	return func() { require.NoError(t, os.Remove(path)) }
}

// long is a line of several blocks.
func long(rank int32, seq uint64) *apiv1.LogLine {
	l := line(rank, seq)
	l.Text = append(l.Text, bytes.Repeat([]byte{'x'}, 10_000)...)
	return l
}

// read returns a rank's log as text, a line each, long ones cut.
func read(t *testing.T, l *appLog, rank int32, from uint64) (lines []string) {
	t.Helper()
	r := &logReader{log: l, rank: rank, from: from, turns: newReaders(), mine: make(chan struct{}, 1)}
	_, err := r.read(t.Context(), false, func(_ context.Context, got []*apiv1.LogLine) error {
		for _, x := range got {
			lines = append(lines, strings.TrimRight(string(x.Text), "x"))
		}
		return nil
	})
	require.NoError(t, err)
	return lines
}

// gap is the notice of n lines that a full disk did not take.
func gap(n int, rank int32) string {
	return fmt.Sprintf("godwit: %d lines of rank %d's output are lost here: its host could not store them (no space left on device)", n, rank)
}

// Lines that a full disk does not take are a gap that is told of in their place, and the file is whole on both sides of it.
func TestGapIsTold(t *testing.T) {
	dir := smallDisk(t, "size=256k")
	s, err := newLogStore(filepath.Join(dir, "logs"), 1<<40, slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	l, err := s.app("a")
	require.NoError(t, err)
	require.NoError(t, l.append([]*apiv1.LogLine{long(0, 0), line(1, 0)}))
	release := fill(t, dir)
	require.ErrorIs(t, l.append([]*apiv1.LogLine{long(0, 1), long(0, 2), long(2, 0)}), syscall.ENOSPC)
	require.ErrorIs(t, l.append([]*apiv1.LogLine{long(0, 3)}), syscall.ENOSPC)
	require.Equal(t, []string{"rank 0 line 0", gap(3, 0)}, read(t, l, 0, 0), "told also where it cannot be stored")
	release()
	require.NoError(t, l.append([]*apiv1.LogLine{line(0, 4), line(0, 5)}))
	want := []string{"rank 0 line 0", gap(3, 0), "rank 0 line 4", "rank 0 line 5"}
	require.Equal(t, want, read(t, l, 0, 0))
	require.Equal(t, want[1:], read(t, l, 0, 2), "whoever wants a line of the gap is told")
	require.Equal(t, want[2:], read(t, l, 0, 4))
	n, why := l.lost(0)
	require.EqualValues(t, 3, n)
	require.Equal(t, "no space left on device", why)
	l.finish(2)
	require.Equal(t, []string{gap(1, 2)}, read(t, l, 2, 0))
	s.close("a")

	again, err := newLogStore(filepath.Join(dir, "logs"), 1<<40, slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	l, err = found(t.Context(), again, "a")
	require.NoError(t, err)
	require.Equal(t, want, read(t, l, 0, 0), "the file itself has it")
	require.Equal(t, []string{gap(1, 2)}, read(t, l, 2, 0))
	n, _ = l.lost(0)
	require.EqualValues(t, 3, n)
}

// A rank whose output has a gap has not succeeded.
func TestGapIsInTheVerdict(t *testing.T) {
	b := newBench(t)
	dir := smallDisk(t, "size=64k")
	logs, err := newLogStore(dir, 1<<40, slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	b.a.output, err = logs.app("a")
	require.NoError(t, err)
	fill(t, dir)
	b.a.store(b.a.output, []*apiv1.LogLine{long(0, 0)})
	require.True(t, b.a.host.suspect.Load(), "the disk is tried")
	b.a.rankEnded(&apiv1.ExecEnded{Rank: 0})
	r := b.status().Ranks[0]
	require.EqualValues(t, part.CodeGodwitFailed, r.ExitCode)
	require.Equal(t, "1 lines of its output are lost: the host could not store them (no space left on device)", r.Reason)

	// The reason is the former host's, who has put it into the log that came.
	b.has(part.Running, 1)
	came := b.a.output.rank(1)
	came.lostEver = 2
	b.a.output.show(came)
	b.a.rankEnded(&apiv1.ExecEnded{Rank: 1})
	require.Equal(t, "2 lines of its output are lost: a host that it ran on could not store them", b.a.part.Rank(1).Reason)
}

// An app that cannot be started here ends here, with the reason; it does not stay starting.
func TestNoRoomToStart(t *testing.T) {
	b := newBench(t)
	dir := smallDisk(t, "size=64k,nr_inodes=4")
	logs, err := newLogStore(filepath.Join(dir, "logs"), 1<<40, slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	b.a.host.logs, b.a.child = logs, nil
	b.has(part.None)
	fill(t, dir)
	b.step()
	st := b.status()
	require.Equal(t, "ended", st.Executor)
	require.Equal(t, apiv1.RankEnded, st.Ranks[0].State)
	require.EqualValues(t, part.CodeGodwitFailed, st.Ranks[0].ExitCode)
	require.Contains(t, st.Ranks[0].Reason, "no space left on device")
	require.True(t, b.a.host.suspect.Load(), "the disk is tried")
}

// A host whose disk is full says so, until there is half as much room again.
func TestHostIsUnfitWhileItsDiskIsFull(t *testing.T) {
	b := newBench(t)
	w := b.a.host
	w.cfg.DataDir, w.cfg.MinFreeBytes = smallDisk(t, "size=4m"), 2<<20
	w.lookAtDisk()
	require.Empty(t, w.fitness.unfit())
	release := fill(t, w.cfg.DataDir)
	w.lookAtDisk()
	require.Equal(t, "the disk of its data directory is full: it takes ranks again when 3 MiB are free", w.fitness.unfit())
	release()
	ballast := filepath.Join(w.cfg.DataDir, "ballast")
	require.NoError(t, os.WriteFile(ballast, make([]byte, 3<<19), 0o600))
	w.lookAtDisk()
	require.NotEmpty(t, w.fitness.unfit(), "2.5 MiB are not enough")
	require.NoError(t, os.Remove(ballast))
	w.lookAtDisk()
	require.Empty(t, w.fitness.unfit())

	w.cfg.DataDir = smallDisk(t, "size=1m")
	w.lookAtDisk()
	require.Equal(t, "the disk of its data directory is too small: it has 1 MiB in all, and 3 MiB must be free; give it a --data-dir on a larger one", w.fitness.unfit())

	w.cfg.DataDir = smallDisk(t, "size=5m,nr_inodes=20")
	w.lookAtDisk()
	require.Contains(t, w.fitness.unfit(), "no more files")
	w.cfg.DataDir = smallDisk(t, "size=5m")
	w.lookAtDisk()
	require.Empty(t, w.fitness.unfit())
	require.NoError(t, syscall.Mount("", w.cfg.DataDir, "", syscall.MS_REMOUNT|syscall.MS_RDONLY, ""))
	w.lookAtDisk()
	require.Contains(t, w.fitness.unfit(), "read-only")
	w.cfg.DataDir = filepath.Join(w.cfg.DataDir, "none")
	w.lookAtDisk()
	require.Contains(t, w.fitness.unfit(), "no such file")
}

// A disk that is full of what ended apps wrote: the oldest of it goes, no more than is needed, none that is read or still written, and the host
// takes ranks again; also if an earlier life of the worker left it.
func TestEndedAppsMakeRoom(t *testing.T) {
	b := newBench(t)
	w := b.a.host
	w.cfg.DataDir, w.cfg.MinFreeBytes = smallDisk(t, "size=8m"), 2<<20
	w.modules = modulesIn(t, t.TempDir())
	write := func(id string, bytes int) *appLog {
		l, err := w.logs.app(id)
		require.NoError(t, err)
		for seq := range uint64(bytes / 10_000) {
			require.NoError(t, l.append([]*apiv1.LogLine{long(0, seq)}))
		}
		return l
	}
	start := func() {
		var err error
		w.logs, err = newLogStore(filepath.Join(w.cfg.DataDir, "logs"), 1<<40, w.log)
		require.NoError(t, err)
		w.logs.atLeast = -1
	}
	there := func(want ...string) {
		t.Helper()
		require.Equal(t, want, logNames(t, w.logs.dir))
	}
	start()
	write("a-runs", 1_000_000)
	read := write("b-read", 1<<20)
	read.readers.Add(1)
	for _, id := range []string{"c", "d", "e"} {
		write(id, 3<<19)
	}
	for _, id := range []string{"b-read", "c", "d", "e"} {
		w.logs.close(id)
	}
	w.lookAtDisk()
	require.Contains(t, w.fitness.unfit(), "is full")
	w.makeRoom(t.Context())
	require.Empty(t, w.fitness.unfit())
	there("a-runs", "b-read", "d", "e") // 3 MiB are free with that

	write("a-runs", 2<<20) // what runs takes all that is there
	w.makeRoom(t.Context())
	there("a-runs", "b-read", "e")

	start()
	require.NoError(t, os.WriteFile(filepath.Join(w.cfg.DataDir, "ballast"), make([]byte, 5<<18), 0o600))
	for _, id := range []string{"a-runs", "b-read"} {
		_, err := w.logs.app(id)
		require.NoError(t, err)
	}
	w.makeRoom(t.Context())
	there("a-runs", "b-read")
}

// modulesIn is a cache of modules that come from nowhere.
func modulesIn(t *testing.T, dir string) *moduleCache {
	t.Helper()
	c, err := newModuleCache(filepath.Join(dir, "modules"), filepath.Join(dir, "cache"), 1<<40, slog.New(slog.DiscardHandler), nil, func() []string { return nil })
	require.NoError(t, err)
	return c
}

// onSmallDisk is a worker whose data directory is a file system of its own, and whose host needs that many bytes of it free. It keeps no output for who
// may ask for it.
func onSmallDisk(t *testing.T, options string, least int64) *Worker {
	t.Helper()
	w := newBench(t).a.host
	w.cfg.DataDir, w.cfg.MinFreeBytes = smallDisk(t, options), least
	w.modules = modulesIn(t, w.cfg.DataDir)
	var err error
	w.logs, err = newLogStore(w.cfg.dir("logs"), 1<<40, w.log)
	require.NoError(t, err)
	w.logs.atLeast = -1
	return w
}

// TestRoomComesLater: a file system that gives room back a moment later loses no more output for it; one that takes no more files, where
// output has none to speak of, and one that is read-only keep all.
func TestRoomComesLater(t *testing.T) {
	w := onSmallDisk(t, "size=16m,nr_inodes=200", 4<<20)
	end := func(id string, lines int) {
		l, err := w.logs.app(id)
		require.NoError(t, err)
		for seq := range uint64(lines) {
			require.NoError(t, l.append([]*apiv1.LogLine{long(0, seq)}))
		}
		w.logs.close(id)
	}
	for _, id := range []string{"a", "b", "c", "d"} {
		end(id, 200) // 2 MB
	}
	require.NoError(t, os.WriteFile(filepath.Join(w.cfg.DataDir, "ballast"), make([]byte, 5<<20), 0o600))
	later := filepath.Join(w.cfg.DataDir, "later")
	require.NoError(t, os.Mkdir(later, 0o700))
	w.logs.remove = func(dir string) error { return os.Rename(dir, filepath.Join(later, filepath.Base(dir))) }
	w.makeRoom(t.Context()) // some 3 MiB lack
	require.Len(t, w.logs.ended, 2)
	require.NotEmpty(t, w.fitness.unfit())
	require.NoError(t, os.RemoveAll(later))
	w.makeRoom(t.Context())
	require.Len(t, w.logs.ended, 2)
	require.Empty(t, w.fitness.unfit())

	w.logs.remove = os.RemoveAll
	for i := range 200 {
		f, err := os.Create(filepath.Join(w.cfg.DataDir, "f"+strconv.Itoa(i)))
		if err != nil {
			break
		}
		require.NoError(t, f.Close())
	}
	w.makeRoom(t.Context())
	require.Contains(t, w.fitness.unfit(), "no more files")
	require.Len(t, w.logs.ended, 2, "they have too few")
	require.NoError(t, os.Remove(filepath.Join(w.cfg.DataDir, "ballast")))
	require.NoError(t, os.WriteFile(filepath.Join(w.cfg.DataDir, "f0"), make([]byte, free(t, w.cfg.DataDir)-1<<20), 0o600))
	require.NoError(t, syscall.Mount("", w.cfg.DataDir, "", syscall.MS_REMOUNT|syscall.MS_RDONLY, ""))
	w.logs.remove = func(string) error { return errors.New("tried") }
	w.makeRoom(t.Context())
	require.Len(t, w.logs.ended, 2)
	require.NotEmpty(t, w.fitness.unfit())
}

// endsWith writes an app's output of so many ranks, a line each, and ends it.
func endsWith(t *testing.T, s *logStore, id string, ranks int32) {
	t.Helper()
	l, err := s.app(id)
	require.NoError(t, err)
	for rank := range ranks {
		require.NoError(t, l.append([]*apiv1.LogLine{line(rank, 0)}))
	}
	s.close(id)
}

// TestManySmallFiles: output of many ranks that say little fills a disk with what files take there, not with what they hold.
func TestManySmallFiles(t *testing.T) {
	w := onSmallDisk(t, "size=4200k", 2<<20)
	for i := range 9 {
		endsWith(t, w.logs, strconv.Itoa(i), 64)
	}
	w.lookAtDisk()
	require.Contains(t, w.fitness.unfit(), "is full")
	w.makeRoom(t.Context())
	require.Empty(t, w.fitness.unfit())
	require.Len(t, w.logs.ended, 4)

	w.logs.limit = 3 * usageOf(filepath.Join(w.logs.dir, "8")).bytes
	w.logs.prune(func() {})
	require.Len(t, w.logs.ended, 3, "they are what the limit counts")
}

// TestFilesMakeRoom: where a disk takes no more files, output goes that has enough of them, and none if it has not; the host takes ranks again when
// there are half as many more.
func TestFilesMakeRoom(t *testing.T) {
	w := onSmallDisk(t, "size=16m,nr_inodes=400", 1<<20)
	endsWith(t, w.logs, "few", 1)
	endsWith(t, w.logs, "many", 100)
	w.lookAtDisk()
	require.Empty(t, w.fitness.unfit())
	free := func() int {
		var st syscall.Statfs_t
		require.NoError(t, syscall.Statfs(w.cfg.DataDir, &st))
		return int(st.Ffree)
	}
	other := filepath.Join(w.cfg.DataDir, "other")
	require.NoError(t, os.Mkdir(other, 0o700))
	leave := func(n int) {
		for i := 0; free() != n; i++ {
			if path := filepath.Join(other, strconv.Itoa(i)); free() > n {
				f, err := os.OpenFile(path, os.O_CREATE, 0o600)
				require.NoError(t, err)
				require.NoError(t, f.Close())
			} else if err := os.Remove(path); err != nil {
				require.ErrorIs(t, err, os.ErrNotExist)
			}
		}
	}
	leave(minInodes - 1)
	w.makeRoom(t.Context())
	require.Empty(t, w.fitness.unfit())
	require.Len(t, w.logs.ended, 1)
	require.Equal(t, "few", w.logs.ended[0].id)

	leave(minInodes - 1)
	w.makeRoom(t.Context())
	require.Contains(t, w.fitness.unfit(), "no more files")
	require.Len(t, w.logs.ended, 1, "it is not enough")
	leave(inodesToBeFit - 3)
	require.True(t, w.lookAtDisk().urgent)
	w.makeRoom(t.Context())
	require.NotEmpty(t, w.fitness.unfit(), "two lack yet")
	leave(inodesToBeFit)
	w.makeRoom(t.Context())
	require.Empty(t, w.fitness.unfit())
	leave(minInodes)
	w.lookAtDisk()
	require.Empty(t, w.fitness.unfit())
}

// TestModulesMakeRoomForFiles: also where files lack, what can be had again goes before output.
func TestModulesMakeRoomForFiles(t *testing.T) {
	w := onSmallDisk(t, "size=16m,nr_inodes=400", 1<<20)
	endsWith(t, w.logs, "old", 1)
	digest := put(t, w.modules, 'i', 1<<10, time.Now().Add(-2*keptAtLeast))
	for i := range 100 {
		require.NoError(t, os.WriteFile(filepath.Join(w.modules.codeDir(digest), strconv.Itoa(i)), nil, 0o600))
	}
	w.modules.measure(digest)
	for i := 0; ; i++ {
		var st syscall.Statfs_t
		require.NoError(t, syscall.Statfs(w.cfg.DataDir, &st))
		if st.Ffree < minInodes {
			break
		}
		require.NoError(t, os.WriteFile(w.cfg.dir("f"+strconv.Itoa(i)), nil, 0o600))
	}
	w.makeRoom(t.Context())
	require.Len(t, w.logs.ended, 1)
	require.Empty(t, w.modules.kept)
	require.Empty(t, w.fitness.unfit())
}

// TestStuckModule: one that cannot be removed gives nothing, is left alone for a while, and keeps no output from making room.
func TestStuckModule(t *testing.T) {
	w := onSmallDisk(t, "size=16m", 4<<20)
	l, err := w.logs.app("old")
	require.NoError(t, err)
	for seq := range uint64(600) {
		require.NoError(t, l.append([]*apiv1.LogLine{long(0, seq)}))
	}
	w.logs.close("old")
	digest := put(t, w.modules, 'i', 3<<20, time.Now().Add(-2*keptAtLeast))
	kept := w.modules.kept[digest].usage
	tries := 0
	w.modules.removeAll = func(path string) error {
		if tries++; path == w.modules.file(digest) {
			return os.RemoveAll(path)
		}
		return errors.New("busy")
	}
	require.NoError(t, os.WriteFile(w.cfg.dir("ballast"), make([]byte, 2<<20), 0o600))
	var said bytes.Buffer
	w.modules.log = slog.New(slog.NewTextHandler(&said, nil))
	for range 20 {
		w.makeRoom(t.Context())
	}
	require.Empty(t, w.fitness.unfit())
	require.Empty(t, w.logs.ended)
	require.Equal(t, 2, tries)
	require.Contains(t, said.String(), fmt.Sprintf("bytes=%d", 3<<20), "what it gave")
	left := w.modules.kept[digest]
	require.Equal(t, kept.files-1, left.files)
	require.Equal(t, left.bytes, w.modules.total)
	require.Zero(t, w.modules.shed(usage{1, 1}, -1, func() {}), "it is left alone")
	left.stuck = left.stuck.Add(-stuckFor)
	w.modules.kept[digest], w.modules.removeAll = left, os.RemoveAll
	require.Equal(t, left.usage, w.modules.shed(usage{1, 1}, -1, func() {}))
	require.Zero(t, w.modules.total)
}

// TestModuleOfALongApp: what was in use until now was used now.
func TestModuleOfALongApp(t *testing.T) {
	c := modulesIn(t, t.TempDir())
	digest := put(t, c, 'i', 1<<10, time.Now())
	_, release, err := c.use(t.Context(), digest)
	require.NoError(t, err)
	began := time.Now().Add(-2 * time.Hour)
	require.NoError(t, os.Chtimes(c.file(digest), began, began))
	release()
	require.Zero(t, c.shed(usage{1, 1}, keptAtLeast, func() {}))
}

// TestDiskThatTakesNoWrites: it may look well; it is tried now and then, at once when something could not be written, and at each look while it takes
// none. No output goes for it, unless it is for want of room.
func TestDiskThatTakesNoWrites(t *testing.T) {
	w := newBench(t).a.host
	w.cfg.DataDir, w.cfg.MinFreeBytes = smallDisk(t, "size=16m"), 4<<20
	w.modules = modulesIn(t, w.cfg.DataDir)
	tries, refuses := 0, error(nil)
	w.tryDisk = func(path string) error {
		tries++
		require.Equal(t, w.cfg.DataDir, filepath.Dir(path))
		if refuses != nil {
			return fmt.Errorf("worker: %w", refuses)
		}
		return writeProbe(path)
	}
	looks := func(unfit string, tried int) {
		t.Helper()
		before := tries
		w.lookAtDisk()
		require.Equal(t, unfit, w.fitness.unfit())
		require.Equal(t, tried, tries-before)
	}
	looks("", 1)
	looks("", 0)
	w.probed = w.probed.Add(-probeEach)
	looks("", 1)
	refuses = syscall.EROFS
	looks("", 0)
	w.suspectDisk()
	looks("its data directory cannot be written: read-only file system", 1)
	looks("its data directory cannot be written: read-only file system", 1)
	refuses = nil
	looks("", 1)
	looks("", 0)

	var err error
	w.logs, err = newLogStore(w.cfg.dir("logs"), 1<<40, w.log)
	require.NoError(t, err)
	w.logs.atLeast = -1
	endsWith(t, w.logs, "old", 1)
	require.NoError(t, os.WriteFile(w.cfg.dir("ballast"), make([]byte, 10<<20), 0o600))
	ballast := w.cfg.dir("ballast")
	full := func() {
		require.NoError(t, os.Truncate(ballast, 0))
		require.NoError(t, os.WriteFile(ballast, make([]byte, free(t, w.cfg.DataDir)-w.roomToBeFit()+blockBytes), 0o600))
	}
	full()
	for _, refuses = range []error{syscall.EROFS, syscall.EIO} {
		w.suspectDisk()
		w.makeRoom(t.Context())
		require.NotEmpty(t, w.fitness.unfit())
		require.Len(t, w.logs.ended, 1)
	}
	refuses = syscall.EDQUOT
	w.makeRoom(t.Context())
	require.Empty(t, w.logs.ended)
}

// free is how many bytes a disk has.
func free(t *testing.T, dir string) int64 {
	t.Helper()
	var st syscall.Statfs_t
	require.NoError(t, syscall.Statfs(dir, &st))
	return int64(st.Bavail) * st.Bsize
}

// TestProbeNeedsRoom: a disk that gives no room for more is found out by the write, whatever was written before; nothing is left of it.
func TestProbeNeedsRoom(t *testing.T) {
	dir := smallDisk(t, "size=64k")
	path := filepath.Join(dir, probeFile)
	for range 2 {
		require.NoError(t, writeProbe(path))
		require.NoFileExists(t, path)
	}
	fill(t, dir)
	for range 2 {
		require.ErrorIs(t, writeProbe(path), syscall.ENOSPC)
		require.NoFileExists(t, path)
	}
}

// TestSecondStepHangs: that one hangs is told also if one before it took long.
func TestSecondStepHangs(t *testing.T) {
	w := newBench(t).a.host
	synctest.Test(t, func(t *testing.T) {
		w.modules = modulesIn(t, w.cfg.DataDir)
		var said bytes.Buffer
		w.log = slog.New(slog.NewTextHandler(&said, nil))
		w.tryDisk = func(string) error { time.Sleep(diskSlow - time.Second); return nil }
		w.logs.limit, w.logs.atLeast = 0, -1
		endsWith(t, w.logs, "b", 1)
		w.logs.limit = 1 << 40
		endsWith(t, w.logs, "c", 1)
		w.logs.limit = 0
		w.logs.remove = func(string) error { time.Sleep(time.Hour); return nil }
		over := make(chan struct{})
		go func() { defer close(over); w.look(t.Context()) }()
		time.Sleep(3 * diskSlow)
		synctest.Wait()
		require.Contains(t, w.fitness.unfit(), "hangs")
		require.Equal(t, 1, strings.Count(said.String(), "takes no new ranks"))
		<-over
		require.Empty(t, w.fitness.unfit())
		require.Equal(t, 1, strings.Count(said.String(), "answers again"))
	})
}

// TestDiskThatHangs: nobody who asks whether the host can take ranks waits for its disk; while that does not answer it cannot.
func TestDiskThatHangs(t *testing.T) {
	w := newBench(t).a.host
	synctest.Test(t, func(t *testing.T) {
		w.modules = modulesIn(t, w.cfg.DataDir)
		var said bytes.Buffer
		w.log = slog.New(slog.NewTextHandler(&said, nil))
		release := make(chan error)
		w.tryDisk = func(string) error { return <-release }
		over := make(chan struct{})
		go func() { defer close(over); w.look(t.Context()) }()
		time.Sleep(diskSlow - time.Nanosecond)
		require.Empty(t, w.fitness.unfit())
		time.Sleep(time.Nanosecond)
		synctest.Wait()
		require.Contains(t, w.fitness.unfit(), "hangs")
		require.Equal(t, 1, strings.Count(said.String(), "takes no new ranks"))
		time.Sleep(time.Hour)
		require.Contains(t, w.fitness.unfit(), "hangs")
		close(release)
		<-over
		require.Empty(t, w.fitness.unfit())
		require.Equal(t, 1, strings.Count(said.String(), "answers again"))
		w.look(t.Context())
		require.Equal(t, 2, strings.Count(said.String(), "\n"), said.String())
	})
}

// TestWhatMakesRoom: what can be had again goes before output does; output that does not come to what lacks stays, and so does what was used a
// moment ago while the host still takes ranks.
func TestWhatMakesRoom(t *testing.T) {
	for name, tc := range map[string]struct {
		ballast    int // of the disk, in half MiB: it has 16 MiB, and the host takes no ranks below 4 MiB that are free, and makes room below 6
		old, young int // output of ended apps, in MiB
		idle, used int // modules with their code, used two minutes ago and now
		left       []string
		modules    int // that are left
		unfit      bool
	}{
		"there is room":                    {ballast: 10, old: 1, young: 1, idle: 1, used: 1, left: []string{"old", "young"}, modules: 2},
		"a module is enough":               {ballast: 17, old: 1, idle: 2, left: []string{"old"}},
		"a module and output":              {ballast: 17, old: 2, idle: 1},
		"old output is not enough":         {ballast: 21, old: 1, left: []string{"old"}},
		"young output, while it is fit":    {ballast: 19, young: 2, left: []string{"young"}},
		"a module in use, while it is fit": {ballast: 19, used: 2, modules: 1},
		"unfit, old output is not enough":  {ballast: 19, old: 1, young: 2, left: []string{"old", "young"}, unfit: true},
		"unfit, old output is enough":      {ballast: 17, old: 3, young: 1, left: []string{"young"}},
		"unfit, a module is enough":        {ballast: 17, young: 1, used: 3, left: []string{"young"}},
		"unfit, others fill the disk":      {ballast: 26, old: 1, young: 1, left: []string{"old", "young"}, unfit: true},
		"unfit, a module is not enough":    {ballast: 24, old: 1, used: 1, left: []string{"old"}, unfit: true},
	} {
		t.Run(name, func(t *testing.T) {
			w := newBench(t).a.host
			w.cfg.DataDir, w.cfg.MinFreeBytes = smallDisk(t, "size=16m"), 4<<20
			w.modules = modulesIn(t, w.cfg.DataDir)
			var err error
			w.logs, err = newLogStore(filepath.Join(w.cfg.DataDir, "logs"), 1<<40, w.log)
			require.NoError(t, err)
			for id, mib := range map[string]int{"old": tc.old, "young": tc.young} {
				if mib == 0 {
					continue
				}
				l, err := w.logs.app(id)
				require.NoError(t, err)
				for seq := range uint64(mib * 104) {
					require.NoError(t, l.append([]*apiv1.LogLine{long(0, seq)}))
				}
			}
			w.logs.close("old")
			for i := range w.logs.ended {
				w.logs.ended[i].at = time.Now().Add(-2 * keptAtLeast)
			}
			w.logs.close("young")
			if tc.idle > 0 {
				put(t, w.modules, 'i', tc.idle<<19, time.Now().Add(-2*keptAtLeast))
			}
			if tc.used > 0 {
				put(t, w.modules, 'n', tc.used<<19, time.Now())
			}
			require.NoError(t, os.WriteFile(filepath.Join(w.cfg.DataDir, "ballast"), make([]byte, tc.ballast<<19), 0o600))
			w.makeRoom(t.Context())
			require.Equal(t, tc.left, logNames(t, w.logs.dir))
			require.Len(t, w.modules.kept, tc.modules)
			require.Equal(t, tc.unfit, w.fitness.unfit() != "")
		})
	}
}

// A rank's log that the disk does not take is refused in words that say so, and leaves nothing.
func TestNoRoomForALog(t *testing.T) {
	b := newBench(t)
	b.migration("announced", 1, "h2", "h1")
	b.serve()
	b.a.host.cfg.DataDir = smallDisk(t, "size=2m")
	logs, err := newLogStore(b.a.host.cfg.dir("logs"), 1<<40, slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	b.a.output, err = logs.app("a")
	require.NoError(t, err)
	client := b.dial()
	h := &apiv1.TransferHeader{App: "a", Migration: "m1", Rank: 1, From: "h2"}
	var lines []*apiv1.LogLine
	for seq := range uint64(300) { // some 3 MiB
		lines = append(lines, long(1, seq))
	}
	err = transferOf(t, client, h, records(t, lines...))
	require.ErrorContains(t, err, "host h1 could not store the output of rank 1 (no space left on device)")
	require.Empty(t, arrived(t, b.a.host))
	require.True(t, b.a.host.suspect.Load(), "the disk is tried")
	require.NoError(t, transferOf(t, client, h, records(t, lines[:50]...)), "with room it is taken")
}

// TestDirectoryGone: a host whose data directory is removed or replaced takes no new ranks.
func TestDirectoryGone(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "d")
	require.NoError(t, os.Mkdir(dir, 0o700))
	lock, err := dirlock.Lock(dir)
	require.NoError(t, err)
	defer lock.Close() //nolint:errcheck // a test's
	w := &Worker{cfg: Config{DataDir: dir}, lock: lock, logs: newLogs(t), tryDisk: writeProbe, log: slog.New(slog.DiscardHandler)}
	w.lookAtDisk()
	require.Empty(t, w.fitness.unfit())
	require.NoError(t, os.RemoveAll(dir))
	for range 2 {
		w.lookAtDisk()
		require.Contains(t, w.fitness.unfit(), "removed or replaced")
		require.NoError(t, os.MkdirAll(dir, 0o700), "made again by whoever writes there next")
	}
}

// besideALeftover is a worker short of 1 MiB with the output "b", and what is left of "a" and can go now, of some 1.2 MiB each.
func besideALeftover(t *testing.T) *Worker {
	t.Helper()
	w := onSmallDisk(t, "size=16m", 4<<20)
	for _, id := range []string{"a", "b"} {
		endsWith(t, w.logs, id, 300) // some 1.2 MiB
	}
	w.logs.remove = func(string) error { return errors.New("not now") }
	w.logs.mu.Lock()
	require.Equal(t, usage{}, w.logs.forget(0))
	w.logs.aside[0].stuck = time.Time{}
	w.logs.noWay = time.Time{}
	require.NoError(t, os.WriteFile(filepath.Join(w.cfg.DataDir, "ballast"), make([]byte, free(t, w.cfg.DataDir)-5<<20), 0o600))
	w.logs.remove = os.RemoveAll
	return w
}

// TestLeftoversGoFirst: what nobody finds any more goes before output that somebody may want.
func TestLeftoversGoFirst(t *testing.T) {
	w := besideALeftover(t)
	w.look(t.Context())
	require.Equal(t, []string{"b"}, logNames(t, w.logs.dir))
	require.Empty(t, w.logs.aside)

	place := filepath.Join(w.logs.dir, asideDir)
	require.NoError(t, os.Remove(place)) // by who needed room
	w.look(t.Context())
	require.DirExists(t, place, "it is made while there is room")
}

// TestLeftoversRoomComesLater: of a file system that gives the room of a leftover back a moment later no log is asked for that room.
func TestLeftoversRoomComesLater(t *testing.T) {
	w := besideALeftover(t)
	later := filepath.Join(w.cfg.DataDir, "later")
	w.logs.remove = func(dir string) error { return os.Rename(dir, later) }
	w.look(t.Context())
	require.Equal(t, []string{"b"}, logNames(t, w.logs.dir))
	require.DirExists(t, later)
}

// TestEachRemovalIsAStep: a disk that is slow, in the look before a removal and in the removal, answers all the time.
func TestEachRemovalIsAStep(t *testing.T) {
	w := onSmallDisk(t, "size=16m", 4<<20)
	synctest.Test(t, func(t *testing.T) {
		for _, id := range []string{"a", "b"} { // each some 800 KiB, of 1 MiB that lacks
			endsWith(t, w.logs, id, 200)
		}
		for i := range 2 {
			left := filepath.Join(w.logs.dir, asideDir, strconv.Itoa(i))
			require.NoError(t, os.Mkdir(left, 0o700))
			w.logs.leave(leftoverAt(left))
		}
		require.NoError(t, os.WriteFile(filepath.Join(w.cfg.DataDir, "ballast"), make([]byte, free(t, w.cfg.DataDir)-5<<20), 0o600))
		slow := func() {
			time.Sleep(diskSlow - time.Second)
			require.Empty(t, w.fitness.hangs())
		}
		w.probed, w.tryDisk = time.Time{}, func(string) error { slow(); return nil }
		tries := 0
		w.logs.remove = func(dir string) error { tries++; slow(); return os.RemoveAll(dir) }
		w.look(t.Context())
		require.Equal(t, 4, tries)
		for _, id := range []string{"c", "d"} {
			endsWith(t, w.logs, id, 1)
		}
		require.NoError(t, os.Remove(filepath.Join(w.cfg.DataDir, "ballast")))
		w.logs.limit = 0
		w.look(t.Context())
		require.Equal(t, 6, tries)
	})
}

// TestNothingGoesForNothing: of logs that come to what lacks together none goes when another of them cannot.
func TestNothingGoesForNothing(t *testing.T) {
	w := onSmallDisk(t, "size=16m", 4<<20)
	for _, id := range []string{"a", "b"} { // each some 800 KiB, of 1 MiB that lacks
		endsWith(t, w.logs, id, 200)
	}
	require.NoError(t, os.WriteFile(filepath.Join(w.cfg.DataDir, "ballast"), make([]byte, free(t, w.cfg.DataDir)-5<<20), 0o600))
	w.logs.rename = func(string, string) error { return syscall.EPERM } // the first one's; the others' are not asked for
	w.look(t.Context())
	require.Equal(t, []string{"a", "b"}, logNames(t, w.logs.dir))
	require.Zero(t, w.logs.ended[1].stuck)

	w.logs.rename, w.logs.ended[0].stuck = os.Rename, time.Time{}
	endsWith(t, w.logs, "c", 200)
	require.NoError(t, os.RemoveAll(filepath.Join(w.logs.dir, "a"))) // by who needed room, and used it
	require.NoError(t, os.WriteFile(filepath.Join(w.cfg.DataDir, "more"), make([]byte, free(t, w.cfg.DataDir)-5<<20), 0o600))
	w.look(t.Context())
	require.Empty(t, logNames(t, w.logs.dir), "without it the others are taken, in one look")
}

// TestRoomThatOthersMake: where somebody removes output while room is made no other goes for it; and not every refusal has all the rest chosen anew.
func TestRoomThatOthersMake(t *testing.T) {
	w := onSmallDisk(t, "size=16m", 4<<20)
	for _, id := range []string{"a", "b"} {
		endsWith(t, w.logs, id, 300) // each is enough
	}
	require.NoError(t, os.WriteFile(filepath.Join(w.cfg.DataDir, "ballast"), make([]byte, free(t, w.cfg.DataDir)-5<<20), 0o600))
	w.logs.rename = func(from, to string) error {
		require.NoError(t, os.RemoveAll(from))
		return os.Rename(from, to)
	}
	w.look(t.Context())
	require.Equal(t, []string{"b"}, logNames(t, w.logs.dir))

	tries := 0
	w.logs.rename = func(string, string) error { tries++; return syscall.EPERM }
	for i := range refusalsALook + 10 {
		w.logs.mu.Lock()
		w.logs.add(endedLog{id: fmt.Sprint("x", i), usage: usage{8 << 20, 1}, at: time.Now().Add(-time.Hour)})
		w.logs.mu.Unlock()
	}
	for i := range refusalsALook + 10 {
		require.NoError(t, os.Mkdir(filepath.Join(w.logs.dir, fmt.Sprint("x", i)), 0o700))
	}
	require.NoError(t, os.WriteFile(filepath.Join(w.cfg.DataDir, "more"), make([]byte, free(t, w.cfg.DataDir)-5<<20), 0o600))
	w.makeRoom(t.Context())
	require.Equal(t, refusalsALook, tries)
}

// TestRefusalForgetsNothing: what was given in this look counts though the file system gives it back later, also when something else is refused meanwhile.
func TestRefusalForgetsNothing(t *testing.T) {
	w := onSmallDisk(t, "size=24m", 4<<20)
	for _, id := range []string{"a", "b", "c", "d"} {
		l, err := w.logs.app(id)
		require.NoError(t, err)
		for seq := range uint64(200) {
			require.NoError(t, l.append([]*apiv1.LogLine{long(0, seq)})) // 2 MB in all
		}
		w.logs.close(id)
	}
	later := filepath.Join(w.cfg.DataDir, "later")
	require.NoError(t, os.Mkdir(later, 0o700))
	require.NoError(t, os.WriteFile(filepath.Join(w.cfg.DataDir, "ballast"), make([]byte, free(t, w.cfg.DataDir)-3<<20), 0o600))
	w.logs.remove = func(dir string) error { return os.Rename(dir, filepath.Join(later, filepath.Base(dir))) }
	w.logs.rename = func(from, to string) error {
		if filepath.Base(from) == "b" {
			return syscall.EPERM
		}
		return os.Rename(from, to)
	}
	w.makeRoom(t.Context()) // 3 MiB lack
	require.Equal(t, []string{"b", "d"}, logNames(t, w.logs.dir))
}
