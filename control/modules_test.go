package control

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"connectrpc.com/connect/v2"
	"github.com/stretchr/testify/require"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/api/v1/apiv1connect"
	"github.com/godwit-run/godwit/fsm"
	"github.com/godwit-run/godwit/internal/apierr"
	retry "github.com/godwit-run/godwit/internal/client"
	"github.com/godwit-run/godwit/internal/gate"
	"github.com/godwit-run/godwit/internal/transport"
)

// serve answers a server's API until the test ends, and returns its address.
func serve(t *testing.T, c *Control) string {
	t.Helper()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	done := make(chan error, 1)
	go func() { done <- transport.Serve(ctx, l, c.Handler()) }()
	t.Cleanup(func() { cancel(); require.NoError(t, <-done) })
	return l.Addr().String()
}

func digestOf(code []byte) string {
	sum := sha256.Sum256(code)
	return hex.EncodeToString(sum[:])
}

// TestUnfinishedUploadsAreBounded: callers that send a part of a module and stop cost files of a bounded number, no memory
// of their own, and nothing once they are gone.
func TestUnfinishedUploadsAreBounded(t *testing.T) {
	b := newBench(t, nil)
	addr := serve(t, b.l.c)
	client := apiv1connect.NewClusterClient(transport.NewClient(transport.NewHTTPClient(), addr))
	ctx, cancel := context.WithCancel(t.Context())
	part := make([]byte, transport.ChunkBytes)
	for range maxIncoming / 2 { // an address has no more
		stream, err := client.PushModule(ctx)
		require.NoError(t, err)
		require.NoError(t, stream.Send(&apiv1.PushModuleRequest{Digest: digestOf(part), Chunk: part}))
		require.NoError(t, stream.Send(&apiv1.PushModuleRequest{Chunk: part}))
	}
	require.Eventually(t, func() bool { return b.l.c.offered.Inside() == maxIncoming/2 }, time.Minute, time.Millisecond)
	stream, err := client.PushModule(ctx)
	require.NoError(t, err)
	_ = stream.Send(&apiv1.PushModuleRequest{Digest: digestOf(part), Chunk: part}) // the answer says why it failed
	_, err = stream.CloseAndReceive()
	require.Equal(t, apierr.ReasonOverloaded, apierr.Info(err).GetReason(), "%v", err)
	cancel()
	require.Eventually(t, func() bool { return b.l.c.offered.Inside() == 0 }, time.Minute, time.Millisecond)
	entries, err := os.ReadDir(b.l.c.modules.dir)
	require.NoError(t, err)
	require.Empty(t, entries)
}

// TestDrippingUploads: who sends a byte now and then has the place for as long as nobody else wants it, then it goes to one who sends,
// and the dripper is told why, in an error that says to try again.
func TestDrippingUploads(t *testing.T) {
	b := newBench(t, nil)
	b.l.c.incoming = gate.New(gate.Config{Places: 1, Floor: 1 << 20, Window: time.Second, Patience: time.Hour})
	client := apiv1connect.NewControlClient(transport.NewClient(transport.NewHTTPClient(), serve(t, b.l.c)))
	code := []byte("a module")
	drip, err := client.UploadModule(t.Context())
	require.NoError(t, err)
	require.NoError(t, drip.Send(&apiv1.UploadModuleRequest{Digest: digestOf(code), Name: "x", Chunk: code[:1]}))
	require.Eventually(t, func() bool { return b.l.c.incoming.Inside() == 1 }, time.Minute, time.Millisecond)
	end := make(chan error, 1)
	go func() {
		for drip.Send(&apiv1.UploadModuleRequest{Chunk: code[:1]}) == nil {
			time.Sleep(time.Millisecond)
		}
		_, err := drip.CloseAndReceive()
		end <- err
	}()
	upload := func() error {
		stream, err := client.UploadModule(t.Context())
		require.NoError(t, err)
		_ = stream.Send(&apiv1.UploadModuleRequest{Digest: digestOf(code), Name: "x", Chunk: code}) // the answer says why it failed
		_, err = stream.CloseAndReceive()
		return err
	}
	require.Eventually(t, func() bool {
		err := upload()
		require.True(t, err == nil || apierr.Info(err).GetReason() == apierr.ReasonOverloaded, "%v", err)
		return err == nil
	}, time.Minute, 10*time.Millisecond)
	err = <-end
	require.ErrorContains(t, err, "too slowly while others waited")
	require.True(t, retry.Retryable(err))
}

// TestModulesComeAndGo uploads a module, asks whether it need be uploaded, and fetches it.
func TestModulesComeAndGo(t *testing.T) {
	b := newBench(t, nil)
	addr := serve(t, b.l.c)
	h := transport.NewClient(transport.NewHTTPClient(), addr)
	control, cluster := apiv1connect.NewControlClient(h), apiv1connect.NewClusterClient(h)
	code := bytes.Repeat([]byte("wasm"), transport.ChunkBytes/2+1)
	digest := digestOf(code)

	list, err := control.ListModules(t.Context(), &apiv1.ListModulesRequest{Digest: digest})
	require.NoError(t, err)
	require.Empty(t, list.Modules)

	send := func(digest string) error {
		stream, err := control.UploadModule(t.Context())
		require.NoError(t, err)
		require.NoError(t, stream.Send(&apiv1.UploadModuleRequest{Digest: digest, Name: "x.wasm", Chunk: code[:100]}))
		require.NoError(t, stream.Send(&apiv1.UploadModuleRequest{Chunk: code[100:]}))
		_, err = stream.CloseAndReceive()
		return err
	}
	require.ErrorContains(t, send(digestOf([]byte("other"))), "arrived with digest")
	require.NoError(t, send(digest))
	require.NoError(t, send(digest), "again")

	list, err = control.ListModules(t.Context(), &apiv1.ListModulesRequest{Digest: digest})
	require.NoError(t, err)
	require.Len(t, list.Modules, 1)
	require.EqualValues(t, len(code), list.Modules[0].Size)

	fetched, err := cluster.FetchModule(t.Context(), &apiv1.FetchModuleRequest{Digest: digest})
	require.NoError(t, err)
	var got []byte
	for {
		m, err := fetched.Receive()
		if err != nil {
			break
		}
		got = append(got, m.Chunk...)
	}
	require.True(t, bytes.Equal(code, got))
	require.NoError(t, os.Remove(b.l.c.modules.path(digest)))
	list, err = control.ListModules(t.Context(), &apiv1.ListModulesRequest{Digest: digest})
	require.NoError(t, err)
	require.Empty(t, list.Modules, "known, but no server has it: it is to be uploaded again")
}

// TestStartForgetsUnfinishedUploads: what a process left behind unfinished goes at the next start.
func TestStartForgetsUnfinishedUploads(t *testing.T) {
	dir := t.TempDir()
	s, err := newModuleStore(dir)
	require.NoError(t, err)
	in, err := s.begin("d")
	require.NoError(t, err)
	require.NoError(t, in.add([]byte("half")))
	_, err = newModuleStore(dir)
	require.NoError(t, err)
	entries, err := os.ReadDir(s.dir)
	require.NoError(t, err)
	require.Empty(t, entries)
}

// TestModulesAreBounded: a byte more than a module may have ends its upload.
func TestModulesAreBounded(t *testing.T) {
	s, err := newModuleStore(t.TempDir())
	require.NoError(t, err)
	in, err := s.begin("d")
	require.NoError(t, err)
	defer in.drop()
	in.size = fsm.MaxModuleBytes - 1 // have come
	require.NoError(t, in.add([]byte("x")))
	require.Equal(t, connect.CodeInvalidArgument, connect.CodeOf(in.add([]byte("x"))))
}

// TestModuleStoreThatCannotBeOpened says which file it is about, and what to do.
func TestModuleStoreThatCannotBeOpened(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "modules"), nil, 0o600))
	_, err := newModuleStore(dir)
	require.ErrorContains(t, err, filepath.Join(dir, "modules"))
	require.ErrorContains(t, err, "mend that and start again")
}
