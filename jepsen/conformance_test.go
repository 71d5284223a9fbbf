package jepsen

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"
)

const conformanceModule = "../mpi/conformance/conformance.wasm"

// TestConformanceMigrates runs the MPI conformance programs, with everything that the library keeps for a rank, while
// their ranks move between hosts at random, over direct connections and over streams alone. Some moves are refused: a rank that shares memory stays.
func TestConformanceMigrates(t *testing.T) {
	for _, direct := range []string{"on", "off"} {
		t.Run("direct "+direct, func(t *testing.T) {
			t.Parallel()
			random := seeded(t)
			c := newCluster(t, shape{workers: 3, slots: 6, workerArgs: []string{"--direct", direct}})
			program := []string{conformanceModule}
			for range rounds(1, 10) {
				program = append(program, "all")
			}
			c.conforms(random, 4, "w1:2,w3:2", program)
			if rounds(0, 1) > 0 {
				c.conforms(random, 9, "w1:3,w2:3,w3:3", program)
			}
			c.idle()
		})
	}
}

// conforms runs the programs on some ranks that are placed so, and move, and compares what they print with that of ranks that stay.
func (c *cluster) conforms(random *rand.Rand, ranks int, place string, program []string) {
	c.t.Helper()
	want := c.unmoved(strconv.Itoa(ranks), program...)
	name := fmt.Sprintf("conformance-%d", ranks)
	run := c.start(append([]string{"run", "-q", "-l", "-n", strconv.Itoa(ranks), "--name", name, "--place", place}, program...)...)
	c.lines(run, 1)
	id := c.named(name)
	for run.running() {
		host := fmt.Sprintf("w%d", 1+random.IntN(c.shape.workers))
		if c.godwit("migrate", fmt.Sprintf("%s/%d", id, random.IntN(ranks)), "--to", host).code != 0 {
			continue // it is there already, or the app has ended
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
	c.t.Logf("%d ranks: %d migrations committed", ranks, committed)
	require.Positive(c.t, committed)
}
