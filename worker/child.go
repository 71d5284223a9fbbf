package worker

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"slices"
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
	entry       *entry // how it is known beyond this process's life; its Begun changes under mu
	runs        *registry
	compiled    bool // it has the code of all modules from an app before
	adopted     bool // an earlier process of the worker has started it
	control     Link
	lease       *pipe.Lease            // nil: it is played
	process     *os.Process            // nil: it is played
	played      *played                // nil: it is a process
	runner      *runner                // what it is while it is this app's; nil: it was adopted
	exited      chan struct{}          // closed when the process is gone, or is not this app's any more
	rested      chan struct{}          // closed when the process is not this app's any more
	sent        chan struct{}          // closed when no more commands are sent
	state       *os.ProcessState       // set before exited is closed
	starved     int64                  // the memory that executors may take, if the kernel ended it for want of more; set before exited is closed
	leaseOver   atomic.Bool            // it was killed since the lease was over
	why         atomic.Pointer[string] // why the worker killed it; nil: it did not

	warm     atomic.Pointer[warm] // where it is to wait for its next app; nil: that is not asked
	released atomic.Bool          // this process ends, and leaves it to the next
	acked    atomic.Uint64        // the last event that was taken

	sending sync.Mutex // held while commands are sent

	giving sync.Mutex    // held while a connection of another host is handed over; guards the next two
	conns  *net.UnixConn // over which they are; nil: none was
	shut   bool          // none is any more

	mu       sync.Mutex  // guards what is below
	told     uint64      // of acked, what the executor has been told
	ackDue   *time.Timer // has it told more; nil: nothing has to be
	atRest   bool        // it is not this app's any more
	unbegun  bool        // it has not been told to start: what is said before waits behind that
	early    []*apiv1.ExecCommand
	commands []*apiv1.ExecCommand
	wake     notify.Signal // commands is not empty

	code atomic.Pointer[codeWish] // of one that was adopted; nil: it wants none

	gone bool // its app has heard that it is; of the app's goroutine

	inspection inspection
	pulse      pulse
}

// spawner starts executors.
type spawner struct {
	argv    []string
	player  func(app string) Link // nil: executors are processes
	own     os.FileInfo           // of this process's binary, if that is what is run; nil: it is not
	starter *proc.Starter         // nil: executors outlive this process
	runs    *registry
	host    func() string // this host's name, to be seen in ps
	session func() bool   // whether an executor begins a session, which it makes nice; nil: none does
	lease   *pipe.Lease   // for all executors
	memory  *memory
	warm    *warm // nil: each process is of one app
}

// start runs an executor for n ranks of an attempt of a tenant's app: one that waits for its next app, or a new process. Its events go to onEvent, in order, from one goroutine;
// onExit follows the last one.
func (s *spawner) start(ctx context.Context, what begins, onEvent func(*apiv1.ExecEvent), onExit func(*child)) (_ *child, err error) {
	r, err := s.warm.take(ctx, what.tenant)
	if err != nil {
		return nil, err
	}
	var c *child
	if r != nil {
		if c, err = s.engage(r, what); err != nil && !errors.Is(err, errOwnDisk) {
			r = nil // it has ended while it waited
		}
	}
	if r == nil {
		if r, err = s.spawn(ctx, what); err != nil {
			return nil, err
		}
		c, err = s.engage(r, what)
	}
	if err != nil {
		return nil, err
	}
	go c.events(onEvent, onExit)
	go c.send() // until the process is gone, or at rest
	return c, nil
}

// engage makes a process an app's executor.
func (s *spawner) engage(r *runner, what begins) (*child, error) {
	e := s.runs.entryOf(r, what)
	c := s.newChild(e, r.process)
	c.lease = s.lease
	c.unbegun, c.runner, c.compiled = true, r, r.uses > 0 && slices.Equal(r.modules, what.modules)
	if !slices.Equal(r.modules, what.modules) {
		r.changed++
	}
	r.tenant, r.modules = what.tenant, what.modules
	r.uses++
	s.memory.begins()
	go c.wait(s.memory)
	var err error
	if r.uses == 1 { // one that waits for its next app ends with this process, until it is told to start
		if err = s.runs.write(e); err != nil {
			err = fmt.Errorf("%w: %w", errOwnDisk, err)
		}
	}
	if err == nil {
		err = c.connect(r)
	}
	if err != nil {
		c.kill(err.Error())
		<-c.exited
		if r.control != nil {
			_ = r.control.Close() // nobody is there
		}
		s.runs.remove(e)
		return nil, err
	}
	return c, nil
}

// begins is what an executor is started for.
type begins struct {
	app     string
	attempt uint32
	tenant  string
	modules []string // by digest
	ranks   int      // that may compute at once
}

// processors is how many threads may run ranks at once: every rank may compute, and the runtime needs threads besides.
func (b begins) processors() int { return b.ranks + 2 }

// spawn starts a process.
func (s *spawner) spawn(ctx context.Context, what begins) (*runner, error) {
	word, link, err := s.runs.listen()
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errOwnDisk, err)
	}
	r := &runner{word: word, link: link, gone: make(chan struct{})}
	if what.app == waiting { // called before it is there: whenever this process ends, that one finds a call that has ended
		conn, err := pipe.Dial(s.runs.dir, word+socketSuffix, pipe.Control, s.lease)
		if err != nil {
			_ = link.Close() // nobody listens
			s.runs.removeWord(word)
			return nil, err
		}
		r.control = pipe.NewConn(conn)
	}
	//nolint:gosec,noctx // the worker's own binary; ended by kill, not by a context
	cmd := exec.Command(s.binary(), append(s.argv[1:len(s.argv):len(s.argv)], "--app", what.app, "--host", s.host())...)
	cmd.ExtraFiles = []*os.File{link}
	cmd.Args[0], cmd.Stderr = "godwit", os.Stderr // the binary may have the name of a compiler, or of mpirun
	// The runtime's own adjustment would stop the world.
	cmd.Env = append(os.Environ(), "GOMAXPROCS="+strconv.Itoa(what.processors()), "GOTRACEBACK=single")
	if err := s.run(ctx, cmd); err != nil {
		_ = link.Close() // nobody listens
		if r.control != nil {
			_ = r.control.Close()
		}
		s.runs.removeWord(word)
		return nil, fmt.Errorf("worker: start an executor: %w", err)
	}
	s.memory.bound(cmd.Process.Pid)
	r.process = cmd.Process
	r.born, _ = startOf(cmd.Process.Pid) // of one that has ended already nothing is left
	go func() {                          // until the process has ended
		r.wait(cmd)
		s.warm.look()
	}()
	return r, nil
}

// ownBinary is what this process runs, wherever that is by now.
const ownBinary = "/proc/self/exe"

// newSpawner runs executors by a command.
func newSpawner(argv []string) *spawner {
	s := &spawner{argv: argv, session: proc.SessionUnchosen}
	own, err := os.Stat(ownBinary)
	if err != nil || len(argv) == 0 {
		return s
	}
	if named, err := os.Stat(argv[0]); err == nil && os.SameFile(own, named) {
		s.own = own
	}
	return s
}

// binary is what is run. Where the file of this process's binary has been replaced, by another version that is to be started next, it is still this one: the two would not understand each other.
func (s *spawner) binary() string {
	if s.own == nil {
		return s.argv[0]
	}
	if now, err := os.Stat(s.argv[0]); err == nil && os.SameFile(now, s.own) {
		return s.argv[0]
	}
	return ownBinary
}

// run starts the process.
func (s *spawner) run(ctx context.Context, cmd *exec.Cmd) error {
	own := s.session != nil && s.session()
	switch {
	case s.starter == nil:
		cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: own, Setpgid: !own} // a session has a process group of its own, too
		return cmd.Start()
	case own:
		return s.starter.StartSession(ctx, cmd)
	default:
		return s.starter.Start(ctx, cmd)
	}
}

// adopt is as start, for an executor that is there.
func (s *spawner) adopt(e *entry, onEvent func(*apiv1.ExecEvent), onExit func(*child)) (*child, error) {
	process, err := os.FindProcess(e.PID) // a handle of the process that has the number now
	if err != nil {
		return nil, fmt.Errorf("worker: adopt an executor: %w", err)
	}
	c := s.newChild(e, process)
	c.adopted, c.lease = true, s.lease
	if !e.living() {
		return nil, errors.New("worker: adopt an executor: it has just ended")
	}
	if err := c.connect(nil); err != nil {
		return nil, err
	}
	s.memory.bound(e.PID)
	s.memory.begins()
	go c.watch(s.memory)
	go c.events(onEvent, onExit)
	go c.send() // until the process is gone
	return c, nil
}

func (s *spawner) newChild(e *entry, process *os.Process) *child {
	return &child{app: e.App, filesClient: e.Files, entry: e, runs: s.runs, process: process, exited: make(chan struct{}), rested: make(chan struct{}), sent: make(chan struct{}), wake: notify.NewSignal()}
}

// connect calls the executor. One that was another app's before has been called.
func (c *child) connect(r *runner) error {
	if r != nil && r.control != nil {
		c.control = r.control
		return nil
	}
	if r != nil {
		defer r.link.Close() //nolint:errcheck // the executor has its own; one that has ended before it was called may say why
	}
	control, err := c.call(pipe.Control)
	if err != nil {
		return err
	}
	link := pipe.NewConn(control)
	c.control = link
	if r != nil {
		r.control = link
	}
	return nil
}

func (c *child) call(kind pipe.Kind) (*net.UnixConn, error) {
	return pipe.Dial(c.runs.dir, c.entry.Word+socketSuffix, kind, c.lease)
}

// handOver passes on a connection of another host. The executor is called for that when the first comes: most short apps have none. A process that was is no other app's
// (rests): so none that was meant for one comes to another.
func (c *child) handOver(conn *net.TCPConn, note string) (err error) {
	c.giving.Lock()
	defer c.giving.Unlock()
	if c.lease == nil || c.shut {
		return fmt.Errorf("worker: no executor of app %s here any more", c.app)
	}
	if c.conns == nil {
		if c.conns, err = c.call(pipe.Handover); err != nil {
			return err
		}
	}
	return pipe.SendConn(c.conns, conn, note)
}

// begun notes that the executor is about to be told to start.
func (c *child) begun() error {
	if c.entry == nil {
		return nil
	}
	c.mu.Lock()
	c.entry.Begun = true
	c.mu.Unlock()
	return c.runs.write(c.entry)
}

// releaseWait is how long an executor may take to read what waits for it when its worker ends.
const releaseWait = time.Second

// release leaves the executor to the next process of the worker: it goes on. It waits for what the executor is to be told yet, but not for long.
func (c *child) release() {
	c.released.Store(true)
	if c.control.SendUntil(time.Now().Add(releaseWait)) == nil {
		_ = c.flush() // the next process finds out what has come
	}
	_ = c.control.Close() // what was not acknowledged is told again
	c.hangUp()            // who called calls again
}

// exitWait is how long an executor that has closed its link may take to end. One whose ranks compute ends at once, too.
const exitWait = 2 * time.Second

// wait tells when the process is gone, or at rest. It stands apart from the events: what they wait for, a disk perhaps, does not hold up who waits
// for the process.
func (c *child) wait(m *memory) {
	select {
	case <-c.rested:
		m.rests()
	case <-c.runner.gone:
		c.state = c.runner.state
		c.starved = m.ended(wasKilled(c.state) && c.why.Load() == nil)
	}
	close(c.exited)
}

// watch is wait for a process that is not this one's child: how it has ended nobody says.
func (c *child) watch(m *memory) {
	c.entry.awaitEnd()
	c.starved = m.ended(c.why.Load() == nil)
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
		switch m := ev.Msg.(type) {
		case *apiv1.ExecEvent_Pong:
			c.pulse.answered()
		case *apiv1.ExecEvent_Rested:
			if c.rests(onExit) {
				return
			}
		case *apiv1.ExecEvent_Inspected:
			if c.inspection.answer(m.Inspected.Ranks) {
				c.askInspect()
			}
		default:
			onEvent(ev)
		}
		c.acked.Store(ev.Number)
		c.acknowledge(ev)
	}
	if c.released.Load() {
		return
	}
	c.dies(why)
	<-c.exited
	_ = c.control.Close()                // nothing is written any more
	c.hangUp()                           // likewise
	if w := c.warm.Swap(nil); w != nil { // it is no app's any more
		w.end(c.runner, false)
		c.runs.removeWord(c.runner.word)
	}
	c.forget()
	onExit(c)
}

// ackWait is how long the executor may wait for the acknowledgement of what takes it no room.
const ackWait = 20 * time.Millisecond

// acknowledge has the executor told that an event was taken: at once where a rank may wait for room for its output, or the executor for leave to end; else with the
// next command, or a little later.
func (c *child) acknowledge(ev *apiv1.ExecEvent) {
	switch ev.Msg.(type) {
	case *apiv1.ExecEvent_Ready, *apiv1.ExecEvent_Ended, *apiv1.ExecEvent_Pong:
	default:
		c.wake.Set()
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ackDue == nil {
		c.ackDue = time.AfterFunc(ackWait, c.wake.Set)
	}
}

// hangUp has no connection of another host handed over any more, and says whether one was.
func (c *child) hangUp() (some bool) {
	c.giving.Lock()
	defer c.giving.Unlock()
	c.shut = true
	if c.conns == nil {
		return false
	}
	_ = c.conns.Close() // nothing is written any more
	return true
}

// forget forgets an executor that is gone, unless it was told to start: then its app does, when nothing of it is left.
func (c *child) forget() {
	if c.entry == nil {
		return
	}
	c.mu.Lock()
	begun := c.entry.Begun
	c.mu.Unlock()
	if !begun {
		c.runs.remove(c.entry)
	}
}

const brokenLink = "its link to the worker broke: "

// linkBroke says what has become of a link that did not end as it should: by an executor's death, too, if it had not read all.
func linkBroke(err error) string {
	var call *net.OpError
	if errors.As(err, &call) {
		err = call.Err // the rest names files of this host
	}
	return brokenLink + err.Error()
}

// dies waits for the end of a process that has no link any more, and kills it if it does not end by itself: how it ends may say why.
func (c *child) dies(why string) {
	select {
	case <-c.exited:
	case <-time.After(exitWait):
		c.kill(why)
	}
}

// kill ends the process at once, for the reason given by the first call. One that is not this app's any more it leaves alone.
func (c *child) kill(why string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.atRest {
		return
	}
	c.why.CompareAndSwap(nil, &why)
	if c.played != nil {
		c.played.end(c)
		return
	}
	_ = c.process.Kill() // the only error is that it has ended
}

// maxCommands bounds what waits for an executor to read it: one that stands still gets a few for each migration.
const maxCommands = 4096

// say gives a command to the executor, behind the earlier ones. It does not wait: an executor that stands still, or that itself
// waits for its worker, holds nobody up. A link that is broken is no error: the exit is reported by its own way.
func (c *child) say(cmd *apiv1.ExecCommand) {
	c.mu.Lock()
	n := len(c.commands) + len(c.early)
	if cmd.GetCode() != nil && (replaceCode(c.commands, cmd) || replaceCode(c.early, cmd)) {
		c.mu.Unlock()
		return
	}
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

// replaceCode puts what is said of a module's code in the place of what waits to be said of that: only the newest counts.
func replaceCode(waiting []*apiv1.ExecCommand, cmd *apiv1.ExecCommand) bool {
	at := slices.IndexFunc(waiting, func(w *apiv1.ExecCommand) bool {
		return w.GetCode() != nil && w.GetCode().ModulePath == cmd.GetCode().ModulePath
	})
	if at >= 0 {
		waiting[at] = cmd
	}
	return at >= 0
}

// send sends commands until the process is gone, or at rest.
func (c *child) send() {
	defer close(c.sent)
	for {
		if err := c.flush(); err != nil {
			if !c.released.Load() {
				c.dies(linkBroke(err))
			}
			return
		}
		select {
		case <-c.wake:
		case <-c.exited:
			return
		}
	}
}

// flush sends the commands that wait, and returns when all that were said before are sent. It blocks while the executor does not read.
func (c *child) flush() error {
	c.sending.Lock()
	defer c.sending.Unlock()
	c.mu.Lock()
	cmds := c.commands
	c.commands = nil
	if c.ackDue != nil {
		c.ackDue.Stop()
		c.ackDue = nil
	}
	rests := len(cmds) > 0 && cmds[len(cmds)-1].GetRest() != nil // it has nothing more to tell
	if acked := c.acked.Load(); acked != c.told && !rests {
		c.told = acked
		cmds = append(cmds, &apiv1.ExecCommand{Msg: &apiv1.ExecCommand_Ack{Ack: &apiv1.ExecAck{Number: acked}}})
	}
	c.mu.Unlock()
	for _, cmd := range cmds {
		if err := c.control.Send(cmd); err != nil {
			return err
		}
	}
	return nil
}
