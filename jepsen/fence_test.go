package jepsen

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/api/v1/apiv1connect"
)

// stored is what an app's ranks have printed, as it is kept.
func (c *cluster) stored(app string) map[int32][]*apiv1.LogLine {
	c.t.Helper()
	var lines map[int32][]*apiv1.LogLine
	c.ask(func(ctx context.Context, control apiv1connect.ControlClient) error {
		lines = map[int32][]*apiv1.LogLine{}
		s, err := control.Logs(ctx, &apiv1.LogsRequest{App: app})
		if err != nil {
			return err
		}
		defer s.Close() //nolint:errcheck // it was read to its end
		for {
			m, err := s.Receive()
			if errors.Is(err, io.EOF) {
				return nil
			}
			if err != nil {
				return err
			}
			for _, l := range m.Lines {
				lines[l.Rank] = append(lines[l.Rank], l)
			}
		}
	})
	return lines
}

// TestStoppedWorkersExecutorsEnd stops a worker for longer than its lease while the ranks on it go on, talk to each other and print. They
// must be gone though their worker cannot end them; what they print past the lease's end is taken by nobody, also when the worker
// wakes; and the app has one end.
func TestStoppedWorkersExecutorsEnd(t *testing.T) {
	t.Parallel()
	c := newCluster(t, shape{workers: 2, lease: shortLease})
	lease, err := time.ParseDuration(shortLease)
	require.NoError(t, err)
	first := c.hosts()["w2"].Incarnation
	id := c.submit("-n", "2", "--place", "w2:2", steadyModule, "100000", "20")
	c.eventually(patience, "both ranks print", func() error {
		if n := len(c.stored(id)); n != 2 {
			return fmt.Errorf("%d of them have printed", n)
		}
		return nil
	})
	w2 := c.process("w2")
	w2.freeze()
	end := time.Now().Add(lease) // no later: what renews the lease was sent before this
	c.noExecutors(id)            // of a worker that stands still
	t.Logf("gone %s after the lease's end; the host is %s", time.Since(end), c.hosts()["w2"].State)
	c.state("w2", "lost", lostWithin)
	app := c.phase(id, "failed")
	require.Contains(t, app.Reason, "w2")

	w2.thaw()
	c.eventually(patience, "w2 is ready again", func() error {
		if h := c.hosts()["w2"]; h.State != "ready" || h.Incarnation == first {
			return fmt.Errorf("it is %s, incarnation %s", h.State, h.Incarnation)
		}
		return nil
	})
	c.idle()
	for rank, lines := range c.stored(id) {
		require.NotEmpty(t, lines)
		for i, l := range lines {
			require.EqualValues(t, i, l.Seq, "rank %d: each line once", rank)
			require.Contains(t, string(l.Text), fmt.Sprintf("step %d:", i))
			require.LessOrEqual(t, l.AtMs, end.UnixMilli(), "rank %d printed %q past the lease's end", rank, l.Text)
		}
	}
	again := c.app(id)
	require.Equal(t, []any{app.Phase, app.Reason, app.ExitCode, app.EndedAt.AsTime()}, []any{again.Phase, again.Reason, again.ExitCode, again.EndedAt.AsTime()})
	c.must("run", "-q", "-n", "2", "--place", "w2:2", helloModule)
}

// TestStoppedExecutorGoesOn stops an executor, and not its worker, for longer than the lease: the host has its lease, so the app goes on.
func TestStoppedExecutorGoesOn(t *testing.T) {
	t.Parallel()
	c := newCluster(t, shape{workers: 2, lease: shortLease})
	want := c.unmoved("4", steadyModule, "100", "20")
	run := c.start("run", "-q", "-l", "-n", "4", "--name", "stopped-executor", "--place", "w1:2,w2:2", steadyModule, "100", "20")
	c.lines(run, 4)
	id := c.named("stopped-executor")
	e := c.executor(id, "w2")
	e.signal(syscall.SIGSTOP)
	c.eventually(patience, "w2 says that its executor is silent", func() error {
		if out := c.must("show", "--ranks", id); !strings.Contains(out, "has not answered for") {
			return errors.New(out)
		}
		return nil
	}) // after more than the lease
	e.signal(syscall.SIGCONT)
	c.same(want, run)
}
