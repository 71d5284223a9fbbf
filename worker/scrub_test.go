package worker

import (
	"context"
	"fmt"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// TestScrubKeepsItsPace: it reads no faster than its rate, waits while the host is busy, but not for ever, and begins again when its period is over.
func TestScrubKeepsItsPace(t *testing.T) {
	w, _ := archiving(t)
	large := make([]byte, 24<<20)
	w.checkpoints.blob(t, partName{"k", "h1"}, string(large))
	w.cfg.ScrubPeriod = time.Minute
	synctest.Test(t, func(t *testing.T) {
		s := newScrub(w)
		busy := 0
		s.busy = func() bool { busy++; return busy == 1 }
		began := time.Now()
		require.NoError(t, s.pass(t.Context()))
		took := time.Since(began)
		require.GreaterOrEqual(t, took, scrubWait+3*time.Second)
		require.Less(t, took, scrubWait+4*time.Second)
		s.busy, s.after, s.waited = func() bool { return true }, "", 0
		began = time.Now()
		require.NoError(t, s.pass(t.Context()))
		require.Less(t, time.Since(began), time.Minute/2+scrubWait+4*time.Second, "a host that is always busy is looked at, too")

		passes, ctx := 0, t.Context()
		s.busy = func() bool { passes++; return false } // three times a pass
		ctx, cancel := context.WithTimeout(ctx, 3*time.Minute)
		defer cancel()
		require.ErrorIs(t, s.run(ctx), context.DeadlineExceeded)
		require.Equal(t, 3*3, passes)
	})
}

// TestScrubGoesOn: what an earlier process has read of a pass is not read again in it; what is noted and cannot be is a new pass.
func TestScrubGoesOn(t *testing.T) {
	w, _ := archiving(t)
	w.cfg.ScrubPeriod = time.Hour
	s := newScrub(w)
	s.since, s.after = time.Now().Add(-time.Minute).Truncate(time.Second), "abc"
	s.note()
	next := newScrub(w)
	next.recall()
	require.Equal(t, s.since, next.since)
	require.Equal(t, "abc", next.after)
	w.checkpoints.doubted["abc"] = true
	s.note()
	next = newScrub(w)
	next.recall()
	require.Empty(t, next.after, "what was found is found again")
	delete(w.checkpoints.doubted, "abc")
	for _, bad := range []string{"", "x", "12", "x y", fmt.Sprintf("%d abc", time.Now().Add(time.Hour).Unix())} {
		require.NoError(t, os.WriteFile(s.path, []byte(bad), 0o600))
		next = newScrub(w)
		next.recall()
		require.Empty(t, next.after, bad)
	}
	w.cfg.ScrubPeriod = 0
	require.NoError(t, newScrub(w).run(t.Context()), "never")
}

// TestScrubNames: all names come, in order, from where an earlier process was.
func TestScrubNames(t *testing.T) {
	s := newStore(t, t.TempDir())
	for i := range 1000 {
		s.refs[fmt.Sprintf("%04d", i)] = 1
	}
	n := 300
	for _, name := range s.namedAfter("0299") {
		require.Equal(t, fmt.Sprintf("%04d", n), name)
		n++
	}
	require.Equal(t, 1000, n)
	require.Empty(t, s.namedAfter(scrubDone))
	require.InDelta(t, 12.5, stalled("some avg10=12.50 avg60=0.00 avg300=0.00 total=1\nfull avg10=99.00"), 0)
	require.Zero(t, stalled(""))
}
