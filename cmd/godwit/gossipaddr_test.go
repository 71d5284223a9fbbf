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
	l, err := net.Listen("tcp", loopback+":0") //nolint:noctx // at once
	require.NoError(t, err)
	own := l.Addr().(*net.TCPAddr).Port //nolint:forcetypeassert // it is one
	require.NoError(t, l.Close())       // nobody has claimed it
	require.NoError(t, os.WriteFile(filepath.Join(dir, "gossip_port"), []byte(strconv.Itoa(own)), 0o600))
	bind, err := gossipBind(ctx, "", dir, loopback, own)
	require.NoError(t, err)
	require.NotEqual(t, net.JoinHostPort(loopback, strconv.Itoa(own)), bind)
	bind, err = gossipBind(ctx, "", t.TempDir(), loopback, standardAPIPort())
	require.NoError(t, err)
	require.NotEqual(t, net.JoinHostPort(loopback, strconv.Itoa(serverGossipPort)), bind, "several processes share the loopback")

	var not []int
	for port := freePortsFrom; port < freePortsTo; port++ {
		if port != own {
			not = append(not, port)
		}
	}
	_, err = freePort(ctx, loopback, append(not, own)...)
	require.ErrorContains(t, err, "no free port")
}

// TestAPortIsChosenOnce: who has chosen a port has it before it is bound.
func TestAPortIsChosenOnce(t *testing.T) {
	t.Parallel()
	ctx, dir := context.Background(), t.TempDir()
	bind, err := gossipBind(ctx, "", dir, loopback, 1)
	require.NoError(t, err)
	_, p, err := net.SplitHostPort(bind)
	require.NoError(t, err)
	port, err := strconv.Atoi(p)
	require.NoError(t, err)
	require.True(t, portFree(ctx, loopback, port))
	require.False(t, claimPort(ctx, loopback, port))
	require.True(t, claimPort(ctx, "127.0.0.2", port), "of another address")
	require.NoFileExists(t, gossipPortFile(dir), "the directory may be another's still")
	rememberGossip(dir, bind)
	again, err := gossipBind(ctx, "", dir, loopback, 1) // as another process would, on a copy
	require.NoError(t, err)
	require.NotEqual(t, bind, again)

	free, err := freePort(ctx, loopback)
	require.NoError(t, err)
	rememberGossip(dir, net.JoinHostPort(loopback, strconv.Itoa(free)))
	rememberGossip(dir, net.JoinHostPort(loopback, "0")) // any, as --gossip-listen may say
	b, err := os.ReadFile(gossipPortFile(dir))
	require.NoError(t, err)
	require.Equal(t, strconv.Itoa(free)+"\n", string(b))
}
