package worker

import (
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/worker/part"
)

// TestStopDoesNotWaitForAStart: what holds up a start does not hold up its end, and what comes of it later runs nothing.
func TestStopDoesNotWaitForAStart(t *testing.T) {
	b := newBench(t)
	b.has(part.Starting)
	b.a.child, b.a.start = nil, newStart(nil)
	late := b.a.start
	b.rec.App.Verdict = "failed"
	b.step()
	st := b.status()
	require.Equal(t, apiv1.ExecutorEnded, st.Executor)
	require.Len(t, st.Ranks, 1)
	require.Equal(t, apiv1.RankEnded, st.Ranks[0].State)

	c := sleeper(t)
	b.a.childStarted(late, c, nil)
	<-c.exited
	require.Nil(t, b.a.child)
	require.Contains(t, *c.why.Load(), "given up")
	b.a.startFailed(late, os.ErrNotExist)
	require.Equal(t, "stopped before it ran", b.status().Reason)
}

// TestWork: a process that computes is at work, one that merely waits is not.
func TestWork(t *testing.T) {
	var w work
	require.False(t, w.done(false, 0))
	require.True(t, w.done(false, 10), "bytes came")
	require.False(t, w.done(false, 10))
	require.True(t, w.done(true, 1), "there is a process")
	for ticks := range int64(10) {
		require.False(t, w.done(true, 1+ticks))
	}
	require.True(t, w.done(true, 11))
	require.False(t, w.done(true, 0), "it is gone")
}

func TestCPUTicks(t *testing.T) {
	n := 0
	for cpuTicks(os.Getpid()) == 0 { // until a tick's work is done, however slow the machine
		n++
	}
	t.Log("looked", n, "times")
	require.Zero(t, cpuTicks(0))
}
