package worker

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/internal/notify"
	"github.com/godwit-run/godwit/internal/pipe"
	"github.com/godwit-run/godwit/internal/proc"
)

// child is an executor process as its worker sees it.
type child struct {
	app         string
	filesClient uint64 // names it to the home of the app's files
	control     *pipe.Conn
	conns       *net.UnixConn
	process     *os.Process
	exited      chan struct{}          // closed when the process is gone
	state       *os.ProcessState       // set before exited is closed
	starved     int64                  // the memory that executors may take, if the kernel ended it for want of more; set before exited is closed
	leaseOver   atomic.Bool            // it was killed since the lease was over
	why         atomic.Pointer[string] // why the worker killed it; nil: it did not

	mu       sync.Mutex // guards what is below
	unbegun  bool       // it has not been told to start: what is said before waits behind that
	early    []*apiv1.ExecCommand
	commands []*apiv1.ExecCommand
	wake     notify.Signal // commands is not empty

	gone bool // its app has heard that it is; of the app's goroutine

	inspection inspection
	pulse      pulse
}

// spawner starts executors.
type spawner struct {
	argv    []string
	starter *proc.Starter
	session func() bool // whether an executor begins a session, which it makes nice; nil: none does
	lease   *pipe.Lease // for all executors
	memory  *memory
}

// start runs an executor for n ranks of app. Its events go to onEvent, in order, from one goroutine; onExit follows the
// last one.
func (s *spawner) start(ctx context.Context, app string, n int, onEvent func(*apiv1.ExecEvent), onExit func(*child)) (*child, error) {
	control, controlFile, err := pipe.Pair()
	if err != nil {
		return nil, err
	}
	defer controlFile.Close() //nolint:errcheck // the child holds its own
	conns, connsFile, err := pipe.Pair()
	if err != nil {
		return nil, errors.Join(err, control.Close())
	}
	defer connsFile.Close() //nolint:errcheck // the child holds its own
	//nolint:gosec,noctx // the worker's own binary; ended by kill, not by a context
	cmd := exec.Command(s.argv[0], append(s.argv[1:len(s.argv):len(s.argv)], "--app", app)...)
	cmd.ExtraFiles = []*os.File{controlFile, connsFile, s.lease.File()}
	cmd.Args[0], cmd.Stderr = "godwit", os.Stderr // the binary may have the name of a compiler, or of mpirun
	// Every rank may compute at once and the runtime needs threads besides; its own adjustment would stop the world.
	cmd.Env = append(os.Environ(), "GOMAXPROCS="+strconv.Itoa(n+2), "GOTRACEBACK=single")
	start := s.starter.Start
	if s.session != nil && s.session() {
		start = s.starter.StartSession
	}
	err = start(ctx, cmd)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("worker: start an executor: %w", err), control.Close(), conns.Close())
	}
	s.memory.bound(cmd.Process.Pid)
	c := &child{
		unbegun: true, filesClient: max(1, rand.Uint64()), //nolint:gosec // a name, no secret
		app: app, control: pipe.NewConn(control), conns: conns, process: cmd.Process, exited: make(chan struct{}), wake: notify.NewSignal(),
	}
	go c.wait(cmd, s.memory)
	go c.events(onEvent, onExit)
	go c.send() // until the process is gone
	return c, nil
}

// exitWait is how long an executor that has closed its link may take to end. One whose ranks compute ends at once, too.
const exitWait = 2 * time.Second

// wait tells when the process is gone. It stands apart from the events: what they wait for, a disk perhaps, does not hold up who waits
// for the process.
func (c *child) wait(cmd *exec.Cmd, m *memory) {
	_ = cmd.Wait() // its state says all
	c.state = cmd.ProcessState
	ws, ok := waitStatus(c.state)
	c.starved = m.ended(ok && ws.Signaled() && ws.Signal() == syscall.SIGKILL && c.why.Load() == nil)
	close(c.exited)
}

// events reads the executor's events until it is gone.
func (c *child) events(onEvent func(*apiv1.ExecEvent), onExit func(*child)) {
	why := "it closed its link and did not end" // it has nothing left to do
	for {
		ev := new(apiv1.ExecEvent)
		c.pulse.wait(time.Now(), true)
		err := c.control.Receive(ev)
		c.pulse.wait(time.Now(), false)
		if err != nil {
			if !errors.Is(err, io.EOF) {
				why = linkBroke(err)
			}
			break
		}
		if ev.GetPong() != nil {
			c.pulse.answered()
			continue
		}
		if m := ev.GetInspected(); m != nil {
			if c.inspection.answer(m.Ranks) {
				c.askInspect()
			}
			continue
		}
		onEvent(ev)
	}
	c.dies(why)
	<-c.exited
	_ = c.control.Close() // nothing is written any more
	_ = c.conns.Close()   // nothing is written any more
	onExit(c)
}

// linkBroke says what has become of a link that did not end as it should: by an executor's death, too, if it had not read all.
func linkBroke(err error) string { return "its link to the worker broke: " + err.Error() }

// dies waits for the end of a process that has no link any more, and kills it if it does not end by itself: how it ends may say why.
func (c *child) dies(why string) {
	select {
	case <-c.exited:
	case <-time.After(exitWait):
		c.kill(why)
	}
}

// kill ends the process at once, for the reason given by the first call.
func (c *child) kill(why string) {
	c.why.CompareAndSwap(nil, &why)
	_ = c.process.Kill() // the only error is that it has ended
}

// maxCommands bounds what waits for an executor to read it: one that stands still gets a few for each migration.
const maxCommands = 4096

// say gives a command to the executor, behind the earlier ones. It does not wait: an executor that stands still, or that itself
// waits for its worker, holds nobody up. A link that is broken is no error: the exit is reported by its own way.
func (c *child) say(cmd *apiv1.ExecCommand) {
	c.mu.Lock()
	n := len(c.commands) + len(c.early)
	switch {
	case c.unbegun && cmd.GetStart() != nil:
		c.unbegun = false
		c.commands, c.early = append([]*apiv1.ExecCommand{cmd}, c.early...), nil
	case c.unbegun && n < maxCommands:
		c.early = append(c.early, cmd)
	case len(c.commands) > 0 && cmd.GetRoutes() != nil && c.commands[len(c.commands)-1].GetRoutes() != nil:
		c.commands[len(c.commands)-1] = cmd // only the newest table counts
	case n < maxCommands:
		c.commands = append(c.commands, cmd)
	}
	c.mu.Unlock()
	if n >= maxCommands {
		c.kill("it takes no commands: too many wait for it")
		return
	}
	c.wake.Set()
}

// send sends commands until the process is gone.
func (c *child) send() {
	for {
		if err := c.flush(); err != nil {
			c.dies(linkBroke(err))
			return
		}
		select {
		case <-c.wake:
		case <-c.exited:
			return
		}
	}
}

// flush sends the commands that wait. It blocks while the executor does not read.
func (c *child) flush() error {
	c.mu.Lock()
	cmds := c.commands
	c.commands = nil
	c.mu.Unlock()
	for _, cmd := range cmds {
		if err := c.control.Send(cmd); err != nil {
			return err
		}
	}
	return nil
}
