package worker

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/godwit-run/godwit/internal/proc"
	"github.com/godwit-run/godwit/worker/native"
)

// Words of what a maker prints, a line each: how many parts of how many are done, which may be said again while it computes; and, at its end, what the compiler calls itself, or
// that another try would fail as well.
const (
	MakerParts = "parts"
	MakerBy    = "by"
	MakerFault = "fault"
)

// MakerOut is the descriptor to which a maker writes the object: a pipe, which is in no directory that others can write to.
const MakerOut = 3

// makers runs a child process for each module that is compiled: what it makes of a module that a user has made is bounded, and its end is not the worker's.
type makers struct {
	w       *Worker
	starter *proc.Starter
}

// maxMakerSaid bounds what is told of a maker's complaints, in bytes.
const maxMakerSaid = 2 << 10

// compile implements compileFunc.
func (m *makers) compile(ctx context.Context, module string, j *codeJob, o string, progress func(done, of int)) (object []byte, compiler string, err error) {
	out, in, err := os.Pipe()
	if err != nil {
		return nil, "", fmt.Errorf("start the compiler: %w", err)
	}
	doneCh := make(chan error, 1)
	go func() { // ends with the maker, which alone has the other end
		object, err = io.ReadAll(io.LimitReader(out, native.MaxObjectBytes+1))
		doneCh <- errors.Join(err, out.Close())
	}()
	argv := append(m.w.cfg.Maker[1:len(m.w.cfg.Maker):len(m.w.cfg.Maker)],
		"--module", module, "--dir", m.w.modules.codeDir(j.module), "--work-dir", m.w.cfg.dir("compiling"), "--level", j.level, "--optimize", o)
	compiler, err = m.run(ctx, argv, in, progress)
	read := <-doneCh
	switch {
	case err != nil:
		return nil, "", err
	case read != nil:
		return nil, "", fmt.Errorf("take the object: %w", read)
	case len(object) > native.MaxObjectBytes:
		return nil, "", native.Fault{Err: fmt.Errorf("the object has more than %d bytes", native.MaxObjectBytes)}
	}
	return object, compiler, nil
}

// run runs a maker until it ends, or ctx does, and gives it the end of a pipe, which it closes here.
func (m *makers) run(ctx context.Context, argv []string, object *os.File, progress func(done, of int)) (compiler string, err error) {
	//nolint:gosec,noctx // the worker's own binary; ended below
	cmd := exec.Command(m.w.spawner.binary(), argv...)
	cmd.Args[0], cmd.ExtraFiles = "godwit", []*os.File{object}
	var said bytes.Buffer
	cmd.Stderr = &limited{to: &said, left: maxMakerSaid}
	lines, err := cmd.StdoutPipe()
	if err == nil {
		err = m.starter.Start(ctx, cmd)
	}
	_ = object.Close() // the maker has its own
	if err != nil {
		return "", fmt.Errorf("start the compiler: %w", err)
	}
	m.w.spawner.memory.bound(cmd.Process.Pid)                                                // and so what it starts
	stop := context.AfterFunc(ctx, func() { _ = unix.Kill(-cmd.Process.Pid, unix.SIGKILL) }) // clang ends with it
	defer stop()
	fault := false
	for text := bufio.NewScanner(lines); text.Scan(); {
		word, rest, _ := strings.Cut(text.Text(), " ")
		switch word {
		case MakerParts:
			var done, of int
			if _, err := fmt.Sscan(rest, &done, &of); err == nil {
				progress(done, of)
			}
		case MakerBy:
			compiler = rest
		case MakerFault:
			fault = true
		}
	}
	err = cmd.Wait()
	status, ok := cmd.ProcessState.Sys().(syscall.WaitStatus)
	m.w.spawner.memory.waited(ok && status.Signaled() && ctx.Err() == nil)
	switch {
	case ctx.Err() != nil:
		return "", context.Cause(ctx)
	case err != nil:
		if err = errors.New(strings.TrimSpace(fmt.Sprintf("%s (%v)", bytes.TrimSpace(said.Bytes()), err))); fault {
			err = native.Fault{Err: err}
		}
		return "", err
	}
	return compiler, nil
}

// limited is a writer of which only the beginning counts.
type limited struct {
	to   *bytes.Buffer
	left int
}

// Write implements io.Writer.
func (l *limited) Write(p []byte) (int, error) {
	n := min(len(p), l.left)
	l.to.Write(p[:n])
	l.left -= n
	return len(p), nil
}

// toolchainWait bounds the look for a compiler.
const toolchainWait = 10 * time.Second

// findToolchain looks for what compiles modules on this host.
func (k *codes) findToolchain(ctx context.Context, maker []string) {
	k.own = native.Recipe{Translator: native.Version, Flags: native.FlagsHash(), Level: native.Level()}
	ctx, cancel := context.WithTimeout(ctx, toolchainWait)
	defer cancel()
	recipe, err := native.Compiler{}.Recipe(ctx)
	switch {
	case k.own.Level == "":
		k.lacks = "the native engine does not know this processor"
	case len(maker) == 0:
		k.lacks = "nothing is compiled on this host"
	case err != nil:
		k.lacks = err.Error()
	default:
		k.own.Compiler = recipe.Compiler
		if lacks := native.Lacking(); lacks != "" {
			k.lacks = "its jail lacks: " + lacks
		}
	}
}
