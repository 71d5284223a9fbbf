package worker

import (
	"bytes"
	"context"
	"log/slog"
	"os"
	"path/filepath"
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
	s.warm.thin(time.Now().Add(time.Hour))
	require.Empty(t, s.warm.idle)
	require.Zero(t, s.files(t, socketSuffix)-1, "but for the one whose app has still to be over")
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
