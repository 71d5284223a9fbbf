package jepsen

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	apiv1 "github.com/godwit-run/godwit/api/v1"
)

// again has a worker end in a way that leaves its executors running, and start again.
func (c *cluster) again(w *process, how syscall.Signal) {
	c.t.Helper()
	w.signal(how)
	w.wait(c.t, patience)
	w.start(c.t)
}

// savesApps waits until the cluster knows of checkpoints.
func (c *cluster) savesApps() {
	c.t.Helper()
	c.eventually(patience, "checkpoints are known", func() error {
		if r := c.godwit("run", "-q", "-n", "1", "--checkpoint-period", "1h", helloModule); r.code != 0 {
			return errors.New(r.stderr)
		}
		return nil
	})
}

// TestWorkerAgain: workers end and start again while an app runs, by a crash or because they are told to, and nothing of it is lost: no rank has moved, none has begun anew, and what it prints
// is there, each line once.
func TestWorkerAgain(t *testing.T) {
	t.Parallel()
	rng := seeded(t)
	c := newCluster(t, shape{workers: 2, lease: "6s"})
	program := []string{steadyModule, "400", "20"}
	want := c.unmoved("4", program...)
	before := c.hosts()
	run := c.start(append([]string{"run", "-q", "-l", "-n", "4", "--name", "again", "--place", "w1:2,w2:2"}, program...)...)
	c.lines(run, 8)
	id := c.named("again")
	c.phase(id, "running")
	first := map[string]executor{"w1": c.executor(id, "w1"), "w2": c.executor(id, "w2")}
	for n := range rounds(10, 40) {
		how := []syscall.Signal{syscall.SIGKILL, syscall.SIGTERM}[n%2]
		c.again(c.workers[rng.IntN(2)], how)
		<-time.After(time.Duration(rng.IntN(1000)) * time.Millisecond)
		for host, there := range c.executors(id) { // none once it has ended
			for _, e := range there {
				require.Equal(t, first[host], e)
			}
		}
		now := c.hosts()
		if apiv1.AppOver(c.app(id).Phase) { // a worker that has nothing any more is another incarnation
			break
		}
		for name, h := range now {
			require.Equal(t, before[name].Incarnation, h.Incarnation)
		}
	}
	c.same(want, run)
	c.sameLogs(want, id)
	a := c.app(id)
	require.EqualValues(t, 1, a.Attempt)
	require.EqualValues(t, 1, a.Epoch)
	c.idle()
}

// TestFilesWhenAWorkerIsAgain: the worker of an app's home, and the other one, are stopped and started again, and its files, its locks and what it has open are as if nothing had been.
func TestFilesWhenAWorkerIsAgain(t *testing.T) {
	t.Parallel()
	rng := seeded(t)
	c := newCluster(t, shape{workers: 2})
	program := []string{journalModule, "200", "20"}
	want := c.unmoved("4", program...)
	run := c.start(append([]string{"run", "-q", "-l", "-n", "4", "--name", "again", "--place", "w1:2,w2:2"}, program...)...)
	id := c.named("again")
	c.lines(run, 8)
	home := c.app(id).Files.Host
	require.NotEmpty(t, home)
	for n := range rounds(6, 20) {
		w := c.process(home)
		if n%3 == 2 {
			w = c.workers[rng.IntN(2)]
		}
		c.again(w, syscall.SIGTERM)
		<-time.After(time.Duration(rng.IntN(700)) * time.Millisecond)
	}
	c.same(want, run)
	c.sameLogs(want, id)
	require.EqualValues(t, 1, c.app(id).Attempt)
	c.idle()
}

// TestFilesWhenAWorkerCrashes: where only ranks of the home's host have used an app's files a crash of its worker harms nothing, nor its standard input; where others had them open it says that they
// are lost, and the app goes on from its checkpoint.
func TestFilesWhenAWorkerCrashes(t *testing.T) {
	t.Parallel()
	c := newCluster(t, shape{workers: 2, slots: 8})
	c.savesApps()
	in, out, err := os.Pipe()
	require.NoError(t, err)
	reads := startCommandFrom(t, in, c.addrs(), "run", "-q", "-n", "2", "--place", "w1:2", "--name", "reads", "--stdin", "0", readsModule)
	program := []string{journalModule, "300", "20"}
	want := c.unmoved("4", program...)
	run := c.start(append([]string{"run", "-q", "-l", "-n", "4", "--name", "again", "--place", "w1:2,w2:2", "--checkpoint-period", "1s"}, program...)...)
	id := c.named("again")
	c.savedSince(id, "")
	_, err = out.WriteString("one\n")
	require.NoError(t, err)
	crashed := c.process(c.app(id).Files.Host)
	for range 2 {
		crashed.crash()
		crashed.start(t)
		c.attempt(id, 2)
	}
	_, err = out.WriteString("two\n")
	require.NoError(t, err)
	require.NoError(t, out.Close())
	res := reads.wait()
	require.Zero(t, res.code, res.stderr)
	t.Log(res.stdout)
	c.same(want, run)
	c.sameLogs(want, id)
	c.idle()
}

// TestWorkerAgainInPhase: the worker of the source or the target of a migration crashes in its midst and starts again: the migration ends one way or the other, and the app as if nothing had been.
func TestWorkerAgainInPhase(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name, hold, phase, victim string
		long                      bool
	}{
		{"pending, target", "target", "pending", "w2", true},
		{"announced, source", "source", "announced", "w1", false},
		{"stopped, target", "w1 executor.stopped", "announced", "w2", true},
		{"stopped, source", "w1 executor.stopped", "announced", "w1", false},
		{"rest, source", "w1 executor.rest", "announced", "w1", true},
		{"staging, target", "w2 executor.stage", "announced", "w2", true},
		{"staged, target", "w2 executor.staged", "announced", "w2", false},
		{"staged, source", "w2 executor.staged", "announced", "w1", true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			onlyLong(t, tc.long)
			t.Parallel()
			x := newCrossing(t, shape{workers: 3})
			release := x.hold(tc.hold)
			id := x.migrate("w2")
			x.reached(id, tc.phase)
			x.c.process(tc.victim).crash()
			x.c.process(tc.victim).start(t)
			<-time.After(500 * time.Millisecond)
			release()
			m := x.settled(id)
			t.Log(m.Phase, m.Reason)
			x.c.oneCopy(x.app)
			require.EqualValues(t, 1, x.c.app(x.app).Attempt)
			x.whole()
		})
	}
}

// TestWorkerAwayForLong: an executor ends with its host's lease where its worker is away for longer, and its app goes on from its checkpoint.
func TestWorkerAwayForLong(t *testing.T) {
	t.Parallel()
	c := newCluster(t, shape{workers: 2, lease: shortLease, slots: 8})
	c.savesApps()
	program := []string{steadyModule, "300", "30"}
	want := c.unmoved("4", program...)
	run := c.start(append([]string{"run", "-q", "-l", "-n", "4", "--name", "again", "--place", "w1:2,w2:2", "--checkpoint-period", "1s"}, program...)...)
	id := c.named("again")
	c.savedSince(id, "")
	e := c.executor(id, "w2")
	c.process("w2").crash()
	start := time.Now()
	c.state("w2", "lost", lostWithin)
	c.eventually(patience, "its executor is gone", func() error {
		for _, other := range c.executors(id)["w2"] {
			if other.pid == e.pid {
				return errors.New("it is there")
			}
		}
		return nil
	})
	t.Logf("after %s", time.Since(start))
	c.process("w2").start(t)
	c.attempt(id, 2)
	c.same(want, run)
	c.sameLogs(want, id)
	require.Equal(t, "2", strconv.Itoa(int(c.app(id).Attempt)))
	c.idle()
}

// TestUpgrade: servers and workers are replaced by those of another build, one by one, while ten apps run, and nothing of these is lost.
func TestUpgrade(t *testing.T) {
	if os.Getenv(envLong) == "" {
		t.Skipf("takes a minute or two: set %s, or run make torture", envLong)
	}
	t.Parallel()
	c := newCluster(t, shape{servers: 3, workers: 3, slots: 16})
	next := filepath.Join(c.dir, "godwit-next")
	build := exec.CommandContext(t.Context(), "go", "build", "-ldflags", "-X main.version=next", "-o", next, "../cmd/godwit")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	text, err := build.CombinedOutput()
	require.NoError(t, err, "%s", text)
	programs := [][]string{{steadyModule, "600", "30"}, {journalModule, "600", "30"}}
	var want []string
	for _, p := range programs {
		want = append(want, c.unmoved("4", p...))
	}
	var runs []*command
	places := []string{"w1:2,w2:2", "w2:2,w3:2", "w3:2,w1:2", "w1:1,w2:1,w3:2"}
	for n := range 10 {
		place := places[n%len(places)]
		runs = append(runs, c.start(append([]string{"run", "-q", "-l", "-n", "4", "--name", "app" + strconv.Itoa(n), "--place", place}, programs[n%2]...)...))
	}
	for n := range runs {
		c.phase(c.named("app"+strconv.Itoa(n)), "running")
	}
	for _, p := range c.processes() {
		p.binary = next
		c.again(p, syscall.SIGTERM)
		c.waitReady()
		c.leader()
		c.eventually(patience, p.name+" is of the next build", func() error {
			if b, err := os.ReadFile(p.log); err != nil || !strings.Contains(string(b), "version=next") {
				return errors.New("it is not")
			}
			return nil
		})
	}
	for n := range runs {
		require.Equal(t, "running", c.app(c.named("app"+strconv.Itoa(n))).Phase, "it is to last longer")
	}
	for n, run := range runs {
		id := c.named("app" + strconv.Itoa(n))
		c.same(want[n%2], run)
		c.sameLogs(want[n%2], id)
		require.EqualValues(t, 1, c.app(id).Attempt)
	}
	c.idle()
}
