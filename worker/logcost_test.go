package worker

import (
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	apiv1 "github.com/godwit-run/godwit/api/v1"
)

// TestUsageIsKnownWithoutALook: what a log takes on its disk is known without a walk of its directory, and is what a walk finds.
func TestUsageIsKnownWithoutALook(t *testing.T) {
	s := newLogs(t)
	for id, ranks := range map[string]int32{"silent": 0, "one": 1, "many": 70} {
		l, err := s.app(id)
		require.NoError(t, err)
		for rank := range ranks {
			for n := range uint64(1 + rank*3) {
				require.NoError(t, l.append([]*apiv1.LogLine{line(rank, n)}))
			}
		}
		l.finish(ranks) // a rank that has said nothing
		_, known := l.written()
		require.True(t, known)
		s.close(id)
		require.Equal(t, usageOf(l.dir), s.ended[s.placeOf(id)].usage, id)
	}
	later, err := newLogStore(s.dir, 1<<40, s.log)
	require.NoError(t, err)
	l, err := later.app("one")
	require.NoError(t, err)
	_, known := l.written()
	require.False(t, known, "an earlier life has left something there")
	require.Equal(t, usageOf(l.dir), l.usage())
}

// TestEndedLogsAreFound: a log is found where it is in ended, however many came and went before it.
func TestEndedLogsAreFound(t *testing.T) {
	s := newLogs(t)
	for i := range 20 {
		endsWith(t, s, fmt.Sprint(i), 1)
	}
	for _, id := range []string{"0", "7", "1", "19"} {
		i := s.placeOf(id)
		require.Equal(t, id, s.ended[i].id)
		s.mu.Lock()
		e := s.take(i)
		require.Equal(t, id, e.id)
		require.Equal(t, -1, s.placeOf(id))
		if id == "7" {
			s.putBack(e)
		}
		s.mu.Unlock()
	}
	require.Len(t, s.ended, 17)
	require.Len(t, s.turn, 17)
	for i, e := range s.ended {
		require.Equal(t, i, s.placeOf(e.id))
	}
	endsWith(t, s, "0", 1)
	require.Equal(t, 17, s.placeOf("0"), "it comes behind the others")
}

// BenchmarkEndedApp is the end of one app where as many have ended in the last minute as may.
func BenchmarkEndedApp(b *testing.B) {
	for _, ended := range []int{10, 1000, maxLogs + slackLogs} {
		b.Run(fmt.Sprint(ended), func(b *testing.B) {
			s, err := newLogStore(filepath.Join(b.TempDir(), "logs"), 1<<40, nil)
			require.NoError(b, err)
			for i := range ended {
				s.add(endedLog{id: fmt.Sprint("old", i), at: time.Now()})
			}
			s.remove, s.rename = func(string) error { return nil }, func(string, string) error { return nil }
			for i := 0; b.Loop(); i++ {
				s.mu.Lock()
				s.add(endedLog{id: fmt.Sprint("new", i), at: time.Now()})
				s.mu.Unlock()
				s.prune(func() {})
			}
		})
	}
}
