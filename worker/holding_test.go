package worker

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"

	"connectrpc.com/connect/v2"
	"github.com/stretchr/testify/require"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/api/v1/apiv1connect"
	"github.com/godwit-run/godwit/internal/transport"
)

// brittle takes a part whose blobs break off a few times, each when all of it has come, and forgets one that it has taken.
type brittle struct {
	dataService
	breaks, took *atomic.Int32
}

func (b brittle) HoldCheckpoint(_ context.Context, req *apiv1.HoldCheckpointRequest) (*apiv1.HoldCheckpointResponse, error) {
	m, err := parseManifest(req.Manifest, partName{req.Checkpoint, req.Host})
	if err != nil || b.took.Load() >= 2 {
		return &apiv1.HoldCheckpointResponse{}, err
	}
	return &apiv1.HoldCheckpointResponse{Lacking: []string{m.Blobs()[0].Digest}}, nil
}

func (b brittle) PushBlob(_ context.Context, stream apiv1connect.DataPushBlobServerStream) (*apiv1.PushBlobResponse, error) {
	for {
		if _, err := stream.Receive(); err != nil && !errors.Is(err, io.EOF) {
			return nil, err
		} else if err != nil {
			break
		}
	}
	if b.breaks.Add(-1) >= 0 {
		return nil, refusedTransfer(errors.New("it broke off"))
	}
	b.took.Add(1)
	return &apiv1.PushBlobResponse{}, nil
}

// TestSentAgainIsNoProgress: what is sent again of a part, for the line broke or for the other host has lost it, does not count as more.
func TestSentAgainIsNoProgress(t *testing.T) {
	w := &Worker{log: slog.New(slog.DiscardHandler), checkpoints: newStore(t, t.TempDir()), http: transport.NewHTTPClient()}
	defer w.http.CloseIdleConnections()
	far := brittle{dataService{w}, new(atomic.Int32), new(atomic.Int32)}
	far.breaks.Store(3)
	addr := serve(t, listenLocal(t), func(s *connect.Server) { apiv1connect.RegisterDataHandler(s, far) })
	name := partName{"k", "h1"}
	w.checkpoints.know(&apiv1.Checkpoint{Id: "k"})
	large := strings.Repeat("x", transport.ChunkBytes/2)
	text, m := partOf(t, name, w.checkpoints.blob(t, name, large), w.checkpoints.blob(t, name, "state"), w.checkpoints.blob(t, name, "log"))
	sent, troubles := 0, 0
	require.NoError(t, w.give(t.Context(), name, text, m, addr, func(string) { troubles++ }, func(n int) { sent += n }))
	require.Equal(t, 3, troubles)
	require.Equal(t, len(large), sent)
}
