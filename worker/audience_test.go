package worker

import (
	"bytes"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	apiv1 "github.com/godwit-run/godwit/api/v1"
)

// Output of an app that nobody reads is stored up to the limit; that which somebody follows, or followed a moment ago, or whose owner reads it,
// whatever there is.
func TestAudience(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := &audience{}
		require.NoError(t, a.misses(1<<40), "no limit is set")
		a.limit = 100
		require.NoError(t, a.misses(99))
		require.ErrorIs(t, a.misses(100), errUnread)
		one, two := a.enter(), a.enter()
		require.NoError(t, a.misses(100))
		one()
		require.NoError(t, a.misses(100))
		two()
		require.NoError(t, a.misses(100), "a stream that breaks is soon another")
		time.Sleep(comesBack)
		require.ErrorIs(t, a.misses(100), errUnread)
		a.owned.Store(true)
		require.NoError(t, a.misses(100))
	})
}

// What nobody reads beyond the limit is lost, told of in its place and counted; what comes when there is somebody is stored again.
func TestUnreadOutput(t *testing.T) {
	s := newLogs(t)
	s.unreadLimit = 4 << 10
	l, err := s.app("a")
	require.NoError(t, err)
	seq := uint64(0)
	add := func(n int) (err error) {
		for range n {
			if e := l.append([]*apiv1.LogLine{{Rank: 0, Stream: 1, Seq: seq, Text: bytes.Repeat([]byte("x"), 1<<10)}}); err == nil {
				err = e
			}
			seq++
		}
		return err
	}
	require.NoError(t, add(4))
	require.ErrorIs(t, add(6), errUnread)
	n, why := l.lost(0)
	require.EqualValues(t, 6, n)
	require.Contains(t, why, "--log-limit")
	leave := l.audience.enter()
	require.NoError(t, add(10))
	leave()
	require.EqualValues(t, 20, l.state(0).stored)
	l.finish(0)
	lines := read(t, l, 0, 0)
	require.Len(t, lines, 15)
	require.Contains(t, lines[4], "6 lines of rank 0's output are lost here: its host could not store them (nobody reads the output as it comes")
}
