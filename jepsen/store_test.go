package jepsen

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	apiv1 "github.com/godwit-run/godwit/api/v1"
)

// storedSince waits until a checkpoint of an app is in its object store that was begun after another one.
func (c *cluster) storedSince(app, before string) (last *apiv1.Checkpoint) {
	c.t.Helper()
	c.eventually(2*patience, "a checkpoint is stored", func() error {
		a, said := c.app(app), "there is none"
		require.False(c.t, apiv1.AppOver(a.Phase), a.Reason)
		for _, ck := range c.checkpoints(app) {
			said = fmt.Sprintf("%s is %s: %s%s", ck.Id, ck.Phase, ck.Reason, ck.Progress)
			if ck.StoredAt != nil && ck.Id != before {
				last = ck
			}
		}
		if last == nil {
			return errors.New(said)
		}
		return nil
	})
	return last
}

// TestGoesOnFromTheStore: all hosts that hold anything of an app are lost for good. It goes on from what an object store has, on others, and prints what it prints when
// nothing happens. When it is over nothing of it is left there.
func TestGoesOnFromTheStore(t *testing.T) {
	t.Parallel()
	for _, program := range [][]string{{steadyModule, "300", "30"}, {journalModule, "300", "30"}} {
		t.Run(filepath.Base(program[0]), func(t *testing.T) {
			t.Parallel()
			store := t.TempDir()
			c := newCluster(t, shape{workers: 4, slots: 6, lease: "3s"})
			c.leveled()
			want := c.unmoved("4", quick(program)...)
			run := c.start(append([]string{
				"run", "-q", "-l", "-n", "4", "--name", "again", "--place", "w1:2,w2:2", "--checkpoint-period", "1s", "--checkpoint-to", "file://" + store,
			}, program...)...)
			id := c.named("again")
			first := c.storedSince(id, "")
			c.storedSince(id, first.Id)
			c.process("w1").kill()
			c.process("w2").kill()
			c.attempt(id, 2)
			c.same(want, run)
			c.sameLogs(want, id)
			require.Equal(t, uint32(2), c.app(id).Attempt)
			c.eventually(patience, "nothing is left in the store", func() error { return nothingIn(store) })
		})
	}
}

// TestRestoreElsewhere: a checkpoint in an object store outlives its cluster: another one, which has neither its module nor its files, goes on from it.
func TestRestoreElsewhere(t *testing.T) {
	inCheck(t)
	t.Parallel()
	store := t.TempDir()
	restoreElsewhere(t, "file://"+store)
	require.NoError(t, nothingIn(store))
}

// TestS3 is the same with a server that speaks S3.
func TestS3(t *testing.T) {
	program := os.Getenv("GODWIT_S3_SERVER")
	if program == "" {
		t.Skip("make test-s3 runs it: GODWIT_S3_SERVER names no server")
	}
	dir, addr := t.TempDir(), freeAddr(t)
	require.NoError(t, os.Mkdir(filepath.Join(dir, "bucket"), 0o755))
	server := exec.CommandContext(t.Context(), program, "--access", "key", "--secret", "hush-hush", "--port", addr, "--quiet", "posix", dir)
	server.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	require.NoError(t, server.Start())
	t.Cleanup(func() { _ = server.Process.Kill(); _ = server.Wait() })
	for name, value := range map[string]string{ // for the workers, and the commands
		"AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "hush-hush", "AWS_ENDPOINT_URL": "http://" + addr, "AWS_EC2_METADATA_DISABLED": "true",
		"AWS_CONFIG_FILE": os.DevNull, "AWS_SHARED_CREDENTIALS_FILE": os.DevNull,
	} {
		t.Setenv(name, value)
	}
	restoreElsewhere(t, "s3://bucket/deep/down")
	require.NoError(t, nothingIn(filepath.Join(dir, "bucket", "deep", "down", "apps")))
}

// restoreElsewhere stores a checkpoint of a cluster, which is lost, and has another one go on from it. In the end nothing is left in the store.
func restoreElsewhere(t *testing.T, url string) {
	t.Helper()
	input := filepath.Join(t.TempDir(), "given")
	require.NoError(t, os.WriteFile(input, []byte("given\n"), 0o600))
	program := []string{journalModule, "400", "40"}
	c := newCluster(t, shape{workers: 3, slots: 4})
	c.leveled()
	want := c.unmoved("4", quick(program)...)
	id := c.submit(append([]string{"-n", "4", "--place", "w1:2,w2:2", "--in", input}, program...)...)
	c.eventually(patience, "it prints", func() error {
		if !strings.Contains(c.must("logs", id), "step 10:") {
			return errors.New("not yet")
		}
		return nil
	})
	ck := strings.TrimSpace(c.must("checkpoint", "--to", url, id))
	require.NotNil(t, c.checkpoints(id)[0].StoredAt)
	require.Contains(t, c.must("checkpoints", "--at", url), ck)
	for _, p := range c.processes() {
		p.kill()
	}

	other := newCluster(t, shape{workers: 2, slots: 4})
	other.leveled()
	again := strings.TrimSpace(other.must("restore", url+"/"+ck))
	other.sameLogs(want, again)
	out := t.TempDir()
	other.must("get", again, "-o", out)
	given, err := os.ReadFile(filepath.Join(out, "given"))
	require.NoError(t, err)
	require.Equal(t, "given\n", string(given))
	more := strings.TrimSpace(other.must("restore", "--at", url, "--name", "more", ck)) // it is known by now
	other.sameLogs(want, more)
	other.must("checkpoints", "rm", ck)
	require.Contains(t, other.must("checkpoints", "--at", url), ck, "who has imported it does not remove it")
	other.must("checkpoints", "rm", "--at", url, ck)
	require.NotContains(t, other.must("checkpoints", "--at", url), ck)
	require.NotZero(t, other.godwit("restore", url+"/"+ck).code)
}

// TestStoreComesLater: a checkpoint is complete without its store, says what keeps it from there, and is there once that can be.
func TestStoreComesLater(t *testing.T) {
	t.Parallel()
	store := filepath.Join(t.TempDir(), "later")
	c := newCluster(t, shape{workers: 2, slots: 4})
	c.leveled()
	id := c.submit("-n", "2", "--place", "w1:1,w2:1", "--checkpoint-period", "1s", "--checkpoint-to", "file://"+store, steadyModule, "10000", "50")
	c.savedSince(id, c.savedSince(id, "").Id)
	c.eventually(patience, "the trouble is told", func() error {
		if said := c.must("checkpoints", id); !strings.Contains(said, "mount it") {
			return errors.New(said)
		}
		return nil
	})
	require.NoError(t, os.Mkdir(store, 0o755))
	c.storedSince(id, "")
	c.must("cancel", id)
	for _, ck := range c.checkpoints(id) {
		c.must("checkpoints", "rm", ck.Id)
	}
	c.eventually(patience, "nothing is left in the store", func() error { return nothingIn(store) })
}

// TestStoreWhileLeadersChange: the leader is killed, ranks move and a host is killed while checkpoints are made, stored and collected. What the store says is there can be gone on from, and
// when the app is over nothing is left but, maybe, what its last leader did not know of.
func TestStoreWhileLeadersChange(t *testing.T) {
	if os.Getenv(envLong) == "" {
		t.Skipf("takes a minute or two: set %s, or run make torture", envLong)
	}
	t.Parallel()
	random, url := seeded(t), "file://"+t.TempDir()
	c := newCluster(t, shape{servers: 3, workers: 3, slots: 12, lease: "5s"})
	c.leveled()
	program := []string{journalModule, "400", "30"}
	want := c.unmoved("4", quick(program)...)
	run := c.start(append([]string{
		"run", "-q", "-l", "-n", "4", "--name", "again", "--place", "w1:2,w2:2", "--checkpoint-period", "1s", "--checkpoint-to", url,
	}, program...)...)
	id := c.named("again")
	last := c.storedSince(id, "").Id
	for range 6 {
		switch random.IntN(3) {
		case 0:
			c.godwit("migrate", fmt.Sprintf("%s/%d", id, random.IntN(4)), "--to", fmt.Sprintf("w%d", 1+random.IntN(3)))
		case 1:
			leader := c.leader()
			leader.kill()
			leader.start(t)
			last = c.storedSince(id, last).Id // so that no lease ends for want of a leader
		default:
			c.godwit("checkpoint", "--detach", id)
		}
	}
	last = c.storedSince(id, "").Id
	c.process(c.app(id).Placement[random.IntN(4)]).kill()
	more := strings.TrimSpace(c.must("restore", "--at", url, "--name", "more", last))
	c.same(want, run)
	c.sameLogs(want, id)
	c.sameLogs(want, more)
	for _, line := range strings.Split(strings.TrimSpace(c.must("checkpoints", "--at", url)), "\n")[1:] {
		c.sameLogs(want, strings.TrimSpace(c.must("restore", "--at", url, "--name", "left", strings.Fields(line)[0])))
	}
}
