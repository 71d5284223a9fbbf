package control

import (
	"context"
	"net/http"
	"os"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"connectrpc.com/connect/v2"
	"github.com/stretchr/testify/require"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/api/v1/apiv1connect"
	"github.com/godwit-run/godwit/internal/transport"
)

// TestMoving: what moves goes on, however slowly; what stands still ends, and all does before an upload's bytes may be collected.
func TestMoving(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, moved, end := moving(t.Context())
		defer end()
		for range 20 {
			time.Sleep(streamPatience - time.Second)
			moved()
		}
		require.NoError(t, ctx.Err())
		time.Sleep(streamPatience + time.Second)
		require.ErrorIs(t, stillOr(ctx, ctx.Err()), errStill)

		ctx, moved, end = moving(t.Context())
		defer end()
		for range int(moduleLongest / time.Second) {
			time.Sleep(time.Second)
			moved()
		}
		synctest.Wait()
		require.Error(t, ctx.Err())
		require.Less(t, turnWait+moduleLongest+commitWait, moduleGrace)
	})
}

// TestModuleMovesByParts: each part of a module on its way to another server or from one is a reason to go on.
func TestModuleMovesByParts(t *testing.T) {
	t.Parallel()
	tr := newTrio(t, nil)
	const parts = 5
	code := make([]byte, parts*transport.ChunkBytes)
	copy(code, "by parts")
	c := tr.servers[0].control
	moves, ends := new(atomic.Int32), new(atomic.Int32)
	c.moving = func(ctx context.Context) (context.Context, func(), func()) {
		require.Zero(t, moves.Swap(0))
		return ctx, func() { moves.Add(1) }, func() { ends.Add(1) }
	}
	tr.servers[0].keepModule(t, code)
	require.NoError(t, c.push(t.Context(), tr.infos[1].Addr, digestOf(code)))
	require.GreaterOrEqual(t, moves.Swap(0), int32(parts))
	require.NoError(t, os.Remove(c.modules.path(digestOf(code))))
	require.NoError(t, c.pullFrom(t.Context(), tr.infos[1].Addr, digestOf(code)))
	require.GreaterOrEqual(t, moves.Swap(0), int32(parts))
	require.EqualValues(t, 2, ends.Load())
	require.GreaterOrEqual(t, c.pulling.got(digestOf(code)), int64(parts), "who waits for it hears of each")
	require.NoError(t, os.Remove(c.modules.path(digestOf(code))))
	require.NoError(t, c.pull(t.Context(), digestOf(code)))
	require.Zero(t, c.pulling.got(digestOf(code)), "it is here")
}

// stillServer takes and gives nothing.
type stillServer struct {
	apiv1connect.UnimplementedClusterHandler
	asked, ended chan struct{}
}

func (s stillServer) wait(ctx context.Context) error {
	s.asked <- struct{}{}
	<-ctx.Done()
	s.ended <- struct{}{}
	return ctx.Err()
}

func (s stillServer) PushModule(ctx context.Context, _ apiv1connect.ClusterPushModuleServerStream) (*apiv1.PushModuleResponse, error) {
	return nil, s.wait(ctx)
}

func (s stillServer) FetchModule(ctx context.Context, _ *apiv1.FetchModuleRequest, _ apiv1connect.ClusterFetchModuleServerStream) error {
	return s.wait(ctx)
}

// TestStillServerIsGivenUp: by who pushes to it, who pulls from it, and an upload whose client goes.
func TestStillServerIsGivenUp(t *testing.T) {
	b := newBench(t, nil)
	c := b.l.c
	code := make([]byte, 8*transport.ChunkBytes) // more than is taken unread
	in, err := c.modules.begin(digestOf(code))
	require.NoError(t, err)
	defer in.drop()
	require.NoError(t, in.add(code))
	require.NoError(t, in.keep())
	s := stillServer{asked: make(chan struct{}, 1), ended: make(chan struct{}, 1)}
	cs := connect.NewServer()
	apiv1connect.RegisterClusterHandler(cs, s)
	mux := http.NewServeMux()
	transport.Mount(mux, cs)
	addr := listens(t, mux)

	c.moving = func(ctx context.Context) (context.Context, func(), func()) {
		ctx, still := context.WithCancelCause(ctx)
		go func() { <-s.asked; still(errStill) }() // ends with the request
		return ctx, func() {}, func() {}
	}
	require.ErrorIs(t, c.push(t.Context(), addr, digestOf(code)), errStill)
	<-s.ended
	require.ErrorIs(t, c.pullFrom(t.Context(), addr, digestOf(code)), errStill)
	<-s.ended

	c.moving = func(ctx context.Context) (context.Context, func(), func()) { return ctx, func() {}, func() {} }
	c.group = groupOf{servers: []ServerInfo{{ID: "s1", Voter: true}, {ID: "s2", Addr: addr, Voter: true}}}
	ctx, cancel := context.WithCancel(t.Context())
	go func() { <-s.asked; cancel() }() // ends with the request
	require.Error(t, c.replicate(ctx, digestOf(code)))
	<-s.ended // though it has not stood still for long
}
