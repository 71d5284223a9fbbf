package jepsen

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/api/v1/apiv1connect"
)

// shutdownNow asks a file system to end without writing anything that it still holds in memory, its journal least of all.
const (
	shutdownNow = 0x8004587d // FS_IOC_SHUTDOWN
	noLogFlush  = 2
)

// cutPower loses what was written to the disk and not synced, and lets nothing more reach it until restore. A kill alone
// loses nothing: what a process has written is the kernel's.
func (d *disk) cutPower() error {
	dir, err := os.Open(d.dir)
	if err != nil {
		return err
	}
	defer dir.Close() //nolint:errcheck // only asked
	if err := unix.IoctlSetPointerInt(int(dir.Fd()), shutdownNow, noLogFlush); err != nil {
		return fmt.Errorf("cut the power of %s: %w", d.dir, err)
	}
	d.off = true
	return nil
}

// restore mounts a disk again whose power was cut, as it was then. Nothing may have a file open on it. It mounts a copy: processes
// in other mount namespaces may still hold the old mount, and would share its end with a second one of the same image.
func (d *disk) restore() error {
	if d == nil || !d.off {
		return nil
	}
	deadline := time.Now().Add(patience)
	err := run("umount", d.dir)
	for err != nil && time.Now().Before(deadline) {
		<-time.After(50 * time.Millisecond)
		err = run("umount", d.dir)
	}
	if err != nil {
		return err
	}
	d.cuts++
	old, image := d.image, fmt.Sprintf("%s.%d", strings.TrimSuffix(d.image, filepath.Ext(d.image)), d.cuts)
	if err := errors.Join(run("cp", "--sparse=always", old, image), os.Remove(old)); err != nil {
		return err
	}
	d.image = image
	if err := run("mount", "-o", "loop", d.image, d.dir); err != nil {
		return err
	}
	d.off = false
	return nil
}

// blackout cuts the power of one server.
type blackout struct{ victim *process }

func (b *blackout) name() string { return "power cut" }

func (b *blackout) start(c *cluster, rng *rand.Rand) (string, error) {
	b.victim = c.process(pick(rng, c.withDisks()))
	return b.victim.name, c.cutPower(b.victim)
}

func (b *blackout) heal(c *cluster) error { return restart(c, b.victim) }

// cutPower ends servers as a power cut does: first their disks, so that nothing is said after that of what they no longer hold.
func (c *cluster) cutPower(servers ...*process) error {
	for _, s := range servers {
		if err := c.disks[s.name].cutPower(); err != nil {
			return err
		}
	}
	for _, s := range servers {
		s.kill()
	}
	return nil
}

// TestPowerCut cuts the power of all servers at once, as soon as they have accepted an app and a module: both are there when
// they run again, and so is everything from before.
func TestPowerCut(t *testing.T) {
	t.Parallel()
	c := newCluster(t, shape{servers: 3, workers: 1, disks: 3, lease: "60s"})
	c.must("module", "push", helloModule)
	ids := map[string]string{} // of the servers, by address
	for _, m := range c.members() {
		ids[m.GetAddr()] = m.GetId()
	}
	hello, err := os.ReadFile(helloModule)
	require.NoError(t, err)
	var accepted, digests []string
	for i := range rounds(3, 30) {
		path := filepath.Join(c.dir, fmt.Sprintf("module%d.wasm", i))
		another := append(hello[:len(hello):len(hello)], 0, 3, 1, 'r', byte(i)) // a custom section
		require.NoError(t, os.WriteFile(path, another, 0o600))
		digest := sha256.Sum256(another)
		digests = append(digests, hex.EncodeToString(digest[:]))

		c.must("module", "push", path)
		accepted = append(accepted, c.submit("-n", "2", helloModule))
		require.NoError(t, c.cutPower(c.servers...))

		for _, s := range c.servers {
			require.NoError(t, restart(c, s))
		}
		c.waitReady()
		for _, id := range accepted {
			app := c.phase(id, "succeeded", "failed")
			require.Equal(t, "succeeded", app.GetPhase(), "app %s was accepted: %s", id, app.GetReason())
		}
		for _, m := range c.members() {
			require.Equal(t, ids[m.GetAddr()], m.GetId(), "server at %s", m.GetAddr())
		}
		last := c.ofModule(digests[i]) // no worker has had its bytes before
		require.Equal(t, "succeeded", c.phase(last, "succeeded", "failed").GetPhase(), "module %s was accepted: %s", digests[i], c.app(last).GetReason())
	}
	c.idle()
}

// ofModule submits an app of a module that the servers have, and returns its id.
func (c *cluster) ofModule(digest string) string {
	c.t.Helper()
	id, key := "", "of-"+digest
	c.ask(func(ctx context.Context, control apiv1connect.ControlClient) error {
		res, err := control.Submit(ctx, &apiv1.SubmitRequest{
			IdempotencyKey: key, Spec: &apiv1.AppSpec{Name: "again", ModuleDigest: digest, Size: 1},
		})
		id = res.GetApp().GetId()
		return err
	})
	return id
}

// TestDiskWithoutPower sees that a power cut loses what was not synced, and nothing else.
func TestDiskWithoutPower(t *testing.T) {
	d := newDisk(t, filepath.Join(t.TempDir(), "d"))
	defer d.remove()
	write := func(name string, sync bool) {
		f, err := os.Create(filepath.Join(d.dir, name))
		require.NoError(t, err)
		defer f.Close() //nolint:errcheck // what counts is whether it was synced
		_, err = f.WriteString(name)
		require.NoError(t, err)
		if sync {
			require.NoError(t, f.Sync())
		}
	}
	write("synced", true)
	write("lost", false)
	require.NoError(t, d.cutPower())
	require.Error(t, os.WriteFile(filepath.Join(d.dir, "late"), nil, 0o600))
	require.NoError(t, d.restore())
	require.NoError(t, d.restore(), "once more changes nothing")
	text, err := os.ReadFile(filepath.Join(d.dir, "synced"))
	require.NoError(t, err)
	require.Equal(t, "synced", string(text))
	require.NoFileExists(t, filepath.Join(d.dir, "late"))
	if lost, err := os.ReadFile(filepath.Join(d.dir, "lost")); err == nil { // its name may have been synced with the other's
		require.Empty(t, string(lost))
	}
}
