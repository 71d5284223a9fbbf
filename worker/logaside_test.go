package worker

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
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
	s.prune(func() {})
	s.prune(func() {})
	require.Equal(t, 2, tries)
	require.Equal(t, usageOf(s.dir).bytes-2*usageOf(t.TempDir()).bytes, s.bytes.Load(), "without the two directories")
	require.Equal(t, s.past, s.bytes.Load())
	require.Empty(t, s.spare(usage{files: 1}))
	l, err := s.find("a")
	require.NoError(t, err)
	require.Nil(t, l, "there is none any more")
	l, err = s.app("a") // it runs here again
	require.NoError(t, err)
	require.NoError(t, l.append([]*apiv1.LogLine{line(0, 0)}))
	require.Len(t, s.ended, 2)
	s.remove = os.RemoveAll
	s.prune(func() {})
	require.Len(t, s.ended, 2, "not yet")
	for i := range s.ended {
		s.ended[i].stuck = s.ended[i].stuck.Add(-stuckFor)
	}
	s.limit = 1 << 40
	s.prune(func() {})
	require.Empty(t, s.ended)
	require.Equal(t, l.size(), s.bytes.Load())
	require.FileExists(t, l.path(0), "it is not what was removed")

	left := filepath.Join(s.dir, asideDir, "left") // by a worker that died then
	require.NoError(t, os.Mkdir(left, 0o700))
	again, err := newLogStore(s.dir, 1<<40, s.log)
	require.NoError(t, err)
	require.NoDirExists(t, left)
	require.Len(t, again.ended, 1)
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
	require.Empty(t, s.spare(usage{files: 1}), "not again soon")
	l, err := s.find("a")
	require.NoError(t, err)
	require.EqualValues(t, 2, l.state(0).next+l.state(1).next)
	s.ended[0].stuck = time.Time{}

	require.NoError(t, os.Remove(filepath.Join(s.dir, asideDir)))
	require.NoError(t, os.RemoveAll(filepath.Join(s.dir, "a"))) // by who needed room
	s.remove = os.RemoveAll
	s.prune(func() {})
	require.Empty(t, s.ended)
	require.Zero(t, s.bytes.Load())
	require.DirExists(t, filepath.Join(s.dir, asideDir))

	require.NoError(t, os.RemoveAll(filepath.Join(s.dir, asideDir)))
	s.limit = 1 << 40
	endsWith(t, s, "b", 1)
	require.DirExists(t, filepath.Join(s.dir, asideDir), "it is made while there is room")
	elsewhere := s.dir + "-moved"
	require.NoError(t, os.Rename(s.dir, elsewhere))
	s.mu.Lock()
	require.Equal(t, usage{}, s.forget(0))
	require.NoDirExists(t, s.dir, "nothing is made in its place")
	require.NoError(t, os.Rename(elsewhere, s.dir))
	l, err = s.find("b")
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
		l, err := s.find("a")
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
	l, err = s.find("a")
	require.NoError(t, err)
	seqs, _ := collect(t, l, 0, 0)
	require.Equal(t, []uint64{7}, seqs)
}

// TestAppWaitsForTheWayAside: an app that comes back while its old log loses its place is given none before, and nothing that it writes goes along.
func TestAppWaitsForTheWayAside(t *testing.T) {
	s := newLogs(t)
	synctest.Test(t, func(t *testing.T) {
		endsWith(t, s, "a", 1)
		s.limit, s.atLeast = 0, -1
		back := make(chan struct{})
		s.rename = func(from, to string) error {
			go func() {
				defer close(back)
				l, err := s.app("a")
				require.NoError(t, err)
				require.NoError(t, l.append([]*apiv1.LogLine{line(0, 7)}))
			}()
			synctest.Wait() // until it waits for us
			select {
			case <-back:
				t.Error("it has not waited")
			default:
			}
			return os.Rename(from, to)
		}
		s.prune(func() {})
		<-back
	})
	l, err := s.find("a")
	require.NoError(t, err)
	seqs, _ := collect(t, l, 0, 0)
	require.Equal(t, []uint64{7}, seqs)
}
