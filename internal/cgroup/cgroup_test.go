package cgroup

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestMain is also a process that takes the memory which a test tells it to.
func TestMain(m *testing.M) {
	if os.Getenv("TAKE_MEMORY") != "" {
		in := bufio.NewScanner(os.Stdin)
		for in.Scan() {
			n, err := strconv.Atoi(in.Text())
			if err != nil {
				os.Exit(2)
			}
			b := make([]byte, n)
			for i := 0; i < n; i += 4096 {
				b[i] = 1
			}
			fmt.Println(len(b))
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// TestGroup: what processes of a group take together is bounded; the kernel ends one that takes more, and counts it.
func TestGroup(t *testing.T) {
	g, err := New(64 << 20)
	if err != nil {
		t.Skipf("this process may make no control groups: %v", err)
	}
	t.Cleanup(func() { require.NoError(t, g.Remove()) })
	cmd := exec.CommandContext(t.Context(), os.Args[0]) //nolint:gosec // itself
	cmd.Env = append(os.Environ(), "TAKE_MEMORY=1")
	in, err := cmd.StdinPipe()
	require.NoError(t, err)
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	require.NoError(t, g.Add(cmd.Process.Pid))
	lines := bufio.NewReader(out)
	_, err = io.WriteString(in, "16777216\n")
	require.NoError(t, err)
	line, err := lines.ReadString('\n')
	require.NoError(t, err)
	require.Equal(t, "16777216\n", line)
	n, err := g.Kills()
	require.NoError(t, err)
	require.Zero(t, n)
	_, err = io.WriteString(in, "1073741824\n")
	require.NoError(t, err)
	_, err = lines.ReadString('\n')
	require.ErrorIs(t, err, io.EOF)
	require.Error(t, cmd.Wait())
	require.Equal(t, syscall.SIGKILL, cmd.ProcessState.Sys().(syscall.WaitStatus).Signal()) //nolint:forcetypeassert // it is that on Linux
	n, err = g.Kills()
	require.NoError(t, err)
	require.Equal(t, 1, n)
	require.ErrorContains(t, g.Add(cmd.Process.Pid), "add process")
}

// TestMadeAgain: a group that somebody has removed while it was empty is made again, and those of processes that have ended are removed.
func TestMadeAgain(t *testing.T) {
	g, err := New(64 << 20)
	if err != nil {
		t.Skipf("this process may make no control groups: %v", err)
	}
	t.Cleanup(func() { _ = g.Remove() })
	cmd := exec.CommandContext(t.Context(), "/bin/sleep", "0")
	require.NoError(t, cmd.Run())
	old := filepath.Join(filepath.Dir(g.dir), prefix+strconv.Itoa(cmd.Process.Pid)+"-x")
	require.NoError(t, os.Mkdir(old, 0o700))
	other, err := New(64 << 20)
	require.NoError(t, err)
	t.Cleanup(func() { _ = other.Remove() })
	require.NoDirExists(t, old)
	require.NoDirExists(t, g.dir, "it is empty, and of this process's number")
	sleeps := exec.CommandContext(t.Context(), "/bin/sleep", "60")
	require.NoError(t, sleeps.Start())
	require.NoError(t, g.Add(sleeps.Process.Pid))
	limit, err := os.ReadFile(filepath.Join(g.dir, g.limit))
	require.NoError(t, err)
	require.Equal(t, "67108864", strings.TrimSpace(string(limit)))
	require.NoError(t, sleeps.Process.Kill())
	require.Error(t, sleeps.Wait())
}

// TestFind: the directory is found in whatever way the groups are mounted.
func TestFind(t *testing.T) {
	for name, c := range map[string]struct {
		mounts, groups, dir, limit string
	}{
		"first": {
			"30 25 0:26 / /sys/fs/cgroup/cpu rw,relatime - cgroup cgroup rw,cpu\n31 25 0:27 / /sys/fs/cgroup/memory rw,relatime shared:9 - cgroup cgroup rw,memory\n",
			"9:name=systemd:/\n4:memory:/user/x\n0::/\n", "/sys/fs/cgroup/memory/user/x", "memory.limit_in_bytes",
		},
		"second": {
			"31 25 0:27 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate\n", "0::/system.slice/godwit.service\n",
			"/sys/fs/cgroup/system.slice/godwit.service", "memory.max",
		},
		"second, beneath its unit": {
			"31 25 0:27 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate\n", "0::/system.slice/godwit.service/worker\n",
			"/sys/fs/cgroup/system.slice/godwit.service/worker /sys/fs/cgroup/system.slice/godwit.service", "memory.max",
		},
		"both, memory in the first": {
			"30 25 0:26 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n31 25 0:27 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n",
			"4:memory:/a\n0::/b\n", "/sys/fs/cgroup/memory/a", "memory.limit_in_bytes",
		},
		"a part of the tree is mounted": {
			"31 25 0:27 /docker/1 /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n", "4:memory:/docker/1\n", "/sys/fs/cgroup/memory", "memory.limit_in_bytes",
		},
		"another part": {"31 25 0:27 /docker/2 /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n", "4:memory:/docker/1\n", "", ""},
		"none":         {"31 25 0:27 / / rw - ext4 /dev/vda rw\n", "", "", ""},
		"nonsense":     {"-\n\n - \nx - y\n", "::\n:\nx", "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			places, ctl, err := find([]byte(c.mounts), []byte(c.groups))
			if c.dir == "" {
				require.ErrorContains(t, err, "no control groups")
				return
			}
			require.NoError(t, err)
			require.Equal(t, strings.Fields(c.dir), places)
			require.Equal(t, c.limit, ctl.limit)
		})
	}
}

// TestSecondVersion: what is asked for in a tree of the second version's form.
func TestSecondVersion(t *testing.T) {
	root := t.TempDir()
	self := filepath.Join(root, "self")
	require.NoError(t, os.Mkdir(self, 0o700))
	put := func(path, text string) { require.NoError(t, os.WriteFile(path, []byte(text), 0o600)) }
	put(filepath.Join(self, "mountinfo"), fmt.Sprintf("31 25 0:27 / %s rw - cgroup2 cgroup2 rw\n", root))
	put(filepath.Join(self, "cgroup"), "0::/own\n")
	own := filepath.Join(root, "own")
	require.NoError(t, os.Mkdir(own, 0o700))
	_, err := open(self, 1)
	require.ErrorContains(t, err, "cgroup.subtree_control", "nobody gives the files")
	for _, place := range []string{root, own} {
		left, err := filepath.Glob(filepath.Join(place, prefix+"*"))
		require.NoError(t, err)
		require.Empty(t, left)
	}

	group := filepath.Join(root, "group")
	require.NoError(t, os.Mkdir(group, 0o700))
	for _, name := range []string{"memory.max", "memory.swap.max", "cgroup.procs", "memory.events"} {
		put(filepath.Join(group, name), "")
	}
	g := &Group{controller: version2, dir: group, bytes: 4096}
	require.NoError(t, g.make())
	require.NoError(t, g.Add(7))
	put(filepath.Join(group, "memory.events"), "low 0\noom 3\noom_kill 2\noom_group_kill 0\n")
	n, err := g.Kills()
	require.NoError(t, err)
	require.Equal(t, 2, n)
	for name, want := range map[string]string{"memory.max": "4096", "memory.swap.max": "0", "cgroup.procs": "7"} {
		b, err := os.ReadFile(filepath.Join(group, name))
		require.NoError(t, err)
		require.Equal(t, want, string(b), name)
	}
}

// TestAllowed: the least of what the groups allow counts, and what the machine has.
func TestAllowed(t *testing.T) {
	root := t.TempDir()
	self := filepath.Join(root, "self")
	put := func(path, text string) {
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o700))
		require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
	}
	put(filepath.Join(self, "mountinfo"), fmt.Sprintf("31 25 0:27 / %s/groups rw - cgroup2 cgroup2 rw\n", root))
	put(filepath.Join(self, "cgroup"), "0::/a/b\n")
	require.EqualValues(t, 100, allowed(self, 100))
	put(filepath.Join(root, "groups", "a", "b", "memory.max"), "max\n")
	require.EqualValues(t, 100, allowed(self, 100))
	put(filepath.Join(root, "groups", "a", "memory.max"), "70\n")
	require.EqualValues(t, 70, allowed(self, 100))
	put(filepath.Join(root, "groups", "a", "b", "memory.max"), "60\n")
	require.EqualValues(t, 60, allowed(self, 100))
	require.EqualValues(t, 50, allowed(self, 50))
	require.EqualValues(t, 50, allowed(filepath.Join(root, "nothing"), 50))
}

// TestLimitChanges: a limit can be raised and lowered.
func TestLimitChanges(t *testing.T) {
	g, err := New(256 << 20)
	if err != nil {
		t.Skipf("this process may make no control groups: %v", err)
	}
	t.Cleanup(func() { require.NoError(t, g.Remove()) })
	for _, mib := range []int64{512, 64} {
		g.bytes = mib << 20
		require.NoError(t, g.set())
		limit, err := os.ReadFile(filepath.Join(g.dir, g.limit))
		require.NoError(t, err)
		require.Equal(t, strconv.FormatInt(g.bytes, 10), strings.TrimSpace(string(limit)))
	}
}
