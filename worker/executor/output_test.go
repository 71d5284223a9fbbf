package executor

import (
	"bytes"
	"context"
	"log/slog"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/internal/pipe"
)

// collected makes an output whose lines are kept.
func collected() (*output, *[]*apiv1.LogLine) {
	lines := &[]*apiv1.LogLine{}
	return &output{emit: func(l *apiv1.LogLine) { *lines = append(*lines, l) }, now: time.Now}, lines
}

// Lines are cut at 64 KiB, wherever writes begin and end, and joined they are what was written.
func TestLongLinesAreCut(t *testing.T) {
	var text bytes.Buffer
	for _, n := range []int{0, 1, maxLineBytes - 1, maxLineBytes, maxLineBytes + 1, 3 * maxLineBytes, 3*maxLineBytes + 5} {
		text.WriteString(strings.Repeat("x", n) + "\n")
	}
	for _, chunk := range []int{1, 1000, maxLineBytes, text.Len()} {
		o, lines := collected()
		for p := text.Bytes(); len(p) > 0; p = p[min(chunk, len(p)):] {
			_, err := writer{o, stdoutStream}.Write(p[:min(chunk, len(p))])
			require.NoError(t, err)
		}
		o.flush()
		var got bytes.Buffer
		for i, l := range *lines {
			require.LessOrEqual(t, len(l.Text), maxLineBytes)
			require.EqualValues(t, i, l.Seq)
			got.Write(l.Text)
			if !l.Partial {
				got.WriteByte('\n')
			}
		}
		require.True(t, bytes.Equal(text.Bytes(), got.Bytes()), "chunks of %d", chunk)
	}
}

// One write without an end of line costs what it is long, not the square of that.
func TestBlobIsCutInOnePass(t *testing.T) {
	blob := bytes.Repeat([]byte("x"), 32<<20)
	o, _ := collected()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	o.write(stdoutStream, blob)
	runtime.ReadMemStats(&after)
	require.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(3*len(blob)), "each byte is copied into its line")
	require.LessOrEqual(t, cap(o.partial[stdoutStream]), 2*maxLineBytes, "nothing is carried on but the unfinished line")
}

// Whatever waits, a message stays far below what the worker takes, lines come whole and in order, and an event comes behind the
// lines that were printed before it.
func TestOutboxSendsBoundedMessages(t *testing.T) {
	listener, link := listenerOf(t)
	e := New(listener, slog.New(slog.DiscardHandler))
	worker, _ := call(t, link, testLease(t))
	caller, err := listener.Accept()
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	const ranks, each, long = 4, 300, 60_000
	var running sync.WaitGroup
	for r := range ranks {
		running.Go(func() {
			for range each {
				e.out.line(&apiv1.LogLine{Rank: int32(r), Text: bytes.Repeat([]byte("x"), long)})
			}
			e.emit(&apiv1.ExecEvent{Msg: &apiv1.ExecEvent_Ended{Ended: &apiv1.ExecEnded{Rank: int32(r)}}})
		})
	}
	require.Eventually(t, func() bool { // the queue has filled before anything is read
		e.out.mu.Lock()
		defer e.out.mu.Unlock()
		return e.out.lines >= outboxBytes
	}, testWait, time.Millisecond)
	e.out.attach(pipe.NewConn(caller.Conn))
	running.Go(func() { _ = e.out.run(ctx, e.fence) })
	lines, ended := map[int32]int{}, 0
	for ended < ranks {
		ev := new(apiv1.ExecEvent)
		require.NoError(t, worker.Receive(ev))
		e.out.ack(ev.Number)
		size := 0
		for _, l := range ev.GetOutput().GetLines() {
			require.Len(t, l.Text, long)
			lines[l.Rank]++
			size += len(l.Text)
		}
		require.LessOrEqual(t, size, outputBytes+maxLineBytes)
		if x := ev.GetEnded(); x != nil {
			ended++
			require.Equal(t, each, lines[x.Rank])
		}
	}
	cancel()
	_ = worker.Close()
	running.Wait()
	_ = caller.Conn.Close()
}

// Events never wait: who holds the executor's lock may have one.
func TestEventsNeverWait(t *testing.T) {
	o := newOutbox()
	for range 100_000 {
		o.event(&apiv1.ExecEvent{})
	}
	o.attach(&pipe.Conn{})
	for range 100_000 {
		ev, _ := o.take()
		require.NotNil(t, ev)
		o.ack(ev.Number)
	}
	require.Empty(t, o.queue)
}

// An executor of which one part has failed tells its worker why, and ends.
func TestHalfAnExecutorEnds(t *testing.T) {
	a := startApp(t, "../../jepsen/testdata/deadlock.wasm", []int{0, 0}, 1)
	h := a.hosts[0]
	require.NoError(t, h.conns.Close())
	f := a.next(h).GetFailed()
	require.NotNil(t, f)
	require.Contains(t, f.Reason, "executor on h0: no connection of another host can be taken any more")
	select {
	case err := <-h.done:
		require.ErrorContains(t, err, "no connection of another host")
	case <-time.After(testWait):
		require.FailNow(t, "Run goes on")
	}
}

// TestPausesAreShown: what there is of a line is emitted when nothing follows it for a while, once; but not by who has given it away with an image.
func TestPausesAreShown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o, lines := collected()
		say := func(text string) {
			_, err := writer{o, stdoutStream}.Write([]byte(text))
			require.NoError(t, err)
		}
		pause := func(d time.Duration) { // and then what is due has been done
			time.Sleep(d)
			synctest.Wait()
		}
		said := func() (text string) {
			o.mu.Lock()
			defer o.mu.Unlock()
			for i, l := range *lines {
				assert.EqualValues(t, i, l.Seq)
				assert.Equal(t, l.Partial, l.Paused)
				text += string(l.Text) + map[bool]string{true: "|", false: "\n"}[l.Partial]
			}
			*lines, o.next = nil, 0
			return text
		}
		say("a line\n10%")
		require.Equal(t, "a line\n", said())
		pause(pauseTime / 2)
		say(" 20%")
		require.Empty(t, said())
		pause(pauseTime)
		require.Equal(t, "10% 20%|", said())
		pause(10 * pauseTime)
		require.Empty(t, said())
		say(" done\nnext")
		require.Equal(t, " done\n", said())
		var h apiv1.ImageHeader
		o.state(&h)
		pause(pauseTime)
		require.Empty(t, said())
		require.Equal(t, "next", string(h.PartialStdout))
		moved, there := collected()
		moved.restore(&h)
		pause(pauseTime)
		require.Empty(t, *there, "it has not moved yet")
		moved.goOn()
		pause(pauseTime)
		require.Len(t, *there, 1)
		require.Equal(t, "next", string((*there)[0].Text))
		o.goOn() // or it has not moved at all
		pause(pauseTime)
		require.Equal(t, "next|", said())
	})
}
