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

// TestAStartLastsUntilItsRanksAreRestored: and what is read meanwhile are steps of it.
func TestAStartLastsUntilItsRanksAreRestored(t *testing.T) {
	b := newBench(t)
	b.rec.Restore = &apiv1.Checkpoint{Id: "c", App: "a"}
	b.has(part.Starting)
	start := newStart(nil)
	b.a.start = start
	start.child.Store(b.a.child)
	require.Equal(t, []int32{0}, b.a.part.Begun())
	says := func(ev *apiv1.ExecEvent) {
		b.a.event(t.Context(), b.a.life, ev)
		(<-b.a.inbox)()
		b.step()
	}
	says(&apiv1.ExecEvent{Msg: &apiv1.ExecEvent_Ready{Ready: &apiv1.ExecReady{}}})
	require.Same(t, start, b.a.start)
	require.Equal(t, apiv1.ExecutorStarting, b.status().Executor)
	says(&apiv1.ExecEvent{Msg: &apiv1.ExecEvent_Restoring{Restoring: &apiv1.ExecRestoring{Bytes: 5}}})
	is, read := start.at()
	require.Equal(t, reads, is)
	require.EqualValues(t, 5, read)
	start.steps = 3
	require.EqualValues(t, 3, b.status().StartSteps)
	says(&apiv1.ExecEvent{Msg: &apiv1.ExecEvent_Staged{Staged: &apiv1.ExecStaged{Migration: "c", Rank: 0, Digest: "00"}}})
	require.Nil(t, b.a.start)
	require.Equal(t, apiv1.ExecutorRunning, b.status().Executor)
}

// TestWork: a process that computes is at work, one that merely waits is not.
func TestWork(t *testing.T) {
	var w work
	require.False(t, w.done(fetches, 0))
	require.True(t, w.done(fetches, 10), "bytes came")
	require.False(t, w.done(fetches, 10))
	require.True(t, w.done(computes, 1), "there is a process")
	for ticks := range int64(10) {
		require.False(t, w.done(computes, 1+ticks))
	}
	require.True(t, w.done(computes, 11))
	require.False(t, w.done(computes, 0), "it is gone")
	require.True(t, w.done(reads, 1), "it reads")
	require.False(t, w.done(reads, 1), "whatever its ranks compute")
	require.True(t, w.done(reads, 2))
}

func TestCPUTicks(t *testing.T) {
	n := 0
	for cpuTicks(os.Getpid()) == 0 { // until a tick's work is done, however slow the machine
		n++
	}
	t.Log("looked", n, "times")
	require.Zero(t, cpuTicks(0))
}
