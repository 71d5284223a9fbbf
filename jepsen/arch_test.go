package jepsen

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	apiv1 "github.com/godwit-run/godwit/api/v1"
)

// archModule does what processors may do in different ways, and prints the bits.
const archModule = "testdata/arch.wasm"

// emulator begins the path of what the kernel runs a binary of another architecture with, and its command line then.
const emulator = "/usr/libexec/qemu-binfmt/"

// TestArchitectures: ranks move from an amd64 host to an arm64 one and back, and what they print has the same bits as when nothing happens. A checkpoint that is made on both is
// gone on from on either.
func TestArchitectures(t *testing.T) {
	binary := os.Getenv(envArm64)
	if binary == "" {
		t.Skipf("make test-arm64 runs it: %s names no arm64 build", envArm64)
	}
	binary, err := filepath.Abs(binary)
	require.NoError(t, err)
	c := newCluster(t, shape{workers: 2, slots: 8, lease: "30s"}) // emulation is slow
	c.leveled()
	moving := [][]string{{archModule, "80", "200"}, {journalModule, "200", "100"}, {heatModule, "256", "256", "8000", "100"}}
	still := [][]string{{guests + "nan.wasm"}, {guests + "exceptions.wasm"}, {"../examples/cg/cg.wasm", "400", "50"}}
	var want, wantStill []string // of the hosts that there are so far
	for _, program := range moving {
		if program[0] != heatModule {
			program = quick(program)
		}
		want = append(want, c.unmoved("2", program...))
	}
	for _, program := range still {
		wantStill = append(wantStill, c.unmoved("2", program...))
	}
	arm := c.addWorker()
	arm.binary = binary
	arm.args = append(arm.args, "--exact-nans")
	arm.start(t)
	c.waitReady()
	c.eventually(patience, "each host has said what it is", func() error {
		if is := c.architectures(); !maps.Equal(is, map[string]string{"w1": "amd64", "w2": "amd64", arm.name: "arm64"}) {
			return fmt.Errorf("%v", is)
		}
		return nil
	})
	for i, program := range still {
		c.same(wantStill[i], c.start(append([]string{"run", "-q", "-l", "-n", "2", "--place", arm.name + ":2"}, program...)...))
	}
	for i, program := range moving {
		c.crosses(arm.name, strings.TrimSuffix(filepath.Base(program[0]), ".wasm"), want[i], program)
	}
	c.restoredAcross(arm.name, want[0], moving[0])
	c.idle()
}

// architectures are those of the hosts.
func (c *cluster) architectures() map[string]string {
	c.t.Helper()
	var hosts []struct{ Name, Arch string }
	decode(c.t, c.must("hosts", "-o", "json"), &hosts)
	out := map[string]string{}
	for _, h := range hosts {
		out[h.Name] = h.Arch
	}
	return out
}

// crosses has the ranks of a program move to a host of another architecture and back, as long as it runs, and go on printing on both.
func (c *cluster) crosses(other, name, want string, program []string) {
	c.t.Helper()
	run := c.start(append([]string{"run", "-q", "-l", "-n", "2", "--name", name, "--place", "w1:1," + other + ":1"}, program...)...)
	c.lines(run, 1)
	id := c.named(name)
	for i := 0; run.running(); i++ {
		rank, to := (i/2)%2, []string{other, "w2"}[i%2]
		if c.godwit("migrate", fmt.Sprintf("%s/%d", id, rank), "--to", to).code != 0 {
			continue // it is there, or the app has ended
		}
		c.eventually(2*patience, "migration ends", func() error {
			if m := c.app(id).MigrationId; m != "" {
				return fmt.Errorf("%s is under way", m)
			}
			return nil
		})
		if ranks := c.ranks(id); len(ranks) == 2 && !c.app(id).HasEnded(int32(rank)) && c.app(id).Placement[rank] == to {
			require.Equal(c.t, to, ranks[rank].Host)
		}
		before := strings.Count(run.stdout.String(), "\n")
		c.eventually(patience, "the program goes on", func() error {
			if run.running() && strings.Count(run.stdout.String(), "\n") < before+2 {
				return errors.New("it prints nothing")
			}
			return nil
		})
	}
	c.same(want, run)
	c.sameLogs(want, id)
	there, back := 0, 0
	for _, m := range c.migrations(id) {
		if m.Phase == "committed" && m.Moves[0].To == other {
			there++
		}
		if m.Phase == "committed" && m.Moves[0].From == other {
			back++
		}
	}
	c.t.Logf("%s: %d moves to the other architecture, %d back", name, there, back)
	require.GreaterOrEqual(c.t, min(there, back), 2)
}

// restoredAcross makes a checkpoint of a program that runs on two architectures, and has it go on from that on one and on the other.
func (c *cluster) restoredAcross(other, want string, program []string) {
	c.t.Helper()
	id := c.submit(append([]string{"-n", "2", "--place", "w1:1," + other + ":1"}, program...)...)
	c.eventually(2*patience, "it prints", func() error {
		if !strings.Contains(c.must("logs", id), "step 10:") {
			return errors.New("not yet")
		}
		return nil
	})
	ck := strings.TrimSpace(c.must("checkpoint", id))
	c.must("cancel", id)
	for _, host := range []string{other, "w2"} {
		again := strings.TrimSpace(c.must("restore", "--name", "on-"+host, "--place", host+":2", ck))
		c.phase(again, apiv1.AppRunning, "succeeded")
		require.Equal(c.t, []string{host, host}, c.app(again).Placement)
		c.sameLogs(want, again)
	}
}
