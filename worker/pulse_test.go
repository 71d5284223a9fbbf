package worker

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	apiv1 "github.com/godwit-run/godwit/api/v1"
)

func TestPulse(t *testing.T) {
	at := func(s int) time.Time { return time.Unix(int64(1000+s), 0) }
	var p pulse
	p.wait(at(0), true)
	require.Zero(t, p.silent(at(100)), "nothing was asked")
	require.True(t, p.ask(at(100)))
	require.False(t, p.ask(at(101)), "one ping at a time")
	require.Zero(t, p.silent(at(103)))
	require.Equal(t, 4*time.Second, p.silent(at(104)))
	require.Equal(t, 30*time.Second, p.silent(at(130)))

	p.wait(at(130), false)
	require.Zero(t, p.silent(at(200)), "the worker was busy with an event itself")
	p.wait(at(200), true)
	require.Zero(t, p.silent(at(203)))
	require.Equal(t, 5*time.Second, p.silent(at(205)), "the ping is still owed")
	p.answered()
	require.Zero(t, p.silent(at(300)))
	require.True(t, p.ask(at(300)))
}

// canceled is a context for questions that are not to wait.
func canceled(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	return ctx
}

// A silence is in the status, and in what is told of ranks.
func TestSilenceIsTold(t *testing.T) {
	b := newBench(t)
	b.a.silent = 12 * time.Second
	require.EqualValues(t, 12_000, b.status().SilentMs)
	b.a.child.pulse.ask(time.Now().Add(-time.Minute))
	b.a.child.pulse.wait(time.Now().Add(-time.Minute), true)
	b.a.child.exited = make(chan struct{})
	b.a.host.children[b.a.child] = true
	res, err := dataService{b.a.host}.Inspect(canceled(t), &apiv1.InspectRequest{App: "a"})
	require.NoError(t, err)
	require.Contains(t, res.Reason, "its executor has not answered for 1m")
}
