package worker

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	apiv1 "github.com/godwit-run/godwit/api/v1"
)

// TestWhatCannotBeRemovedCounts: a log whose removal breaks off is no log any more, of which a part could be taken for all, is not tried again for a
// while, and counts; the next life of the worker removes it. One that keeps its name stays whole.
func TestWhatCannotBeRemovedCounts(t *testing.T) {
	s := newLogs(t)
	for _, id := range []string{"a", "b"} {
		l, err := s.app(id)
		require.NoError(t, err)
		require.NoError(t, l.append([]*apiv1.LogLine{line(0, 0), line(1, 0)}))
		s.close(id)
	}
	all := s.bytes.Load()
	tries := 0
	s.remove = func(dir string) error {
		tries++
		require.NoError(t, os.Remove(filepath.Join(dir, "1.log")))
		return errors.New("operation not permitted")
	}
	s.limit, s.atLeast = 0, -1
	s.mu.Lock()
	gave := s.forget(0)
	require.Positive(t, gave.bytes)
	require.EqualValues(t, 1, gave.files)
	require.Equal(t, all-gave.bytes, s.bytes.Load())
	s.noWay = time.Time{}
	s.prune(func() {})
	s.prune(func() {})
	require.Equal(t, 2, tries)
	require.Equal(t, usageOf(s.dir).bytes-2*usageOf(t.TempDir()).bytes, s.bytes.Load(), "without the two directories")
	require.Equal(t, s.past, s.bytes.Load())
	require.Empty(t, s.spare(usage{files: 1}))
	l, err := found(t.Context(), s, "a")
	require.NoError(t, err)
	require.Nil(t, l, "there is none any more")
	l, err = s.app("a") // it runs here again
	require.NoError(t, err)
	require.NoError(t, l.append([]*apiv1.LogLine{line(0, 0)}))
	require.Empty(t, s.ended)
	require.Len(t, s.aside, 2)
	s.remove = os.RemoveAll
	s.prune(func() {})
	require.Len(t, s.aside, 2, "not yet")
	for i := range s.aside {
		s.aside[i].stuck = s.aside[i].stuck.Add(-stuckFor)
	}
	s.limit = 1 << 40
	s.prune(func() {})
	require.Empty(t, s.aside)
	require.Equal(t, l.size(), s.bytes.Load())
	require.FileExists(t, l.path(0), "it is not what was removed")
}

// TestLeftByAnEarlierLife: what lies aside when a worker starts belongs to no app, and goes.
func TestLeftByAnEarlierLife(t *testing.T) {
	s := newLogs(t)
	endsWith(t, s, "a", 2)
	all := s.bytes.Load()
	for _, left := range []string{"~/left", "~a"} { // the second by a version that had no place for them
		require.NoError(t, os.CopyFS(filepath.Join(s.dir, left), os.DirFS(filepath.Join(s.dir, "a"))))
	}
	require.NoError(t, os.WriteFile(filepath.Join(s.dir, asideDir, "0.log"), nil, 0o600))
	again, err := newLogStore(s.dir, 1<<40, s.log)
	require.NoError(t, err)
	require.Equal(t, []string{"a"}, logNames(t, s.dir))
	left, err := os.ReadDir(filepath.Join(s.dir, asideDir))
	require.NoError(t, err)
	require.Empty(t, left)
	require.NoDirExists(t, filepath.Join(s.dir, "~a"))
	require.Equal(t, all, again.bytes.Load())
}

// blockDisk is an ext4 of 8 MiB with blocks of 1 KiB, where a directory grows block by block.
func blockDisk(t *testing.T) string {
	t.Helper()
	image, dir := filepath.Join(t.TempDir(), "image"), t.TempDir()
	require.NoError(t, os.WriteFile(image, nil, 0o600))
	require.NoError(t, os.Truncate(image, 8<<20))
	for _, cmd := range []string{"mkfs.ext4 -q -b 1024 -m 0 " + image, "mount -o loop " + image + " " + dir} {
		if out, err := exec.CommandContext(t.Context(), "sh", "-c", "PATH=$PATH:/sbin:/usr/sbin "+cmd).CombinedOutput(); err != nil {
			t.Skipf("needs an ext4 of its own: %v: %s", err, out)
		}
	}
	t.Cleanup(func() { require.NoError(t, syscall.Unmount(dir, syscall.MNT_DETACH)) })
	return dir
}

// changeAttr gives a file of such a disk an attribute of chattr's, or takes it away.
func changeAttr(t *testing.T, what, path string) {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "chattr", what, path).CombinedOutput()
	require.NoError(t, err, string(out))
}

// TestRemovalNeedsNoRoom: on a disk with no block left a log is put aside and removed, however full the directory of all logs is.
func TestRemovalNeedsNoRoom(t *testing.T) {
	dir := blockDisk(t)
	s, err := newLogStore(filepath.Join(dir, "logs"), 1<<40, slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	for i := range 30 {
		endsWith(t, s, strconv.Itoa(i), 1)
	}
	fill(t, dir)
	for err, i := error(nil), 0; err == nil; i++ {
		if err = os.WriteFile(filepath.Join(s.dir, fmt.Sprintf("%d-fills-the-last-block", i)), nil, 0o600); err != nil {
			require.ErrorIs(t, err, syscall.ENOSPC)
		}
	}
	broken := errors.New("broken off")
	for _, err := range []error{nil, broken} {
		s.remove = func(dir string) error {
			require.Equal(t, filepath.Join(s.dir, asideDir), filepath.Dir(dir))
			require.NoError(t, os.RemoveAll(dir))
			return err
		}
		for range 15 {
			s.mu.Lock()
			require.Positive(t, s.forget(len(s.ended)-1).files)
		}
	}
}

// TestRoomForTheWayAside: where even the place for removed logs finds no room, one log's own directory becomes it; where nothing is possible all
// rest for a moment, whole.
func TestRoomForTheWayAside(t *testing.T) {
	for name, ballast := range map[string]int{"blocks": 9 << 20, "files": 0} {
		t.Run(name, func(t *testing.T) {
			dir := blockDisk(t)
			s, err := newLogStore(filepath.Join(dir, "logs"), 1<<40, slog.New(slog.DiscardHandler))
			require.NoError(t, err)
			for _, id := range []string{"a", "b", "c"} {
				endsWith(t, s, id, 2)
			}
			s.atLeast = -1
			require.NoError(t, os.Remove(filepath.Join(s.dir, asideDir)))
			_ = os.WriteFile(filepath.Join(dir, "ballast"), make([]byte, ballast), 0o600)
			for err, i := error(nil), 0; err == nil; i++ {
				if ballast > 0 {
					err = os.Mkdir(filepath.Join(dir, strconv.Itoa(i)), 0o700)
				} else {
					err = os.WriteFile(filepath.Join(dir, strconv.Itoa(i)), nil, 0o600)
				}
			}
			require.ErrorIs(t, makeAside(s.dir), syscall.ENOSPC)

			rename := s.rename
			s.rename = func(string, string) error { return syscall.ENOSPC }
			_, ok := s.sacrifice("a")
			require.False(t, ok)
			require.Len(t, s.ended, 3)
			require.Empty(t, s.spare(usage{files: 1}), "none of them is tried at once again")
			s.noWay = s.noWay.Add(-placeEach)
			require.Equal(t, []string{"a"}, s.spare(usage{files: 1}), "they are soon")

			s.rename = rename
			for _, id := range []string{"a", "b", "c"} {
				gave, ok := s.sacrifice(id)
				require.True(t, ok, id)
				require.EqualValues(t, map[string]int{"a": 2, "b": 3, "c": 3}[id], gave.files, "its directory is the place now")
			}
			require.Empty(t, logNames(t, s.dir))
			require.Empty(t, s.aside)
			require.Zero(t, s.bytes.Load())
		})
	}
}

// TestWhatCannotBePutAside stays whole and is found, whatever refuses it; what is not there any more has gone.
func TestWhatCannotBePutAside(t *testing.T) {
	s := newLogs(t)
	endsWith(t, s, "a", 2)
	all := s.bytes.Load()
	require.NoError(t, os.RemoveAll(filepath.Join(s.dir, asideDir)))
	require.NoError(t, os.WriteFile(filepath.Join(s.dir, asideDir), nil, 0o600))
	s.limit, s.atLeast = 0, -1
	s.remove = func(string) error { t.Error("it is removed where it is"); return nil }
	gave, ok := s.sacrifice("a")
	require.False(t, ok)
	require.Equal(t, usage{}, gave)
	require.Equal(t, all, s.bytes.Load())
	require.Empty(t, s.spare(usage{files: 1}), "not at once again")
	require.Zero(t, s.ended[0].stuck, "it is not the log's fault")
	s.noWay = time.Time{}
	l, err := found(t.Context(), s, "a")
	require.NoError(t, err)
	require.EqualValues(t, 2, l.state(0).next+l.state(1).next)

	require.NoError(t, os.Remove(filepath.Join(s.dir, asideDir)))
	require.NoError(t, os.RemoveAll(filepath.Join(s.dir, "a"))) // by who needed room
	s.remove = os.RemoveAll
	_, ok = s.sacrifice("a")
	require.False(t, ok, "it gave nothing")
	require.Empty(t, s.ended)
	require.Zero(t, s.bytes.Load())
	require.DirExists(t, filepath.Join(s.dir, asideDir))

	s.limit = 1 << 40
	endsWith(t, s, "c", 1)
	s.rename = func(from, to string) error {
		require.NoError(t, os.Remove(filepath.Join(s.dir, asideDir))) // just then
		return os.Rename(from, to)
	}
	_, ok = s.sacrifice("c")
	require.False(t, ok)
	require.Len(t, s.ended, 1, "it has not gone")
	s.rename, s.noWay = os.Rename, time.Time{} // it is not the log's fault
	_, ok = s.sacrifice("c")
	require.True(t, ok)

	require.NoError(t, os.RemoveAll(filepath.Join(s.dir, asideDir)))
	endsWith(t, s, "b", 1)
	require.DirExists(t, filepath.Join(s.dir, asideDir), "it is made while there is room")
	elsewhere := s.dir + "-moved"
	require.NoError(t, os.Rename(s.dir, elsewhere))
	s.mu.Lock()
	require.Equal(t, usage{}, s.forget(0))
	require.NoDirExists(t, s.dir, "nothing is made in its place")
	require.NoError(t, os.Rename(elsewhere, s.dir))
	l, err = found(t.Context(), s, "b")
	require.NoError(t, err)
	require.EqualValues(t, 1, l.state(0).next)
}

// TestBackWhileItGoes: an app that comes back while its old log is on its way aside writes after that, and loses nothing.
func TestBackWhileItGoes(t *testing.T) {
	s := newLogs(t)
	for range 50 {
		endsWith(t, s, "a", 2)
		var going sync.WaitGroup
		s.limit, s.atLeast = 0, -1
		going.Go(func() { s.prune(func() {}) })
		l, err := s.app("a")
		require.NoError(t, err)
		err = l.append([]*apiv1.LogLine{line(7, 0)})
		going.Wait()
		require.NoError(t, err)
		require.FileExists(t, l.path(7))
		require.Equal(t, l.size(), s.bytes.Load())
		s.limit, s.atLeast = 1<<40, 1<<40
		s.close("a")
		s.limit, s.atLeast = 0, -1
		s.prune(func() {})
		require.Empty(t, s.ended)
	}
}

// TestLogComesBackWhileItIsForgotten: what an app writes that comes back to this host while its old log is removed stays.
func TestLogComesBackWhileItIsForgotten(t *testing.T) {
	s := newLogs(t)
	s.limit, s.atLeast = 1, -1
	s.remove = func(dir string) error {
		l, err := found(t.Context(), s, "a")
		require.NoError(t, err)
		require.Nil(t, l)
		s.remove = nil      // once
		l, err = s.app("a") // does not wait for a slow disk
		require.NoError(t, err)
		require.NoError(t, l.append([]*apiv1.LogLine{line(0, 7)}))
		return os.RemoveAll(dir)
	}
	l, err := s.app("a")
	require.NoError(t, err)
	require.NoError(t, l.append([]*apiv1.LogLine{line(0, 0)}))
	s.close("a")
	require.FileExists(t, filepath.Join(s.dir, "a", "0.log"))
	l, err = found(t.Context(), s, "a")
	require.NoError(t, err)
	seqs, _ := collect(t, l, 0, 0)
	require.Equal(t, []uint64{7}, seqs)
}

// whileItGoes has an app's log lose its place, and do run meanwhile, which has to wait for that.
func whileItGoes(t *testing.T, s *logStore, refuses error, do func(ctx context.Context)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		endsWith(t, s, "a", 1)
		s.limit, s.atLeast = 0, -1
		done := make(chan struct{})
		s.rename = func(from, to string) error {
			go func() {
				defer close(done)
				do(t.Context())
			}()
			synctest.Wait() // until it waits for us
			select {
			case <-done:
				t.Error("it has not waited")
			default:
			}
			if refuses != nil {
				return refuses
			}
			return os.Rename(from, to)
		}
		s.prune(func() {})
		<-done
	})
}

// TestAppWaitsForTheWayAside: an app that comes back while its old log loses its place is given none before, and nothing that it writes goes along.
func TestAppWaitsForTheWayAside(t *testing.T) {
	s := newLogs(t)
	whileItGoes(t, s, nil, func(context.Context) {
		l, err := s.app("a")
		require.NoError(t, err)
		require.NoError(t, l.append([]*apiv1.LogLine{line(0, 7)}))
	})
	l, err := found(t.Context(), s, "a")
	require.NoError(t, err)
	seqs, _ := collect(t, l, 0, 0)
	require.Equal(t, []uint64{7}, seqs)
}

// TestReaderWaitsForTheWayAside: who looks for a log is told that there is none only when that is so.
func TestReaderWaitsForTheWayAside(t *testing.T) {
	for _, refuses := range []error{nil, syscall.EPERM, syscall.ENOSPC} {
		s := newLogs(t)
		whileItGoes(t, s, refuses, func(ctx context.Context) {
			l, err := found(ctx, s, "a")
			require.NoError(t, err)
			require.Equal(t, refuses != nil, l != nil)
		})
	}
}

// TestTwoBecomeThePlace: of two logs that are to become the place for all at the same time one does; the other goes there, and neither is counted twice.
func TestTwoBecomeThePlace(t *testing.T) {
	for _, before := range []bool{true, false} {
		twoBecomeThePlace(t, before)
	}
}

func twoBecomeThePlace(t *testing.T, before bool) {
	t.Helper()
	dir := blockDisk(t)
	s, err := newLogStore(filepath.Join(dir, "logs"), 1<<40, slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	for _, id := range []string{"a", "b"} {
		endsWith(t, s, id, 2)
	}
	s.atLeast = -1
	require.NoError(t, os.Remove(filepath.Join(s.dir, asideDir)))
	for err, i := error(nil), 0; err == nil; i++ {
		err = os.WriteFile(filepath.Join(dir, strconv.Itoa(i)), nil, 0o600)
	}
	s.remove = func(string) error { return errors.New("not now") }
	second := usage{}
	s.rename = func(from, to string) error {
		if s.rename = os.Rename; before {
			second, _ = s.sacrifice("b")
		}
		err := os.Rename(from, to)
		if !before {
			second, _ = s.sacrifice("b")
		}
		return err
	}
	_, _ = s.sacrifice("a")
	require.Equal(t, usage{}, second)
	require.Empty(t, s.ended)
	require.Empty(t, logNames(t, s.dir))
	require.Len(t, s.aside, 3, "two files of one, the directory of the other")
	require.Equal(t, usageOf(filepath.Join(s.dir, asideDir)).bytes-usageOf(t.TempDir()).bytes, s.bytes.Load())
	s.remove = os.RemoveAll
	for i := range s.aside {
		s.aside[i].stuck = time.Time{}
	}
	s.prune(func() {})
	require.Empty(t, s.aside)
	require.Zero(t, s.bytes.Load())
	require.DirExists(t, filepath.Join(s.dir, asideDir), "the place stays")
}

// TestFindEndsWithItsCaller: who looks for a log waits for its way aside no longer than it wants.
func TestFindEndsWithItsCaller(t *testing.T) {
	s := newLogs(t)
	s.going["a"] = make(chan struct{}) // for ever
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := found(ctx, s, "a")
	require.ErrorIs(t, err, context.Canceled)
}

// TestFoundAndThenRemoved: output that is removed between its being found and looked at is said to be gone, not to be empty.
func TestFoundAndThenRemoved(t *testing.T) {
	s := newLogs(t)
	endsWith(t, s, "a", 2)
	s, err := newLogStore(s.dir, 1<<40, s.log)
	require.NoError(t, err)
	s.atLeast = -1
	l := newAppLog(filepath.Join(s.dir, "a"), &s.bytes, true)
	s.apps["a"] = l
	require.NoError(t, l.looking.take(t.Context())) // somebody else looks
	found, err := found(t.Context(), s, "a")
	require.NoError(t, err)
	require.Same(t, l, found)
	_, ok := s.sacrifice("a")
	require.True(t, ok)
	l.looking.release()
	require.ErrorIs(t, l.ready(t.Context()), errForgotten)
}

// TestAboutToBegin: an app whose log has no directory yet has no output yet, and not none any more.
func TestAboutToBegin(t *testing.T) {
	l := newAppLog(filepath.Join(t.TempDir(), "a"), new(atomic.Int64), false)
	require.NoError(t, l.load())
}

// TestHardBoundEnds: beyond the hard bound too, what cannot be put aside ends no prune.
func TestHardBoundEnds(t *testing.T) {
	for _, refuses := range []error{syscall.EPERM, syscall.ENOSPC, syscall.EROFS} {
		s := newLogs(t)
		for _, id := range []string{"a", "b"} {
			endsWith(t, s, id, 1)
		}
		s.limit = -leastSlack // all are too many
		tries := 0
		s.rename = func(string, string) error { tries++; return refuses }
		s.prune(func() {})
		require.Equal(t, 1+truth(errors.Is(refuses, syscall.EPERM)), tries, "for the place's fault: one is tried")
		require.Len(t, s.ended, 2)
	}
}

// TestNextLogWhereOneIsGone: of logs that go, one that is not there, or cannot be moved for its own sake, keeps no other from being tried.
func TestNextLogWhereOneIsGone(t *testing.T) {
	dir := blockDisk(t)
	s, err := newLogStore(filepath.Join(dir, "logs"), 1<<40, slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	for _, id := range []string{"gone", "stray", "pinned", "b"} {
		endsWith(t, s, id, 1)
	}
	for _, path := range []string{"gone", "stray", asideDir} {
		require.NoError(t, os.RemoveAll(filepath.Join(s.dir, path)))
	}
	require.NoError(t, os.WriteFile(filepath.Join(s.dir, "stray"), nil, 0o600))
	for err, i := error(nil), 0; err == nil; i++ {
		err = os.WriteFile(filepath.Join(dir, strconv.Itoa(i)), nil, 0o600)
	}
	s.rename = func(from, to string) error {
		if filepath.Base(from) == "pinned" {
			return syscall.EPERM
		}
		return os.Rename(from, to)
	}
	s.limit, s.atLeast = 0, -1
	s.prune(func() {})
	require.Equal(t, []string{"pinned", "stray"}, logNames(t, s.dir))
	require.Len(t, s.ended, 2)
	require.Zero(t, s.noWay)
	require.Empty(t, s.aside)
}

// TestAFileIsNoPlace: a file that has the name of the place for removed logs is in the way at the next start.
func TestAFileIsNoPlace(t *testing.T) {
	s := newLogs(t)
	place := filepath.Join(s.dir, asideDir)
	require.NoError(t, os.RemoveAll(place))
	require.NoError(t, os.Symlink(t.TempDir(), place))
	_, err := newLogStore(s.dir, 1<<40, s.log)
	require.NoError(t, err)
	info, err := os.Lstat(place)
	require.NoError(t, err)
	require.True(t, info.IsDir())
}

// TestRefusedIsReadOn: a log that could not be put aside is read on, by who reads it meanwhile and by who comes.
func TestRefusedIsReadOn(t *testing.T) {
	s := newLogs(t)
	endsWith(t, s, "a", 1)
	l, err := s.find(t.Context(), "a")
	require.NoError(t, err)
	r := &logReader{log: l, rank: 0, turns: newReaders(), mine: make(chan struct{}, 1)}
	s.limit = -leastSlack // also what is read goes
	refused := false
	s.rename = func(string, string) error {
		refused = true
		_, err = r.read(t.Context(), true, func(context.Context, []*apiv1.LogLine) error { return nil })
		return syscall.EPERM
	}
	s.prune(func() {})
	require.True(t, refused)
	require.NoError(t, err)
	again, err := found(t.Context(), s, "a")
	require.NoError(t, err)
	require.Same(t, l, again)
	seqs, _ := collect(t, again, 0, 0)
	require.Equal(t, []uint64{0}, seqs)
}

// TestWhoseFault: where the place itself refuses no log rests for it but for a moment; a retry of what lies there holds nobody back.
func TestWhoseFault(t *testing.T) {
	s := newLogs(t)
	for _, id := range []string{"a", "b", "c"} {
		endsWith(t, s, id, 1)
	}
	place := filepath.Join(s.dir, asideDir)
	s.limit, s.atLeast = 0, -1
	s.rename = func(from, to string) error {
		_ = os.Remove(place)
		return os.Rename(from, to)
	}
	s.prune(func() {})
	for _, e := range s.ended {
		require.Zero(t, e.stuck)
	}
	require.NotZero(t, s.noWay)
	s.noWay = time.Time{}
	require.NoError(t, makeAside(s.dir))
	s.rename = func(from, to string) error { // of an overlay's lower layer
		if filepath.Base(from) == "a" {
			return syscall.EXDEV
		}
		return os.Rename(from, to)
	}
	s.prune(func() {})
	require.Equal(t, []string{"a"}, logNames(t, s.dir), "the others go")
	s.limit = 1 << 40
	endsWith(t, s, "b", 1)
	s.limit = 0
	s.rename, s.remove = os.Rename, func(string) error { return syscall.EPERM }
	s.prune(func() {})
	require.Len(t, s.aside, 1)
	s.aside[0].stuck, s.noWay = s.aside[0].stuck.Add(-stuckFor), time.Time{}
	s.limit = 1 << 40
	s.prune(func() {})
	require.Zero(t, s.noWay)
}

// TestPlaceThatRefuses: whatever a place refuses all logs for, no log rests for it but for a moment.
func TestPlaceThatRefuses(t *testing.T) {
	s, err := newLogStore(filepath.Join(blockDisk(t), "logs"), 1<<40, slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	for _, id := range []string{"a", "b"} {
		endsWith(t, s, id, 1)
	}
	chattr := func(what, path string) { changeAttr(t, what, path) }
	s.limit, s.atLeast = 0, -1
	for _, place := range []string{filepath.Join(s.dir, asideDir), s.dir} {
		chattr("+i", place)
		s.prune(func() {})
		chattr("-i", place)
		require.NotZero(t, s.noWay)
		require.Len(t, s.ended, 2)
		for _, e := range s.ended {
			require.Zero(t, e.stuck)
		}
		s.noWay = time.Time{}
	}
	chattr("+a", s.dir) // it takes names and gives none back
	for range 3 {
		s.prune(func() {})
		s.noWay = time.Time{}
	}
	chattr("-a", s.dir)
	require.Equal(t, []string{"a", "b"}, slices.DeleteFunc(logNames(t, s.dir), func(name string) bool { return name == trialDir }), "one trial is left at the most")
	pinned := filepath.Join(s.dir, "a")
	for i := range s.ended {
		s.ended[i].stuck = time.Time{}
	}
	aside := filepath.Join(s.dir, asideDir)
	chattr("+a", aside) // a trial stays there
	require.False(t, s.refuses(syscall.EPERM))
	for range 3 {
		require.True(t, s.refuses(syscall.EPERM), "it gives nothing back")
	}
	require.Len(t, logNames(t, aside), 1, "one trial is left at the most")
	chattr("-a", aside)
	chattr("+i", aside)
	require.True(t, s.refuses(syscall.EPERM), "what an older trial has left says nothing")
	chattr("-i", aside)
	chattr("+i", pinned)
	s.prune(func() {})
	chattr("-i", pinned)
	require.Len(t, s.ended, 1)
	require.NotZero(t, s.ended[0].stuck, "that is its own")

	s.limit = 1 << 40
	endsWith(t, s, "c", 1)
	s.limit, s.ended[0].stuck = 0, time.Time{}
	for err, i := error(nil), 0; err == nil; i++ {
		err = os.WriteFile(filepath.Join(filepath.Dir(s.dir), strconv.Itoa(i)), nil, 0o600)
	}
	place := filepath.Join(s.dir, asideDir)
	chattr("+i", place)
	s.prune(func() {})
	chattr("-i", place)
	require.NotZero(t, s.noWay, "also where nothing else finds room")
	require.Len(t, s.ended, 2)
	for _, e := range s.ended {
		require.Zero(t, e.stuck)
	}
}

// TestTrialLeavesNothing: nothing is left of one, neither in logs/ nor in the place, whether there is room on the disk or not.
func TestTrialLeavesNothing(t *testing.T) {
	s, err := newLogStore(filepath.Join(blockDisk(t), "logs"), 1<<40, slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	for _, file := range []string{"", "x"} { // the second time no inode is left, and no block
		for i := 0; file != "" && err == nil; i++ {
			err = os.WriteFile(filepath.Join(filepath.Dir(s.dir), file+strconv.Itoa(i)), nil, 0o600)
		}
		for range 3 {
			require.False(t, s.refuses(syscall.EPERM))
			require.Empty(t, logNames(t, s.dir))
			require.Empty(t, logNames(t, filepath.Join(s.dir, asideDir)))
		}
	}
}

// TestTrialsAtOnce: several who try at the same time whether it is the place that refuses find the same.
func TestTrialsAtOnce(t *testing.T) {
	s, err := newLogStore(filepath.Join(blockDisk(t), "logs"), 1<<40, slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	place := filepath.Join(s.dir, asideDir)
	changeAttr(t, "+i", place)
	var wrong atomic.Int64
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			for range 300 {
				if !s.refuses(syscall.EPERM) {
					wrong.Add(1)
				}
			}
		})
	}
	all.Wait()
	changeAttr(t, "-i", place)
	require.Zero(t, wrong.Load())
	require.Empty(t, logNames(t, s.dir))
}

// TestComesBackInItsPlace: a log that could not be put aside goes no sooner and no later for it, whatever the clock said when it ended.
func TestComesBackInItsPlace(t *testing.T) {
	s := newLogs(t)
	for _, id := range []string{"a", "b", "c"} {
		endsWith(t, s, id, 1)
	}
	s.ended[2].at = s.ended[2].at.Add(-time.Hour) // the clock was set back before its end
	s.rename = func(string, string) error { return syscall.EPERM }
	s.mu.Lock()
	require.Equal(t, usage{}, s.forget(1))
	for i, id := range []string{"a", "b", "c"} {
		require.Equal(t, id, s.ended[i].id)
	}
}

func truth(b bool) int {
	if b {
		return 1
	}
	return 0
}

// found is the log that find gives, of which nobody notes that it is read.
func found(ctx context.Context, s *logStore, id string) (*appLog, error) {
	l, err := s.find(ctx, id)
	if l != nil {
		l.letGo()
	}
	return l, err
}

// TestWhatIsReadStays: from when it is found until it is let go of no room is made of a log.
func TestWhatIsReadStays(t *testing.T) {
	s := newLogs(t)
	endsWith(t, s, "a", 1)
	s.atLeast = -1
	l, err := s.find(t.Context(), "a")
	require.NoError(t, err)
	_, ok := s.sacrifice("a")
	require.False(t, ok)
	l.letGo()
	_, ok = s.sacrifice("a")
	require.True(t, ok)
}

// TestForgottenIsNotTheNextOne: who has found a log that is removed since reads nothing of the one that comes in its place.
func TestForgottenIsNotTheNextOne(t *testing.T) {
	s := newLogs(t)
	endsWith(t, s, "a", 1)
	s, err := newLogStore(s.dir, 1<<40, s.log)
	require.NoError(t, err)
	l := newAppLog(filepath.Join(s.dir, "a"), &s.bytes, true)
	s.apps["a"] = l
	read, err := found(t.Context(), s, "a") // which has looked
	require.NoError(t, err)
	require.Same(t, l, read)
	s.mu.Lock()
	require.Positive(t, s.forget(0).files)
	again, err := s.app("a")
	require.NoError(t, err)
	require.NoError(t, again.append([]*apiv1.LogLine{line(0, 7)}))
	require.ErrorIs(t, l.takeUp(t.Context(), 0, func() {}), errForgotten)
	r := &logReader{log: l, rank: 0, turns: newReaders(), mine: make(chan struct{}, 1)}
	_, err = r.open(l.state(0))
	require.ErrorIs(t, err, errForgotten)
}

// TestALinkIsNoPlace: on a full disk a log's directory becomes the place, a link to another one does not.
func TestALinkIsNoPlace(t *testing.T) {
	dir, elsewhere := blockDisk(t), t.TempDir()
	s, err := newLogStore(filepath.Join(dir, "logs"), 1<<40, slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	endsWith(t, s, "a", 1)
	require.NoError(t, os.RemoveAll(filepath.Join(s.dir, "a")))
	require.NoError(t, os.Symlink(elsewhere, filepath.Join(s.dir, "a")))
	kept := filepath.Join(elsewhere, "0.log")
	require.NoError(t, os.WriteFile(kept, nil, 0o600))
	require.NoError(t, os.Remove(filepath.Join(s.dir, asideDir)))
	for err, i := error(nil), 0; err == nil; i++ {
		err = os.WriteFile(filepath.Join(dir, strconv.Itoa(i)), nil, 0o600)
	}
	s.atLeast = -1
	_, ok := s.sacrifice("a")
	require.False(t, ok)
	require.NoDirExists(t, filepath.Join(s.dir, asideDir))
	require.FileExists(t, kept)
}

// TestRemovalInVain: where removal itself fails logs are not hidden one after the other for nothing, and it is said once.
func TestRemovalInVain(t *testing.T) {
	s := newLogs(t)
	var said strings.Builder
	s.log = slog.New(slog.NewTextHandler(&said, nil))
	for _, id := range []string{"a", "b", "c"} {
		endsWith(t, s, id, 1)
	}
	s.limit, s.atLeast = 0, -1
	s.remove = func(string) error { return syscall.EIO }
	for range 3 {
		s.prune(func() {})
	}
	require.Len(t, s.ended, 2)
	require.Equal(t, 1, strings.Count(said.String(), "\n"), said.String())
	s.noWay, s.toldLeft = s.noWay.Add(-placeEach), s.toldLeft.Add(-tellEach)
	s.prune(func() {})
	require.Len(t, s.ended, 1, "another may have more luck")
	require.Equal(t, 2, strings.Count(said.String(), "\n"))
}
