package worker

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/internal/pipe"
)

// envResting has this test's binary be an executor that says at once that it is at rest, however often it is asked.
const envResting = "GODWIT_WORKER_TEST_RESTS"

// TestMain is an executor's main where it is one.
func TestMain(m *testing.M) {
	if os.Getenv(envResting) != "" {
		os.Exit(restingExecutor())
	}
	os.Exit(m.Run())
}

func restingExecutor() int {
	l, err := pipe.InheritedListener(pipe.ListenFD)
	if err != nil {
		return 1
	}
	c, err := l.Accept()
	if err != nil {
		return 1
	}
	go func() {
		for { // who calls for connections; until the process ends
			if _, err := l.Accept(); err != nil {
				return
			}
		}
	}()
	control := pipe.NewConn(c.Conn)
	for {
		cmd := new(apiv1.ExecCommand)
		if control.Receive(cmd) != nil {
			return 0
		}
		if cmd.GetStart().GetApp() == "untidy" {
			return 0
		}
		if cmd.GetRest() != nil && control.Send(&apiv1.ExecEvent{Msg: &apiv1.ExecEvent_Rested{Rested: &apiv1.ExecRested{}}}) != nil {
			return 0
		}
	}
}

// warmSpawner starts such executors.
func warmSpawner(t *testing.T, most, ahead int) *spawner {
	t.Helper()
	t.Setenv(envResting, "1")
	shared, err := pipe.NewLease()
	require.NoError(t, err)
	runs, err := newRegistry(t.TempDir())
	require.NoError(t, err)
	self, err := os.Executable()
	require.NoError(t, err)
	s := &spawner{argv: []string{self}, lease: shared, runs: runs, host: func() string { return "h1" }, memory: &memory{log: slog.New(slog.DiscardHandler)}}
	s.warm = newWarm(most, ahead, s)
	t.Cleanup(s.warm.close)
	return s
}

// begin starts an executor for a tenant's app.
func (s *spawner) begin(t *testing.T, tenant string) (*child, chan *child) {
	t.Helper()
	gone := make(chan *child, 1)
	c, err := s.start(t.Context(), begins{app: "a", attempt: 1, tenant: tenant, ranks: 1}, func(*apiv1.ExecEvent) {}, func(c *child) { gone <- c })
	require.NoError(t, err)
	require.NoError(t, c.begun())
	c.say(&apiv1.ExecCommand{Msg: &apiv1.ExecCommand_Start{Start: &apiv1.ExecStart{}}})
	return c, gone
}

// known are how many executors the next process of the worker would find.
func (s *spawner) known(t *testing.T) (n int) {
	t.Helper()
	all, err := filepath.Glob(filepath.Join(s.runs.dir, "*"+entrySuffix))
	require.NoError(t, err)
	for _, file := range all {
		b, err := os.ReadFile(file)
		require.NoError(t, err)
		if len(bytes.TrimSpace(b)) > 0 {
			n++
		}
	}
	return n
}

// files are how many are in the directory of a host's executors.
func (s *spawner) files(t *testing.T, suffix string) int {
	t.Helper()
	all, err := filepath.Glob(filepath.Join(s.runs.dir, "*"+suffix))
	require.NoError(t, err)
	return len(all)
}

// TestNextAppOfTheSameTenant: a process is the executor of its tenant's next app, and of nobody else's. What is still said or done to it as the executor of the app before does nothing.
func TestNextAppOfTheSameTenant(t *testing.T) {
	s := warmSpawner(t, 4, 0)
	first, gone := s.begin(t, "one")
	require.True(t, first.rest(s.warm))
	other, otherGone := s.begin(t, "other")
	require.NotEqual(t, first.process.Pid, other.process.Pid)
	second, secondGone := s.begin(t, "one") // it waits for the first one to be at rest
	require.Equal(t, first.process.Pid, second.process.Pid)
	require.Same(t, first, <-gone)
	require.Nil(t, first.state, "the process goes on")
	first.kill("too late")
	first.say(commandCancel("too late"))
	require.True(t, second.entry.living())
	require.Equal(t, 2, s.known(t))
	require.True(t, second.rest(s.warm))
	<-secondGone
	require.Equal(t, 1, s.known(t), "one that waits is no app's")
	third, thirdGone := s.begin(t, "one")
	require.Equal(t, first.process.Pid, third.process.Pid)
	third.kill("the test is over")
	other.kill("the test is over")
	require.NotNil(t, (<-thirdGone).state)
	<-otherGone
}

// TestCalledForAnotherHostIsNoOtherApps: a process that was handed a connection of another host is no executor of the next app, which could take that for its own.
func TestCalledForAnotherHostIsNoOtherApps(t *testing.T) {
	s := warmSpawner(t, 4, 0)
	first, gone := s.begin(t, "one")
	require.Nil(t, first.conns, "nobody has called")
	require.NoError(t, first.handOver(tcpConn(t), "h2"))
	require.NoError(t, first.handOver(tcpConn(t), "h2"))
	require.True(t, first.rest(s.warm))
	require.Same(t, first, <-gone)
	<-first.runner.gone
	require.Error(t, first.handOver(tcpConn(t), "h2"))
	second, gone := s.begin(t, "one")
	require.NotEqual(t, first.process.Pid, second.process.Pid)
	require.True(t, second.rest(s.warm))
	<-gone
	require.Error(t, second.handOver(tcpConn(t), "h2"), "it has no app")
	third, gone := s.begin(t, "one")
	require.Equal(t, second.process.Pid, third.process.Pid)
	require.Error(t, second.handOver(tcpConn(t), "h2"), "it has another app")
	third.kill("the test is over")
	<-gone
}

// tcpConn is a connection as another host makes it.
func tcpConn(t *testing.T) *net.TCPConn {
	t.Helper()
	l, err := net.ListenTCP("tcp", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
	require.NoError(t, err)
	defer l.Close()                                            //nolint:errcheck // one is enough
	c, err := net.DialTCP("tcp", nil, l.Addr().(*net.TCPAddr)) //nolint:forcetypeassert // it listens there
	require.NoError(t, err)
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// TestNoMoreThanSoManyWait: for longer than a while, or beyond their number, or after so many apps, none waits; and none that has ended is taken for another app.
func TestNoMoreThanSoManyWait(t *testing.T) {
	s := warmSpawner(t, 2, 0)
	var all []*child
	for range 3 {
		c, _ := s.begin(t, "one")
		all = append(all, c)
	}
	for _, c := range all {
		require.True(t, c.rest(s.warm))
	}
	require.Eventually(t, func() bool { return !all[0].entry.living() || !all[1].entry.living() || !all[2].entry.living() }, 10*time.Second, time.Millisecond)
	c, gone := s.begin(t, "one")
	pid := c.process.Pid
	require.True(t, c.rest(s.warm))
	<-gone
	require.NoError(t, c.process.Kill())
	<-c.runner.gone
	c, gone = s.begin(t, "one")
	require.NotEqual(t, pid, c.process.Pid)
	c.runner.uses = warmUses
	require.False(t, c.rest(s.warm), "it has had enough of them")
	c.kill("the test is over")
	<-gone
	s.warm.thin(time.Now().Add(time.Hour), false)
	require.Empty(t, s.warm.idle)
	require.Eventually(t, func() bool { return s.files(t, socketSuffix) == 1 }, 10*time.Second, time.Millisecond, "but for the one whose app has still to be over")
	s.warm.close()
	c, gone = s.begin(t, "one")
	require.False(t, c.rest(s.warm), "the worker ends")
	c.kill("the test is over")
	<-gone
}

// TestNotAtRest: of a process that ends in the place of waiting for its next app nothing is left.
func TestNotAtRest(t *testing.T) {
	s := warmSpawner(t, 2, 0)
	c, gone := s.begin(t, "one")
	c.say(&apiv1.ExecCommand{Msg: &apiv1.ExecCommand_Start{Start: &apiv1.ExecStart{App: "untidy"}}})
	require.True(t, c.rest(s.warm))
	require.Same(t, c, <-gone)
	s.warm.clear()
	require.Zero(t, s.files(t, ""))
	require.Empty(t, s.warm.resting)
	_, err := s.warm.take(t.Context(), "one")
	require.NoError(t, err)
}

// TestStartedAhead: a tenant's first app has a process that was nobody's, and the next one has another; one that has ended meanwhile is nobody's executor.
func TestStartedAhead(t *testing.T) {
	s := warmSpawner(t, 2, 1)
	ctx, cancel := context.WithCancel(t.Context())
	watched := make(chan error, 1)
	go func() { watched <- s.warm.watch(ctx) }() // until the test is over
	ready := func() (pid int) {
		require.Eventually(t, func() bool {
			s.warm.mu.Lock()
			defer s.warm.mu.Unlock()
			if len(s.warm.fresh) == 0 {
				return false
			}
			pid = s.warm.fresh[0].process.Pid
			return true
		}, 10*time.Second, time.Millisecond)
		return pid
	}
	for range 2 {
		pid := ready()
		c, gone := s.begin(t, "one")
		require.Equal(t, pid, c.process.Pid)
		c.kill("the test is over")
		<-gone
	}
	pid := ready()
	s.warm.mu.Lock()
	r := s.warm.fresh[0]
	s.warm.mu.Unlock()
	require.NoError(t, r.process.Kill())
	<-r.gone
	c, gone := s.begin(t, "one")
	require.NotEqual(t, pid, c.process.Pid)
	c.kill("the test is over")
	<-gone
	cancel()
	require.ErrorIs(t, <-watched, context.Canceled)
	require.Empty(t, s.warm.fresh)
}

// ahead starts a process that is nobody's yet.
func (s *spawner) ahead(t *testing.T) *runner {
	t.Helper()
	r, err := s.spawnAhead(t.Context())
	require.NoError(t, err)
	s.warm.mu.Lock()
	defer s.warm.mu.Unlock()
	s.warm.fresh = append(s.warm.fresh, r)
	return r
}

// TestStartedAheadIsCalledBeforeItIsThere: a worker that is killed as it starts a process ahead leaves none behind that waits for a call.
func TestStartedAheadIsCalledBeforeItIsThere(t *testing.T) {
	s := warmSpawner(t, 1, 1)
	self := s.argv[0]
	s.argv = []string{filepath.Join(t.TempDir(), "no-such-binary")}
	_, err := s.spawnAhead(t.Context())
	require.Error(t, err)
	require.Zero(t, s.files(t, ""), "nothing is left of one that did not start")

	s.argv = []string{self}
	r, err := s.spawn(t.Context(), begins{app: waiting, ranks: 1})
	require.NoError(t, err)
	require.NoError(t, r.process.Kill()) // the test takes its calls
	<-r.gone
	require.NoError(t, r.control.Close()) // as if the worker were gone
	calls := make(chan *pipe.Caller, 1)
	l, err := pipe.NewListener(r.link)
	require.NoError(t, err)
	defer l.Close() //nolint:errcheck // the test is over
	go func() {
		if c, err := l.Accept(); err == nil {
			calls <- c
		}
	}()
	select {
	case c := <-calls:
		require.Equal(t, pipe.Control, c.Kind)
		require.ErrorIs(t, pipe.NewConn(c.Conn).Receive(&apiv1.ExecCommand{}), io.EOF)
	case <-time.After(10 * time.Second):
		require.Fail(t, "nobody has called")
	}
}

// stop has a process stand still.
func (r *runner) stop(t *testing.T) {
	t.Helper()
	require.NoError(t, r.process.Signal(syscall.SIGSTOP))
	require.Eventually(t, func() bool { return !r.ready() }, 10*time.Second, time.Millisecond)
}

// TestStoppedIsNobodysExecutor: a process that somebody has stopped while it waited is given no app, which would stand still in it, and does not wait on in the place of another.
func TestStoppedIsNobodysExecutor(t *testing.T) {
	s := warmSpawner(t, 4, 1)
	c, gone := s.begin(t, "one")
	require.True(t, c.rest(s.warm))
	<-gone
	require.Eventually(t, c.runner.ready, 10*time.Second, time.Millisecond)
	c.runner.stop(t)
	ahead := s.ahead(t)
	ahead.stop(t)
	next, nextGone := s.begin(t, "one")
	require.NotContains(t, []int{c.process.Pid, ahead.process.Pid}, next.process.Pid)
	s.warm.thin(time.Now().Add(-warmIdle), false)
	require.Empty(t, s.warm.idle)
	require.Empty(t, s.warm.fresh)
	require.True(t, ahead.ended())
	next.kill("the test is over")
	<-nextGone
}

// TestOneStartWaitsForOneThatRests: others that come take what is there, or begin a process; and none waits for long where there is one.
func TestOneStartWaitsForOneThatRests(t *testing.T) {
	s := warmSpawner(t, 4, 1)
	r := &runner{tenant: "one", gone: make(chan struct{})}
	require.True(t, s.warm.begin(r)) // it does not come to rest before the end of the test
	first := make(chan *runner, 1)
	go func() {
		r, _ := s.warm.take(t.Context(), "one")
		first <- r
	}()
	require.Eventually(t, func() bool {
		s.warm.mu.Lock()
		defer s.warm.mu.Unlock()
		return s.warm.wanting["one"] == 1
	}, 10*time.Second, time.Millisecond)
	got, err := s.warm.take(t.Context(), "one")
	require.NoError(t, err)
	require.Nil(t, got, "there is no other one")
	require.False(t, s.warm.end(r, false))
	require.Nil(t, <-first, "it has not come to rest")

	require.True(t, s.warm.begin(r))
	ahead := s.ahead(t)
	got, err = s.warm.take(t.Context(), "one")
	require.NoError(t, err)
	require.Same(t, ahead, got, "one that is there is not left for one that does not come")
	s.warm.discard(got)
	require.False(t, s.warm.end(r, false))
	require.Empty(t, s.warm.wanting)
}

// TestNoLeaseNoWarmProcesses: those that were started ahead go with the lease as well: they end themselves in that moment.
func TestNoLeaseNoWarmProcesses(t *testing.T) {
	s := warmSpawner(t, 4, 1)
	ahead := s.ahead(t)
	s.clear()
	require.Empty(t, s.warm.fresh)
	require.True(t, ahead.ended())
}

// TestStarvedBesideOneThatWaits: what the kernel has counted for nobody is forgotten when no app's executor is left, also where a process waits for an app.
func TestStarvedBesideOneThatWaits(t *testing.T) {
	var ended atomic.Int32
	s := warmSpawner(t, 4, 1)
	s.memory = &memory{bytes: 512 << 20, count: func() (int, error) { return int(ended.Load()), nil }, log: slog.New(slog.DiscardHandler)}
	s.warm.memory = s.memory
	s.warm.fresh = nil
	c, gone := s.begin(t, "one")
	waits := s.ahead(t)
	ended.Add(1) // it was this one, and the worker's kill came in the same moment
	c.kill("not needed any more")
	<-gone
	c, gone = s.begin(t, "one")
	require.Same(t, waits, c.runner)
	require.NoError(t, c.process.Kill())
	_, reason := exitReason(<-gone)
	require.Contains(t, reason, "killed by signal 9")

	// One that waited, and was ended for want of memory, is no reason for another's end.
	waits = s.ahead(t)
	c, gone = s.begin(t, "other")
	c2, gone2 := s.begin(t, "other")
	require.Same(t, waits, c.runner)
	waits = s.ahead(t)
	ended.Add(1)
	require.NoError(t, waits.process.Kill())
	<-waits.gone
	s.warm.thin(time.Now().Add(-warmIdle), false)
	require.NoError(t, c.process.Kill())
	_, reason = exitReason(<-gone)
	require.Contains(t, reason, "killed by signal 9")
	c2.kill("the test is over")
	<-gone2
}
