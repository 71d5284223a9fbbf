// Package cgroup bounds the memory that some processes take together, by a control group of their own: when they take more the kernel ends one of them, and
// nothing else. It knows both versions of control groups: the group is beneath the one that this process is in, or, in the second version, where a group with
// processes has none beneath it, beside it, unless that is a unit of systemd (with Delegate= and DelegateSubgroup= the process is in a group beneath its unit).
package cgroup

import (
	"bufio"
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// prefix begins the names of groups; the number of the process that has made one follows, and a word, since numbers are given again.
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

// Take is the group at dir, which a process before this one has made and in which there are others yet.
func Take(dir string, bytes int64) (*Group, error) {
	for _, ctl := range []controller{version1, version2} {
		g := &Group{controller: ctl, dir: dir, bytes: bytes}
		if g.set() == nil {
			return g, nil
		}
	}
	return nil, fmt.Errorf("cgroup: %s is no group of ours any more", dir)
}

// Dir is where the group is.
func (g *Group) Dir() string { return g.dir }

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
		g := &Group{controller: ctl, dir: filepath.Join(place, prefix+strconv.Itoa(os.Getpid())+"-"+rand.Text()[:8]), bytes: bytes}
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
			if t[0] == "cgroup2" && rel != "." && !unit(rel) {
				places = append(places, filepath.Join(h[4], filepath.Dir(rel)))
			}
			return places, ctl, nil
		}
	}
	return nil, ctl, errors.New("cgroup: no control groups are mounted that account for memory")
}

// unit reports whether a group is one of systemd's: beside it processes would not be bounded by what bounds the unit.
func unit(path string) bool {
	switch filepath.Ext(path) {
	case ".service", ".scope", ".slice":
		return true
	}
	return false
}

// sweep removes groups of processes that are there no more, or had this one's number; those of others, too, if they are empty: they are made again then.
func sweep(place string) {
	entries, _ := os.ReadDir(place) // what it does not give stays
	for _, e := range entries {
		number, _, _ := strings.Cut(strings.TrimPrefix(e.Name(), prefix), "-")
		pid, err := strconv.Atoi(number)
		if err == nil && strings.HasPrefix(e.Name(), prefix) && (pid == os.Getpid() || errors.Is(syscall.Kill(pid, 0), syscall.ESRCH)) {
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
	swap := g.noSwap
	if swap == "" {
		swap = strconv.FormatInt(g.bytes, 10)
	}
	bounded := func() { _ = write(filepath.Join(g.dir, g.swap), swap) } // not where the kernel does not account for swap
	bounded()                                                           // the first version wants it to be no less than the other, before and after
	err := write(filepath.Join(g.dir, g.limit), strconv.FormatInt(g.bytes, 10))
	bounded()
	return err
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

// Memory is how much memory this process may have, in bytes: the machine's, or what the groups that it is in allow, if that is less.
func Memory() (int64, error) {
	var info unix.Sysinfo_t
	if err := unix.Sysinfo(&info); err != nil {
		return 0, fmt.Errorf("cgroup: %w", err)
	}
	return allowed("/proc/self", int64(info.Totalram)*int64(info.Unit)), nil //nolint:unconvert // it is not of that type everywhere
}

func allowed(self string, bytes int64) int64 {
	mounts, err1 := os.ReadFile(filepath.Join(self, "mountinfo"))
	groups, err2 := os.ReadFile(filepath.Join(self, "cgroup"))
	places, ctl, err3 := find(mounts, groups)
	if errors.Join(err1, err2, err3) != nil {
		return bytes
	}
	for dir := places[0]; dir != filepath.Dir(dir); dir = filepath.Dir(dir) {
		text, err := os.ReadFile(filepath.Join(dir, ctl.limit))
		if err != nil && dir != places[0] {
			break // above the groups
		}
		if n, err := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64); err == nil { // else there is none: max
			bytes = min(bytes, n)
		}
	}
	return bytes
}
