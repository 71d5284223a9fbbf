package replay

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/godwit-run/godwit/planner"
)

// BenchmarkRun replays generated traces whole.
func BenchmarkRun(b *testing.B) {
	for _, size := range []struct{ hosts, jobs int }{{100, 1000}, {1000, 10_000}, {10_000, 100_000}} {
		g := DefaultGenerator()
		g.Hosts, g.Jobs = size.hosts, size.jobs
		tr, err := g.Trace(1, Shape{})
		require.NoError(b, err)
		for _, name := range []string{Slurm, Godwit} {
			b.Run(fmt.Sprintf("hosts=%d/jobs=%d/%s", size.hosts, size.jobs, name), func(b *testing.B) {
				rules, err := RulesOf(name, planner.BinPack, 30*time.Second, false)
				require.NoError(b, err)
				for b.Loop() {
					res, err := Run(tr, rules, Config{StepCost: time.Second})
					require.NoError(b, err)
					b.ReportMetric(float64(res.Migrations), "migrations")
				}
			})
		}
	}
}
