package jepsen

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestInterruptAtEachMoment interrupts a run before it has submitted anything, while it submits, while it is queued and while it is
// being cancelled: each says what it does, ends with 130, and leaves no app that nobody knows of.
func TestInterruptAtEachMoment(t *testing.T) {
	t.Parallel()
	c := newCluster(t, shape{workers: 1})
	t.Run("before", interruptBefore)
	for _, tt := range []struct {
		name      string
		interrupt func(*testing.T, *cluster)
	}{
		{"submitting", interruptSubmitting},
		{"submitting, and left", interruptTwiceSubmitting},
		{"queued", interruptQueued},
		{"mpirun, terminated", terminateMpirun},
		{"a program that is told", toldToEnd},
		{"cancelling", interruptCancelling},
	} {
		t.Run(tt.name, func(t *testing.T) { tt.interrupt(t, c) })
	}
	c.idle()
}

func interruptBefore(t *testing.T) {
	t.Helper()
	silent, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer silent.Close() //nolint:errcheck // nothing was written to it
	for _, command := range []string{"run", "mpirun"} {
		run := startCommand(t, silent.Addr().String(), command, "-n", "2", helloModule)
		conn, err := silent.Accept() // it is asked, or looked at
		require.NoError(t, err)
		defer conn.Close() //nolint:errcheck // nothing was written to it
		run.interrupt()
		r := run.wait()
		require.Equal(t, 130, r.code, r.stderr)
		require.Contains(t, r.stderr, "interrupted: nothing was submitted")
	}
}

func interruptSubmitting(t *testing.T, c *cluster) {
	t.Helper()
	g := newGate(t, c.servers[0].addr, "/Submit")
	run := startCommand(t, g.addr, "run", "-n", "100", "--name", "submitting", helloModule)
	g.reached()
	run.interrupt()
	c.told(run, "interrupted while submitting submitting")
	g.open()
	r := run.wait()
	require.Equal(t, 130, r.code, r.stderr)
	c.phase(c.named("submitting"), "cancelled")
}

func interruptTwiceSubmitting(t *testing.T, c *cluster) {
	t.Helper()
	g := newGate(t, c.servers[0].addr, "/Submit")
	run := startCommand(t, g.addr, "run", "-n", "100", "--name", "left", helloModule)
	g.reached()
	run.interrupt()
	c.told(run, "interrupted while submitting")
	r := run.insist()
	require.Equal(t, 130, r.code, r.stderr)
	require.Contains(t, r.stderr, "left: whether left was submitted is not known; godwit ps -a shows it")
}

func terminateMpirun(t *testing.T, c *cluster) {
	t.Helper()
	run := c.start("mpirun", "-n", "1", steadyModule, "100000", "50")
	c.lines(run, 1)
	require.NoError(t, run.cmd.Process.Signal(syscall.SIGTERM))
	r := run.wait()
	require.Equal(t, 143, r.code, r.stderr)
	c.idle()
}

// toldToEnd has programs told that they are to end: what they do then is seen, whoever wants their end.
func toldToEnd(t *testing.T, c *cluster) {
	t.Helper()
	input, keep, err := os.Pipe()
	require.NoError(t, err)
	defer keep.Close() //nolint:errcheck // nothing was written to it
	for what, stdin := range map[string]*os.File{"reads": input, "sleeps": nil} {
		run := beginCommand(t, stdin, nil, c.addrs(), "mpirun", "-n", "1", toldModule, what)
		c.lines(run, 1)
		require.NoError(t, run.cmd.Process.Signal(syscall.SIGTERM))
		r := run.wait()
		require.Equal(t, 143, r.code, r.stderr)
		require.Equal(t, what+"\nwas told 15\n", r.stdout)
	}
	require.NoError(t, input.Close())
	r := c.godwit("run", "-n", "1", "--time-limit", "1s", toldModule, "sleeps")
	require.Equal(t, 124, r.code, r.stderr)
	require.Equal(t, "sleeps\nwas told 15\n", r.stdout)
	id := c.submit("-n", "1", toldModule, "ignores")
	c.phase(id, "running")
	gentle := c.start("cancel", "--grace", "1h", id)
	c.eventually(patience, "it is told", func() error {
		if !strings.Contains(c.must("show", id), "cancelled by the user") {
			return errors.New("not yet")
		}
		return nil
	})
	c.must("cancel", "--grace", "0", id)
	require.Zero(t, gentle.wait().code)
}

func interruptCancelling(t *testing.T, c *cluster) {
	t.Helper()
	g := newGate(t, c.servers[0].addr, "/CancelApp")
	run := startCommand(t, g.addr, "run", "-n", "1", "--name", "twice", steadyModule, "1000", "50")
	c.lines(run, 1)
	run.interrupt()
	g.reached()
	r := run.insist()
	require.Equal(t, 130, r.code, r.stderr)
	require.Contains(t, r.stderr, "left alone: godwit logs -f "+c.named("twice"))
	c.must("cancel", c.named("twice"))
}

func interruptQueued(t *testing.T, c *cluster) {
	t.Helper()
	for code, signals := range map[int][]syscall.Signal{
		130: {syscall.SIGINT},
		143: {syscall.SIGTERM, syscall.SIGTERM}, // as timeout(1) does: to it and to its group
		129: {syscall.SIGHUP},
	} {
		t.Run(signals[0].String(), func(t *testing.T) {
			name := fmt.Sprint("waits", code)
			run := c.start("run", "-n", "100", "--name", name, helloModule)
			id := c.named(name)
			for _, s := range signals {
				require.NoError(t, run.cmd.Process.Signal(s))
			}
			r := run.wait()
			require.Equal(t, code, r.code, r.stderr)
			require.Contains(t, r.stderr, id)
			c.phase(id, "cancelled")
		})
	}
}

// TestLostOutput takes away what a run writes to. It ends as an interrupt would end it: with the app cancelled.
func TestLostOutput(t *testing.T) {
	t.Parallel()
	c := newCluster(t, shape{workers: 1})
	for _, command := range []string{"run", "mpirun"} {
		t.Run(command+" into a pipe that is closed", func(t *testing.T) {
			r, w, err := os.Pipe()
			require.NoError(t, err)
			run := startCommandTo(t, w, c.addrs(), command, "-n", "1", steadyModule, "1000", "50")
			_, err = r.Read(make([]byte, 1))
			require.NoError(t, err)
			require.NoError(t, r.Close())
			res := run.wait()
			require.Equal(t, 141, res.code, res.stderr)
			require.Contains(t, res.stderr, "its output cannot be written any more (broken pipe): cancelling app-")
			c.phase(c.named("steady"), "cancelled")
		})
		t.Run(command+" into a full disk", func(t *testing.T) {
			full := openFull(t)
			res := startCommandTo(t, full, c.addrs(), command, "-n", "1", steadyModule, "1000", "50").wait()
			require.Equal(t, 1, res.code, res.stderr)
			require.Contains(t, res.stderr, "no space left on device): cancelling app-")
			require.Contains(t, res.stderr, "the program's output could not all be written: write /dev/stdout: no space left on device")
			c.phase(c.named("steady"), "cancelled")
		})
	}
	t.Run("an app that has ended", func(t *testing.T) {
		id := c.submit("-n", "1", helloModule)
		c.phase(id, "succeeded")
		for _, args := range [][]string{
			{"logs", id},
			{"logs", id, "-o", "json"},
			{"ps", "-a"},
			{"ps", "-a", "-o", "json"},
			{"show", id},
			{"hosts"},
			{"servers"},
			{"migrations"},
			{"module", "ls"},
			{"module", "push", helloModule},
			{"version"},
			{"submit", "-n", "1", helloModule},
		} {
			res := startCommandTo(t, openFull(t), c.addrs(), args...).wait()
			require.Equal(t, 1, res.code, "%s: %s", args, res.stderr)
			require.Contains(t, res.stderr, "write /dev/stdout: no space left on device", args)
		}
	})
	c.idle()
}

// TestDaemonsOutliveTheirLogs: a server and a worker whose log nobody reads go on.
func TestDaemonsOutliveTheirLogs(t *testing.T) {
	t.Parallel()
	c := emptyCluster(t, shape{servers: 1})
	addr := freeAddr(t)
	for _, args := range [][]string{
		{"server", "--data-dir", filepath.Join(c.dir, "s"), "--listen", addr},
		{"worker", "--data-dir", filepath.Join(c.dir, "w"), "--listen", freeAddr(t), "--join", addr, "--name", "w1", "--slots", "1"},
	} {
		r, w, err := os.Pipe()
		require.NoError(t, err)
		require.NoError(t, r.Close())
		daemon := exec.Command(os.Getenv(envBinary), append(args, "--log-level", "debug")...) //nolint:noctx // killed below
		daemon.Stderr = w
		require.NoError(t, daemon.Start())
		require.NoError(t, w.Close())
		defer daemon.Wait()         //nolint:errcheck // it was killed
		defer daemon.Process.Kill() //nolint:errcheck // it may have ended
	}
	c.eventually(patience, "the host is ready", func() error {
		if len(readyHosts(t, addr)) == 0 {
			return errors.New("it is not")
		}
		return nil
	})
	require.Zero(t, startCommand(t, addr, "run", "-q", "-n", "1", helloModule).wait().code)
}

// openFull is a file that has no room.
func openFull(t *testing.T) *os.File {
	t.Helper()
	f, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Skip(err)
	}
	return f
}

// gate passes calls on to a server, and holds those of one method back until it is opened.
type gate struct {
	addr              string
	reachedCh, openCh chan struct{}
}

func newGate(t *testing.T, server, method string) *gate {
	t.Helper()
	g := &gate{reachedCh: make(chan struct{}, 1), openCh: make(chan struct{})}
	protocols := new(http.Protocols)
	protocols.SetUnencryptedHTTP2(true)
	rest := &httputil.ReverseProxy{
		Transport: &http.Transport{Protocols: protocols}, FlushInterval: -1,
		Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(&url.URL{Scheme: "http", Host: server}) },
	}
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, method) {
			select {
			case g.reachedCh <- struct{}{}:
			default:
			}
			select {
			case <-g.openCh:
			case <-r.Context().Done():
				return
			}
		}
		rest.ServeHTTP(w, r)
	}))
	srv.Config.Protocols = protocols
	srv.Start()
	t.Cleanup(srv.Close)
	t.Cleanup(srv.CloseClientConnections)
	g.addr = srv.Listener.Addr().String()
	return g
}

// reached waits until a call is held back.
func (g *gate) reached() { <-g.reachedCh }

func (g *gate) open() { close(g.openCh) }
