package jepsen

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
)

const conformanceModule = "../mpi/conformance/conformance.wasm"

// TestConformanceMigrates runs the MPI conformance programs, with everything that the library keeps for a rank, while
// their ranks move between hosts at random. Some moves are refused: a rank that shares memory stays.
func TestConformanceMigrates(t *testing.T) {
	t.Parallel()
	random := seeded(t)
	c := newCluster(t, shape{workers: 3})
	program := []string{conformanceModule}
	for range rounds(3, 20) {
		program = append(program, "all")
	}
	want := c.unmoved("4", program...)
	run := c.start(append([]string{"run", "-q", "-l", "-n", "4", "--name", "conformance", "--place", "w1:2,w3:2"}, program...)...)
	c.lines(run, 1)
	id := c.named("conformance")
	for run.running() {
		host := fmt.Sprintf("w%d", 1+random.IntN(c.shape.workers))
		if c.godwit("migrate", fmt.Sprintf("%s/%d", id, random.IntN(4)), "--to", host).code != 0 {
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
	t.Logf("%d migrations committed", committed)
	require.Positive(t, committed)
	c.idle()
}
