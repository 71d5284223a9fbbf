package jepsen

import (
	"errors"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

// rankDoing is a line of show --ranks.
type rankDoing struct {
	Rank        int
	Host, Doing string
}

// ranks is what show --ranks says of an app.
func (c *cluster) ranks(id string) []rankDoing {
	c.t.Helper()
	var res struct{ Ranks []rankDoing }
	decode(c.t, c.must("show", id, "--ranks", "-o", "json"), &res)
	return res.Ranks
}

// TestDeadlock: a deadlocked program is looked into, and cancelled. An executor that is stuck costs only its ranks' lines.
func TestDeadlock(t *testing.T) {
	t.Parallel()
	c := newCluster(t, shape{workers: 2})
	id := c.submit("-n", "2", "--place", "w1:1,w2:1", deadlockModule)
	c.eventually(patience, "both ranks are blocked", func() error {
		ranks := c.ranks(id)
		if len(ranks) != 2 {
			return errors.New("not placed yet")
		}
		for i, r := range ranks {
			require.Equal(t, i, r.Rank)
			require.Equal(t, []string{"w1", "w2"}[i], r.Host)
			if !strings.Contains(r.Doing, "MPI_Recv(") {
				return errors.New(r.Doing)
			}
		}
		return nil
	})
	table := c.must("show", id, "--ranks")
	require.Regexp(t, `(?m)^0 +w1 +MPI_Recv\(.*tag=7`, table)
	require.Regexp(t, `(?m)^1 +w2 +MPI_Recv\(.*tag=7`, table)

	e := c.executor(id, "w2")
	e.signal(syscall.SIGSTOP)
	ranks := c.ranks(id)
	require.Contains(t, ranks[0].Doing, "MPI_Recv(")
	require.Regexp(t, "no answer|has not answered", ranks[1].Doing)
	e.signal(syscall.SIGCONT)

	queued := c.submit("-n", "100", helloModule)
	require.Regexp(t, "^no rank runs: "+queued+" is queued: needs 100 slots", c.must("show", queued, "--ranks"))
	logs := c.godwit("logs", queued)
	require.Zero(t, logs.code)
	require.Empty(t, logs.stdout)
	require.Regexp(t, "^godwit: "+queued+" is queued.*needs 100 slots.*: there is no output yet\n$", logs.stderr)
	follow := c.start("logs", "-f", "-o", "json", c.submit("-n", "1", steadyModule, "1000", "50"))
	c.lines(follow, 2)
	require.Regexp(t, `^\{"rank":0,"stream":"stdout","seq":0,"text":".+","partial":false,"at_ms":\d+\}$`, strings.SplitN(follow.stdout.String(), "\n", 2)[0])
	c.must("cancel", c.named("steady"))
	require.Zero(t, follow.wait().code)
	c.must("cancel", id, queued)
	c.phase(id, "cancelled")
	require.Regexp(t, "^no rank runs: "+id+" was cancelled", c.must("show", id, "--ranks"))
	c.idle()
}
