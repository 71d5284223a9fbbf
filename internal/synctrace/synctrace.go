package synctrace

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"
)

// rootVar names the directory to the process that is watched; doneFile is what that makes in it when f has returned.
const (
	rootVar  = "GODWIT_SYNCTRACE"
	doneFile = ".done"
)

// Lost runs f with an empty directory, in a process that runs the calling test alone and comes to this call, and returns what a power cut
// after f could take back of what f has put there. Only what f does counts; prepare, if it is not nil, runs before it. It skips the test
// where processes may not be traced.
func Lost(t *testing.T, prepare, f func(dir string) error) []string {
	t.Helper()
	if dir := os.Getenv(rootVar); dir != "" {
		run(dir, prepare, f)
	}
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^"+t.Name()+"$", "-test.count=1") //nolint:gosec // this very test
	cmd.Env = append(os.Environ(), rootVar+"="+dir, "TMPDIR="+t.TempDir())                           // it ends without its own cleaning up
	cmd.Stdout, cmd.Stderr = os.Stderr, os.Stderr
	d, err := watch(cmd, dir)
	switch {
	case errors.Is(err, syscall.EPERM):
		t.Skip("this machine does not let a process trace its child")
	case err != nil:
		t.Fatal(err)
	}
	return d.lost()
}

// run is what the watched process does.
func run(dir string, prepare, f func(string) error) {
	if prepare == nil {
		prepare = func(string) error { return nil }
	}
	for _, step := range []func(string) error{prepare, mark, f, mark} {
		if err := step(dir); err != nil {
			fmt.Fprintln(os.Stderr, "synctrace:", err)
			os.Exit(1)
		}
	}
	os.Exit(0)
}

// mark tells the watcher that the next step begins.
func mark(dir string) error {
	f, err := os.Create(filepath.Join(dir, doneFile)) //nolint:gosec // of the test
	return errors.Join(err, f.Close())
}

// watch runs cmd to its second mark, and returns what is known of the disk then.
func watch(cmd *exec.Cmd, dir string) (*disk, error) {
	runtime.LockOSThread() // the tracer is a thread
	defer runtime.UnlockOSThread()
	cmd.SysProcAttr = &syscall.SysProcAttr{Ptrace: true, Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	tr := &tracer{pid: cmd.Process.Pid, disk: newDisk(dir), calls: map[int]call{}}
	err := tr.run()
	_ = cmd.Process.Kill() // it may have ended
	tr.reap()
	_ = cmd.Wait() // its end was seen; this lets go of what belongs to it
	if err == nil && tr.marks < 2 {
		err = errors.New("synctrace: the watched process ended early: what it says stands above")
	}
	return tr.disk, err
}
