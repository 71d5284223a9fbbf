package jepsen

import (
	"context"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	apiv1 "github.com/godwit-run/godwit/api/v1"
)

// TestLongCancelReason cancels an app with a reason of a megabyte or of a good part of it, and then with one of common
// length. Whatever becomes of the first, it costs the host nothing: every rank repeats a reason.
func TestLongCancelReason(t *testing.T) {
	t.Parallel()
	c := newCluster(t, shape{servers: 3, workers: 1, slots: 16})
	before := c.hosts()["w1"].GetIncarnation()
	other := c.submit("-n", "2", steadyModule, "100000", "50")
	c.phase(other, "running")
	for _, kib := range []int{1024, 400, 80} {
		id := c.submit("-n", "14", steadyModule, "100000", "50")
		c.phase(id, "running")
		ctx, cancel := context.WithTimeout(t.Context(), callLimit)
		_, err := c.api.control(c.leader().addr).CancelApp(ctx, &apiv1.CancelAppRequest{App: id, Reason: strings.Repeat("so long ", kib<<7)})
		cancel()
		if err != nil {
			require.Regexp(t, "invalid_argument|at most [0-9]+ are taken", err.Error(), "%d KiB: it says what is wrong", kib)
			c.must("cancel", id)
		}
		app := c.phase(id, "cancelled", "failed", "succeeded")
		require.Equal(t, "cancelled", app.GetPhase())
		require.Less(t, len(app.GetReason()), 64<<10)
	}
	c.undisturbed("w1", before, other)
}

// TestLongTraps has 96 ranks trap at once in functions with long names.
func TestLongTraps(t *testing.T) {
	t.Parallel()
	c := newCluster(t, shape{servers: 3, workers: 1, slots: 98})
	before := c.hosts()["w1"].GetIncarnation()
	other := c.submit("-n", "2", steadyModule, "100000", "50")
	c.phase(other, "running")
	id := c.submit("-n", "96", "testdata/longtrap.wasm")
	app := c.phase(id, "cancelled", "failed", "succeeded")
	require.Equal(t, "failed", app.GetPhase())
	require.Contains(t, app.GetReason(), "unreachable")
	t.Logf("%d bytes of reason: %.300s", len(app.GetReason()), app.GetReason())
	c.undisturbed("w1", before, other)
}

// undisturbed fails the test unless the host is as it was and the app on it still runs; then it cancels the app.
func (c *cluster) undisturbed(host, incarnation, app string) {
	c.t.Helper()
	h := c.state(host, "ready", patience)
	require.Equal(c.t, incarnation, h.GetIncarnation(), "the host has not started again")
	require.Equal(c.t, "running", c.app(app).GetPhase())
	c.must("cancel", app)
	c.phase(app, "cancelled")
	c.idle()
}
