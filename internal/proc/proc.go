// Package proc starts child processes that die with their parent, however the
// parent dies.
package proc

import (
	"context"
	"os/exec"
	"runtime"
	"syscall"
)

// Starter starts children. The kernel kills a child when the thread that started it ends, so all are started by one
// goroutine, locked to a thread that lives as long as Run.
type Starter struct{ tasks chan func() }

// NewStarter makes a Starter; Run does its work.
func NewStarter() *Starter { return &Starter{tasks: make(chan func())} }

// Run serves Start until ctx ends. Children that are still there are killed by the kernel when it returns.
func (s *Starter) Run(ctx context.Context) error {
	runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
	for {
		select {
		case f := <-s.tasks:
			f()
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// Start starts cmd in a process group of its own, to be killed when this process or Run ends. It blocks until the child
// runs or ctx ends.
func (s *Starter) Start(ctx context.Context, cmd *exec.Cmd) error {
	return s.start(ctx, cmd, &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true})
}

// StartSession is as Start, and the child begins a session.
func (s *Starter) StartSession(ctx context.Context, cmd *exec.Cmd) error {
	return s.start(ctx, cmd, &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setsid: true}) // which has a process group of its own, too
}

func (s *Starter) start(ctx context.Context, cmd *exec.Cmd, attr *syscall.SysProcAttr) error {
	cmd.SysProcAttr = attr
	started := make(chan error, 1)
	select {
	case s.tasks <- func() { started <- cmd.Start() }:
		return <-started
	case <-ctx.Done():
		return ctx.Err()
	}
}
