package control

import (
	"context"
	"net"
	"net/http"
	"testing"

	"connectrpc.com/connect/v2"
	"github.com/stretchr/testify/require"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/api/v1/apiv1connect"
	"github.com/godwit-run/godwit/internal/transport"
)

// fakeHost is the part of a worker that is asked what ranks do.
type fakeHost struct {
	apiv1connect.DataHandler
	answer *apiv1.InspectResponse
	keeps  bool                                                                      // the output of apps
	logs   func(*apiv1.ReadLogsRequest, apiv1connect.DataReadLogsServerStream) error // answers ReadLogs; nil: as keeps says
}

// Inspect implements the Data service.
func (f fakeHost) Inspect(context.Context, *apiv1.InspectRequest) (*apiv1.InspectResponse, error) {
	return f.answer, nil
}

// serve runs a fake host and returns its address.
func (f fakeHost) serve(t *testing.T) string {
	t.Helper()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	s := connect.NewServer()
	apiv1connect.RegisterDataHandler(s, f)
	mux := http.NewServeMux()
	transport.Mount(mux, s)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); _ = transport.Serve(ctx, l, mux) }()
	t.Cleanup(func() { cancel(); <-done })
	return l.Addr().String()
}

func TestInspectRanks(t *testing.T) {
	b := newBench(t, nil)
	b.submit("early", &apiv1.AppSpec{Size: 1})
	res, err := b.l.c.InspectRanks(b.ctx, &apiv1.InspectRanksRequest{App: "early"})
	require.NoError(t, err)
	require.Equal(t, "queued", res.App.Phase)
	require.NotEmpty(t, res.App.Reason)
	require.Empty(t, res.Ranks)

	b = newBench(t, nil)
	b.addrs["h1"] = fakeHost{answer: &apiv1.InspectResponse{
		Ranks: []*apiv1.RankDoing{{Rank: 0, Doing: "MPI_Recv(source=2)"}}, Reason: "not started yet",
	}}.serve(t)
	b.addrs["h2"] = "127.0.0.1:1"
	b.running()
	res, err = b.l.c.InspectRanks(b.ctx, &apiv1.InspectRanksRequest{App: "a"})
	require.NoError(t, err)
	require.Len(t, res.Ranks, 4)
	for i, want := range []string{"MPI_Recv(source=2)", "not started yet", "the host does not answer", "the host does not answer"} {
		require.EqualValues(t, i, res.Ranks[i].Rank)
		require.Equal(t, []string{"h1", "h1", "h2", "h2"}[i], res.Ranks[i].Host)
		require.Contains(t, res.Ranks[i].Doing, want)
	}

	_, err = b.l.c.InspectRanks(b.ctx, &apiv1.InspectRanksRequest{App: "nosuch"})
	require.ErrorContains(t, err, "nosuch")
}
