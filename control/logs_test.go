package control

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"connectrpc.com/connect/v2"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/api/v1/apiv1connect"
	"github.com/godwit-run/godwit/fsm"
	"github.com/godwit-run/godwit/internal/apierr"
	"github.com/godwit-run/godwit/internal/transport"
)

// ReadLogs implements the Data service: a line for each rank, if the host keeps the app's output.
func (f fakeHost) ReadLogs(_ context.Context, req *apiv1.ReadLogsRequest, stream apiv1connect.DataReadLogsServerStream) error {
	if f.logs != nil {
		return f.logs(req, stream)
	}
	if !f.keeps {
		return apierr.New(connect.CodeNotFound, apierr.ReasonNotFound, "app", "nothing of it here", "")
	}
	for _, p := range req.From {
		said := "hello"
		if req.Tail != nil {
			said = fmt.Sprintf("the last %d since %d", req.GetTail(), req.SinceMs)
		}
		m := &apiv1.ReadLogsResponse{Lines: []*apiv1.LogLine{{Rank: p.Rank, Text: []byte(said)}}, Complete: []int32{p.Rank}}
		if err := stream.Send(m); err != nil {
			return err
		}
	}
	return nil
}

// TestMissingOutput: what a rank that has run wrote, and nobody has any more, is told of.
func TestMissingOutput(t *testing.T) {
	b := newBench(t, nil)
	b.addrs["h1"] = fakeHost{keeps: true}.serve(t)
	b.addrs["h2"] = fakeHost{}.serve(t)
	b.running()
	client := apiv1connect.NewControlClient(transport.NewClient(transport.NewHTTPClient(), serve(t, b.l.c)))
	read := func() (lines []int32, missing map[int32]string) {
		t.Helper()
		stream, err := client.Logs(t.Context(), &apiv1.LogsRequest{App: "a"})
		require.NoError(t, err)
		missing = map[int32]string{}
		for {
			m, err := stream.Receive()
			if errors.Is(err, io.EOF) {
				return lines, missing
			}
			require.NoError(t, err)
			for _, l := range m.Lines {
				lines = append(lines, l.Rank)
			}
			for _, m := range m.Missing {
				missing[m.Rank] = m.Reason
			}
		}
	}
	lines, missing := read()
	require.ElementsMatch(t, []int32{0, 1}, lines)
	require.Empty(t, missing, "it runs: its output may come")
	b.end()
	b.l.takeReports(b.ctx)
	require.Equal(t, "cancelled", b.app("a").Phase)
	lines, missing = read()
	require.ElementsMatch(t, []int32{0, 1}, lines)
	require.Len(t, missing, 2)
	require.Contains(t, missing[2], "host h2 does not keep it any more")
	lost, _ := b.l.endHost(b.ctx, "h1", "i-h1", fsm.Lost, "test")
	require.True(t, lost)
	lines, missing = read()
	require.Empty(t, lines)
	require.Contains(t, missing[0], "host h1 is gone")

	b.submit("never", &apiv1.AppSpec{Size: 1})
	b.propose(&apiv1.Command{Op: &apiv1.Command_StopApp{StopApp: &apiv1.StopApp{App: "never", Phase: "cancelled"}}})
	stream, err := client.Logs(t.Context(), &apiv1.LogsRequest{App: "never"})
	require.NoError(t, err)
	_, err = stream.Receive()
	require.ErrorIs(t, err, io.EOF, "it has not run")

	// Who names more ranks than there are is told so before anything is made of them.
	for field, req := range map[string]*apiv1.LogsRequest{
		"ranks: 2 are named, and":  {App: "never", Ranks: []int32{0, 0}},
		"from: 2 are named, and":   {App: "never", From: []*apiv1.LogPosition{{}, {}}},
		"has ranks 0 to 0, not 1":  {App: "never", Ranks: []int32{1}},
		"has ranks 0 to 0, not -1": {App: "never", From: []*apiv1.LogPosition{{Rank: -1}}},
	} {
		stream, err := client.Logs(t.Context(), req)
		require.NoError(t, err)
		_, err = stream.Receive()
		require.Equal(t, connect.CodeInvalidArgument, connect.CodeOf(err))
		require.ErrorContains(t, err, field)
	}
}

// TestLogsFromTheEnd: a host is asked for the last lines of a rank only while none of them is known.
func TestLogsFromTheEnd(t *testing.T) {
	b := newBench(t, nil)
	b.addrs["h1"] = fakeHost{keeps: true}.serve(t)
	b.addrs["h2"] = fakeHost{keeps: true}.serve(t)
	b.running()
	client := apiv1connect.NewControlClient(transport.NewClient(transport.NewHTTPClient(), serve(t, b.l.c)))
	stream, err := client.Logs(t.Context(), &apiv1.LogsRequest{
		App: "a", Ranks: []int32{0, 1}, From: []*apiv1.LogPosition{{Rank: 1, Seq: 7}}, Tail: proto.Uint64(5), SinceMs: 9,
	})
	require.NoError(t, err)
	said := map[int32]string{}
	for {
		m, err := stream.Receive()
		if errors.Is(err, io.EOF) {
			break
		}
		require.NoError(t, err)
		for _, l := range m.Lines {
			said[l.Rank] = string(l.Text)
		}
	}
	require.Equal(t, map[int32]string{0: "the last 5 since 9", 1: "hello"}, said)
}

// TestTheEndIsFoundOnce: where the last lines begin is said at once, and asked from there on, though a stream breaks before the first line.
func TestTheEndIsFoundOnce(t *testing.T) {
	b := newBench(t, nil)
	asked := make(chan *apiv1.ReadLogsRequest, 8)
	broke := false
	b.addrs["h1"] = fakeHost{logs: func(req *apiv1.ReadLogsRequest, stream apiv1connect.DataReadLogsServerStream) error {
		asked <- req
		if req.Tail != nil {
			if err := stream.Send(&apiv1.ReadLogsResponse{Begin: []*apiv1.LogPosition{{Rank: 0, Seq: 7}}}); err != nil {
				return err
			}
		}
		if !broke {
			broke = true
			return connect.NewError(connect.CodeUnavailable, "broke")
		}
		if req.From[0].Seq == 7 {
			if err := stream.Send(&apiv1.ReadLogsResponse{Lines: []*apiv1.LogLine{{Rank: 0, Seq: 7}}}); err != nil {
				return err
			}
			return connect.NewError(connect.CodeUnavailable, "broke again")
		}
		return stream.Send(&apiv1.ReadLogsResponse{Lines: []*apiv1.LogLine{{Rank: 0, Seq: req.From[0].Seq}}})
	}}.serve(t)
	b.running()
	client := apiv1connect.NewControlClient(transport.NewClient(transport.NewHTTPClient(), serve(t, b.l.c)))
	stream, err := client.Logs(t.Context(), &apiv1.LogsRequest{App: "a", Ranks: []int32{0}, Follow: true, Tail: proto.Uint64(0), SinceMs: 9})
	require.NoError(t, err)
	m, err := stream.Receive()
	require.NoError(t, err)
	require.Len(t, m.Begin, 1)
	require.EqualValues(t, 7, m.Begin[0].Seq)
	m, err = stream.Receive()
	require.NoError(t, err)
	require.Len(t, m.Lines, 1)
	require.EqualValues(t, 7, m.Lines[0].Seq, "written while nobody read")
	require.NotNil(t, (<-asked).Tail)
	again := <-asked
	require.Nil(t, again.Tail)
	require.EqualValues(t, 7, again.From[0].Seq)
	m, err = stream.Receive()
	require.NoError(t, err)
	require.EqualValues(t, 8, m.Lines[0].Seq)
	again = <-asked
	require.Zero(t, again.SinceMs, "what comes is wanted, whatever the time is where the rank is now")

	// Of an app that has not begun all lines are yet to come.
	b.submit("early", &apiv1.AppSpec{Size: 1})
	stream, err = client.Logs(t.Context(), &apiv1.LogsRequest{App: "early", Follow: true, Tail: proto.Uint64(0)})
	require.NoError(t, err)
	m, err = stream.Receive()
	require.NoError(t, err)
	require.Len(t, m.Begin, 1)
	require.Zero(t, m.Begin[0].Seq)
}

// end has app a end that runs on h1 and h2.
func (b *bench) end() {
	b.t.Helper()
	b.propose(&apiv1.Command{Op: &apiv1.Command_StopApp{StopApp: &apiv1.StopApp{App: "a", Phase: "cancelled"}}})
	for _, h := range []string{"h1", "h2"} {
		st := &apiv1.AppStatus{App: "a"}
		for r := range int32(4) {
			st.Ranks = append(st.Ranks, &apiv1.RankStatus{Rank: r, Epoch: 1, State: "ended", ExitCode: 137})
		}
		b.report(h, st)
	}
	b.l.takeReports(b.ctx)
}

// hanging runs app a on h1, which takes requests for output and answers none until it is released, and h2, and has it end.
func hanging(t *testing.T) (client apiv1connect.ControlClient, release func()) {
	t.Helper()
	b := newBench(t, nil)
	released := make(chan struct{})
	b.addrs["h1"] = fakeHost{keeps: true, logs: func(req *apiv1.ReadLogsRequest, stream apiv1connect.DataReadLogsServerStream) error {
		<-released
		m := &apiv1.ReadLogsResponse{}
		for _, p := range req.From {
			m.Lines, m.Complete = append(m.Lines, &apiv1.LogLine{Rank: p.Rank}), append(m.Complete, p.Rank)
		}
		return stream.Send(m)
	}}.serve(t)
	b.addrs["h2"] = fakeHost{keeps: true}.serve(t)
	release = sync.OnceFunc(func() { close(released) })
	t.Cleanup(release)
	b.running()
	b.end()
	return apiv1connect.NewControlClient(transport.NewClient(transport.NewHTTPClient(), serve(t, b.l.c))), release
}

// TestHangingHostIsWaitedForSoLong: whose output cannot be had in time is told of, with what was waited for, and with the rest it is over.
func TestHangingHostIsWaitedForSoLong(t *testing.T) {
	t.Parallel()
	client, _ := hanging(t)
	stream, err := client.Logs(t.Context(), &apiv1.LogsRequest{App: "a", Ranks: []int32{0, 1}, WaitMs: 1})
	require.NoError(t, err)
	missing, awaited := map[int32]string{}, []*apiv1.AwaitedOutput{}
	for {
		m, err := stream.Receive()
		if errors.Is(err, io.EOF) {
			break
		}
		require.NoError(t, err)
		require.Empty(t, m.Lines)
		awaited = append(awaited, m.Awaited...)
		for _, m := range m.Missing {
			missing[m.Rank] = m.Reason
		}
	}
	require.Len(t, awaited, 1, "it is said once of a host")
	require.Equal(t, "h1", awaited[0].Host)
	require.Equal(t, []int32{0, 1}, awaited[0].Ranks)
	require.Len(t, missing, 2)
	require.Contains(t, missing[1], "host h1 does not answer")
}

// TestHangingHostIsFollowed: who follows is told what is waited for, and has it all when the host answers.
func TestHangingHostIsFollowed(t *testing.T) {
	t.Parallel()
	client, release := hanging(t)
	stream, err := client.Logs(t.Context(), &apiv1.LogsRequest{App: "a", Follow: true, WaitMs: 1})
	require.NoError(t, err)
	seen := map[int32]bool{}
	for {
		m, err := stream.Receive()
		if errors.Is(err, io.EOF) {
			break
		}
		require.NoError(t, err)
		require.Empty(t, m.Missing)
		for _, l := range m.Lines {
			seen[l.Rank] = true
		}
		if len(m.Awaited) > 0 {
			release()
		}
	}
	require.Len(t, seen, 4)
}

// TestStreamOfLinesBreaks: a host that says something all the while is not silent, whether there are lines in it or it breaks off then, though
// together it takes longer than the caller waits for one that is.
func TestStreamOfLinesBreaks(t *testing.T) {
	t.Parallel()
	b := newBench(t, nil)
	const wait, pace, last = 3 * time.Second, 300 * time.Millisecond, 12
	b.addrs["h1"] = fakeHost{logs: func(req *apiv1.ReadLogsRequest, stream apiv1connect.DataReadLogsServerStream) error {
		signs := last
		if req.From[0].Seq > 0 {
			signs = 2
		}
		for range signs { // its turn is yet to come
			if err := errors.Join(pause(t.Context(), pace), stream.Send(&apiv1.ReadLogsResponse{})); err != nil {
				return err
			}
		}
		for seq := req.From[0].Seq; seq < min(last, req.From[0].Seq+3); seq++ {
			if err := errors.Join(pause(t.Context(), pace), stream.Send(&apiv1.ReadLogsResponse{Lines: []*apiv1.LogLine{{Rank: 0, Seq: seq}}})); err != nil {
				return err
			}
		}
		if req.From[0].Seq == last {
			return stream.Send(&apiv1.ReadLogsResponse{Lines: []*apiv1.LogLine{{Rank: 0, Seq: last}}})
		}
		return connect.NewError(connect.CodeResourceExhausted, "taken too slowly")
	}}.serve(t)
	b.running()
	client := apiv1connect.NewControlClient(transport.NewClient(transport.NewHTTPClient(), serve(t, b.l.c)))
	stream, err := client.Logs(t.Context(), &apiv1.LogsRequest{App: "a", Ranks: []int32{0}, WaitMs: uint64(wait.Milliseconds())})
	require.NoError(t, err)
	for seq := range uint64(last + 1) {
		m, err := stream.Receive()
		for err == nil && len(m.Awaited) > 0 {
			require.Equal(t, busyText, m.Awaited[0].Reason)
			m, err = stream.Receive()
		}
		require.NoError(t, err)
		require.Empty(t, m.Missing)
		require.Len(t, m.Lines, 1)
		require.Equal(t, seq, m.Lines[0].Seq)
	}
}

// pause returns after d, or when ctx ends.
func pause(ctx context.Context, d time.Duration) error { return await(ctx, nil, d) }

// TestSilentHostIsAskedAgain: before the caller's wait is over, for it may only have lost the question.
func TestSilentHostIsAskedAgain(t *testing.T) {
	t.Parallel()
	b := newBench(t, nil)
	var asked atomic.Int32
	stop := make(chan struct{})
	t.Cleanup(func() { close(stop) })
	b.addrs["h1"] = fakeHost{logs: func(*apiv1.ReadLogsRequest, apiv1connect.DataReadLogsServerStream) error {
		asked.Add(1)
		<-stop
		return nil
	}}.serve(t)
	b.running()
	b.end()
	client := apiv1connect.NewControlClient(transport.NewClient(transport.NewHTTPClient(), serve(t, b.l.c)))
	_, missing := allOf(t, client, &apiv1.LogsRequest{App: "a", Ranks: []int32{0}, WaitMs: uint64(2 * logSilence.Milliseconds())})
	require.Contains(t, missing[0], "host h1 does not answer")
	require.Greater(t, asked.Load(), int32(1))
}

// TestRankSettles: what is remembered of a rank's troubles is over with its next line, and what a host says that it cannot give is missing though
// nobody has heard that the rank has run there.
func TestRankSettles(t *testing.T) {
	b := newBench(t, nil)
	b.running()
	out := make(chan *apiv1.LogsResponse, 2)
	tail := newAppTail(b.l.c, "a", out)
	r := &rankTail{appTail: tail, failures: 7, failing: time.Now(), since: 9, at: place{host: "h1", over: true}}
	r.took(&apiv1.LogLine{Seq: 4, Lost: 3})
	require.Equal(t, &rankTail{appTail: tail, next: 7, at: r.at}, r)
	require.NoError(t, r.begin(t.Context(), 99))
	require.EqualValues(t, 7, r.next, "where its lines begin was found out")
	for _, err := range []error{errElsewhere, errUnsaid, errSilent, connect.NewError(connect.CodeUnavailable, "x"), connect.NewError(connect.CodeCanceled, "x")} {
		require.NoError(t, r.settle(t.Context(), err, time.Now()))
		require.Zero(t, r.failures, "it may come back")
		require.False(t, r.over)
	}
	require.Empty(t, out)
	r.failures = maxLogFailures
	require.NoError(t, r.settle(t.Context(), errors.New("input/output error"), time.Now()))
	require.True(t, r.over)
	require.Contains(t, (<-out).Missing[0].Reason, "does not give it (input/output error)")

	first := time.Now()
	require.Equal(t, first, tail.fallsSilent("h1", first))
	require.Equal(t, first, tail.fallsSilent("h1", first.Add(time.Second)))
	require.Equal(t, first, tail.silentSince("h1"))
	tail.answers("h1")
	require.Zero(t, tail.silentSince("h1"))
}

// TestAnotherHostAnswersAnew: what the host answered that a rank was on counts no more where it is now, though it has written nothing since.
func TestAnotherHostAnswersAnew(t *testing.T) {
	b := newBench(t, nil)
	b.running()
	tail := newAppTail(b.l.c, "a", make(chan *apiv1.LogsResponse))
	tail.follow = true
	r := &rankTail{appTail: tail, rank: 0}
	hosts, _, err := tail.place(t.Context(), []*rankTail{r})
	require.NoError(t, err)
	require.Len(t, hosts, 1)
	require.NoError(t, r.fault(t.Context(), errElsewhere))
	r.failures, r.again = 7, time.Time{}
	_, _, err = tail.place(t.Context(), []*rankTail{r})
	require.NoError(t, err)
	require.NotZero(t, r.failing, "it is still there")
	require.Equal(t, 7, r.failures)
	r.at.host, r.again = "another", time.Time{} // where it was until now
	_, _, err = tail.place(t.Context(), []*rankTail{r})
	require.NoError(t, err)
	require.Equal(t, "h1", r.at.host)
	require.Zero(t, r.failing)
	require.Zero(t, r.failures)
}

// TestRanksComeBackByTheSteadyClock: whoever sets the other one back holds up nobody; those that come back shortly after each other go together.
func TestRanksComeBackByTheSteadyClock(t *testing.T) {
	tail := newAppTail(nil, "a", nil)
	require.Contains(t, tail.soon().String(), " m=", "the monotonic clock's reading")
	require.Zero(t, tail.soon().Sub(tail.began)%logRetry)
	tail.began = time.Now().Add(-time.Hour - logRetry/3)
	at := time.Until(tail.soon())
	require.Positive(t, at)
	require.LessOrEqual(t, at, 2*logRetry)
}

// TestOneSignIsNoNews: ranks that say nothing for long, and then wait once for their turn to be read, are not held up; that a host is busy is told besides
// that it does not answer.
func TestOneSignIsNoNews(t *testing.T) {
	b := newBench(t, nil)
	b.running()
	synctest.Test(t, func(t *testing.T) {
		out := make(chan *apiv1.LogsResponse, 2)
		h := &hostTail{appTail: newAppTail(b.l.c, "a", out), question: question{host: "h1"}, ranks: map[int32]*rankTail{}}
		sign := func(said int) {
			t.Helper()
			require.NoError(t, h.take(t.Context(), &apiv1.ReadLogsResponse{}))
			require.Len(t, out, said)
		}
		time.Sleep(time.Hour)
		sign(0)
		time.Sleep(logSilence - 1)
		sign(0)
		require.NoError(t, h.take(t.Context(), &apiv1.ReadLogsResponse{Complete: []int32{0}}))
		sign(0)
		time.Sleep(logSilence)
		sign(1)
		require.Equal(t, busyText, (<-out).Awaited[0].Reason)
		sign(0)
		require.NoError(t, h.sayAwaited(t.Context(), "h1", ""))
		require.Empty(t, (<-out).Awaited[0].Reason)
		require.NoError(t, h.sayAwaited(t.Context(), "h1", "does not give it"))
		require.Empty(t, out)
	})
}

// TestHostThatCannotGiveIt: who follows output of which its host says that it cannot be read hears that, and is not held up for ever.
func TestHostThatCannotGiveIt(t *testing.T) {
	t.Parallel()
	b := newBench(t, nil)
	b.addrs["h1"] = fakeHost{logs: func(*apiv1.ReadLogsRequest, apiv1connect.DataReadLogsServerStream) error {
		return connect.NewError(connect.CodeUnknown, "input/output error")
	}}.serve(t)
	b.addrs["h2"] = fakeHost{keeps: true}.serve(t)
	b.running()
	b.end()
	client := apiv1connect.NewControlClient(transport.NewClient(transport.NewHTTPClient(), serve(t, b.l.c)))
	stream, err := client.Logs(t.Context(), &apiv1.LogsRequest{App: "a", Ranks: []int32{0}, Follow: true})
	require.NoError(t, err)
	var awaited, missing string
	for {
		m, err := stream.Receive()
		if errors.Is(err, io.EOF) {
			break
		}
		require.NoError(t, err)
		for _, a := range m.Awaited {
			awaited = a.Reason
		}
		for _, a := range m.Missing {
			missing = a.Reason
		}
	}
	require.Contains(t, awaited, "does not give it (unknown: input/output error)")
	require.Contains(t, missing, "host h1 does not give it (unknown: input/output error)")
	// While the rank runs more of it is to come, and its host may get well.
	tail := newAppTail(b.l.c, "a", make(chan *apiv1.LogsResponse, 1))
	tail.follow, tail.back = true, make(chan []*rankTail, 1)
	r := &rankTail{appTail: tail, failures: maxLogFailures, at: place{host: "h1", addr: b.addrs["h1"]}}
	h := &hostTail{appTail: tail, question: question{host: "h1", addr: b.addrs["h1"], more: true}, ranks: map[int32]*rankTail{0: r}}
	require.NoError(t, h.run(t.Context()))
	require.Equal(t, []*rankTail{r}, <-tail.back)
	require.False(t, r.over)
	require.True(t, r.again.After(time.Now().Add(-time.Minute)))
	require.Greater(t, r.failures, maxLogFailures)
}

// allOf reads a whole answer of Logs.
func allOf(t *testing.T, client apiv1connect.ControlClient, req *apiv1.LogsRequest) (lines map[int32][]uint64, missing map[int32]string) {
	t.Helper()
	stream, err := client.Logs(t.Context(), req)
	require.NoError(t, err)
	lines, missing = map[int32][]uint64{}, map[int32]string{}
	for {
		m, err := stream.Receive()
		if errors.Is(err, io.EOF) {
			return lines, missing
		}
		require.NoError(t, err)
		for _, l := range m.Lines {
			lines[l.Rank] = append(lines[l.Rank], l.Seq)
		}
		for _, m := range m.Missing {
			missing[m.Rank] = m.Reason
		}
	}
}

// TestAHostIsAskedOnce: for all ranks that it has, and what it says of one rank holds up no other.
func TestAHostIsAskedOnce(t *testing.T) {
	t.Parallel()
	for _, follow := range []bool{false, true} {
		b := newBench(t, nil)
		var mu sync.Mutex
		var asked [][]int32
		moved := 2 // times that it says so of rank 1
		b.addrs["h1"] = fakeHost{logs: func(req *apiv1.ReadLogsRequest, stream apiv1connect.DataReadLogsServerStream) error {
			mu.Lock()
			defer mu.Unlock()
			var ranks []int32
			m := &apiv1.ReadLogsResponse{Lines: []*apiv1.LogLine{{Rank: 77}, {Rank: -1}}} // nobody asked for them
			for _, p := range req.From {
				ranks = append(ranks, p.Rank)
				if p.Rank == 1 && moved > 0 {
					moved--
					m.Faults = append(m.Faults, &apiv1.OutputFault{Rank: 1, Kind: apiv1.OutputFault_KIND_MOVED}, &apiv1.OutputFault{Rank: 77})
					continue
				}
				m.Lines = append(m.Lines, &apiv1.LogLine{Rank: p.Rank, Seq: p.Seq})
				m.Complete = append(m.Complete, p.Rank, p.Rank)
			}
			asked = append(asked, ranks)
			return stream.Send(m)
		}}.serve(t)
		b.addrs["h2"] = fakeHost{logs: func(req *apiv1.ReadLogsRequest, stream apiv1connect.DataReadLogsServerStream) error {
			m := &apiv1.ReadLogsResponse{}
			for _, p := range req.From {
				switch p.Rank {
				case 2:
					m.Faults = append(m.Faults, &apiv1.OutputFault{Rank: 2, Kind: apiv1.OutputFault_KIND_GONE})
				case 3:
					m.Faults = append(m.Faults, &apiv1.OutputFault{Rank: 3, Reason: "input/output error"})
				}
			}
			return stream.Send(m)
		}}.serve(t)
		b.running()
		b.end()
		client := apiv1connect.NewControlClient(transport.NewClient(transport.NewHTTPClient(), serve(t, b.l.c)))
		lines, missing := allOf(t, client, &apiv1.LogsRequest{App: "a", Follow: follow, WaitMs: 500, Ranks: []int32{0, 1, 2}})
		require.Equal(t, map[int32][]uint64{0: {0}, 1: {0}}, lines)
		require.Len(t, missing, 1)
		require.Contains(t, missing[2], "host h2 does not keep it any more")
		require.Equal(t, [][]int32{{0, 1}, {1}, {1}}, asked)
		if !follow {
			_, missing = allOf(t, client, &apiv1.LogsRequest{App: "a", WaitMs: 100, Ranks: []int32{3}})
			require.Contains(t, missing[3], "host h2 does not give it (input/output error)")
		}
	}
}

// TestAHostThatLies: one that says of all ranks that they are complete and goes on, or says nothing for ever, or breaks off, holds up and costs no more
// than it has to.
func TestAHostThatLies(t *testing.T) {
	t.Parallel()
	b := newBench(t, nil)
	var open, asked atomic.Int32
	stop := make(chan struct{})
	t.Cleanup(func() { close(stop) })
	b.addrs["h1"] = fakeHost{logs: func(req *apiv1.ReadLogsRequest, stream apiv1connect.DataReadLogsServerStream) error {
		asked.Add(1)
		open.Add(1)
		defer open.Add(-1)
		m := &apiv1.ReadLogsResponse{}
		for _, p := range req.From {
			m.Complete = append(m.Complete, p.Rank)
		}
		for {
			if stream.Send(m) != nil {
				return nil
			}
			select {
			case <-time.After(time.Millisecond):
			case <-stop:
				return nil
			}
			m = &apiv1.ReadLogsResponse{}
		}
	}}.serve(t)
	b.addrs["h2"] = fakeHost{logs: func(*apiv1.ReadLogsRequest, apiv1connect.DataReadLogsServerStream) error { return nil }}.serve(t)
	b.running()
	client := apiv1connect.NewControlClient(transport.NewClient(transport.NewHTTPClient(), serve(t, b.l.c)))
	stream, err := client.Logs(t.Context(), &apiv1.LogsRequest{App: "a", Follow: true, Ranks: []int32{0, 1}})
	require.NoError(t, err)
	require.Eventually(t, func() bool { return asked.Load() > 5 }, time.Minute, time.Millisecond)
	require.Eventually(t, func() bool { return open.Load() <= 1 }, time.Minute, time.Millisecond, "each stream ends when nothing more is wanted of it")
	b.end()
	_, err = stream.Receive()
	require.ErrorIs(t, err, io.EOF)

	_, missing := allOf(t, client, &apiv1.LogsRequest{App: "a", WaitMs: 100, Ranks: []int32{2}})
	require.Contains(t, missing[2], "host h2 does not give it (it breaks off)")
}

// TestTurnsThatDoNotCome: of a host that says all the while that others come first the caller hears so.
func TestTurnsThatDoNotCome(t *testing.T) {
	t.Parallel()
	b := newBench(t, nil)
	b.addrs["h1"] = fakeHost{logs: func(req *apiv1.ReadLogsRequest, stream apiv1connect.DataReadLogsServerStream) error {
		for range 30 {
			if err := errors.Join(pause(t.Context(), logSilence/20), stream.Send(&apiv1.ReadLogsResponse{})); err != nil {
				return err
			}
		}
		return stream.Send(&apiv1.ReadLogsResponse{Lines: []*apiv1.LogLine{{Rank: 0}}, Complete: []int32{0}})
	}}.serve(t)
	b.running()
	b.end()
	client := apiv1connect.NewControlClient(transport.NewClient(transport.NewHTTPClient(), serve(t, b.l.c)))
	stream, err := client.Logs(t.Context(), &apiv1.LogsRequest{App: "a", WaitMs: 1000, Ranks: []int32{0}})
	require.NoError(t, err)
	m, err := stream.Receive()
	require.NoError(t, err)
	require.Len(t, m.Awaited, 1)
	require.Equal(t, busyText, m.Awaited[0].Reason)
	for len(m.Lines) == 0 { // each word in between is that it waits
		require.NotEmpty(t, m.Awaited)
		m, err = stream.Receive()
		require.NoError(t, err, "and it is not given up")
	}
	require.Len(t, m.Lines, 1)
}
