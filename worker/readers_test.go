package worker

import (
	"errors"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/netip"
	"os"
	"testing"
	"time"

	"connectrpc.com/connect/v2"
	"github.com/stretchr/testify/require"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/api/v1/apiv1connect"
	"github.com/godwit-run/godwit/internal/apierr"
	"github.com/godwit-run/godwit/internal/gate"
	"github.com/godwit-run/godwit/internal/transport"
)

// serveLogs answers ReadLogs of a store until the test ends.
func serveLogs(t *testing.T, logs *logStore) apiv1connect.DataClient {
	t.Helper()
	return apiv1connect.NewDataClient(transport.NewClient(transport.NewHTTPClient(), serveReaders(t, logs, newReaders())))
}

// serveReaders answers ReadLogs of a store, with these turns, until the test ends, and returns the address.
func serveReaders(t *testing.T, logs *logStore, turns *readers) string {
	t.Helper()
	data := dataService{&Worker{logs: logs, readers: turns, log: slog.New(slog.DiscardHandler)}}
	return serve(t, listenLocal(t), func(s *connect.Server) { apiv1connect.RegisterDataHandler(s, data) })
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
	turns := newReaders()
	client := apiv1connect.NewDataClient(transport.NewClient(transport.NewHTTPClient(), serveReaders(t, logs, turns)))
	refusal := func(from ...*apiv1.LogPosition) *apiv1.ErrorInfo {
		stream, err := client.ReadLogs(t.Context(), &apiv1.ReadLogsRequest{App: "a", Follow: true, From: from})
		require.NoError(t, err)
		_, err = stream.Receive()
		return apierr.Info(err)
	}
	require.Equal(t, "from", refusal(&apiv1.LogPosition{Rank: 1}, &apiv1.LogPosition{Rank: 1}).GetField())
	many := make([]*apiv1.LogPosition, 0, maxReaders/2)
	for rank := range int32(maxReaders / 2) {
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
	leave, err := turns.enter(netip.Addr{}, maxReaders/2)
	require.NoError(t, err, "others have the other half")
	leave()
	require.Eventually(t, func() bool { return openFiles(t, logs.dir) == written }, time.Minute, time.Millisecond)
	require.NoError(t, l.append([]*apiv1.LogLine{line(1, 1)}))
	m, err := stream.Receive()
	require.NoError(t, err)
	require.EqualValues(t, 1, m.Lines[0].Seq, "the next line, once")
}

// TestDeafReaders: who asks for output and does not take it loses the turn to others, as soon as others want it, and only then.
func TestDeafReaders(t *testing.T) {
	logs := newLogs(t)
	l, err := logs.app("a")
	require.NoError(t, err)
	const lines = 300 // of 10 kB that do not compress: more than a client takes that does not read
	noise := rand.NewChaCha8([32]byte{})
	for seq := range uint64(lines) {
		x := line(0, seq)
		x.Text = make([]byte, 10_000)
		_, err := noise.Read(x.Text)
		require.NoError(t, err)
		require.NoError(t, l.append([]*apiv1.LogLine{x}))
	}
	const places, window = 2, 200 * time.Millisecond
	turns := newReaders()
	turns.reading = gate.New(gate.Config{Places: places, Waiting: maxReaders, Floor: 1, Window: window, Patience: time.Hour})
	addr := serveReaders(t, logs, turns)
	ask := func(from uint64) apiv1connect.DataReadLogsClientStream {
		client := apiv1connect.NewDataClient(transport.NewClient(transport.NewHTTPClient(), addr)) // a connection of its own
		stream, err := client.ReadLogs(t.Context(), &apiv1.ReadLogsRequest{App: "a", From: []*apiv1.LogPosition{{Rank: 0, Seq: from}}})
		require.NoError(t, err)
		return stream
	}
	deaf := make([]apiv1connect.DataReadLogsClientStream, 3*places)
	for i := range deaf {
		deaf[i] = ask(0)
	}
	require.Eventually(t, func() bool { return turns.reading.Inside() == places && turns.reading.Waiting() == 0 }, time.Minute, time.Millisecond)
	time.Sleep(2 * window)
	require.Equal(t, places, turns.reading.Inside(), "nobody else wants them")
	next := uint64(0)
	for next < lines { // on a slow machine this reader may lose its turn too, and goes on from where it was
		stream := ask(next)
		for {
			m, err := stream.Receive()
			if err != nil {
				break
			}
			for _, x := range m.Lines {
				require.Equal(t, next, x.Seq)
				next++
			}
		}
	}
}

// TestFaultOfOneRank: a rank whose output is elsewhere, gone or broken is told of, and the others are given.
func TestFaultOfOneRank(t *testing.T) {
	logs := newLogs(t)
	l, err := logs.app("a")
	require.NoError(t, err)
	var from []*apiv1.LogPosition
	for rank := range int32(5) {
		require.NoError(t, l.append([]*apiv1.LogLine{line(rank, 0)}))
		l.finish(rank)
		from = append(from, &apiv1.LogPosition{Rank: rank})
	}
	require.NoError(t, l.moved(1))
	require.NoError(t, os.Remove(l.path(2)))
	require.NoError(t, os.WriteFile(l.path(3), []byte{0xff}, 0o600))
	for _, follow := range []bool{false, true} {
		stream, err := serveLogs(t, logs).ReadLogs(t.Context(), &apiv1.ReadLogsRequest{App: "a", From: from, Follow: follow})
		require.NoError(t, err)
		lines, faults, complete := map[int32]string{}, map[int32]apiv1.OutputFault_Kind{}, map[int32]bool{}
		for {
			m, err := stream.Receive()
			if errors.Is(err, io.EOF) {
				break
			}
			require.NoError(t, err)
			for _, l := range m.Lines {
				lines[l.Rank] = string(l.Text)
			}
			for _, f := range m.Faults {
				faults[f.Rank] = f.Kind
				require.NotEmpty(t, f.Reason)
				require.NotContains(t, f.Reason, logs.dir)
			}
			for _, r := range m.Complete {
				complete[r] = true
			}
		}
		require.Equal(t, map[int32]string{0: "rank 0 line 0", 4: "rank 4 line 0"}, lines)
		require.Equal(t, map[int32]bool{0: true, 4: true}, complete)
		require.Equal(t, map[int32]apiv1.OutputFault_Kind{1: apiv1.OutputFault_KIND_MOVED, 2: apiv1.OutputFault_KIND_GONE, 3: apiv1.OutputFault_KIND_UNSPECIFIED}, faults)
	}
}

// TestOneCallHasFewTurns: it takes no more than its share of them, however many ranks it reads.
func TestOneCallHasFewTurns(t *testing.T) {
	logs := newLogs(t)
	l, err := logs.app("a")
	require.NoError(t, err)
	noise := rand.NewChaCha8([32]byte{})
	var from []*apiv1.LogPosition
	for rank := range int32(20) {
		for seq := range uint64(50) {
			x := line(rank, seq)
			x.Text = make([]byte, 10_000)
			_, err := noise.Read(x.Text)
			require.NoError(t, err)
			require.NoError(t, l.append([]*apiv1.LogLine{x}))
		}
		from = append(from, &apiv1.LogPosition{Rank: rank})
	}
	l.close()
	stream, err := serveLogs(t, logs).ReadLogs(t.Context(), &apiv1.ReadLogsRequest{App: "a", From: from})
	require.NoError(t, err)
	require.Eventually(t, func() bool { return openFiles(t, logs.dir) == readingOfOne }, time.Minute, time.Millisecond)
	seen := 0
	for {
		require.LessOrEqual(t, openFiles(t, logs.dir), readingOfOne)
		m, err := stream.Receive()
		if errors.Is(err, io.EOF) {
			break
		}
		require.NoError(t, err)
		seen += len(m.Lines)
	}
	require.Equal(t, 1000, seen)
}
