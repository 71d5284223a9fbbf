package main

import (
	"context"
	"testing"

	"connectrpc.com/connect/v2"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/api/v1/apiv1connect"
)

func TestIncomplete(t *testing.T) {
	tl := newTail(nil, "a", false, nil, nil)
	require.NoError(t, tl.incomplete())
	tl.missing["host h2 is gone"] = []int32{9, 2, 1, 3, 4, 5, 6}
	tl.missing["host h1 does not keep it"] = []int32{0}
	require.EqualError(t, tl.incomplete(),
		"the output of rank 0 is incomplete: host h1 does not keep it; the output of ranks 1, 2, 3, 4, 5 and 2 more is incomplete: host h2 is gone")
	require.Equal(t, exitFailed, exitCode(tl.incomplete()))
}

// breaks is a server whose first stream of output breaks off before there is a line, and lines are written before the next.
type breaks struct {
	apiv1connect.UnimplementedControlHandler
	asked []*apiv1.LogsRequest
}

func (b *breaks) Logs(_ context.Context, req *apiv1.LogsRequest, stream apiv1connect.ControlLogsServerStream) error {
	b.asked = append(b.asked, req)
	if len(b.asked) == 1 {
		if err := stream.Send(&apiv1.LogsResponse{Begin: []*apiv1.LogPosition{{Rank: 0, Seq: 7}, {Rank: 1, Seq: 2}}}); err != nil {
			return err
		}
		return connect.NewError(connect.CodeUnavailable, "broke")
	}
	next := map[int32]uint64{0: 9, 1: 9} // as many are there now
	for _, p := range req.From {
		next[p.Rank] = p.Seq
	}
	for rank, seq := range next {
		for ; seq < 9; seq++ {
			if err := stream.Send(&apiv1.LogsResponse{Lines: []*apiv1.LogLine{{Rank: rank, Seq: seq}}}); err != nil {
				return err
			}
		}
	}
	return nil
}

// TestTailGoesOnFromWhereItBegan: of the lines that are written while a stream is broken none is lost, though none had come before.
func TestTailGoesOnFromWhereItBegan(t *testing.T) {
	b := new(breaks)
	got := map[int32][]uint64{}
	tl := newTail(serveControl(t, b), "a", true, nil, func(l *apiv1.LogLine) error {
		got[l.Rank] = append(got[l.Rank], l.Seq)
		return nil
	})
	tl.last = proto.Uint64(0)
	require.NoError(t, tl.run(t.Context()))
	require.Len(t, b.asked, 2)
	require.Equal(t, map[int32][]uint64{0: {7, 8}, 1: {2, 3, 4, 5, 6, 7, 8}}, got)
	<-tl.started
}

// TestGapIsIncomplete: lines that their host could not store are told of in their place, and by the exit code.
func TestGapIsIncomplete(t *testing.T) {
	tl := newTail(nil, "a", false, nil, func(*apiv1.LogLine) error { return nil })
	require.NoError(t, tl.lines([]*apiv1.LogLine{{Rank: 1}, {Rank: 1, Seq: 1}}))
	require.NoError(t, tl.incomplete())
	require.NoError(t, tl.lines([]*apiv1.LogLine{{Rank: 1, Seq: 2, Lost: 5}, {Rank: 1, Seq: 7}, {Rank: 1, Seq: 8, Lost: 1}}))
	require.EqualError(t, tl.incomplete(), "the output of rank 1 is incomplete: lines of it are lost, as is said in their place")
	require.Equal(t, exitFailed, exitCode(tl.incomplete()))
}

// TestAwaitedIsSaidOnce: what is waited for is said once of each host, however often the stream is made anew.
func TestAwaitedIsSaidOnce(t *testing.T) {
	var said []string
	tl := newTail(nil, "a", false, nil, nil)
	tl.await(&apiv1.AwaitedOutput{Host: "w1", Ranks: []int32{0, 1}})
	tl.waits = func(what string) { said = append(said, what) }
	for range 2 {
		tl.await(&apiv1.AwaitedOutput{Host: "w1", Ranks: []int32{0, 1}})
		tl.await(&apiv1.AwaitedOutput{Host: "w2", Ranks: []int32{2}})
	}
	tl.await(&apiv1.AwaitedOutput{Host: "w3", Ranks: []int32{3}, Reason: "cannot read them"})
	require.Equal(t, []string{
		"waits for host w1 (ranks 0, 1), which does not answer", "waits for host w2 (rank 2), which does not answer",
		"waits for host w3 (rank 3), which cannot read them",
	}, said)
}

// finds is a server whose first stream says that output is missing, and breaks off; the next has it.
type finds struct {
	apiv1connect.UnimplementedControlHandler
	asked int
}

func (f *finds) Logs(_ context.Context, _ *apiv1.LogsRequest, stream apiv1connect.ControlLogsServerStream) error {
	f.asked++
	if f.asked == 1 {
		if err := stream.Send(&apiv1.LogsResponse{Missing: []*apiv1.MissingOutput{{Rank: 0, Reason: "host w1 does not answer"}}}); err != nil {
			return err
		}
		return connect.NewError(connect.CodeUnavailable, "broke")
	}
	return stream.Send(&apiv1.LogsResponse{Lines: []*apiv1.LogLine{{Rank: 0}}})
}

// TestMissingIsFound: what one stream could not have and the next has is not missing.
func TestMissingIsFound(t *testing.T) {
	tl := newTail(serveControl(t, new(finds)), "a", false, nil, func(*apiv1.LogLine) error { return nil })
	require.NoError(t, tl.run(t.Context()))
	require.NoError(t, tl.incomplete())
	<-tl.started
}
