package worker

import (
	"bytes"
	"cmp"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/godwit-run/godwit/internal/pipe"
)

// registry knows the executors of this host beyond the life of the worker's process: a file and a socket for each, in a directory. It is written as a crash of the
// process needs it, not one of the machine, after which no executor is there.
type registry struct {
	dir  string
	boot string // what tells this directory, in this life of the machine, from others, and from copies of it
}

// entry is one executor.
type entry struct {
	Word    string `json:"word"` // names its socket
	App     string `json:"app"`
	Attempt uint32 `json:"attempt"`
	PID     int    `json:"pid"`
	Start   uint64 `json:"start"` // of the process, against numbers that are given again
	Boot    string `json:"boot"`
	Link    int    `json:"link"` // pipe.LinkVersion of the worker that has started it
	Files   uint64 `json:"files"`
	Code    bool   `json:"code"` // it takes ExecCode
	// Begun says that it was told to start: from then on ranks may have run that nobody may begin anew.
	Begun bool `json:"begun"`
}

const (
	entrySuffix  = ".json"
	socketSuffix = ".sock"
)

func newRegistry(dir string) (*registry, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("worker: executors: %w", err)
	}
	boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return nil, fmt.Errorf("worker: executors: %w", err)
	}
	var st syscall.Stat_t
	if err := syscall.Stat(dir, &st); err != nil {
		return nil, fmt.Errorf("worker: executors: %w", err)
	}
	return &registry{dir: dir, boot: fmt.Sprintf("%s %x:%x", strings.TrimSpace(string(boot)), st.Dev, st.Ino)}, nil
}

// listen makes a socket that an executor inherits, and the word that names it.
func (r *registry) listen() (string, *os.File, error) {
	b := make([]byte, 8)
	for i := range b {
		b[i] = byte(rand.Uint32()) //nolint:gosec // a name, no secret
	}
	word := hex.EncodeToString(b)
	f, err := pipe.Listen(r.dir, word+socketSuffix)
	return word, f, err
}

// entryOf is an entry for a process that is to be the executor of an app. It is in no file yet.
func (r *registry) entryOf(of *runner, what begins) *entry {
	return &entry{
		Word: of.word, App: what.app, Attempt: what.attempt, Boot: r.boot, Link: pipe.LinkVersion, PID: of.process.Pid, Start: of.born,
		Code: true, Files: max(1, rand.Uint64()), //nolint:gosec // likewise
	}
}

// entryRoom is what an entry takes in its file: one is written over another by one call, which the end of this process does not cut in two.
const entryRoom = 1 << 10

// write writes an entry's file, in the place of what the same process was before. No file is made for that, which costs some file systems more than the start of an app.
func (r *registry) write(e *entry) error {
	b, err := json.Marshal(e)
	if err == nil && len(b) >= entryRoom {
		err = fmt.Errorf("an entry of %d bytes", len(b))
	}
	if err == nil {
		err = r.put(e.Word, append(b, '\n'), os.O_CREATE)
	}
	if err != nil {
		return fmt.Errorf("worker: executors: %w", err)
	}
	return nil
}

// put makes a text, and spaces, what a process's file holds.
func (r *registry) put(word string, text []byte, flag int) error {
	f, err := os.OpenFile(filepath.Join(r.dir, word+entrySuffix), os.O_WRONLY|flag, 0o600)
	if err != nil {
		return err
	}
	_, err = f.WriteAt(append(text, bytes.Repeat([]byte{' '}, entryRoom-len(text))...), 0)
	return errors.Join(err, f.Close())
}

// remove forgets an executor, which is gone; nil: there was none.
func (r *registry) remove(e *entry) {
	if e != nil {
		r.removeWord(e.Word)
	}
}

// removeWord forgets a process that is gone.
func (r *registry) removeWord(word string) {
	for _, suffix := range []string{entrySuffix, socketSuffix} {
		_ = os.Remove(filepath.Join(r.dir, word+suffix)) // what stays is found at the next start
	}
}

// rested forgets whose executor a process was.
func (r *registry) rested(word string) error { return r.put(word, nil, 0) }

// left are the executors that an earlier process of the worker has left, the newest of each app last. What is no entry of this life of the machine is removed.
func (r *registry) left() ([]*entry, error) {
	files, err := os.ReadDir(r.dir)
	if err != nil {
		return nil, fmt.Errorf("worker: executors: %w", err)
	}
	var out []*entry
	known := map[string]bool{}
	for _, f := range files {
		word, ok := strings.CutSuffix(f.Name(), entrySuffix)
		if !ok {
			continue
		}
		b, err := os.ReadFile(filepath.Join(r.dir, f.Name()))
		if err != nil {
			return nil, fmt.Errorf("worker: executors: %w", err)
		}
		e := &entry{}
		if json.Unmarshal(b, e) == nil && e.Word == word && e.Boot == r.boot && checkID("app", e.App) == nil {
			out, known[word] = append(out, e), true
		}
	}
	for _, f := range files {
		word, suffix, _ := strings.Cut(f.Name(), ".")
		if ours := strings.HasPrefix("."+suffix, entrySuffix) || "."+suffix == socketSuffix; ours && !known[word] {
			if err := os.Remove(filepath.Join(r.dir, f.Name())); err != nil && !errors.Is(err, os.ErrNotExist) {
				return nil, fmt.Errorf("worker: executors: %w", err)
			}
		}
	}
	slices.SortFunc(out, func(a, b *entry) int { return cmp.Or(cmp.Compare(a.App, b.App), cmp.Compare(a.Start, b.Start)) })
	return out, nil
}

// living says whether the executor's process is there.
func (e *entry) living() bool {
	start, ok := startOf(e.PID)
	return ok && start == e.Start
}

// kill ends an executor that no worker has.
func (e *entry) kill() {
	p, err := os.FindProcess(e.PID) // a handle of the process that has the number now
	if err != nil {
		return
	}
	defer p.Release() //nolint:errcheck // nothing is left of it
	if e.living() {
		_ = p.Kill() // the only error is that it has ended
	}
}

// startOf is when a process was started, in the kernel's ticks since the machine was; false: there is none, or it has ended.
func startOf(pid int) (uint64, bool) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, false
	}
	// The name, in parentheses, may hold anything. Behind it come the state, and the start as the twentieth.
	fields := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:])
	if len(fields) < 20 || fields[0][0] == 'Z' || fields[0][0] == 'X' {
		return 0, false
	}
	start, err := strconv.ParseUint(string(fields[19]), 10, 64)
	return start, err == nil
}

// awaitEnd blocks until a process has ended that need not be a child of this one.
func (e *entry) awaitEnd() {
	fd, err := unix.PidfdOpen(e.PID, 0)
	if err == nil {
		defer unix.Close(fd) //nolint:errcheck // nothing is left of it
	}
	for e.living() {
		timeout := 100 // in milliseconds, where the kernel has no descriptors of processes
		fds := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
		if err != nil {
			fds = nil
		} else {
			timeout = -1
		}
		_, _ = unix.Poll(fds, timeout) // whatever it says, the process is looked at
	}
}
