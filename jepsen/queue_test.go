package jepsen

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// TestQueue fills a cluster, and lets programs wait for room.
func TestQueue(t *testing.T) {
	t.Parallel()
	c := newCluster(t, shape{workers: 2})
	big := c.submit("-n", "9", "--name", "big", helloModule)
	app := c.phase(big, "queued")
	require.NotEmpty(t, app.Reason)
	t.Logf("too big: %s", app.Reason)
	c.must("run", "-q", "-n", "8", helloModule) // nobody waits for what can never start

	holder := c.submit("-n", "8", "--name", "holder", steadyModule, "1000", "50")
	c.phase(holder, "running")
	c.must("run", "-q", "-n", "2", "--oversubscribe", helloModule)
	var waiting []string
	for range 4 {
		waiting = append(waiting, c.submit("-n", "8", "--name", "waiting", helloModule))
	}
	for _, id := range waiting {
		app := c.phase(id, "queued")
		require.NotEmpty(t, app.Reason)
	}
	require.Contains(t, c.must("ps"), "queued")

	c.must("cancel", holder)
	var started []int64
	for _, id := range waiting {
		app := c.phase(id, "succeeded")
		started = append(started, app.StartedAt.AsTime().UnixNano())
	}
	require.IsIncreasing(t, started, "programs start in the order of their submission")
	require.Equal(t, "queued", c.app(big).Phase)
	c.must("cancel", big)
	c.idle()
}

// TestPlacement checks where programs are put.
func TestPlacement(t *testing.T) {
	t.Parallel()
	c := newCluster(t, shape{workers: 3})
	for _, tc := range []struct {
		name  string
		flags []string
		want  []string
	}{
		{"explicit", []string{"-n", "4", "--place", "w2:1,w1:2,w3:1"}, []string{"w2", "w1", "w1", "w3"}},
		{"main host first", []string{"-n", "5", "--policy", "main_first", "--main-host", "w2"}, []string{"w2", "w2", "w2", "w2", "w1"}},
		{"bin_pack", []string{"-n", "4"}, []string{"w3", "w3", "w3", "w3"}},
		{"underfull", []string{"-n", "4", "--hint", "underfull", "--main-host", "w1", "--policy", "main_first"}, []string{"w1", "w1", "w2", "w2"}},
		{"oversubscribed", []string{"-n", "14", "--oversubscribe", "--main-host", "w1", "--policy", "main_first"}, nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			id := c.submit(append(tc.flags, helloModule)...)
			app := c.phase(id, "succeeded")
			if tc.want != nil {
				require.Equal(t, tc.want, app.Placement)
				return
			}
			on := map[string]int{}
			for _, h := range app.Placement {
				on[h]++
			}
			require.Equal(t, map[string]int{"w1": 6, "w2": 4, "w3": 4}, on)
		})
	}
	r := c.godwit("submit", "-n", "4", "--place", "w1:2,nosuch:2", helloModule)
	if r.code == 0 {
		app := c.phase(r.stdout[:len(r.stdout)-1], "queued")
		require.Contains(t, app.Reason, "nosuch")
	} else {
		require.Contains(t, r.stderr, "nosuch")
	}
	r = c.godwit("submit", "-n", "4", "--place", "w1:2,w2:1", helloModule)
	require.Equal(t, 2, r.code, r.stderr)
}
