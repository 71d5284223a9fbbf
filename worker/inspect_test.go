package worker

import (
	"context"
	"io"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/internal/notify"
	"github.com/godwit-run/godwit/internal/pipe"
)

// childAndExecutor is a child whose executor the test plays.
func childAndExecutor(t *testing.T) (*child, *pipe.Conn) {
	t.Helper()
	ours, theirs := linkOf(t)
	c := &child{app: "a", control: pipe.NewConn(ours), exited: make(chan struct{}), wake: notify.NewSignal()}
	pump(t, c)
	t.Cleanup(func() { _ = c.control.Close(); _ = theirs.Close() })
	return c, pipe.NewConn(theirs)
}

func TestInspectAsksOnceForAll(t *testing.T) {
	c, executor := childAndExecutor(t)
	answers := make(chan []*apiv1.RankDoing, 2)
	for range 2 {
		go func() {
			ranks, _ := c.inspect(context.Background(), false)
			answers <- ranks
		}()
	}
	var command apiv1.ExecCommand
	require.NoError(t, executor.Receive(&command))
	require.NotNil(t, command.GetInspect())
	require.Eventually(t, func() bool {
		c.inspection.mu.Lock()
		defer c.inspection.mu.Unlock()
		return len(c.inspection.waiting) == 2
	}, time.Second, time.Millisecond)
	require.True(t, c.inspection.answer([]*apiv1.RankDoing{{Rank: 3, Doing: "MPI_Recv"}}), "the second came after the question")
	require.False(t, c.inspection.answer([]*apiv1.RankDoing{{Rank: 3, Doing: "MPI_Recv"}}))
	for range 2 {
		require.Equal(t, "MPI_Recv", (<-answers)[0].Doing)
	}
	require.NoError(t, c.control.Close())
	require.ErrorIs(t, executor.Receive(&command), io.EOF, "the question was asked twice")
}

func TestInspectEndsWithTheCallerAndTheExecutor(t *testing.T) {
	c, executor := childAndExecutor(t)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_, ok := c.inspect(ctx, false)
	require.False(t, ok)
	require.Empty(t, c.inspection.waiting)
	require.NoError(t, executor.Receive(new(apiv1.ExecCommand))) // asked all the same
	close(c.exited)
	_, ok = c.inspect(context.Background(), false)
	require.False(t, ok)

	w := &Worker{children: map[*child]bool{}}
	res, err := dataService{w}.Inspect(context.Background(), &apiv1.InspectRequest{App: "a"})
	require.NoError(t, err)
	require.Equal(t, reasonNoExecutor, res.Reason)
}
