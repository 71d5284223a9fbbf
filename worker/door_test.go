package worker

import (
	"bytes"
	"context"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"connectrpc.com/connect/v2"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/encoding/protodelim"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/api/v1/apiv1connect"
	"github.com/godwit-run/godwit/internal/transport"
)

// dial serves the port of the bench's worker and returns a client of it.
func (b *bench) dial() apiv1connect.DataClient {
	b.t.Helper()
	w := b.a.host
	w.http = transport.NewHTTPClient()
	l, err := new(net.ListenConfig).Listen(b.t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(b.t, err)
	w.dataConns = l
	ctx, stop := context.WithCancel(context.Background())
	over := make(chan struct{})
	go func() { defer close(over); _ = w.serveData(ctx) }()
	b.t.Cleanup(func() { stop(); w.http.CloseIdleConnections(); <-over })
	return apiv1connect.NewDataClient(transport.NewClient(w.http, l.Addr().String()))
}

// serve plays the app's goroutine until the test ends.
func (b *bench) serve() {
	b.a.host.apps["a"] = b.a
	stop, over := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(over)
		for {
			select {
			case f := <-b.a.inbox:
				f()
			case <-stop:
				return
			}
		}
	}()
	b.t.Cleanup(func() { close(stop); <-over })
}

// An id from the wire is refused unless it has the form of one, and no file outside of the data directory changes.
func TestIdsNeverBecomePaths(t *testing.T) {
	b := newBench(t)
	b.serve()
	client := b.dial()
	victim := filepath.Join(filepath.Dir(b.a.host.cfg.DataDir), "victim")
	require.NoError(t, os.MkdirAll(victim, 0o700))
	precious := filepath.Join(victim, "0.log")
	require.NoError(t, os.WriteFile(precious, []byte("precious"), 0o600))
	for _, id := range []string{"../../victim", "..", ".", "", "/", "a/../../victim", "a\x00b", victim, strings.Repeat("a", 5000), "A"} {
		stream, err := client.ReadLogs(t.Context(), &apiv1.ReadLogsRequest{App: id, From: []*apiv1.LogPosition{{Rank: 0}}})
		if err == nil {
			_, err = stream.Receive()
		}
		require.Equal(t, connect.CodeInvalidArgument, connect.CodeOf(err), "%.100q: %v", id, err)
		_, err = client.Inspect(t.Context(), &apiv1.InspectRequest{App: id})
		require.Equal(t, connect.CodeInvalidArgument, connect.CodeOf(err), "%.100q: %v", id, err)
		for _, h := range []*apiv1.TransferHeader{{App: id, Migration: "m1"}, {App: "a", Migration: id}, {App: "a", Migration: "m1", Rank: -1}} {
			require.Equal(t, connect.CodeInvalidArgument, connect.CodeOf(transferOf(t, client, h, nil)), "%.100q", h)
		}
		_, err = b.a.host.logs.app(id)
		require.Error(t, err)
		_, err = b.a.host.arrivalDir(id)
		require.Error(t, err)
		require.Error(t, b.a.host.handOver(nil, []string{id, "h2"}))
		_, _, err = b.a.host.modules.use(t.Context(), id)
		require.Error(t, err)
		b.a.host.follow(t.Context(), &apiv1.AppRecord{App: &apiv1.App{Id: id, Phase: "running"}})
		require.Len(t, b.a.host.apps, 1)
	}
	stream, err := client.ReadLogs(t.Context(), &apiv1.ReadLogsRequest{App: "a", From: []*apiv1.LogPosition{{Rank: -1}}})
	if err == nil {
		_, err = stream.Receive()
	}
	require.Equal(t, connect.CodeInvalidArgument, connect.CodeOf(err))
	text, err := os.ReadFile(precious)
	require.NoError(t, err)
	require.Equal(t, "precious", string(text))
}

// transferOf sends a rank's log.
func transferOf(t *testing.T, client apiv1connect.DataClient, h *apiv1.TransferHeader, log []byte) error {
	t.Helper()
	stream, err := client.Transfer(t.Context())
	require.NoError(t, err)
	for _, m := range []*apiv1.TransferRequest{
		{Msg: &apiv1.TransferRequest_Header{Header: h}},
		{Msg: &apiv1.TransferRequest_Log{Log: log}},
		{Msg: &apiv1.TransferRequest_End{End: &apiv1.TransferEnd{LogBytes: int64(len(log))}}},
	} {
		if stream.Send(m) != nil {
			break // the answer says why
		}
	}
	_, err = stream.CloseAndReceive()
	return err
}

// records are lines as a log holds them.
func records(t *testing.T, lines ...*apiv1.LogLine) []byte {
	t.Helper()
	var b bytes.Buffer
	for _, l := range lines {
		_, err := protodelim.MarshalTo(&b, l)
		require.NoError(t, err)
	}
	return b.Bytes()
}

// A transfer changes nothing of what is here unless all of it is as it should be: it is of the migration under way, of a rank that
// is not here, and its log is whole.
func TestTransferIsCheckedWhole(t *testing.T) {
	b := newBench(t)
	require.NoError(t, b.a.output.append([]*apiv1.LogLine{line(0, 0), line(1, 0)}))
	b.migration("announced", 1, "h2", "h1")
	b.serve()
	client := b.dial()
	good := records(t, line(1, 0), line(1, 1))
	header := func(change func(*apiv1.TransferHeader)) *apiv1.TransferHeader {
		h := &apiv1.TransferHeader{App: "a", Migration: "m1", Rank: 1, From: "h2"}
		change(h)
		return h
	}
	for name, tt := range map[string]struct {
		header *apiv1.TransferHeader
		log    []byte
	}{
		"a rank that runs here": {header(func(h *apiv1.TransferHeader) { h.Rank = 0 }), records(t, line(0, 0), line(0, 1))},
		"another migration":     {header(func(h *apiv1.TransferHeader) { h.Migration = "m0" }), good},
		"another source":        {header(func(h *apiv1.TransferHeader) { h.From = "h3" }), good},
		"another app":           {header(func(h *apiv1.TransferHeader) { h.App = "b" }), good},
		"a rank out of range":   {header(func(h *apiv1.TransferHeader) { h.Rank = 1000 }), good},
		"a torn log":            {header(func(*apiv1.TransferHeader) {}), good[:len(good)-3]},
		"a log of noise":        {header(func(*apiv1.TransferHeader) {}), bytes.Repeat([]byte{0xff}, 100)},
		"lines of another rank": {header(func(*apiv1.TransferHeader) {}), records(t, line(0, 0))},
		"lines out of order":    {header(func(*apiv1.TransferHeader) {}), records(t, line(1, 1), line(1, 0))},
	} {
		t.Run(name, func(t *testing.T) {
			err := transferOf(t, client, tt.header, tt.log)
			require.Contains(t, []connect.Code{connect.CodeFailedPrecondition, connect.CodeDataLoss}, connect.CodeOf(err), err)
			for rank := range int32(2) {
				seqs, _ := collect(t, b.a.output, rank, 0)
				require.Equal(t, []uint64{0}, seqs, "rank %d", rank)
			}
			require.Empty(t, arrived(t, b.a.host))
		})
	}
	require.NoError(t, transferOf(t, client, header(func(*apiv1.TransferHeader) {}), good))
	seqs, _ := collect(t, b.a.output, 1, 0)
	require.Equal(t, []uint64{0, 1}, seqs)

	err := transferOf(t, client, header(func(*apiv1.TransferHeader) {}), records(t, line(1, 0)))
	require.Equal(t, connect.CodeFailedPrecondition, connect.CodeOf(err), "what came first and whole counts")
	require.Empty(t, arrived(t, b.a.host))
}

// arrived are the parts of logs that have come and are nobody's yet.
func arrived(t *testing.T, w *Worker) []string {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(w.cfg.dir("arrivals"), "*", "*"))
	require.NoError(t, err)
	return names
}
