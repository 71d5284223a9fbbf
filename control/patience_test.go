package control

import (
	"context"
	"net"
	"net/http"
	"testing"
	"time"

	"connectrpc.com/connect/v2"
	"github.com/stretchr/testify/require"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/api/v1/apiv1connect"
	"github.com/godwit-run/godwit/internal/transport"
)

// onlySends is a server whose sessions do nothing but send what is queued: nothing else ends them.
type onlySends struct {
	*Control
	l     *leader
	s     *session
	ended chan error
}

func (o onlySends) Session(ctx context.Context, stream apiv1connect.ClusterSessionServerStream) error {
	err := o.l.send(ctx, o.s, stream)
	o.ended <- err
	return err
}

// TestWhoTakesNothingLosesItsSession: a worker that takes nothing for a lease's length has no session any more, though the leader hears
// from it and nobody calls it lost.
func TestWhoTakesNothingLosesItsSession(t *testing.T) {
	t.Parallel()
	b := newBench(t, nil)
	b.propose(&apiv1.Command{Op: &apiv1.Command_SetClusterConfig{SetClusterConfig: &apiv1.SetClusterConfig{Config: &apiv1.ClusterConfig{LeaseMs: 100}}}})
	require.EqualValues(t, 100, b.l.c.state.View().LeaseMs())
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	o := onlySends{b.l.c, b.l, newSession("w1", "i1", func() {}), make(chan error, 1)}
	fill(o.s, 8)
	s := connect.NewServer()
	apiv1connect.RegisterClusterHandler(s, o)
	mux := http.NewServeMux()
	transport.Mount(mux, s)
	serving, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	done := make(chan error, 1)
	go func() { done <- transport.Serve(serving, l, mux) }()
	t.Cleanup(func() { stop(); <-done }) //nolint:errcheck // a stream may be open
	calling, hangUp := context.WithCancel(context.WithoutCancel(t.Context()))
	t.Cleanup(hangUp)
	stream, err := apiv1connect.NewClusterClient(transport.NewClient(transport.NewHTTPClient(), l.Addr().String())).Session(calling)
	require.NoError(t, err)
	require.NoError(t, stream.Send(&apiv1.SessionRequest{Msg: &apiv1.SessionRequest_Hello{Hello: helloOf("w1", "i1")}}))
	select {
	case err := <-o.ended:
		require.Error(t, err)
		require.NoError(t, calling.Err())
	case <-time.After(time.Minute):
		require.Fail(t, "the session goes on")
	}
}
