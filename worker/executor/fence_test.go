package executor

import (
	"context"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/internal/pipe"
)

// testLease is a lease that lasts for ever, as long as the test does not set it.
func testLease(t *testing.T) *pipe.Lease {
	t.Helper()
	l, err := pipe.NewLease()
	require.NoError(t, err)
	return l
}

// clocks are a fence's, and the lease's end, held by a test.
type clocks struct{ boot, uptime, until, looks time.Duration }

func (c *clocks) fence() *fence {
	return &fence{
		until: func() time.Duration { return c.until }, uptime: func() time.Duration { return c.uptime },
		boot: func() time.Duration { c.looks++; return c.boot }, shut: make(chan struct{}, 1),
	}
}

// run lets the machine run for d.
func (c *clocks) run(d time.Duration) { c.boot, c.uptime = c.boot+d, c.uptime+d }

func TestFenceStaysShutPastTheLease(t *testing.T) {
	c := &clocks{boot: time.Hour, uptime: time.Second}
	f := c.fence()
	require.True(t, f.passes(), "no lease was granted yet: there is nothing to lose")
	c.until = c.boot + 10*time.Second
	require.True(t, f.passes())
	c.run(10 * time.Second)
	require.True(t, f.passes(), "the last moment is the lease's, as for the worker")
	c.run(1)
	require.False(t, f.passes())
	c.until = c.boot + time.Hour
	require.False(t, f.passes(), "what was over stays over: another incarnation's lease is not this executor's")
	require.False(t, f.look())
}

// An executor that was stopped for longer than its lease, while its worker went on and renewed it, goes on.
func TestFenceSleptThroughRenewals(t *testing.T) {
	c := &clocks{boot: time.Hour, until: time.Hour + 10*time.Second}
	f := c.fence()
	require.True(t, f.passes())
	c.run(time.Minute)
	c.until = c.boot + 9*time.Second
	require.True(t, f.passes())
}

// It may be stopped between any two steps of a look, too: the renewals of meanwhile count, whichever step comes next, and the time that it
// was stopped for is not sure.
func TestFenceStoppedWithinALook(t *testing.T) {
	for name, stopIn := range map[string]func(f *fence, stop func()){
		"at the clock that costs nothing": func(f *fence, stop func()) {
			read := f.uptime
			f.uptime = func() time.Duration { stop(); return read() }
		},
		"between the clocks and the word": func(f *fence, stop func()) {
			read := f.boot
			f.boot = func() time.Duration { stop(); return read() }
		},
		"at the word": func(f *fence, stop func()) {
			read := f.until
			f.until = func() time.Duration { stop(); return read() }
		},
	} {
		t.Run(name, func(t *testing.T) {
			c := &clocks{boot: time.Hour, until: time.Hour + 10*time.Second}
			f := c.fence()
			require.True(t, f.look())
			stopIn(f, func() {
				c.run(time.Minute)
				c.until = c.boot + 9*time.Second
			})
			require.True(t, f.look())
			require.LessOrEqual(t, time.Duration(f.sure.Load()), c.uptime+9*time.Second)
		})
	}
}

// A suspended machine's lease runs on, though the clock that costs nothing stands still.
func TestFenceCountsSuspension(t *testing.T) {
	c := &clocks{boot: time.Hour, until: time.Hour + 10*time.Second}
	f := c.fence()
	require.True(t, f.passes())
	c.boot += time.Minute
	require.False(t, f.look(), "what the watchdog does")
	require.False(t, f.passes())
}

// What goes out asks the kernel for nothing while the lease lasts.
func TestFenceCostsNothingWhileTheLeaseLasts(t *testing.T) {
	c := &clocks{boot: time.Hour, until: time.Hour + 10*time.Second}
	f := c.fence()
	require.True(t, f.passes())
	before := c.looks
	for range 1000 {
		c.run(time.Millisecond)
		require.True(t, f.passes())
	}
	require.Equal(t, before, c.looks)
}

// sink is a stream that takes all.
type sink struct {
	stream
	taken int
}

func (s *sink) SendMsg(any) error { s.taken++; return nil }

func TestNothingGoesOutPastTheLease(t *testing.T) {
	c := &clocks{boot: time.Hour, until: time.Hour + 10*time.Second}
	listener, link := listenerOf(t)
	e := New(listener, slog.New(slog.DiscardHandler))
	e.fence = c.fence()
	e.workers.listener = listener
	worker, _ := call(t, link, testLease(t))
	caller, err := listener.Accept()
	require.NoError(t, err)
	s := &sink{}
	peer := fenced{s, e.fence}
	pong := &apiv1.ExecEvent{Msg: &apiv1.ExecEvent_Pong{Pong: &apiv1.ExecPong{}}}
	e.out.attach(pipe.NewConn(caller.Conn))
	done := make(chan error, 1)
	go func() { done <- e.out.run(t.Context(), e.fence) }() // until the lease is over
	e.emit(pong)
	require.NoError(t, worker.Receive(&apiv1.ExecEvent{}))
	require.NoError(t, peer.SendMsg(nil))
	c.run(11 * time.Second)
	e.emit(pong)
	require.ErrorIs(t, <-done, ErrLeaseOver)
	require.ErrorIs(t, peer.SendMsg(nil), ErrLeaseOver)
	require.Equal(t, 1, s.taken)
	require.NoError(t, caller.Conn.Close())
	require.Error(t, worker.Receive(&apiv1.ExecEvent{}))
	require.NoError(t, worker.Close())
}

// An executor whose worker stands still, so that it can neither report nor hear, ends when the lease does.
func TestExecutorEndsWithTheLease(t *testing.T) {
	for name, begin := range map[string]func(worker *pipe.Conn, e *Executor){
		"before its first command": func(*pipe.Conn, *Executor) {},
		"with a full link": func(worker *pipe.Conn, e *Executor) {
			for range 50 {
				e.out.line(&apiv1.LogLine{Text: make([]byte, 60_000)})
			}
			_ = worker.Send(&apiv1.ExecCommand{Msg: &apiv1.ExecCommand_Start{Start: &apiv1.ExecStart{Programs: []*apiv1.ExecProgram{{ModulePath: "/nonexistent", Ranks: 1}}}}})
		},
	} {
		t.Run(name, func(t *testing.T) {
			listener, link := listenerOf(t)
			lease := testLease(t)
			lease.Set(pipe.SinceBoot() + time.Hour)
			e := New(listener, slog.New(slog.DiscardHandler))
			worker, conns := call(t, link, lease)
			begin(worker, e)
			done := make(chan error, 1)
			var running sync.WaitGroup
			running.Go(func() { done <- e.Run(t.Context()) })
			require.Eventually(t, func() bool { return e.workers.until() != 0 }, testWait, time.Millisecond)
			require.True(t, e.fence.look())
			lease.Set(pipe.SinceBoot() - 1)
			select {
			case err := <-done:
				require.ErrorIs(t, err, ErrLeaseOver)
			case <-time.After(testWait):
				require.FailNow(t, "it has not ended")
			}
			running.Wait()
			_ = worker.Close()
			_ = conns.Close()
		})
	}
}

// The fence's watch never ends without an error: Run ends with it, however it ends.
func TestFenceEndsWithAnError(t *testing.T) {
	f := (&clocks{boot: time.Hour}).fence()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, f.watch(ctx), context.Canceled)
	c := &clocks{boot: time.Hour, until: 1}
	require.ErrorIs(t, c.fence().watch(t.Context()), ErrLeaseOver)
}

// TestLeaseOverIsNoFault: an executor that has something to say as the lease ends does not call that its fault: what it ran is lost as with its host.
func TestLeaseOverIsNoFault(t *testing.T) {
	for range 3 {
		var h *host
		t.Cleanup(func() { // when all that it has said is read
			for len(h.events) > 0 {
				require.Nil(t, (<-h.events).GetFailed())
			}
		})
		h = startHungry(t, []int{0, 0}, 1, "8", "25").hosts[0]
		h.lease.Set(pipe.SinceBoot() + time.Hour)
		require.Eventually(t, func() bool { return h.exec.workers.until() != 0 && h.exec.fence.look() }, testWait, time.Millisecond)
		h.lease.Set(pipe.SinceBoot() - 1)
		over, owed := false, 0
		for deadline := time.Now().Add(testWait); !over; {
			if owed < cap(h.events)/4 { // what is not taken here waits there
				owed++
				_ = h.control.Send(&apiv1.ExecCommand{Msg: &apiv1.ExecCommand_Ping{Ping: &apiv1.ExecPing{}}}) // it may have ended
			}
			select {
			case err := <-h.done:
				require.ErrorIs(t, err, ErrLeaseOver)
				h.done <- err // who cleans up waits for it
				over = true
			case ev := <-h.events:
				owed--
				require.Nil(t, ev.GetFailed())
			default:
				require.True(t, time.Now().Before(deadline), "it has not ended")
			}
		}
	}
}
