package worker

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/godwit-run/godwit/internal/proc"
	"github.com/godwit-run/godwit/worker/native"
)

// Words of what a maker prints, a line each: how many parts of how many are done, which may be said again while it computes; and, at its end, what the compiler calls itself.
const (
	MakerParts = "parts"
	MakerBy    = "by"
)

// makers runs a child process for each module that is compiled: what it makes of a module that a user has made is bounded, and its end is not the worker's.
type makers struct {
	w       *Worker
	starter *proc.Starter
}

// maxMakerSaid bounds what is told of a maker's complaints, in bytes.
const maxMakerSaid = 2 << 10

// compile implements compileFunc.
func (m *makers) compile(ctx context.Context, module string, j *codeJob, o string, progress func(done, of int)) (object []byte, compiler string, err error) {
	dir := m.w.modules.codeDir(j.module)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, "", diskError(err)
	}
	out, err := os.CreateTemp(dir, "code-*")
	if err != nil {
		return nil, "", diskError(err)
	}
	defer func() { _ = os.Remove(out.Name()) }() // the module's directory goes with it
	if err := out.Close(); err != nil {
		return nil, "", diskError(err)
	}
	argv := append(m.w.cfg.Maker[1:len(m.w.cfg.Maker):len(m.w.cfg.Maker)], "--module", module, "--dir", dir, "--level", j.level, "--optimize", o, "--out", out.Name())
	if compiler, err = m.run(ctx, argv, progress); err != nil {
		return nil, "", err
	}
	info, err := os.Stat(out.Name())
	if err == nil && info.Size() > native.MaxSealedBytes {
		err = fmt.Errorf("the object has %d bytes", info.Size())
	}
	if err == nil {
		object, err = os.ReadFile(out.Name())
	}
	return object, compiler, err
}

// run runs a maker until it ends, or ctx does.
func (m *makers) run(ctx context.Context, argv []string, progress func(done, of int)) (compiler string, err error) {
	//nolint:gosec,noctx // the worker's own binary; ended below
	cmd := exec.Command(m.w.spawner.binary(), argv...)
	cmd.Args[0] = "godwit"
	var said bytes.Buffer
	cmd.Stderr = &limited{to: &said, left: maxMakerSaid}
	lines, err := cmd.StdoutPipe()
	if err == nil {
		err = m.starter.Start(ctx, cmd)
	}
	if err != nil {
		return "", fmt.Errorf("start the compiler: %w", err)
	}
	m.w.spawner.memory.bound(cmd.Process.Pid)                                                // and so what it starts
	stop := context.AfterFunc(ctx, func() { _ = unix.Kill(-cmd.Process.Pid, unix.SIGKILL) }) // clang ends with it
	defer stop()
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
		}
	}
	err = cmd.Wait()
	status, ok := cmd.ProcessState.Sys().(syscall.WaitStatus)
	m.w.spawner.memory.waited(ok && status.Signaled() && ctx.Err() == nil)
	switch {
	case ctx.Err() != nil:
		return "", context.Cause(ctx)
	case err != nil:
		return "", errors.New(strings.TrimSpace(fmt.Sprintf("%s (%v)", bytes.TrimSpace(said.Bytes()), err)))
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
