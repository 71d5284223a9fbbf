//go:build linux && amd64

package native

import (
	"errors"
	"flag"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// restricted skips a test where the kernel cannot bound what files a process sees.
func restricted(t *testing.T) {
	if lacking := Lacking(); strings.Contains(lacking, "files") {
		t.Skip(lacking)
	}
}

// clang reads what it is given, and what belongs to it: nothing else.
func TestClangReadsNothingElse(t *testing.T) {
	restricted(t)
	clang, err := exec.LookPath("clang-19")
	if err != nil {
		t.Skip("clang-19 is not installed")
	}
	outside, dir := filepath.Join(t.TempDir(), "secret.h"), t.TempDir()
	require.NoError(t, os.WriteFile(outside, []byte("int secret;\n"), 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "good.c"), []byte("int good;\n"), 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "bad.c"), []byte("#include \""+outside+"\"\n"), 0o600))
	c := Compiler{}
	require.NoError(t, c.run(t.Context(), clang, dir, []string{"-c", "good.c", "-o", "good.o"}))
	require.NoError(t, c.child(t.Context(), clang, dir, []string{"-c", "bad.c", "-o", "bad.o"}), "it can be read outside of the jail")
	require.ErrorContains(t, c.run(t.Context(), clang, dir, []string{"-c", "bad.c", "-o", "bad.o"}), "secret.h")
	require.Error(t, c.run(t.Context(), clang, dir, []string{"-c", "good.c", "-o", outside + ".o"}))
	require.NoFileExists(t, outside+".o")
}

// What runs in the jail has no sockets, no other processes and no more rights, and this process keeps its own.
func TestJail(t *testing.T) {
	restricted(t)
	self, err := os.Executable()
	require.NoError(t, err)
	outside := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(outside, nil, 0o600))
	require.NoError(t, Compiler{}.run(t.Context(), self, t.TempDir(), []string{"-test.run=^TestWithinJail$", "-test.count=1", "jailed", outside}))
	_, err = os.ReadFile(outside)
	require.NoError(t, err)
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, l.Close())
}

// TestWithinJail is what TestJail runs in the jail.
func TestWithinJail(t *testing.T) {
	if flag.Arg(0) != "jailed" {
		t.Skip("TestJail runs it")
	}
	check := func(err error, want syscall.Errno) {
		if !errors.Is(err, want) {
			fmt.Fprintf(os.Stderr, "%v and not %v\n", err, want)
			os.Exit(1)
		}
	}
	_, err := os.ReadFile(flag.Arg(1))
	check(err, syscall.EACCES)
	_, err = os.ReadDir("/proc/1")
	check(err, syscall.EACCES)
	_, err = os.Create(filepath.Join(filepath.Dir(flag.Arg(1)), "new"))
	check(err, syscall.EACCES)
	for _, family := range []int{unix.AF_INET, unix.AF_UNIX, unix.AF_NETLINK} {
		_, err = unix.Socket(family, unix.SOCK_DGRAM, 0)
		check(err, syscall.EPERM)
	}
	check(unix.Kill(unix.Getppid(), 0), syscall.EPERM)
	check(unix.Prlimit(unix.Getppid(), unix.RLIMIT_CPU, nil, &unix.Rlimit{}), syscall.EPERM)
	var own unix.Rlimit
	if err := unix.Prlimit(0, unix.RLIMIT_FSIZE, nil, &own); err != nil || own.Max != maxFile {
		os.Exit(4)
	}
	check(unix.Unshare(unix.CLONE_NEWUSER), syscall.EPERM)
	if privileges, err := unix.PrctlRetInt(unix.PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0); err != nil || privileges != 1 {
		os.Exit(2)
	}
	if err := os.WriteFile("mine", []byte("x"), 0o600); err != nil {
		os.Exit(3)
	}
}

// The jail ends with the thread: whatever thread a goroutine has next can do what it could.
func TestOnThread(t *testing.T) {
	for range 20 {
		lacking, tid := []string(nil), 0
		require.NoError(t, onThread(func() (err error) {
			tid = unix.Gettid()
			lacking, err = confine(t.TempDir(), nil)
			return err
		}))
		require.NotEqual(t, unix.Getpid(), tid)
		t.Log(lacking)
		fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
		require.NoError(t, err)
		require.NoError(t, unix.Close(fd))
	}
}
