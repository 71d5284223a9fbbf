package worker

import (
	"log/slog"
	"os"
	"testing"

	"connectrpc.com/connect/v2"
	"github.com/stretchr/testify/require"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/api/v1/apiv1connect"
	"github.com/godwit-run/godwit/internal/transport"
)

// TestGivesToAnother: a host brings a part that it holds to another one when the leader says so, as soon as that expects it; but not one that is not what was made.
func TestGivesToAnother(t *testing.T) {
	w, c := archiving(t)
	w.http = transport.NewHTTPClient()
	defer w.http.CloseIdleConnections()
	far := &Worker{cfg: Config{Name: "h4"}, log: slog.New(slog.DiscardHandler), checkpoints: newStore(t, t.TempDir())}
	addr := serve(t, listenLocal(t), func(s *connect.Server) { apiv1connect.RegisterDataHandler(s, dataService{far}) })
	task := &apiv1.StoreTask{Id: "1", App: "a", Checkpoint: c, Parts: []string{"h1"}, GiveTo: "h4", GiveAddr: addr}
	w.storing.follow(t.Context(), task)
	require.Contains(t, w.hears(t, "1").Trouble, "host h4 does not take the part of host h1 of checkpoint k")
	far.checkpoints.follow(&apiv1.Holdings{Hold: []*apiv1.Checkpoint{{Id: "k", App: "a", Parts: []*apiv1.CheckpointPart{{Host: "h1", Second: "h2", Third: "h4"}}}}})
	st := w.hears(t, "1")
	for !st.Done {
		st = w.hears(t, "1")
	}
	require.Equal(t, c.Parts[0].Digest, far.checkpoints.part(partName{"k", "h1"}).digest)

	other := &apiv1.Checkpoint{Id: "k", App: "a", Parts: []*apiv1.CheckpointPart{{Host: "h1", Digest: sumOf([]byte("another"))}}}
	w.storing.follow(t.Context(), &apiv1.StoreTask{Id: "2", App: "a", Checkpoint: other, Parts: []string{"h1"}, GiveTo: "h4", GiveAddr: addr})
	require.Contains(t, w.hears(t, "2").Trouble, "is not the one that was made")
}

// TestDamagedBlobIsDoubted: who is told that a blob came otherwise than it should have been brings it anew, once its bytes are at hand.
func TestDamagedBlobIsDoubted(t *testing.T) {
	w, c := archiving(t)
	w.http = transport.NewHTTPClient()
	defer w.http.CloseIdleConnections()
	far := &Worker{cfg: Config{Name: "h4"}, log: slog.New(slog.DiscardHandler), checkpoints: newStore(t, t.TempDir())}
	addr := serve(t, listenLocal(t), func(s *connect.Server) { apiv1connect.RegisterDataHandler(s, dataService{far}) })
	far.checkpoints.follow(&apiv1.Holdings{Hold: []*apiv1.Checkpoint{{Id: "k", App: "a", Parts: []*apiv1.CheckpointPart{{Host: "h1", Second: "h2", Third: "h4"}}}}})
	held := w.checkpoints.part(partName{"k", "h1"})
	digest := held.blobs[0]
	path := w.checkpoints.blobPath(digest)
	b, err := os.ReadFile(path)
	require.NoError(t, err)
	b[0] ^= 1
	require.NoError(t, os.WriteFile(path, b, 0o600))
	w.storing.follow(t.Context(), &apiv1.StoreTask{Id: "1", App: "a", Checkpoint: c, Parts: []string{"h1"}, GiveTo: "h4", GiveAddr: addr})
	st := w.hears(t, "1")
	require.Contains(t, st.Trouble, "host h1: the part of host h1 of checkpoint k: this host's own copy is damaged: file checkpoints/blobs/"+digest)
	require.True(t, st.Torn, "it is not the other's disk")
	require.Contains(t, w.checkpoints.lacking(held.manifest), digest)
	b[0] ^= 1
	w.checkpoints.blob(t, partName{"k", "h1"}, string(b))
	require.NotContains(t, w.checkpoints.lacking(held.manifest), digest)
}
