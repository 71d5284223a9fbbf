package jepsen

import (
	"bytes"
	"cmp"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// process is one server or worker. It can be started again with the same arguments after it has ended.
type process struct {
	name, role, addr, dir, log string
	args                       []string
	env                        []string
	binary                     string // empty: the one under test
	ns                         string // network namespace; empty: the test's own
	starter                    *launcher

	cmd    *exec.Cmd
	exited chan struct{} // closed when the process has ended
}

// start runs the process; its log goes on in the same file.
func (p *process) start(t *testing.T) {
	t.Helper()
	logFile, err := os.OpenFile(p.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	require.NoError(t, err)
	defer logFile.Close()                                                  //nolint:errcheck // the process holds its own
	cmd := exec.Command(cmp.Or(p.binary, os.Getenv(envBinary)), p.args...) //nolint:gosec,noctx // ended by signals
	cmd.Env = append(os.Environ(), p.env...)
	cmd.Stderr = logFile
	require.NoError(t, p.starter.start(cmd, p.ns), "start %s", p.name)
	exited := make(chan struct{})
	go func() { _ = cmd.Wait(); close(exited) }() // its state is kept in cmd
	p.cmd, p.exited = cmd, exited
}

func (p *process) pid() int { return p.cmd.Process.Pid }

// signal sends a signal; a process that has ended takes none.
func (p *process) signal(s syscall.Signal) { _ = p.cmd.Process.Signal(s) }

// kill ends the process, and a worker's executors, as a power cut would, and returns when it is gone.
func (p *process) kill() {
	p.crash()
	if p.role != "worker" {
		return
	}
	for _, e := range marked(p.env[0]) {
		if e.of() == p.name {
			e.kill()
		}
	}
}

// crash ends the process alone, and returns when it is gone.
func (p *process) crash() {
	p.signal(syscall.SIGKILL)
	<-p.exited
}

// interrupt asks the process to end, waits until it has and returns its exit code.
func (p *process) interrupt(t *testing.T) int {
	t.Helper()
	p.signal(syscall.SIGINT)
	return p.wait(t, patience)
}

// wait waits until the process has ended by itself, and returns its exit code.
func (p *process) wait(t *testing.T, limit time.Duration) int {
	t.Helper()
	select {
	case <-p.exited:
	case <-time.After(limit):
		require.FailNow(t, "process does not end", "%s, %s", p.name, limit)
	}
	return p.cmd.ProcessState.ExitCode()
}

func (p *process) running() bool {
	select {
	case <-p.exited:
		return false
	default:
		return true
	}
}

// freeze stops the process from running until thaw; its connections stay open. It returns when all threads stand still: until one of them
// has come to the signal, on a loaded machine for long, the others run on.
func (p *process) freeze() {
	p.signal(syscall.SIGSTOP)
	for deadline := time.Now().Add(patience); p.running() && !p.stands() && time.Now().Before(deadline); {
		<-time.After(time.Millisecond)
	}
}

// holdAt has the process, or its executors, stand still at a failpoint until release. They are to have come there by themselves.
func (p *process) holdAt(t *testing.T, point string) (release func()) {
	t.Helper()
	file := p.pointFile(point)
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	return func() { _ = os.Remove(file) }
}

func (p *process) pointFile(point string) string { return p.log + "." + point }

// heldPoints are the failpoints at which a worker's executors can be held.
func heldPoints() []string {
	return []string{"executor.freeze", "executor.stopped", "executor.rest", "executor.stage", "executor.staged"}
}

// stands says whether all threads are stopped.
func (p *process) stands() bool {
	stats, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", p.cmd.Process.Pid))
	if err != nil {
		return true
	}
	for _, name := range stats {
		stat, err := os.ReadFile(name)
		if i := bytes.LastIndexByte(stat, ')'); err == nil && (i < 0 || !bytes.HasPrefix(stat[i:], []byte(") T"))) {
			return false
		}
	}
	return true
}

func (p *process) thaw() { p.signal(syscall.SIGCONT) }

// launcher starts processes that the kernel kills when the tests end, however they end. It does so when the thread ends
// that started a process, so one goroutine starts all of them, locked to a thread that it never gives back.
type launcher struct{ tasks chan func() }

// newLauncher makes a launcher that serves until stop is called.
func newLauncher() (l *launcher, stop func()) {
	l = &launcher{tasks: make(chan func())}
	done := make(chan struct{})
	go func() { // ends with done
		runtime.LockOSThread()
		for {
			select {
			case f := <-l.tasks:
				f()
			case <-done:
				return
			}
		}
	}()
	return l, func() { close(done) }
}

// start starts a process in a group of its own, in a network namespace or, for an empty name, in the test's own.
func (l *launcher) start(cmd *exec.Cmd, ns string) error {
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
	started := make(chan error)
	l.tasks <- func() { started <- inNamespace(ns, cmd.Start) }
	return <-started
}
