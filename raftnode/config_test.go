package raftnode

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestConfigIsNotDamage: what Raft would refuse of a configuration is refused before the data is looked at, and not called damaged data.
func TestConfigIsNotDamage(t *testing.T) {
	for name, wrong := range map[string]func(*Config){
		"SnapshotInterval":   func(c *Config) { c.SnapshotInterval = 4 * time.Millisecond },
		"HeartbeatTimeout":   func(c *Config) { c.HeartbeatTimeout, c.LeaderLease = 4*time.Millisecond, 4*time.Millisecond },
		"LeaderLeaseTimeout": func(c *Config) { c.LeaderLease = 4 * time.Millisecond },
	} {
		cfg := DefaultConfig()
		cfg.DataDir, cfg.Addr = filepath.Join(t.TempDir(), "data"), "127.0.0.1:7400"
		require.NoError(t, cfg.Validate())
		wrong(&cfg)
		_, err := Open(cfg, nil, nil, nil)
		require.ErrorContains(t, err, name)
		require.NotContains(t, err.Error(), "move")
		_, err = os.Stat(cfg.DataDir)
		require.ErrorIs(t, err, os.ErrNotExist)
	}
}
