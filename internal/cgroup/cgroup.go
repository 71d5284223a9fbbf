// Package cgroup bounds the memory that some processes take together, by a control group of their own: when they take more the kernel ends one of them, and
// nothing else. It knows both versions of control groups: the group is beneath the one that this process is in, or, in the second version, where a group with
// processes has none beneath it, beside it.
package cgroup

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// prefix begins the names of groups; the number of the process that has made one follows.
const prefix = "godwit-"

// controller is what is different between the versions.
type controller struct {
	limit, swap string // files of what the group may take: bytes
	noSwap      string // what swap is then: together with memory, or by itself
	events      string // file with a line "oom_kill N"
}

var (
	version1 = controller{limit: "memory.limit_in_bytes", swap: "memory.memsw.limit_in_bytes", events: "memory.oom_control"} //nolint:gochecknoglobals // a constant
	version2 = controller{limit: "memory.max", swap: "memory.swap.max", noSwap: "0", events: "memory.events"}                //nolint:gochecknoglobals // a constant
)

// Group is a control group that this process has made. Its methods may be called from any goroutine.
type Group struct {
	controller
	dir   string
	bytes int64
}

// New makes a group for processes that may take so many bytes of memory together, the kernel's for them and the cache of what they read included. It removes
// groups of processes that have ended. It fails where this process may not make groups, or the system has none; the error says why.
func New(bytes int64) (*Group, error) {
	return open("/proc/self", bytes)
}

func open(self string, bytes int64) (*Group, error) {
	mounts, err := os.ReadFile(filepath.Join(self, "mountinfo"))
	if err != nil {
		return nil, fmt.Errorf("cgroup: %w", err)
	}
	groups, err := os.ReadFile(filepath.Join(self, "cgroup"))
	if err != nil {
		return nil, fmt.Errorf("cgroup: %w", err)
	}
	places, ctl, err := find(mounts, groups)
	if err != nil {
		return nil, err
	}
	var all error
	for _, place := range places {
		sweep(place)
		g := &Group{controller: ctl, dir: filepath.Join(place, prefix+strconv.Itoa(os.Getpid())), bytes: bytes}
		err := g.make()
		if err == nil {
			return g, nil
		}
		all = errors.Join(all, err)
	}
	return nil, fmt.Errorf("cgroup: %w", all)
}

// find is where a group may be made whose memory is accounted for, by what /proc says.
func find(mounts, groups []byte) (places []string, ctl controller, err error) {
	in := map[string]string{} // path of the group, by controller; the second version's by ""
	for line := range bytes.Lines(groups) {
		if f := strings.SplitN(strings.TrimSpace(string(line)), ":", 3); len(f) == 3 {
			for c := range strings.SplitSeq(f[1], ",") {
				in[c] = f[2]
			}
		}
	}
	for line := range bytes.Lines(mounts) {
		// ID PARENT MAJOR:MINOR ROOT MOUNTPOINT OPTIONS... - TYPE SOURCE SUPEROPTIONS
		head, tail, ok := strings.Cut(strings.TrimSpace(string(line)), " - ")
		h, t := strings.Fields(head), strings.Fields(tail)
		if !ok || len(h) < 5 || len(t) < 3 {
			continue
		}
		path, there := "", false
		switch {
		case t[0] == "cgroup" && strings.Contains(","+t[2]+",", ",memory,"):
			path, there = in["memory"], in["memory"] != ""
			ctl = version1
		case t[0] == "cgroup2" && in["memory"] == "":
			path, there = in[""], in[""] != ""
			ctl = version2
		}
		if rel, err := filepath.Rel(h[3], path); there && err == nil && !strings.HasPrefix(rel, "..") {
			places := []string{filepath.Join(h[4], rel)}
			if t[0] == "cgroup2" && rel != "." {
				places = append(places, filepath.Join(h[4], filepath.Dir(rel)))
			}
			return places, ctl, nil
		}
	}
	return nil, ctl, errors.New("cgroup: no control groups are mounted that account for memory")
}

// sweep removes groups of processes that are there no more.
func sweep(place string) {
	entries, _ := os.ReadDir(place) // what it does not give stays
	for _, e := range entries {
		pid, err := strconv.Atoi(strings.TrimPrefix(e.Name(), prefix))
		if err == nil && strings.HasPrefix(e.Name(), prefix) && errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) {
			_ = os.Remove(filepath.Join(place, e.Name()))
		}
	}
}

// make makes the directory, which must come with the files of the memory controller, and sets the limit.
func (g *Group) make() error {
	if err := os.Mkdir(g.dir, 0o755); err != nil && !errors.Is(err, os.ErrExist) {
		return err
	}
	err := g.set()
	if errors.Is(err, os.ErrNotExist) { // the second version gives the files when they are asked for one level above
		if err = write(filepath.Join(filepath.Dir(g.dir), "cgroup.subtree_control"), "+memory"); err == nil {
			err = g.set()
		}
	}
	if err != nil {
		return errors.Join(err, os.Remove(g.dir))
	}
	return nil
}

func (g *Group) set() error {
	if err := write(filepath.Join(g.dir, g.limit), strconv.FormatInt(g.bytes, 10)); err != nil {
		return err
	}
	swap := g.noSwap
	if swap == "" {
		swap = strconv.FormatInt(g.bytes, 10)
	}
	_ = write(filepath.Join(g.dir, g.swap), swap) // not where the kernel does not account for swap
	return nil
}

// write does not make the file.
func write(path, value string) error {
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteString(value)
	return errors.Join(err, f.Close())
}

// Add puts a process into the group. What it has taken before does not count.
func (g *Group) Add(pid int) error {
	procs := filepath.Join(g.dir, "cgroup.procs")
	err := write(procs, strconv.Itoa(pid))
	if errors.Is(err, os.ErrNotExist) { // somebody has removed it while it was empty
		if err = g.make(); err == nil {
			err = write(procs, strconv.Itoa(pid))
		}
	}
	if err != nil {
		return fmt.Errorf("cgroup: add process %d: %w", pid, err)
	}
	return nil
}

// Kills is how many processes of the group the kernel has ended for want of memory.
func (g *Group) Kills() (int, error) {
	f, err := os.Open(filepath.Join(g.dir, g.events))
	if err != nil {
		return 0, fmt.Errorf("cgroup: %w", err)
	}
	defer f.Close() //nolint:errcheck // read only
	for s := bufio.NewScanner(f); s.Scan(); {
		if n, ok := strings.CutPrefix(s.Text(), "oom_kill "); ok {
			return strconv.Atoi(n)
		}
	}
	return 0, fmt.Errorf("cgroup: %s does not count what it has ended", f.Name())
}

// Remove removes the group, if no process is in it.
func (g *Group) Remove() error { return os.Remove(g.dir) }

// Memory is how much memory this machine has, in bytes.
func Memory() (int64, error) {
	var info unix.Sysinfo_t
	if err := unix.Sysinfo(&info); err != nil {
		return 0, fmt.Errorf("cgroup: %w", err)
	}
	return int64(info.Totalram) * int64(info.Unit), nil //nolint:unconvert // it is not of that type everywhere
}
