package worker

import (
	"log/slog"
	"net"
	"net/http"
	"os"
	"testing"
	"time"

	"connectrpc.com/connect/v2"
	"github.com/stretchr/testify/require"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/api/v1/apiv1connect"
	"github.com/godwit-run/godwit/internal/apierr"
	"github.com/godwit-run/godwit/internal/transport"
)

// serveLogs answers ReadLogs of a store until the test ends.
func serveLogs(t *testing.T, logs *logStore) apiv1connect.DataClient {
	t.Helper()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	s := connect.NewServer()
	apiv1connect.RegisterDataHandler(s, dataService{&Worker{logs: logs, readers: newReaders(), log: slog.New(slog.DiscardHandler)}})
	mux := http.NewServeMux()
	transport.Mount(mux, s)
	done := make(chan error, 1)
	go func() { done <- transport.Serve(t.Context(), l, mux) }()
	t.Cleanup(func() { require.NoError(t, <-done) })
	return apiv1connect.NewDataClient(transport.NewClient(transport.NewHTTPClient(), l.Addr().String()))
}

// openFiles are this process's descriptors of files below a directory.
func openFiles(t *testing.T, dir string) (n int) {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	require.NoError(t, err)
	for _, e := range entries {
		if at, err := os.Readlink("/proc/self/fd/" + e.Name()); err == nil && len(at) > len(dir) && at[:len(dir)] == dir {
			n++
		}
	}
	return n
}

// TestReadersAreBounded: a rank is named once, so many are followed and no more, and one that waits for lines holds no file.
func TestReadersAreBounded(t *testing.T) {
	logs := newLogs(t)
	l, err := logs.app("a")
	require.NoError(t, err)
	require.NoError(t, l.append([]*apiv1.LogLine{line(0, 0), line(1, 0)}))
	written := openFiles(t, logs.dir)
	client := serveLogs(t, logs)
	refusal := func(from ...*apiv1.LogPosition) *apiv1.ErrorInfo {
		stream, err := client.ReadLogs(t.Context(), &apiv1.ReadLogsRequest{App: "a", Follow: true, From: from})
		require.NoError(t, err)
		_, err = stream.Receive()
		return apierr.Info(err)
	}
	require.Equal(t, "from", refusal(&apiv1.LogPosition{Rank: 1}, &apiv1.LogPosition{Rank: 1}).GetField())
	many := make([]*apiv1.LogPosition, 0, maxReaders+1)
	for rank := range int32(maxReaders) {
		many = append(many, &apiv1.LogPosition{Rank: rank})
	}
	stream, err := client.ReadLogs(t.Context(), &apiv1.ReadLogsRequest{App: "a", Follow: true, From: many})
	require.NoError(t, err)
	for range 2 {
		m, err := stream.Receive()
		require.NoError(t, err)
		require.Len(t, m.Lines, 1)
	}
	require.Equal(t, apierr.ReasonOverloaded, refusal(&apiv1.LogPosition{Rank: 0}).GetReason())
	require.Eventually(t, func() bool { return openFiles(t, logs.dir) == written }, time.Minute, time.Millisecond)
	require.NoError(t, l.append([]*apiv1.LogLine{line(1, 1)}))
	m, err := stream.Receive()
	require.NoError(t, err)
	require.EqualValues(t, 1, m.Lines[0].Seq, "the next line, once")
}
