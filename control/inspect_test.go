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
	asked  func(*apiv1.InspectResponse)                                              // called before each answer; nil: nothing is
	keeps  bool                                                                      // the output of apps
	logs   func(*apiv1.ReadLogsRequest, apiv1connect.DataReadLogsServerStream) error // answers ReadLogs; nil: as keeps says
}

// Inspect implements the Data service.
func (f fakeHost) Inspect(context.Context, *apiv1.InspectRequest) (*apiv1.InspectResponse, error) {
	if f.asked != nil {
		f.asked(f.answer)
	}
	return f.answer, nil
}

// serve runs a fake host and returns its address.
func (f fakeHost) serve(t *testing.T) string { return serveData(t, f) }

// serveData serves what a host answers, and returns where.
func serveData(t *testing.T, f apiv1connect.DataHandler) string {
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

// A deadlock is that all ranks wait, all that was sent is received, and none has gone on between two looks.
func TestDeadlock(t *testing.T) {
	waits := func(rank int32, sent, received uint64) *apiv1.RankDoing {
		return &apiv1.RankDoing{Rank: rank, Doing: "MPI_Recv", Wait: &apiv1.RankWait{Sent: sent, Received: received, Mark: 7}}
	}
	answer, asked := &apiv1.InspectResponse{}, func(*apiv1.InspectResponse) {}
	b := newBench(t, nil)
	b.addrs["h1"] = fakeHost{answer: answer, asked: func(res *apiv1.InspectResponse) { asked(res) }}.serve(t)
	other := &apiv1.InspectResponse{}
	b.addrs["h2"] = fakeHost{answer: other}.serve(t)
	b.running()
	for _, tt := range []struct {
		name  string
		ranks []*apiv1.RankDoing
		asked func(*apiv1.InspectResponse)
		want  bool
	}{
		{name: "all wait", ranks: []*apiv1.RankDoing{waits(0, 3, 2), waits(1, 4, 1), waits(2, 0, 4), waits(3, 0, 0)}, want: true},
		{name: "something is on its way", ranks: []*apiv1.RankDoing{waits(0, 3, 2), waits(1, 4, 1), waits(2, 0, 3), waits(3, 0, 0)}},
		{name: "one computes", ranks: []*apiv1.RankDoing{waits(0, 0, 0), waits(1, 0, 0), waits(2, 0, 0), {Rank: 3, Doing: "computing"}}},
		{name: "nothing is known of one", ranks: []*apiv1.RankDoing{waits(0, 0, 0), waits(1, 0, 0), waits(2, 0, 0)}},
		{
			name: "one knows of an end", ranks: []*apiv1.RankDoing{
				waits(0, 0, 0), waits(1, 0, 0), waits(2, 0, 0), {Rank: 3, Doing: "MPI_Recv", Wait: &apiv1.RankWait{Over: 1}},
			},
		},
		{
			name: "one has gone on", ranks: []*apiv1.RankDoing{waits(0, 0, 0), waits(1, 0, 0), waits(2, 0, 0), waits(3, 0, 0)},
			asked: func(res *apiv1.InspectResponse) { res.Ranks[1].Wait.Mark++ },
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			answer.Ranks, other.Ranks = tt.ranks[:2], tt.ranks[2:]
			if asked = tt.asked; asked == nil {
				asked = func(*apiv1.InspectResponse) {}
			}
			res, err := b.l.c.InspectRanks(b.ctx, &apiv1.InspectRanksRequest{App: "a"})
			require.NoError(t, err)
			require.Len(t, res.Ranks, 4)
			require.Equal(t, tt.want, res.Deadlock)
		})
	}
}
