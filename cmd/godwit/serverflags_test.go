package main

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/godwit-run/godwit/control"
	"github.com/godwit-run/godwit/worker"
)

// TestServerFlagsAreOnlyChecked: what is wrong with a flag is said, and no flag becomes another by that.
func TestServerFlagsAreOnlyChecked(t *testing.T) {
	d := control.DefaultConfig()
	good := serverFlags{
		dataDir: "d", multiplier: 1, snapshotEvery: 1, snapshotInterval: time.Second, heartbeat: time.Second, lease: d.Lease, freezeDeadline: d.FreezeDeadline,
	}
	f := good
	require.NoError(t, f.check())
	require.Equal(t, good, f)
	f.multiplier = 0
	require.EqualError(t, f.check(), "--raft-multiplier 0: give 1 to 100")
}

// TestDevStretchesRaft: a dev cluster takes the flags that a slow machine needs, and checks them before it starts anything.
func TestDevStretchesRaft(t *testing.T) {
	d := control.DefaultConfig()
	f := &devFlags{servers: 1, slots: 1, lease: d.Lease, freezeDeadline: d.FreezeDeadline, multiplier: 101, level: "info"}
	require.EqualError(t, runDev(t.Context(), f, nil), "--raft-multiplier 101: give 1 to 100")
}

// TestDevOffers: workers of a dev cluster share the machine's memory, and have the speeds that they are given.
func TestDevOffers(t *testing.T) {
	f := &devFlags{workers: 3, speeds: []string{"1", "2", "0.5"}}
	require.NoError(t, f.checkOffers())
	all, err := worker.DefaultMemory()
	require.NoError(t, err)
	for i, speed := range f.speeds {
		args := f.offers(fmt.Sprintf("w%d", i+1))
		require.Equal(t, []string{"--memory", fmt.Sprintf("%dM", all/3>>20), "--speed", speed}, args)
	}
	f = &devFlags{workers: 2, speeds: []string{"3"}, memory: "1G"}
	require.NoError(t, f.checkOffers())
	require.Equal(t, []string{"--memory", "1G", "--speed", "3"}, f.offers("w2"))
	for _, bad := range []devFlags{{port: 70000}, {workers: 3, speeds: []string{"1", "2"}}, {speeds: []string{"NaN"}}, {memory: "much"}} {
		require.Error(t, bad.checkOffers())
	}
}

// TestSimFlagsThatDoNothing: a flag of godwit sim that would do nothing is an error.
func TestSimFlagsThatDoNothing(t *testing.T) {
	f := simFlags{generate: "hosts=2", runs: 1, schedulers: []string{"slurm"}, whatIf: "free"}
	_, err := f.rules()
	require.ErrorContains(t, err, "--what-if is of godwit")
	f.schedulers, f.whatIf = []string{"godwit"}, ""
	_, err = f.rules()
	require.ErrorContains(t, err, "--policy: name one at least")
}
