package executor

import (
	"context"
	"os"
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/godwit-run/godwit/mpi"
)

// TestAloneHasNoNetwork: the network of an app on one host takes no descriptor, and one goroutine, until another host calls or is called.
func TestAloneHasNoNetwork(t *testing.T) {
	before, err := footprintNow()
	require.NoError(t, err)
	n := openNetwork(t, "h1", openFence())
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- n.Run(ctx) }()
	require.False(t, n.Poll(func(bool) mpi.Look { return mpi.LookLater }), "there is nothing to look at")
	n.Wake()
	for range 100 {
		runtime.Gosched()
	}
	now, err := footprintNow()
	require.NoError(t, err)
	require.Equal(t, before.descriptors, now.descriptors)
	require.LessOrEqual(t, now.goroutines, before.goroutines+1)
	require.Nil(t, n.lookout.gate)

	d, _ := directOf(t, talk)
	require.NoError(t, n.lookout.add(d))
	eventually(t, "somebody waits for it", func() bool { return runtime.NumGoroutine() > now.goroutines })
	n.lookout.remove(d)
	cancel()
	require.ErrorIs(t, <-ended, context.Canceled)
	_, err = n.lookout.gate.SyscallConn()
	require.NoError(t, err)
	require.ErrorIs(t, n.lookout.gate.Close(), os.ErrClosed)
}
