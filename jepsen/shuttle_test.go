package jepsen

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestTwentyMigrations moves ranks of one program back and forth.
func TestTwentyMigrations(t *testing.T) {
	t.Parallel()
	const migrations = 20
	c := newCluster(t, shape{workers: 3})
	program := []string{steadyModule, "800", "20"} // longer than all the moves take
	want := c.unmoved("4", program...)
	run := c.start(append([]string{"run", "-q", "-l", "-n", "4", "--name", "shuttle", "--place", "w1:2,w3:2"}, program...)...)
	c.lines(run, 8)
	id := c.named("shuttle")
	c.phase(id, "running")
	for i := range migrations {
		to := []string{"w2", "w1"}[i/2%2] // ranks 0 and 1 in turn, there and back
		c.must("migrate", fmt.Sprintf("%s/%d", id, i%2), "--to", to)
		c.eventually(patience, "migration ends", func() error {
			if m := c.app(id).MigrationId; m != "" {
				return fmt.Errorf("%s is under way", m)
			}
			return nil
		})
		if i%5 == 0 {
			c.oneCopy(id)
		}
	}
	c.same(want, run)
	c.sameLogs(want, id)
	ms := c.migrations(id)
	require.Len(t, ms, migrations)
	for i, m := range ms {
		require.Equal(t, "committed", m.Phase, m.Reason)
		require.EqualValues(t, i+1, m.FromEpoch)
		require.Len(t, m.Moves, 1)
		require.Positive(t, m.Moves[0].ImageBytes)
	}
	require.EqualValues(t, migrations+1, c.app(id).Epoch)
	c.idle()
}

// TestComputingMigrates moves ranks that compute and exchange all the time, not ones that mostly sleep.
func TestComputingMigrates(t *testing.T) {
	inCheck(t)
	t.Parallel()
	c := newCluster(t, shape{workers: 3})
	program := []string{heatModule, "256", "256", "12000", "500"}
	want := c.unmoved("4", program...)
	run := c.start(append([]string{"run", "-q", "-l", "-n", "4", "--name", "heat", "--place", "w1:2,w2:2"}, program...)...)
	c.lines(run, 1)
	id := c.named("heat")
	c.phase(id, "running")
	for i, to := range []string{"w3", "w3", "w3", "w3", "w1"} {
		if c.godwit("migrate", fmt.Sprintf("%s/%d", id, i%4), "--to", to).code != 0 {
			break // it was fast and has ended
		}
		c.eventually(patience, "migration ends", func() error {
			if m := c.app(id).MigrationId; m != "" {
				return fmt.Errorf("%s is under way", m)
			}
			return nil
		})
	}
	c.same(want, run)
	committed := 0
	for _, m := range c.migrations(id) {
		if m.Phase == "committed" {
			committed++
		}
	}
	require.Positive(t, committed)
	c.idle()
}

// TestExamplesAnywhere runs each example on one, two and three hosts.
func TestExamplesAnywhere(t *testing.T) {
	inCheck(t)
	t.Parallel()
	c := newCluster(t, shape{workers: 3})
	for _, program := range [][]string{
		{"hello"},
		{"ring", "1000"},
		{"pi", "10000000", "3"},
		{"heat2d", "256", "256", "1000"},
		{"alltoall", "500", "64"},
		{"cg", "4000", "200"},
	} {
		t.Run(program[0], func(t *testing.T) {
			module := fmt.Sprintf("../examples/%[1]s/%[1]s.wasm", program[0])
			want := ""
			for _, place := range []string{"w1:4", "w1:2,w2:2", "w3:1,w1:2,w2:1"} {
				args := append([]string{"run", "-n", "4", "--place", place, module}, program[1:]...)
				r := startCommand(t, c.addrs(), args...).wait()
				require.Zero(t, r.code, r.stderr)
				require.NotEmpty(t, r.stdout)
				if want == "" {
					want = r.stdout
				}
				require.Equal(t, want, r.stdout, place)
			}
		})
	}
	c.idle()
}

// TestCheckerPacks lets the checker bring two programs that share two hosts onto one host each, while they run. A third
// host gives the first of them room to move.
func TestCheckerPacks(t *testing.T) {
	t.Parallel()
	c := newCluster(t, shape{servers: 3, workers: 3})
	program := []string{steadyModule, "300", "30"}
	want := c.unmoved("4", program...)
	var runs []*command
	for _, name := range []string{"left", "right"} {
		// The second must be placed before the first is moved.
		args := []string{"run", "-q", "-l", "-n", "4", "--name", name, "--place", "w1:2,w2:2", "--migration-check-period", "3s"}
		runs = append(runs, c.start(append(args, program...)...))
	}
	ids := []string{c.named("left"), c.named("right")}
	c.eventually(patience, "each app is on one host", func() error {
		hosts := map[string]bool{}
		for _, id := range ids {
			placement := c.app(id).Placement
			for _, h := range placement {
				if h != placement[0] {
					return fmt.Errorf("%s is on %v", id, placement)
				}
			}
			hosts[placement[0]] = true
		}
		require.Len(t, hosts, len(ids), "four slots a host hold one of them")
		return nil
	})
	for i, run := range runs {
		c.same(want, run)
		for _, m := range c.migrations(ids[i]) {
			require.Equal(t, "committed", m.Phase, m.Reason)
			require.Equal(t, "bin_pack", m.Cause)
		}
	}
	c.idle()
}
