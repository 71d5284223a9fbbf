package synctrace

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// tracer follows the system calls of a process and all its threads, as the thread that started it.
type tracer struct {
	pid   int
	disk  *disk
	calls map[int]call // by thread: the call that it is in
	marks int
}

// call is a system call: its number, its arguments, and the path that it is about, if that may not be asked afterwards.
type call struct {
	nr       uint64
	args     [6]uint64
	from, to string
}

const (
	getSyscallInfo = 0x420e
	infoEntry      = 1
	infoExit       = 2
	ofThisThread   = 0x20000000 // of wait4: children of this thread only
	trapSyscall    = syscall.SIGTRAP | 0x80
)

// run returns at the second mark, or when the process has ended.
func (tr *tracer) run() error {
	var status syscall.WaitStatus
	if _, err := syscall.Wait4(tr.pid, &status, 0, nil); err != nil {
		return err
	}
	err := syscall.PtraceSetOptions(tr.pid, syscall.PTRACE_O_TRACESYSGOOD|syscall.PTRACE_O_TRACECLONE|unix.PTRACE_O_EXITKILL)
	if err != nil {
		return err
	}
	for thread, signal := tr.pid, 0; ; {
		if err := syscall.PtraceSyscall(thread, signal); err != nil && !errors.Is(err, syscall.ESRCH) {
			return fmt.Errorf("synctrace: go on: %w", err)
		}
		var err error
		if thread, err = syscall.Wait4(-1, &status, unix.WALL|ofThisThread, nil); err != nil {
			return fmt.Errorf("synctrace: wait: %w", err)
		}
		for status.Exited() || status.Signaled() {
			if thread == tr.pid {
				return nil
			}
			if thread, err = syscall.Wait4(-1, &status, unix.WALL|ofThisThread, nil); err != nil {
				return fmt.Errorf("synctrace: wait: %w", err)
			}
		}
		signal = 0
		switch stop := status.StopSignal(); stop {
		case trapSyscall:
			if err := tr.look(thread); err != nil {
				return err
			}
			if tr.marks == 2 {
				return nil
			}
		case syscall.SIGTRAP, syscall.SIGSTOP: // a new thread
		default:
			signal = int(stop)
		}
	}
}

// reap waits for the end of the process, which was killed.
func (tr *tracer) reap() {
	for {
		var status syscall.WaitStatus
		thread, err := syscall.Wait4(-1, &status, unix.WALL|ofThisThread, nil)
		if err != nil || thread == tr.pid && (status.Exited() || status.Signaled()) {
			return
		}
	}
}

// look notes what a thread's call does: it is at its entry or its exit.
func (tr *tracer) look(thread int) error {
	var info [88]byte
	_, _, errno := syscall.Syscall6(syscall.SYS_PTRACE, getSyscallInfo, uintptr(thread), uintptr(len(info)), uintptr(unsafe.Pointer(&info[0])), 0, 0)
	if errno != 0 {
		return fmt.Errorf("synctrace: look at a call: %w", errno)
	}
	word := func(i int) uint64 { return binary.NativeEndian.Uint64(info[24+8*i:]) }
	switch info[0] {
	case infoEntry:
		c := call{nr: word(0)}
		for i := range c.args {
			c.args[i] = word(1 + i)
		}
		tr.name(&c)
		tr.calls[thread] = c
	case infoExit:
		if result, failed := int64(word(0)), info[32] != 0; !failed { //nolint:gosec // it is one
			tr.done(tr.calls[thread], result)
		}
		delete(tr.calls, thread)
	}
	return nil
}

// name finds out which paths a call is about.
func (tr *tracer) name(c *call) {
	switch c.nr {
	case unix.SYS_RENAMEAT, unix.SYS_RENAMEAT2:
		c.from, c.to = tr.path(c.args[0], c.args[1]), tr.path(c.args[2], c.args[3])
	case unix.SYS_UNLINKAT, unix.SYS_MKDIRAT:
		c.from = tr.path(c.args[0], c.args[1])
	case unix.SYS_FSYNC, unix.SYS_FDATASYNC, unix.SYS_WRITE, unix.SYS_PWRITE64, unix.SYS_WRITEV, unix.SYS_PWRITEV, unix.SYS_FTRUNCATE, unix.SYS_SENDFILE:
		c.from = tr.file(c.args[0])
	case unix.SYS_COPY_FILE_RANGE:
		c.from = tr.file(c.args[2])
	}
}

// done notes a call that has succeeded.
func (tr *tracer) done(c call, result int64) {
	d := tr.disk
	switch c.nr {
	case unix.SYS_OPENAT:
		if path := tr.file(uint64(result)); c.args[2]&unix.O_CREAT != 0 { //nolint:gosec // a descriptor
			tr.opened(path)
		}
	case unix.SYS_MKDIRAT:
		d.made(c.from)
	case unix.SYS_RENAMEAT, unix.SYS_RENAMEAT2:
		d.renamed(c.from, c.to)
	case unix.SYS_UNLINKAT:
		d.removed(c.from)
	case unix.SYS_FSYNC, unix.SYS_FDATASYNC:
		d.synced(c.from)
	case unix.SYS_WRITE, unix.SYS_PWRITE64, unix.SYS_WRITEV, unix.SYS_PWRITEV, unix.SYS_FTRUNCATE, unix.SYS_SENDFILE, unix.SYS_COPY_FILE_RANGE:
		d.written(c.from)
	}
}

// opened notes a file that may have been made. The first mark says that all there is counts as synced.
func (tr *tracer) opened(path string) {
	if path != filepath.Join(tr.disk.root, doneFile) {
		tr.disk.made(path)
		return
	}
	if tr.marks++; tr.marks == 1 {
		clear(tr.disk.content)
		clear(tr.disk.names)
		clear(tr.disk.moved)
		tr.disk.faults = nil
	}
}

// file is the path of a descriptor of the process.
func (tr *tracer) file(fd uint64) string {
	path, err := os.Readlink(fmt.Sprintf("/proc/%d/fd/%d", tr.pid, fd))
	if err != nil {
		return "" // it is about no file
	}
	return path
}

// path is what a directory's descriptor and a name in the memory of the process stand for.
func (tr *tracer) path(dir, name uint64) string {
	mem, err := os.Open(fmt.Sprintf("/proc/%d/mem", tr.pid))
	if err != nil {
		return ""
	}
	defer mem.Close() //nolint:errcheck // only read
	var text []byte
	for part := make([]byte, 64); len(text) < unix.PathMax; {
		n, err := mem.ReadAt(part, int64(name)+int64(len(text))) //nolint:gosec // an address
		text = append(text, part[:n]...)
		if end := bytes.IndexByte(text, 0); end >= 0 || err != nil {
			text = text[:max(end, 0)]
			break
		}
	}
	if filepath.IsAbs(string(text)) {
		return filepath.Clean(string(text))
	}
	at := fmt.Sprintf("/proc/%d/cwd", tr.pid)
	if int32(dir) != unix.AT_FDCWD { //nolint:gosec // a descriptor
		at = fmt.Sprintf("/proc/%d/fd/%d", tr.pid, dir)
	}
	base, err := os.Readlink(at)
	if err != nil {
		return ""
	}
	return filepath.Join(base, string(text))
}
