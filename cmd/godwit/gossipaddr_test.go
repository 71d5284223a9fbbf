package main

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestGossipLeavesListenItsPort: --listen's port is free still when gossip's is chosen, and must not be chosen for both.
func TestGossipLeavesListenItsPort(t *testing.T) {
	t.Parallel()
	ctx, dir := context.Background(), t.TempDir()
	own, err := freePort(ctx, loopback)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "gossip_port"), []byte(strconv.Itoa(own)), 0o600))
	bind, err := gossipBind(ctx, "", dir, loopback, own)
	require.NoError(t, err)
	require.NotEqual(t, net.JoinHostPort(loopback, strconv.Itoa(own)), bind)

	var not []int
	for port := freePortsFrom; port < freePortsTo; port++ {
		if port != own {
			not = append(not, port)
		}
	}
	_, err = freePort(ctx, loopback, append(not, own)...)
	require.ErrorContains(t, err, "no free port")
}
