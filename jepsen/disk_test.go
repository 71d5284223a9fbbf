package jepsen

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// disk is a file system in a file, mounted where a server keeps its data.
type disk struct {
	dir, image string
	frozen     *exec.Cmd // the watchdog that thaws it if the test does not; nil: not frozen
	off        bool      // its power was cut
	cuts       int       // how often
}

// diskMiB is room for a server's log and modules, and little more.
const diskMiB = 96

// frozenAtMost is after how many seconds the watchdog thaws a disk that nobody has thawed.
const frozenAtMost = 60

// newDisk mounts a new disk at dir, or skips the test.
func newDisk(t *testing.T, dir string) *disk {
	t.Helper()
	needRoot(t, "mkfs.ext4", "mount", "umount", "fsfreeze", "fallocate")
	d := &disk{dir: dir, image: dir + ".img"}
	require.NoError(t, os.MkdirAll(dir, 0o700))
	f, err := os.Create(d.image)
	require.NoError(t, err)
	require.NoError(t, f.Truncate(diskMiB<<20))
	require.NoError(t, f.Close())
	require.NoError(t, run("mkfs.ext4", "-q", "-F", "-m", "0", d.image))
	if err := run("mount", "-o", "loop", d.image, dir); err != nil {
		t.Skipf("no loop devices: %v", err)
	}
	return d
}

func run(program string, args ...string) error {
	out, err := exec.Command(program, args...).CombinedOutput() //nolint:noctx // ends by itself
	if err != nil {
		return fmt.Errorf("%s %s: %w: %s", program, strings.Join(args, " "), err, out)
	}
	return nil
}

// freeze lets everything that writes to the disk wait, until thaw. A process that waits so cannot be killed: a watchdog that
// outlives the test thaws the disk if the test dies.
func (d *disk) freeze() error {
	const watch = `n=0; while kill -0 "$1" 2>/dev/null && [ $n -lt "$3" ]; do sleep 1; n=$((n+1)); done; fsfreeze --unfreeze "$2"`
	dog := exec.Command("sh", "-c", watch, "watchdog", strconv.Itoa(os.Getpid()), d.dir, strconv.Itoa(frozenAtMost)) //nolint:noctx // ends by itself
	dog.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := dog.Start(); err != nil {
		return err
	}
	d.frozen = dog
	return run("fsfreeze", "--freeze", d.dir)
}

// thaw ends freeze. A disk that is not frozen stays as it is.
func (d *disk) thaw() {
	if d.frozen == nil {
		return
	}
	_ = run("fsfreeze", "--unfreeze", d.dir)                 // the watchdog may have been first
	_ = syscall.Kill(-d.frozen.Process.Pid, syscall.SIGKILL) // and its sleep
	_ = d.frozen.Wait()                                      // it was killed
	d.frozen = nil
}

// out says whether the disk is frozen or its power was cut. A server without one has none of which that is true.
func (d *disk) out() bool { return d != nil && (d.frozen != nil || d.off) }

func (d *disk) filler() string { return filepath.Join(d.dir, "filler") }

// fill takes all room but a few blocks that are in use already.
func (d *disk) fill() error {
	var fs syscall.Statfs_t
	if err := syscall.Statfs(d.dir, &fs); err != nil {
		return err
	}
	room := int64(fs.Bavail) * fs.Bsize
	for ; room > 0; room -= 64 << 10 { // the file's own blocks need room as well
		if run("fallocate", "-l", strconv.FormatInt(room, 10), d.filler()) == nil {
			return nil
		}
	}
	return nil
}

// empty undoes fill.
func (d *disk) empty() { _ = os.Remove(d.filler()) }

// remove unmounts the disk. Nothing uses it any more.
func (d *disk) remove() {
	deadline := time.Now().Add(5 * time.Second)
	for run("umount", d.dir) != nil && time.Now().Before(deadline) {
		<-time.After(50 * time.Millisecond)
	}
	_ = os.Remove(d.image) // in a temporary directory
}

// sweepDisks unmounts the disks of test runs that have died before they could.
func sweepDisks() {
	mounts, err := os.ReadFile("/proc/mounts")
	if err != nil || os.Geteuid() != 0 {
		return
	}
	for line := range strings.Lines(string(mounts)) {
		fields := strings.Fields(line)
		if len(fields) < 2 || !strings.Contains(fields[1], "/"+scratchPrefix) || !strings.HasPrefix(fields[0], "/dev/loop") {
			continue
		}
		rest := fields[1][strings.Index(fields[1], scratchPrefix)+len(scratchPrefix):]
		owner, _, _ := strings.Cut(rest, "-")
		if _, err := os.Stat("/proc/" + owner); owner != "" && os.IsNotExist(err) {
			_ = run("fsfreeze", "--unfreeze", fields[1]) // if it is frozen
			_ = run("umount", fields[1])
		}
	}
}

// TestDisk sees that a frozen disk holds writers, that a full one refuses them, and that both end.
func TestDisk(t *testing.T) {
	d := newDisk(t, filepath.Join(t.TempDir(), "d"))
	defer d.remove()
	defer d.thaw()
	write := func(name string) chan error {
		done := make(chan error, 1)
		go func() { done <- os.WriteFile(filepath.Join(d.dir, name), make([]byte, 1<<20), 0o600) }() // ends when the disk is thawed
		return done
	}
	require.NoError(t, <-write("before"))
	require.NoError(t, d.freeze())
	held := write("held")
	select {
	case err := <-held:
		require.FailNow(t, "a frozen disk takes writes", "%v", err)
	case <-time.After(300 * time.Millisecond):
	}
	d.thaw()
	require.NoError(t, <-held)
	require.NoError(t, d.fill())
	require.ErrorIs(t, <-write("full"), syscall.ENOSPC)
	d.empty()
	require.NoError(t, <-write("full"))
}
