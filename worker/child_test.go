package worker

import (
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/internal/notify"
	"github.com/godwit-run/godwit/internal/pipe"
	"github.com/godwit-run/godwit/worker/part"
)

func commandRoutes(epoch uint64) *apiv1.ExecCommand {
	return &apiv1.ExecCommand{Msg: &apiv1.ExecCommand_Routes{Routes: &apiv1.ExecRoutes{Epoch: epoch}}}
}

func commandCancel(reason string) *apiv1.ExecCommand {
	return &apiv1.ExecCommand{Msg: &apiv1.ExecCommand_Cancel{Cancel: &apiv1.ExecCancel{Reason: reason}}}
}

// Commands to an executor that reads nothing hold nobody up; of tables that follow each other the newest is kept; there is a bound.
func TestCommandsNeverWait(t *testing.T) {
	c := &child{process: &os.Process{Pid: -1}, exited: make(chan struct{}), wake: notify.NewSignal()}
	for i := range 100 {
		c.say(commandRoutes(uint64(i)))
	}
	require.Len(t, c.commands, 1)
	require.EqualValues(t, 99, c.commands[0].GetRoutes().Epoch)
	long := strings.Repeat("x", 10_000) // more than a socket takes
	for range maxCommands - 1 {
		c.say(commandCancel(long))
	}
	c.say(commandRoutes(100))
	require.NotNil(t, c.why.Load())
	require.Contains(t, *c.why.Load(), "too many wait")
}

// The reader of an executor's events may have more of them than fit the app's inbox while the app waits for the executor's end.
func TestAppWaitsForItsExecutorAndTakesItsLastEvents(t *testing.T) {
	b := newBench(t)
	b.a.child.exited = make(chan struct{})
	order := []int{}
	const n = 4 * inboxSize
	go func() {
		for i := range n {
			b.a.post(func() { order = append(order, i) })
		}
		close(b.a.child.exited)
	}()
	b.a.waitChild()
	for len(b.a.late) > 0 {
		b.a.late[0]()
		b.a.late = b.a.late[1:]
	}
	for len(order) < n {
		(<-b.a.inbox)()
	}
	for i, got := range order {
		require.Equal(t, i, got)
	}
}

// TestExecutorEndsAsItIsToldToStart: its end is read while its app notes that it is about to be told (make race looks).
func TestExecutorEndsAsItIsToldToStart(t *testing.T) {
	b := newBench(t)
	c := b.a.child
	var link *os.File
	var err error
	c.runs = b.a.host.spawner.runs
	var word string
	word, link, err = c.runs.listen()
	require.NoError(t, err)
	c.entry = c.runs.entryOf(&runner{word: word, process: c.process}, begins{app: "a", attempt: 1})
	require.NoError(t, link.Close())
	ours, theirs := linkOf(t)
	c.control, c.conns = pipe.NewConn(ours), ours
	require.NoError(t, theirs.Close())
	gone := make(chan struct{})
	go c.events(func(*apiv1.ExecEvent) {}, func(*child) { close(gone) })
	require.NoError(t, c.begun())
	within(t, gone, "its app hears of its end")
}

// An executor that fails while it runs is no module that cannot be run.
func TestFailureOfARunningExecutor(t *testing.T) {
	b := newBench(t)
	b.a.child.process = &os.Process{Pid: -1}
	b.a.event(b.t.Context(), b.a.life, &apiv1.ExecEvent{Msg: &apiv1.ExecEvent_Failed{Failed: &apiv1.ExecFailed{Reason: "executor on h1: it broke"}}})
	(<-b.a.inbox)()
	require.EqualValues(t, apiv1.RankEnded, b.a.part.Rank(0).State)
	require.EqualValues(t, part.CodeGodwitFailed, b.a.part.Rank(0).Code)
	require.Equal(t, "executor on h1: it broke", b.a.part.Rank(0).Reason)
}

// TestEventsOfAnExecutorBefore: what an executor said that was stopped on purpose is not its successor's; what it printed is kept.
func TestEventsOfAnExecutorBefore(t *testing.T) {
	b := newBench(t)
	before := &life{output: b.a.output}
	b.a.life = &life{output: b.a.output}
	for _, ev := range []*apiv1.ExecEvent{
		{Msg: &apiv1.ExecEvent_Output{Output: &apiv1.ExecOutput{Lines: []*apiv1.LogLine{line(0, 0)}}}},
		{Msg: &apiv1.ExecEvent_Failed{Failed: &apiv1.ExecFailed{Reason: "executor on h1: it broke"}}},
	} {
		b.a.event(b.t.Context(), before, ev)
	}
	(<-b.a.inbox)()
	require.Empty(t, b.status().Reason)
	require.Equal(t, apiv1.RankRunning, string(b.a.part.Rank(0).State))
	seqs, _ := collect(t, b.a.output, 0, 0)
	require.Equal(t, []uint64{0}, seqs)
}

// TestStartComesFirst: what is asked of an executor before it was told to start is asked behind that.
func TestStartComesFirst(t *testing.T) {
	c := &child{unbegun: true, wake: notify.NewSignal()}
	c.askInspect()
	c.say(&apiv1.ExecCommand{Msg: &apiv1.ExecCommand_Ping{Ping: &apiv1.ExecPing{}}})
	require.Empty(t, c.commands)
	c.say(&apiv1.ExecCommand{Msg: &apiv1.ExecCommand_Start{Start: &apiv1.ExecStart{}}})
	c.askInspect()
	require.Len(t, c.commands, 4)
	require.NotNil(t, c.commands[0].GetStart())
	require.NotNil(t, c.commands[1].GetInspect())
	require.NotNil(t, c.commands[2].GetPing())
	require.NotNil(t, c.commands[3].GetInspect())
}

// TestGoneBeforeItWasKnown: an executor that was gone before anything was heard of its start has ended its ranks all the same.
func TestGoneBeforeItWasKnown(t *testing.T) {
	b := newBench(t)
	c := b.a.child
	b.a.child = nil
	b.has(part.Starting)
	start := newStart(nil)
	b.a.start = start
	b.a.childExited(c)
	(<-b.a.inbox)()
	require.Equal(t, part.Starting, b.executor())
	b.a.childExited(&child{}) // another one's end is heard of meanwhile
	(<-b.a.inbox)()
	b.a.childStarted(start, c, map[string]string{})
	require.Equal(t, part.Gone, b.executor())
	require.Nil(t, b.a.child)
	b.step()
	st := b.status()
	require.Len(t, st.Ranks, 1)
	require.Equal(t, apiv1.RankEnded, st.Ranks[0].State)
	require.NotEmpty(t, st.Ranks[0].Reason)
}

// TestVerdictBeforeTheStart: an executor that comes up when its app has its verdict is told to run nothing.
func TestVerdictBeforeTheStart(t *testing.T) {
	b := newBench(t)
	c := b.a.child
	b.a.child = nil
	b.has(part.Starting)
	start := newStart(nil)
	b.a.start = start
	b.rec.App.Verdict = "cancelled"
	b.a.childStarted(start, c, map[string]string{})
	require.NotNil(t, c.why.Load())
	require.Empty(t, b.status().Ranks)
	require.Empty(t, c.commands)
}

// An executor that ended itself past the lease's end says so by its code: its worker stood still, and heard nothing of it.
func TestExecutorThatEndedItself(t *testing.T) {
	cmd := exec.CommandContext(t.Context(), "sh", "-c", fmt.Sprintf("exit %d", pipe.ExitLeaseOver))
	require.Error(t, cmd.Run())
	code, reason := exitReason(&child{state: cmd.ProcessState})
	require.EqualValues(t, part.CodeKilled, code)
	require.Contains(t, reason, "the host's lease was over")

	late := exec.CommandContext(t.Context(), "sh", "-c", "kill -9 $$") // it took too long to end, and the worker has killed it
	require.Error(t, late.Run())
	for _, state := range []*os.ProcessState{cmd.ProcessState, late.ProcessState} {
		c := &child{state: state}
		why := linkBroke(io.ErrClosedPipe)
		c.why.Store(&why)
		c.leaseOver.Store(true)
		_, reason := exitReason(c)
		require.Contains(t, reason, "the host's lease was over", "that its link broke for that says nothing")
	}
}

// spawnerOf starts what a script is as executors.
func spawnerOf(t *testing.T, script string) *spawner {
	t.Helper()
	shared, err := pipe.NewLease()
	require.NoError(t, err)
	runs, err := newRegistry(t.TempDir())
	require.NoError(t, err)
	return &spawner{
		argv: []string{"sh", "-c", script}, lease: shared, runs: runs, host: func() string { return "h1" }, memory: &memory{log: slog.New(slog.DiscardHandler)},
	}
}

// TestLastWords: an executor that closes its link may say by its code why it ends: it is not killed before it has. One that does not end is.
func TestLastWords(t *testing.T) {
	for script, want := range map[string]string{
		fmt.Sprintf("exec 3<&-; sleep 0.2; exit %d", pipe.ExitLeaseOver): "the host's lease was over",
		"exec 3<&-; exec sleep 600":                                      "its link to the worker broke",
	} {
		s := spawnerOf(t, script)
		gone := make(chan *child, 1)
		_, err := s.start(t.Context(), begins{app: "a", attempt: 1, ranks: 1}, func(*apiv1.ExecEvent) {}, func(c *child) { gone <- c })
		require.NoError(t, err)
		_, reason := exitReason(<-gone)
		require.Contains(t, reason, want)
	}
}

// TestSessionOfAnExecutor: an executor has a session where the worker has one to itself; else it stays in the worker's, which is somebody's.
func TestSessionOfAnExecutor(t *testing.T) {
	for _, own := range []bool{false, true} {
		s := spawnerOf(t, "exec sleep 600")
		s.session = func() bool { return own }
		gone := make(chan *child, 1)
		c, err := s.start(t.Context(), begins{app: "a", attempt: 1, ranks: 1}, func(*apiv1.ExecEvent) {}, func(c *child) { gone <- c })
		require.NoError(t, err)
		leader, err := unix.Getsid(c.process.Pid)
		require.NoError(t, err)
		require.Equal(t, own, leader == c.process.Pid)
		c.kill("the test is over")
		<-gone
	}
}

// TestWhoWasStarved: the kernel has ended one executor, and the worker another, which has ended just before: the reason is that of the first. It is so when the first had not
// read all that it was told, as one does not that stands still for want of memory.
func TestWhoWasStarved(t *testing.T) {
	var ended atomic.Int32
	s := spawnerOf(t, "exec sleep 600")
	s.memory = &memory{bytes: 512 << 20, count: func() (int, error) { return int(ended.Load()), nil }, log: slog.New(slog.DiscardHandler)}
	start := func() (*child, chan *child) {
		gone := make(chan *child, 1)
		c, err := s.start(t.Context(), begins{app: "a", attempt: 1, ranks: 1}, func(*apiv1.ExecEvent) {}, func(c *child) { gone <- c })
		require.NoError(t, err)
		return c, gone
	}
	killed := func(c *child, gone chan *child) string {
		require.NoError(t, c.process.Kill())
		_, reason := exitReason(<-gone)
		return reason
	}
	const starved, byWorker, bySignal = "for want of memory: all executors of this host may take 512 MiB together", "not needed any more", "killed by signal 9"
	for _, unread := range []bool{false, true} {
		done, doneGone := start()
		first, firstGone := start()
		other, otherGone := start()
		if unread {
			require.NoError(t, first.control.Send(&apiv1.ExecCommand{}))
		}
		ended.Add(1)
		done.kill(byWorker)
		_, reason := exitReason(<-doneGone)
		require.Contains(t, reason, byWorker)
		require.Contains(t, killed(first, firstGone), starved)
		require.Contains(t, killed(other, otherGone), bySignal)
		last, lastGone := start()
		ended.Add(1) // it was this one, and the worker's kill came in the same moment
		last.kill(byWorker)
		<-lastGone
		other, otherGone = start()
		require.Contains(t, killed(other, otherGone), bySignal)
	}
}

// TestReleasedExecutorHearsWhatWasSaid: a worker that ends has its executor hear first what it was told; one that does not read is not waited for long.
func TestReleasedExecutorHearsWhatWasSaid(t *testing.T) {
	newChild := func() (*child, *pipe.Conn) {
		ours, theirs := linkOf(t)
		conns, _ := linkOf(t)
		t.Cleanup(func() { _ = theirs.Close() })
		return &child{control: pipe.NewConn(ours), conns: conns, process: &os.Process{Pid: -1}, exited: make(chan struct{}), wake: notify.NewSignal()}, pipe.NewConn(theirs)
	}
	c, exec := newChild()
	c.say(commandCancel("first"))
	c.say(commandRoutes(2))
	c.release()
	cmd := new(apiv1.ExecCommand)
	require.NoError(t, exec.Receive(cmd))
	require.Equal(t, "first", cmd.GetCancel().GetReason())
	require.NoError(t, exec.Receive(cmd))
	require.EqualValues(t, 2, cmd.GetRoutes().GetEpoch())
	require.Error(t, exec.Receive(cmd))

	c, _ = newChild()
	c.say(commandCancel(strings.Repeat("x", 8<<20))) // more than a socket takes
	released := make(chan struct{})
	go func() { c.release(); close(released) }()
	within(t, released, "the worker goes on")
}

// TestReplacedBinary: where the file of the worker's binary is replaced, or removed, executors are still of the one that runs.
func TestReplacedBinary(t *testing.T) {
	self, err := os.Executable()
	require.NoError(t, err)
	path := filepath.Join(t.TempDir(), "godwit")
	require.NoError(t, os.Symlink(self, path))
	s := newSpawner([]string{path, "exec"})
	require.Equal(t, path, s.binary())
	require.NoError(t, os.Remove(path))
	require.Equal(t, ownBinary, s.binary())
	require.NoError(t, os.WriteFile(path, nil, 0o700))
	require.Equal(t, ownBinary, s.binary())
	require.Equal(t, "sh", newSpawner([]string{"sh", "-c", "true"}).binary(), "another command is run as it is named")
}

// TestAcknowledgementsGoAlong: what takes the executor no room is acknowledged with the next command, or by itself a little later; output at once. One that is to rest hears of
// none.
func TestAcknowledgementsGoAlong(t *testing.T) {
	ours, theirs := linkOf(t)
	exec := pipe.NewConn(theirs)
	c := &child{
		control: pipe.NewConn(ours), process: &os.Process{Pid: -1}, exited: make(chan struct{}), sent: make(chan struct{}), wake: notify.NewSignal(),
	}
	taken := make(chan uint64, 8)
	go c.events(func(ev *apiv1.ExecEvent) { taken <- ev.Number }, func(*child) {})
	go c.send()
	tell := func(ev *apiv1.ExecEvent) {
		require.NoError(t, exec.Send(ev))
		require.Equal(t, ev.Number, <-taken)
	}
	hear := func() *apiv1.ExecCommand {
		cmd := new(apiv1.ExecCommand)
		require.NoError(t, exec.Receive(cmd))
		return cmd
	}
	c.mu.Lock()
	c.ackDue = time.AfterFunc(time.Hour, func() {})
	c.mu.Unlock()
	tell(&apiv1.ExecEvent{Number: 1, Msg: &apiv1.ExecEvent_Ready{Ready: &apiv1.ExecReady{}}})
	tell(&apiv1.ExecEvent{Number: 2, Msg: &apiv1.ExecEvent_Ended{Ended: &apiv1.ExecEnded{}}})
	require.Eventually(t, func() bool { return c.acked.Load() == 2 }, 10*time.Second, time.Millisecond)
	c.say(commandCancel("next"))
	require.Equal(t, "next", hear().GetCancel().GetReason())
	require.EqualValues(t, 2, hear().GetAck().GetNumber())
	tell(&apiv1.ExecEvent{Number: 3, Msg: &apiv1.ExecEvent_Output{Output: &apiv1.ExecOutput{}}})
	require.EqualValues(t, 3, hear().GetAck().GetNumber())
	tell(&apiv1.ExecEvent{Number: 4, Msg: &apiv1.ExecEvent_Ended{Ended: &apiv1.ExecEnded{}}})
	require.EqualValues(t, 4, hear().GetAck().GetNumber(), "by itself")
	tell(&apiv1.ExecEvent{Number: 5, Msg: &apiv1.ExecEvent_Ended{Ended: &apiv1.ExecEnded{}}})
	require.Eventually(t, func() bool { return c.acked.Load() == 5 }, 10*time.Second, 10*time.Microsecond)
	c.mu.Lock()
	c.commands = append(c.commands, &apiv1.ExecCommand{Msg: &apiv1.ExecCommand_Rest{Rest: &apiv1.ExecRest{}}})
	told := c.told
	c.mu.Unlock()
	require.NoError(t, c.flush())
	if told == 4 { // else the timer was faster than this test
		require.NotNil(t, hear().GetRest())
	}
	close(c.exited)
	<-c.sent
	require.NoError(t, exec.Close())
}
