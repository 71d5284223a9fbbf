package jepsen

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestMistakes checks exit codes and messages of what users get wrong.
func TestMistakes(t *testing.T) {
	t.Parallel()
	c := newCluster(t, shape{workers: 1})
	text := filepath.Join(c.dir, "text.wasm")
	require.NoError(t, os.WriteFile(text, []byte("#!/bin/sh\necho no module\n"), 0o600))
	for _, tc := range []struct {
		args []string
		code int
		says string
	}{
		{[]string{"run", "-n", "2", "nosuch.wasm"}, 127, "nosuch.wasm"},
		{[]string{"run", "-n", "2", text}, 126, "text.wasm"},
		{[]string{"run", "-n", "2", c.dir}, 126, "not a file"},
		{[]string{"run", "-n", "0", helloModule}, 2, "-n 0"},
		{[]string{"run", "-n", "two", helloModule}, 2, "two"},
		{[]string{"run", "--nosuch", helloModule}, 2, "nosuch"},
		{[]string{"run"}, 2, "name a module"},
		{[]string{"nosuch"}, 2, "nosuch"},
		{[]string{"run", "--policy", "best", helloModule}, 2, "best"},
		{[]string{"run", "--place", "w1", helloModule}, 2, "host:ranks"},
		{[]string{"ps", "-o", "xml"}, 2, "xml"},
		{[]string{"show", "nosuch"}, 1, "nosuch"},
		{[]string{"logs", "nosuch"}, 1, "nosuch"},
		{[]string{"cancel", "nosuch"}, 1, "nosuch"},
		{[]string{"migrate", "nosuch/0", "--to", "w1"}, 1, "nosuch"},
		{[]string{"migrate", "nosuch", "--to", "w1"}, 2, "APP/RANK"},
		{[]string{"server"}, 2, "--data-dir"},
		{[]string{"server", "--data-dir", c.dir + "/x", "--lease", "1s"}, 2, "--lease 1s"},
		{[]string{"server", "--data-dir", c.dir + "/x", "--listen", "0.0.0.0:7400"}, 2, "not all interfaces"},
		{[]string{"worker"}, 2, "--slots"},
		{[]string{"dev", "--servers", "0"}, 2, "--servers"},
		{[]string{"ps", "--address", "127.0.0.1:9", "--timeout", "300ms"}, 69, "127.0.0.1:9"},
	} {
		t.Run(strings.Join(tc.args, " "), func(t *testing.T) {
			r := startCommand(t, c.addrs(), tc.args...).wait()
			require.Equal(t, tc.code, r.code, r.stderr)
			require.Empty(t, r.stdout)
			require.Contains(t, r.stderr, tc.says)
			require.True(t, strings.HasPrefix(r.stderr, "godwit: "), r.stderr)
			require.Equal(t, 1, strings.Count(r.stderr, "\n"), "one line: %s", r.stderr)
		})
	}
}

// TestWrongDirectory starts servers and workers on what is not theirs.
func TestWrongDirectory(t *testing.T) {
	t.Parallel()
	ours := newCluster(t, shape{workers: 1})
	theirs := newCluster(t, shape{workers: 1})
	// with is a process's command line with one flag changed.
	with := func(p *process, flag, value string) []string {
		args := slices.Clone(p.args)
		args[slices.Index(args, flag)+1] = value
		return args
	}
	s, w := ours.servers[0], ours.workers[0]
	for _, tc := range []struct {
		name string
		p    *process
		args []string
		says string
	}{
		{"server's directory in use", s, with(s, "--listen", freeAddr(t)), s.dir},
		{"worker's directory in use", w, with(w, "--listen", freeAddr(t)), w.dir},
		{"server's port in use", s, with(s, "--data-dir", ours.dir+"/other"), s.addr},
		{"worker's port in use", w, with(w, "--data-dir", ours.dir+"/other-worker"), w.addr},
	} {
		t.Run(tc.name, func(t *testing.T) { endsWith(t, tc.p, tc.args, tc.says) })
	}
	s.kill()
	w.kill()
	t.Run("worker of another cluster", func(t *testing.T) {
		other := ours.newProcess("worker", w.name, w.addr, "--name", "stranger", "--join", theirs.addrs(), "--slots", "4")
		other.log = w.log + ".other"
		other.start(t)
		defer other.kill()
		ours.eventually(patience, "it says why it does not join", func() error {
			b, err := os.ReadFile(other.log)
			require.NoError(t, err)
			if !strings.Contains(string(b), "belongs to cluster") {
				return os.ErrNotExist
			}
			return nil
		})
		require.NotContains(t, theirs.hosts(), "stranger")
	})
	t.Run("name taken", func(t *testing.T) {
		p := theirs.newProcess("worker", "twin", freeAddr(t), "--name", "w1", "--join", theirs.addrs(), "--slots", "4")
		p.start(t)
		defer p.kill()
		require.NotZero(t, p.wait(t, patience))
		require.Contains(t, tailOf(p.log, 3), "w1")
		theirs.must("run", "-q", "-n", "2", helloModule)
	})
}

// endsWith starts a process that must end by itself, with a message.
func endsWith(t *testing.T, like *process, args []string, says string) {
	t.Helper()
	p := *like
	p.args, p.log = args, like.log+".second"
	require.NoError(t, os.WriteFile(p.log, nil, 0o600))
	p.start(t)
	defer p.kill()
	require.NotZero(t, p.wait(t, patience))
	last := tailOf(p.log, 1)
	require.Contains(t, last, says)
	require.True(t, strings.HasPrefix(last, "godwit: "), last)
}

// TestDev runs godwit dev as its users do.
func TestDev(t *testing.T) {
	t.Parallel()
	c := emptyCluster(t, shape{servers: 1})
	dir := filepath.Join(c.dir, "dev")
	script := `"$0" hosts -o json && "$0" run -q -n 2 ` + helloModule + ` && kill -0 $$ && exit 7`
	p := c.newProcess("dev", "dev", freeAddr(t))
	p.args = []string{"dev", "--servers", "3", "--workers", "2", "--slots", "2", "--data-dir", dir, "--", "sh", "-c", script, os.Getenv(envBinary)}
	p.start(t)
	defer p.kill()
	require.Equal(t, 7, p.wait(t, patience), "%s", tailOf(p.log, 5))
	require.Empty(t, marked(c.mark()), "everything has ended")

	p.args = []string{"dev", "--servers", "1", "--workers", "2", "--data-dir", dir + "2"}
	p.start(t)
	var procs []struct{ Role, Name, Addr string }
	c.eventually(patience, "all processes run", func() error {
		b, err := os.ReadFile(dir + "2/dev.json")
		if err == nil {
			decode(t, string(b), &procs)
		}
		return err
	})
	require.Len(t, procs, 3)
	require.Zero(t, startCommand(t, procs[0].Addr, "hosts").wait().code)
	p.kill() // whatever way it ends, so do its processes
	c.eventually(patience, "everything has ended", func() error {
		if left := marked(c.mark()); len(left) > 0 {
			return os.ErrExist
		}
		return nil
	})
}
