package jepsen

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// smokeFor is how long the nemeses of TestSmoke are at it: each of them once, and in a long run again.
const smokeFor, longSmokeFor = 20 * time.Second, 2 * time.Minute

// TestSmoke has clients submit, ask, cancel and list while the leader and hosts are killed, stopped and cut off and ranks
// move, and judges what they were told. Without root nothing is cut.
func TestSmoke(t *testing.T) {
	inCheck(t)
	t.Parallel()
	s := shape{servers: 3, workers: 3, slots: 6, cuts: true}
	nemeses := []nemesis{&crash{of: "leader"}, &pause{of: "leader"}, &crash{of: "worker"}, &pause{of: "worker"}, &crash{of: "follower"}}
	if err := canNetwork(); err == nil {
		s.network = true
		nemeses = append(nemeses, &partition{leaderAlone}, &partition{halves}, &partition{workerFromLeader}, &partition{workerToLeader})
	} else {
		t.Logf("without partitions: %v", err)
	}
	o := newOrdeal(t, s)
	o.rng.Shuffle(len(nemeses), func(i, j int) { nemeses[i], nemeses[j] = nemeses[j], nemeses[i] })
	o.run(func() {
		end := time.Now().Add(time.Duration(rounds(int(smokeFor), int(longSmokeFor))))
		for i := 0; i < len(nemeses) || time.Now().Before(end); i++ {
			o.inflict(nemeses[i%len(nemeses)])
		}
	})
	for _, n := range nemeses {
		require.NotZero(t, o.fired[n.name()], n.name())
	}
	require.Greater(t, o.terms, 2, "no leader was lost")
	require.NotZero(t, o.moved, "no rank has moved")
	t.Logf("the last server has a snapshot to start from: %t", snapshotted(t, o.c.servers[2].dir))
}
