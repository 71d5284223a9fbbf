package worker

import (
	"context"
	"log/slog"
	"syscall"
	"testing"
	"time"

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
	b.a.part.Follow(b.rec)
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

// A home that has come to the executor's own host hears of it too: what the executor had open when it was another host's is open here.
func TestOwnHomeHearsOfTheEnd(t *testing.T) {
	p := newHomePair(t)
	open := func(b *bench, n uint64, op apiv1.FilesRequest_Op) int32 {
		return b.a.serving.Load().Try(&apiv1.FilesRequest{App: "a", Client: 77, Number: n, Op: op, Path: ".", Flags: syscall.O_DIRECTORY, Handle: 1}).Errno
	}
	require.Zero(t, open(p.from, 1, apiv1.FilesRequest_OP_OPEN))
	p.says(&apiv1.AppFiles{Host: "h1", To: "h2", Move: 7})
	require.True(t, p.come(t).Held)
	p.says(&apiv1.AppFiles{Host: "h2", Move: 7})
	require.Zero(t, open(p.to, 2, apiv1.FilesRequest_OP_FILE_STAT))

	c := p.to.a.child
	c.filesClient, c.exited = 77, make(chan struct{})
	p.to.a.leaveFiles(t.Context(), c)
	close(c.exited)
	n := uint64(2)
	require.Eventually(t, func() bool { n++; return open(p.to, n, apiv1.FilesRequest_OP_FILE_STAT) != 0 }, time.Minute, time.Millisecond)
}
