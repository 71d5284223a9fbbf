package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

const (
	devStopWait = 10 * time.Second
	// A process that ends is started again after restartFirst, and each time after twice as long, up to restartMost;
	// from the beginning once it has run for restartMost.
	restartFirst = 500 * time.Millisecond
	restartMost  = 30 * time.Second
	logTail      = 5 // lines
)

// devChild keeps one process of a dev cluster running until it is stopped.
type devChild struct {
	d *dev
	p *devProcess

	mu      sync.Mutex // guards the fields below
	cmd     *exec.Cmd
	exited  chan struct{} // closed when cmd has ended
	stopped bool          // it is not to be started again
}

// launch starts a process for the first time.
func (d *dev) launch(ctx context.Context, p *devProcess) (*devChild, error) {
	if err := os.MkdirAll(p.DataDir, 0o700); err != nil {
		return nil, err
	}
	p.Log = filepath.Join(d.flags.dataDir, p.Name+".log")
	c := &devChild{d: d, p: p}
	return c, c.start(ctx)
}

// start starts the process, unless it has been stopped.
func (c *devChild) start(ctx context.Context) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.stopped {
		return nil
	}
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find the godwit binary: %w", err)
	}
	logFile, err := os.OpenFile(c.p.Log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer logFile.Close()                       //nolint:errcheck // the child holds its own
	cmd := exec.Command(self, c.p.Args...)      //nolint:gosec,noctx // this very binary; stopped by signals
	cmd.Args[0], cmd.Stderr = "godwit", logFile // the binary may have the name of a compiler, or of mpirun
	if c.d.tmp != nil {                         // which is not removed before the process is gone
		cmd.ExtraFiles = []*os.File{c.d.tmp.pipe}
	}
	if err := c.d.starter.Start(ctx, cmd); err != nil {
		return fmt.Errorf("start %s: %w", c.p.Name, err)
	}
	c.d.mu.Lock()
	c.p.PID = cmd.Process.Pid
	c.d.mu.Unlock()
	exited := make(chan struct{})
	go func() { _ = cmd.Wait(); close(exited) }() // how it ended is kept in cmd
	c.cmd, c.exited = cmd, exited
	return nil
}

// current is the process of this moment.
func (c *devChild) current() (cmd *exec.Cmd, exited <-chan struct{}, stopped bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.cmd, c.exited, c.stopped
}

// ended says how the process has ended; empty: it runs.
func (c *devChild) ended() string {
	cmd, exited, _ := c.current()
	select {
	case <-exited:
		return fmt.Sprintf("%s has ended (%s); its log is %s:\n%s", c.p.Name, cmd.ProcessState, c.p.Log, lastLines(c.p.Log))
	default:
		return ""
	}
}

// keep starts the process again whenever it has ended, and says so, until it is stopped or ctx ends.
func (c *devChild) keep(ctx context.Context) {
	pause := restartFirst
	for {
		began := time.Now()
		_, exited, _ := c.current()
		select {
		case <-exited:
		case <-ctx.Done():
			return
		}
		why := c.ended()
		if _, _, stopped := c.current(); stopped || ctx.Err() != nil {
			return
		}
		if time.Since(began) > restartMost {
			pause = restartFirst
		}
		fmt.Fprintf(os.Stderr, "godwit dev: %s\ngodwit dev: starting %s again in %v\n", why, c.p.Name, pause)
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return
		}
		pause = min(2*pause, restartMost)
		err := c.start(ctx)
		if err == nil {
			err = c.d.writeFile() // the process has another pid
		}
		if err != nil && ctx.Err() == nil {
			fmt.Fprintf(os.Stderr, "godwit dev: %v\n", err)
		}
	}
}

// stop ends the process for good and waits for it; what does not heed the signal is killed.
func (c *devChild) stop(signal os.Signal) {
	c.mu.Lock()
	c.stopped = true
	cmd, exited := c.cmd, c.exited
	c.mu.Unlock()
	if cmd == nil {
		return
	}
	_ = cmd.Process.Signal(signal) // it may have ended
	select {
	case <-exited:
	case <-time.After(devStopWait):
		_ = cmd.Process.Kill() // it may have ended
		<-exited
	}
}

// lastLines are the last lines of a log, or why they cannot be read.
func lastLines(path string) string {
	const enough = 8 << 10
	f, err := os.Open(path)
	if err != nil {
		return err.Error()
	}
	defer f.Close() //nolint:errcheck // only read
	if info, err := f.Stat(); err == nil && info.Size() > enough {
		_, _ = f.Seek(-enough, 2) // else all of it is read
	}
	b := make([]byte, enough)
	n, _ := f.Read(b) // an empty log has no last lines
	lines := strings.Split(strings.TrimSpace(string(b[:n])), "\n")
	return strings.Join(lines[max(0, len(lines)-logTail):], "\n")
}
