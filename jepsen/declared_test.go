package jepsen

import (
	"errors"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestDeclaredMemory: no host has more memory declared than it has, whatever its slots; who waits for some says so, and so does explain; a drain goes where there is some, and waits where there is none. Of
// hosts that have room the fastest is taken. A rank has what it declares, and its end says so if that was too little.
func TestDeclaredMemory(t *testing.T) {
	inCheck(t)
	t.Parallel()
	c := emptyCluster(t, shape{workers: 2, slots: 4}.defaults())
	c.addServer()
	c.addWorker().set("--memory", "300M")
	w2 := c.addWorker()
	w2.set("--memory", "200M")
	w2.set("--speed", "2")
	for _, p := range c.processes() {
		p.start(t)
	}
	c.waitReady()
	c.leveled()

	first := c.submit("-n", "2", "--mem", "100M", "--name", "first", steadyModule, "100000", "50")
	require.Equal(t, []string{"w2", "w2"}, c.phase(first, "running").Placement, "which is faster, and has room")
	require.Regexp(t, `(?m)^NAME .* MEMORY +SPEED +REASON$`, c.must("hosts"))
	require.Regexp(t, `(?m)^w2 .* 200M/200M +2 `, c.must("hosts"))
	require.Contains(t, c.must("show", "first"), "memory 100 MiB a rank")
	never := c.submit("-n", "6", "--mem", "100M", "--name", "never", helloModule)
	waits := c.submit("-n", "4", "--mem", "100M", "--name", "waits", "--oversubscribe", helloModule)
	require.Equal(t, "needs 6 x 100 MiB; the cluster has memory and slots for 5 of them with nothing else on it", c.phase(never, "queued").Reason)
	require.Equal(t, "needs 4 x 100 MiB; free: w1 3 (4 slots, 300 MiB), w2 0 (2 slots, 0 B) (memory is never oversubscribed)", c.phase(waits, "queued").Reason)
	text := c.must("explain", "waits")
	require.Contains(t, text, "1 x 100 MiB more become free")
	require.Regexp(t, `(?m)^HOST +SLOTS +USED +MEMORY +SPEED +OWN +ROOM +WHY$`, text)
	require.Regexp(t, `(?m)^w2 +4 +2 +200M/200M +2 +0 +0 +0 B of its memory are free, and a rank takes 100 MiB$`, text)

	c.must("drain", "w2", "--wait")
	require.Equal(t, []string{"w1", "w1"}, c.app(first).Placement)
	require.Contains(t, c.godwit("migrate", "first/0", "--to", "w2").stderr, "drained")
	c.must("undrain", "w2")
	c.phase(waits, "queued") // w1 has 1 left, and w2 2
	require.Contains(t, c.godwit("migrate", "first/0,1", "--to", "w1").stderr, "on host w1 already")
	c.must("cancel", first)
	on := c.phase(waits, "succeeded").Placement
	require.Len(t, on, 4)
	require.Subset(t, on, []string{"w1", "w2"}, "neither has memory for all")

	fills := c.submit("-n", "3", "--mem", "100M", "--name", "fills", "--place", "w1:3", steadyModule, "100000", "50")
	c.phase(fills, "running")
	c.must("drain", "w1")
	why := "1 of the 3 ranks of app " + fills + " there has no slot with 100 MiB of memory elsewhere"
	c.eventually(patience, "the drain waits for memory", func() error {
		if out := c.must("hosts"); !strings.Contains(out, why) {
			return errors.New(out)
		}
		return nil
	})
	c.must("undrain", "w1")
	c.must("cancel", fills)

	full := c.submit("-n", "1", "--mem", "16M", "--name", "full", guests+"bigmem.wasm", "16", "1")
	require.Regexp(t, `^rank 0 on w. exited 3 \(.*; its memory was to grow to .* MiB, and may be 16 MiB \(--mem of its app, or --default-mem of the cluster\)\)$`, c.phase(full, "failed").Reason)
	c.must("cancel", never)
	c.idle()
	require.NotContains(t, c.must("servers"), "alarm")
}
