package worker

import (
	"testing"

	"github.com/stretchr/testify/require"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/internal/pipe"
)

// An executor that is played hears and says what a process would, and ends when it is killed, with the worker's reason.
func TestPlayedExecutor(t *testing.T) {
	ours, theirs := linkOf(t)
	s := &spawner{player: func(app string) Link {
		require.Equal(t, "a", app)
		return pipe.NewConn(ours)
	}}
	events, gone := make(chan *apiv1.ExecEvent, 1), make(chan *child, 1)
	c, err := s.launch(t.Context(), begins{app: "a", attempt: 1, ranks: 2}, func(ev *apiv1.ExecEvent) { events <- ev }, func(c *child) { gone <- c })
	require.NoError(t, err)
	require.Zero(t, c.pid(), "no process is looked at for it")
	require.NoError(t, c.begun())
	exec := pipe.NewConn(theirs)
	c.say(&apiv1.ExecCommand{Msg: &apiv1.ExecCommand_Ping{Ping: &apiv1.ExecPing{}}})
	c.say(&apiv1.ExecCommand{Msg: &apiv1.ExecCommand_Start{Start: &apiv1.ExecStart{App: "a"}}})
	cmd := new(apiv1.ExecCommand)
	require.NoError(t, exec.Receive(cmd))
	require.Equal(t, "a", cmd.GetStart().GetApp(), "the start is first")
	require.NoError(t, exec.Receive(cmd))
	require.NotNil(t, cmd.GetPing())
	require.NoError(t, exec.Send(&apiv1.ExecEvent{Msg: &apiv1.ExecEvent_Ready{Ready: &apiv1.ExecReady{}}}))
	require.NotNil(t, (<-events).GetReady())
	c.kill("not needed any more")
	c.kill("once more")
	<-c.exited
	require.Same(t, c, <-gone)
	code, reason := exitReason(c)
	require.EqualValues(t, 137, code)
	require.Equal(t, "executor killed by the worker: not needed any more", reason)
	require.False(t, withLease(c))
	require.Error(t, exec.Receive(cmd), "the link is closed")
	require.NoError(t, theirs.Close())
}
