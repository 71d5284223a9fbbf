package worker

import (
	"context"
	"log/slog"
	"testing"

	"connectrpc.com/connect/v2"
	"github.com/stretchr/testify/require"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/api/v1/apiv1connect"
	"github.com/godwit-run/godwit/internal/apierr"
	"github.com/godwit-run/godwit/internal/transport"
)

// farHome is another host that is an app's home; it is not yet, when it is asked first.
type farHome struct {
	dataService
	asked chan *apiv1.FilesRequest
}

func (f farHome) Files(_ context.Context, req *apiv1.FilesRequest) (*apiv1.FilesResponse, error) {
	f.asked <- req
	if len(f.asked) < cap(f.asked) {
		return nil, apierr.New(connect.CodeUnavailable, apierr.ReasonNotYet, "app", "not yet", "")
	}
	return &apiv1.FilesResponse{}, nil
}

// An app's home hears that an executor is gone from which all ranks have moved away, when its process is.
func TestHomeHearsOfTheEnd(t *testing.T) {
	b := newBench(t)
	b.a.host.http = transport.NewHTTPClient()
	far := farHome{dataService{&Worker{log: slog.New(slog.DiscardHandler)}}, make(chan *apiv1.FilesRequest, 2)}
	b.rec.Addrs["h2"] = serve(t, listenLocal(t), func(s *connect.Server) { apiv1connect.RegisterDataHandler(s, far) })
	b.rec.App.Files = &apiv1.AppFiles{Host: "h2"}
	b.a.rec = b.rec
	c := b.a.child
	c.filesClient, c.exited = 77, make(chan struct{})
	b.a.leaveFiles(t.Context(), c)
	require.Empty(t, far.asked)
	close(c.exited)
	require.NoError(t, b.a.host.tasks.Wait())
	for range 2 {
		req := <-far.asked
		require.Equal(t, apiv1.FilesRequest_OP_LEAVE, req.Op)
		require.EqualValues(t, 77, req.Client)
		require.Equal(t, "a", req.App)
	}
	b.a.host.http.CloseIdleConnections()
}
