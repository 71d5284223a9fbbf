package worker

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
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

// spoils is an address on the way to another one: it changes a byte of what passes, wherever that has a word, so many times.
func spoils(t *testing.T, addr, word string, times int32) (way string, left *atomic.Int32) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // closed at the end
	require.NoError(t, err)
	t.Cleanup(func() { _ = l.Close() })
	left = new(atomic.Int32)
	left.Store(times)
	go func() {
		for {
			from, err := l.Accept()
			if err != nil {
				return
			}
			to, err := net.Dial("tcp", addr) //nolint:noctx // closed with what it is for
			if err != nil {
				_ = from.Close()
				return
			}
			go func() { _, _ = io.Copy(from, to); _ = from.Close() }()
			go func() {
				defer to.Close() //nolint:errcheck // a test's
				buf := make([]byte, 64<<10)
				for n, err := from.Read(buf); err == nil; n, err = from.Read(buf) {
					if at := bytes.Index(buf[:n], []byte(word)); at >= 0 && left.Add(-1) >= 0 {
						buf[at] ^= 1
					}
					if _, err := to.Write(buf[:n]); err != nil {
						return
					}
				}
			}()
		}
	}()
	return l.Addr().String(), left
}

// TestDamagedOnItsWay: a blob that came damaged at the other host is sent again, and the others are not; but not for ever, and then the reason is told.
func TestDamagedOnItsWay(t *testing.T) {
	for times, fails := range map[int32]bool{1: false, maxSpoilt - 1: false, 1000: true} {
		w, _ := archiving(t)
		w.http = transport.NewHTTPClient()
		defer w.http.CloseIdleConnections()
		far := &Worker{cfg: Config{Name: "h2"}, log: slog.New(slog.DiscardHandler), checkpoints: newStore(t, t.TempDir())}
		of := partName{"k", "h1"}
		far.checkpoints.know(&apiv1.Checkpoint{Id: "k", App: "a", Parts: []*apiv1.CheckpointPart{{Host: "h1", Second: "h2"}}})
		addr, left := spoils(t, serve(t, listenLocal(t), func(s *connect.Server) { apiv1connect.RegisterDataHandler(s, dataService{far}) }), "state", times)
		held := w.checkpoints.part(of)
		text, err := w.checkpoints.manifestText(of)
		require.NoError(t, err)
		sent := 0
		err = w.give(t.Context(), of, text, held.manifest, addr, func(string) {}, func(n int) { sent += n })
		if fails {
			require.ErrorContains(t, err, "it is whole here, and became damaged on each of 8 ways")
			require.ErrorContains(t, err, "what came as blob")
			require.EqualValues(t, 1000-maxSpoilt, left.Load())
			require.Nil(t, far.checkpoints.part(of))
		} else {
			require.NoError(t, err)
			require.Negative(t, left.Load())
			require.NotNil(t, far.checkpoints.part(of))
			require.Equal(t, len("memory")+len("state")+len("log"), sent)
		}
		require.Nil(t, w.checkpoints.takeDamage(), "it is whole here")
	}
}
