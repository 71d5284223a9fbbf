package jepsen

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestOneWay cuts a worker from the leader one way, for less than its lease: its app notices nothing. For longer: the host
// is lost, its executor is gone before that, and it comes back as another when the cut is healed.
func TestOneWay(t *testing.T) {
	t.Parallel()
	for _, way := range []string{leaderToWorker, workerToLeader} {
		t.Run(way, func(t *testing.T) {
			onlyLong(t, way == leaderToWorker)
			t.Parallel()
			c := newCluster(t, shape{servers: 3, workers: 2, lease: "6s", network: true})
			cut := func() {
				from, to := c.leader().name, "w2"
				if way == workerToLeader {
					from, to = to, from
				}
				require.NoError(t, c.net.cut(from, to))
			}
			before := c.hosts()["w2"].GetIncarnation()
			program := []string{steadyModule, "100", "50"}
			want := c.unmoved("4", program...)
			run := c.start(append([]string{"run", "-q", "-l", "-n", "4", "--place", "w1:2,w2:2"}, program...)...)
			c.lines(run, 8)
			cut()
			<-time.After(time.Second) // the length of the cut, far below the lease
			require.NoError(t, c.net.heal())
			c.same(want, run)
			require.Equal(t, before, c.hosts()["w2"].GetIncarnation())

			id := c.submit("-n", "4", "--place", "w1:2,w2:2", steadyModule, "100000", "50")
			c.phase(id, "running")
			cut()
			c.state("w2", "lost", patience)
			require.Empty(t, c.executors(id)["w2"], "the worker has let go before the leader calls it lost")
			app := c.phase(id, "failed")
			require.Contains(t, app.GetReason(), "w2")
			require.NoError(t, c.net.heal())
			c.eventually(patience, "w2 is back", func() error {
				if h := c.hosts()["w2"]; h.GetState() != "ready" || h.GetIncarnation() == before {
					return errNotYet(h.GetState())
				}
				return nil
			})
			c.must("run", "-q", "-n", "2", "--place", "w2:2", helloModule)
			c.idle()
		})
	}
}

// TestWorkersApart cuts two workers from each other, one way, while ranks on them talk: the program goes on when that is over.
func TestWorkersApart(t *testing.T) {
	t.Parallel()
	c := newCluster(t, shape{servers: 1, workers: 2, network: true})
	program := []string{steadyModule, "100", "50"}
	want := c.unmoved("4", program...)
	run := c.start(append([]string{"run", "-q", "-l", "-n", "4", "--place", "w1:2,w2:2"}, program...)...)
	c.lines(run, 8)
	require.NoError(t, c.net.cut("w1", "w2"))
	<-time.After(3 * time.Second) // the length of the cut
	require.NoError(t, c.net.heal())
	c.same(want, run)
	for _, w := range c.workers {
		require.NotContains(t, strings.ToLower(tailOf(w.log, 100)), "panic")
	}
	c.idle()
}

// errNotYet says what something is that ought to be something else.
type errNotYet string

func (e errNotYet) Error() string { return "it is " + string(e) }
