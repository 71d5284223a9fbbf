package main

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/godwit-run/godwit/control"
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
