package jepsen

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/api/v1/apiv1connect"
)

const journalModule = "testdata/journal.wasm"

// checkpoints are those of an app, oldest first.
func (c *cluster) checkpoints(app string) (out []*apiv1.Checkpoint) {
	c.t.Helper()
	c.ask(func(ctx context.Context, control apiv1connect.ControlClient) error {
		res, err := control.ListCheckpoints(ctx, &apiv1.ListCheckpointsRequest{App: app})
		out = res.GetCheckpoints()
		return err
	})
	return out
}

// savedSince waits until an app has a checkpoint that was begun after another one, and is complete.
func (c *cluster) savedSince(app, before string) *apiv1.Checkpoint {
	c.t.Helper()
	var last *apiv1.Checkpoint
	c.eventually(2*patience, "a checkpoint is complete", func() error {
		a := c.app(app)
		require.False(c.t, apiv1.AppOver(a.Phase), a.Reason)
		said := "there is none"
		for _, ck := range c.checkpoints(app) {
			said = fmt.Sprintf("%s is %s: %s%s", ck.Id, ck.Phase, ck.Reason, ck.Progress)
			if ck.Phase == apiv1.CheckpointComplete && ck.Id != before {
				last = ck
			}
		}
		if last == nil || a.LastCheckpoint != last.Id {
			return errors.New(said)
		}
		return nil
	})
	return last
}

// leveled waits until the feature level is in force that this build knows: a new cluster begins at none.
func (c *cluster) leveled() {
	c.t.Helper()
	c.eventually(patience, "the feature level is raised", func() error {
		var servers *apiv1.ListServersResponse
		c.ask(func(ctx context.Context, control apiv1connect.ControlClient) (err error) {
			servers, err = control.ListServers(ctx, &apiv1.ListServersRequest{})
			return err
		})
		if knows := servers.Servers[0].FeatureLevel; knows == 0 || servers.FeatureLevel < knows {
			return fmt.Errorf("it is %d of %d", servers.FeatureLevel, knows)
		}
		return nil
	})
}

// quick is a program that prints the same in less time: its last argument is how long a step takes.
func quick(program []string) []string {
	return append(slices.Clone(program[:len(program)-1]), "1")
}

// attempt waits until an app runs, for the nth time.
func (c *cluster) attempt(app string, n uint32) {
	c.t.Helper()
	c.eventually(2*patience, fmt.Sprintf("attempt %d runs", n), func() error {
		a := c.app(app)
		if a.Attempt < n || a.Phase != apiv1.AppRunning {
			return fmt.Errorf("it is %s, attempt %d: %s", a.Phase, a.Attempt, a.Reason)
		}
		return nil
	})
}

// TestRunsAgain: hosts with ranks of an app are lost, one after the other, and what it prints, as who follows it sees it and as it is stored, and the files that it leaves, are what they are
// when nothing happens.
func TestRunsAgain(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name    string
		program []string
	}{{"messages", []string{steadyModule, "300", "30"}}, {"files", []string{journalModule, "300", "30"}}} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			c := newCluster(t, shape{workers: 3, slots: 6, lease: "3s"})
			c.leveled()
			want := c.unmoved("4", quick(tc.program)...)
			run := c.start(append([]string{"run", "-q", "-l", "-n", "4", "--name", "again", "--place", "w1:2,w2:2", "--checkpoint-period", "1s"}, tc.program...)...)
			id := c.named("again")
			last := ""
			for n := range 2 {
				last = c.savedSince(id, last).Id
				host := c.app(id).Placement[n]
				w := c.process(host)
				w.kill()
				c.attempt(id, uint32(n)+2)
				w.start(t) // under its name, with what it holds
				c.state(host, "ready", patience)
			}
			c.same(want, run)
			c.sameLogs(want, id)
			require.Equal(t, uint32(3), c.app(id).Attempt)
			if tc.name == "files" {
				out := t.TempDir()
				c.must("get", id, "-o", out)
				own, err := os.ReadFile(filepath.Join(out, "journal2"))
				require.NoError(t, err)
				require.Equal(t, 300, strings.Count(string(own), "\n"))
			}
			c.eventually(patience, "its checkpoints are gone", func() error {
				if left := c.checkpoints(id); len(left) > 0 {
					return fmt.Errorf("%d are left", len(left))
				}
				return nil
			})
			for _, w := range c.workers {
				c.eventually(patience, "nothing of them is on "+w.name, func() error { return nothingIn(filepath.Join(w.dir, "checkpoints")) })
			}
		})
	}
}

// nothingIn says which files there are in a directory and below it, but for how far a worker's scrub is.
func nothingIn(dir string) error {
	return filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err == nil && !d.IsDir() && d.Name() != "scrubbed" {
			return fmt.Errorf("there is %s", path)
		}
		if errors.Is(err, os.ErrNotExist) {
			return nil
		}
		return err
	})
}

// TestRestore: an app that was cancelled goes on from its checkpoint as another one, on other hosts, and prints all that it prints when nothing happens.
func TestRestore(t *testing.T) {
	t.Parallel()
	c := newCluster(t, shape{workers: 4, slots: 4})
	c.leveled()
	for _, program := range [][]string{{steadyModule, "200", "40"}, {journalModule, "200", "40"}} {
		want := c.unmoved("4", quick(program)...)
		id := c.submit(append([]string{"-n", "4", "--place", "w1:2,w2:2"}, program...)...)
		c.eventually(patience, "it prints", func() error {
			if !strings.Contains(c.must("logs", id), "step 10:") {
				return errors.New("not yet")
			}
			return nil
		})
		ck := strings.TrimSpace(c.must("checkpoint", id))
		c.must("cancel", id)
		c.phase(id, "cancelled")
		again := strings.TrimSpace(c.must("restore", "--place", "w3:2,w4:2", ck[:len(ck)-2]))
		c.sameLogs(want, again)
		require.Equal(t, []string{"w3", "w3", "w4", "w4"}, c.app(again).Placement)
		more := strings.TrimSpace(c.must("restore", "--name", "more", ck))
		c.phase(more, "running")
		c.must("checkpoints", "rm", strings.TrimSpace(c.must("checkpoint", more))) // what the next one is made of, too
		c.must("freeze", more)
		c.must("thaw", more)
		c.sameLogs(want, more)
		c.must("checkpoints", "rm", ck)
		require.Empty(t, c.checkpoints(id))
		require.NotZero(t, c.godwit("restore", ck).code)
	}
}

// TestCheckpointOfReplacedFiles: an app one of whose ranks has a file open that another replaces, until it stands still itself, goes on from each of its checkpoints, there and on other hosts.
func TestCheckpointOfReplacedFiles(t *testing.T) {
	t.Parallel()
	c := newCluster(t, shape{workers: 3, slots: 2})
	c.leveled()
	want := ""
	for step := range 25 {
		want += fmt.Sprintf("[1] step %d: %d, before %d\n", step, step, step-1)
	}
	id := c.submit("-n", "2", "--place", "w1:1,w2:1", "testdata/replaces.wasm", "25")
	c.eventually(patience, "it prints", func() error {
		if !strings.Contains(c.must("logs", id), "step 2:") {
			return errors.New("not yet")
		}
		return nil
	})
	ck := strings.TrimSpace(c.must("checkpoint", id))
	again := strings.TrimSpace(c.must("restore", "--place", "w2:1,w3:1", ck))
	for range 2 {
		c.must("freeze", id)
		c.must("thaw", id)
		c.phase(id, "running", "succeeded")
	}
	c.sameLogs(want, id)
	c.sameLogs(want, again)
}

// TestCheckpointsWhileRanksMove: the leader is killed, ranks move, and checkpoints are made all the time; then a host is lost.
func TestCheckpointsWhileRanksMove(t *testing.T) {
	inCheck(t)
	t.Parallel()
	random := seeded(t)
	c := newCluster(t, shape{servers: 3, workers: 3, slots: 6, lease: "8s"})
	c.leveled()
	program := []string{journalModule, "600", "40"}
	want := c.unmoved("4", quick(program)...)
	run := c.start(append([]string{"run", "-q", "-l", "-n", "4", "--name", "again", "--place", "w1:2,w2:2"}, program...)...)
	id := c.named("again")
	c.phase(id, "running")
	for range 4 {
		switch random.IntN(4) {
		case 0:
			c.godwit("migrate", fmt.Sprintf("%s/%d", id, random.IntN(4)), "--to", fmt.Sprintf("w%d", 1+random.IntN(3)))
		case 1:
			leader := c.leader()
			c.godwit("checkpoint", "--detach", id)
			leader.kill()
			leader.start(t)
		default:
			c.godwit("checkpoint", id)
		}
	}
	c.savedSince(id, "")
	a := c.app(id)
	c.process(a.Placement[random.IntN(4)]).kill()
	c.same(want, run)
	c.sameLogs(want, id)
	require.GreaterOrEqual(t, c.app(id).Attempt, uint32(2))
}

// TestLostWithoutCheckpoint: an app that wants no restart, or has no checkpoint, fails with the reason.
func TestLostWithoutCheckpoint(t *testing.T) {
	t.Parallel()
	c := newCluster(t, shape{workers: 3, slots: 8, lease: "3s"})
	c.leveled()
	none := c.submit("-n", "2", "--place", "w1:1,w2:1", "--on-host-loss", "restart", steadyModule, "10000", "50")
	not := c.submit("-n", "2", "--place", "w1:1,w2:1", "--on-host-loss", "fail", "--checkpoint-period", "1s", steadyModule, "10000", "50")
	alone := c.submit("-n", "1", "--place", "w3:1", steadyModule, "10000", "50")
	c.savedSince(not, "")
	c.phase(none, "running")
	c.process("w2").kill()
	require.Contains(t, c.phase(none, "failed").Reason, "has none yet")
	require.Contains(t, c.phase(not, "failed").Reason, "w2")
	require.Equal(t, apiv1.AppRunning, c.app(alone).Phase)
}

// TestFreezeAndThaw: an app that is frozen, and thawed when its hosts are gone, prints what it prints when nothing happens; so does one that comes back by itself, and the leader is
// lost meanwhile. What a frozen app has printed can be read.
func TestFreezeAndThaw(t *testing.T) {
	t.Parallel()
	c := newCluster(t, shape{servers: 3, workers: 4, slots: 4})
	c.leveled()
	program := []string{journalModule, "300", "40"}
	want := c.unmoved("4", quick(program)...)
	run := c.start(append([]string{"run", "-q", "-l", "-n", "4", "--name", "cold", "--place", "w1:2,w2:2"}, program...)...)
	id := c.named("cold")
	c.lines(run, 20)
	c.must("freeze", id)
	require.Equal(t, apiv1.AppFrozen, c.app(id).Phase)
	c.noExecutors(id)
	require.GreaterOrEqual(t, strings.Count(c.must("logs", id), "\n"), 20)
	for name, h := range c.hosts() {
		require.Zero(t, h.Used, name)
	}
	c.process("w1").kill()
	c.leader().kill()
	c.must("thaw", id)
	c.same(want, run)
	c.sameLogs(want, id)
	require.NotContains(t, c.app(id).Placement, "w1")
	c.state("w1", "lost", patience) // until then it may be asked to hold what others make
	again := c.submit(append([]string{"-n", "4"}, program...)...)
	c.phase(again, "running")
	c.must("freeze", "--queue", again)
	c.sameLogs(want, again)
	require.Equal(t, uint32(2), c.app(again).Attempt)
}

// TestDamagedCopy: what one host holds of a checkpoint is damaged, in memory, output, state and files; the other one has it whole.
func TestDamagedCopy(t *testing.T) {
	inCheck(t)
	t.Parallel()
	random := seeded(t)
	c := newCluster(t, shape{workers: 3, slots: 6, lease: "3s"})
	c.leveled()
	program := []string{journalModule, "300", "40"}
	want := c.unmoved("4", quick(program)...)
	run := c.start(append([]string{"run", "-q", "-l", "-n", "4", "--name", "damaged", "--place", "w1:2,w2:2"}, program...)...)
	id := c.named("damaged")
	c.lines(run, 40)
	c.must("checkpoint", id)
	blobs := filepath.Join(c.process("w1").dir, "checkpoints", "blobs")
	entries, err := os.ReadDir(blobs)
	require.NoError(t, err)
	require.NotEmpty(t, entries)
	for _, e := range entries {
		b, err := os.ReadFile(filepath.Join(blobs, e.Name()))
		require.NoError(t, err)
		b[random.IntN(len(b))] ^= 1
		require.NoError(t, os.WriteFile(filepath.Join(blobs, e.Name()), b, 0o600))
	}
	ended := c.process("w1") // it comes back, and holds its damaged copies
	ended.kill()
	ended.start(t)
	c.same(want, run)
	c.sameLogs(want, id)
	require.Equal(t, uint32(2), c.app(id).Attempt)
}

// TestDamagedWhileItIsMade: what a host holds of an app is damaged, and its second host is gone, as the next checkpoint is made: another is made in its place.
func TestDamagedWhileItIsMade(t *testing.T) {
	inCheck(t)
	t.Parallel()
	c := newCluster(t, shape{workers: 3, slots: 6, lease: "3s"})
	c.leveled()
	program := []string{steadyModule, "600", "40"}
	want := c.unmoved("2", quick(program)...)
	run := c.start(append([]string{"run", "-q", "-l", "-n", "2", "--name", "rotten", "--place", "w1:2"}, program...)...)
	id := c.named("rotten")
	c.lines(run, 500) // more than there will be until it is damaged: the next checkpoint does not write them again
	c.must("checkpoint", id)
	first := c.checkpoints(id)[0]
	second := c.process(first.Parts[0].Second)
	second.kill()
	c.state(second.name, "lost", lostWithin)
	blobs := filepath.Join(c.process("w1").dir, "checkpoints", "blobs")
	entries, err := os.ReadDir(blobs)
	require.NoError(t, err)
	for _, e := range entries {
		b, err := os.ReadFile(filepath.Join(blobs, e.Name()))
		require.NoError(t, err)
		b[len(b)/2] ^= 1
		require.NoError(t, os.WriteFile(filepath.Join(blobs, e.Name()), b, 0o600))
	}
	made := c.start("checkpoint", id).wait()
	require.Zero(t, made.code, made.stderr)
	require.Contains(t, made.stderr, "this host's own copy is damaged")
	require.Contains(t, made.stderr, "is made in its place")
	last := c.checkpoints(id)[len(c.checkpoints(id))-1]
	require.Equal(t, apiv1.CheckpointComplete, last.Phase)
	require.Equal(t, last.Id, strings.TrimSpace(made.stdout))
	require.Positive(t, last.Tries)
	require.NotEqual(t, second.name, last.Parts[0].Second)
	c.process("w1").kill()
	c.same(want, run)
	c.sameLogs(want, id)
	require.Equal(t, uint32(2), c.app(id).Attempt)
}

// TestEndedRanksAreKept: a rank has ended, and its host is started anew, or lost, before a checkpoint; then the others' host is lost. Its output is there at the end.
func TestEndedRanksAreKept(t *testing.T) {
	t.Parallel()
	for _, back := range []bool{true, false} {
		t.Run(fmt.Sprintf("back=%t", back), func(t *testing.T) {
			onlyLong(t, !back)
			t.Parallel()
			c := newCluster(t, shape{workers: 3, slots: 4, lease: "3s"})
			c.leveled()
			program := []string{"testdata/leaves.wasm", "400", "50"}
			want := c.unmoved("3", quick(program)...)
			id := c.submit(append([]string{"-n", "3", "--place", "w2:1,w1:2"}, program...)...)
			c.eventually(patience, "rank 0 has ended", func() error {
				if !c.app(id).HasEnded(0) {
					return errors.New("it runs")
				}
				return nil
			})
			w2, was := c.process("w2"), c.hosts()["w2"].Incarnation
			w2.kill()
			if back {
				w2.start(t)
			}
			c.eventually(patience, "the host is back, or lost", func() error {
				if h := c.hosts()["w2"]; back != (h.State == "ready") || back != (h.Incarnation != was) {
					return fmt.Errorf("it is %s", h.State)
				}
				return nil
			})
			c.must("checkpoint", id)
			c.process("w1").kill()
			c.attempt(id, 2)
			if !back {
				w2.start(t)
			}
			c.sameLogs(want, id)
		})
	}
}
