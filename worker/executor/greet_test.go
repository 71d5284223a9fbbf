package executor

import (
	"bytes"
	"context"
	"net"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/mem"

	"github.com/godwit-run/godwit/internal/listen"
	"github.com/godwit-run/godwit/internal/pipe"
)

// TestSilentCallers: who calls an executor and does not say which host it is holds up nobody, however many they are, and goes; a name as
// long as a message is none.
func TestSilentCallers(t *testing.T) {
	h1, h2, addr, _ := twoNetworks(t)
	var streams []grpc.ClientStream
	call := func() grpc.ClientStream {
		conn, err := listen.Dial(t.Context(), addr, pipe.RankProtocol, "a", "h1")
		require.NoError(t, err)
		once := make(chan net.Conn, 1)
		once <- conn
		cc, err := grpc.NewClient("passthrough:///h2", h1.dialOptions(once)...)
		require.NoError(t, err)
		t.Cleanup(func() { _ = cc.Close() })
		desc := &grpc.StreamDesc{StreamName: "Link", ServerStreams: true, ClientStreams: true}
		s, err := cc.NewStream(context.WithoutCancel(t.Context()), desc, linkMethod, grpc.ForceCodecV2(frameCodec{}))
		require.NoError(t, err)
		return s
	}
	for range 2 * maxGreeting {
		streams = append(streams, call())
	}
	long := call()
	require.NoError(t, long.SendMsg(&batch{out: mem.BufferSlice{mem.SliceBuffer(bytes.Repeat([]byte("h"), maxPeerName+1))}}))
	require.ErrorContains(t, long.RecvMsg(new(batch)), "name has")
	h2.route(table(1, addr, "h1", "h2"))
	h1.route(table(1, addr, "h1", "h2"))
	eventually(t, "a link", func() bool { _, up := h1.linked("h2"); return up })
	h2.greetings.mu.Lock()
	require.LessOrEqual(t, len(h2.greetings.open), maxGreeting)
	h2.greetings.mu.Unlock()
	for _, s := range streams {
		require.Error(t, s.RecvMsg(new(batch)))
	}
	eventually(t, "nobody waits", func() bool {
		h2.greetings.mu.Lock()
		defer h2.greetings.mu.Unlock()
		return len(h2.greetings.open) == 0
	})
}
