package control

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// namedGroup is a group of the servers given.
type namedGroup struct {
	noGroup
	servers []ServerInfo
}

func (g namedGroup) Servers() []ServerInfo { return g.servers }

func TestFindServer(t *testing.T) {
	c := &Control{group: namedGroup{servers: []ServerInfo{
		{ID: "e0dd9d17-1", Addr: "10.0.0.1:7400", LogAddr: "10.0.0.1:7400"},
		{ID: "e0dd77aa-2", Addr: "10.0.0.2:7400", LogAddr: "10.0.0.9:7400"},
		{ID: "d4aa0000-3", Addr: "10.0.0.3:7400", LogAddr: "10.0.0.3:7400"},
		{ID: "beef0000-4", Addr: "10.0.0.3:7500", LogAddr: "10.0.0.3:7500"},
	}}}
	for ref, want := range map[string]string{
		"e0dd9d17-1": "e0dd9d17-1", "e0dd9": "e0dd9d17-1", "d4aa": "d4aa0000-3",
		"10.0.0.1": "e0dd9d17-1", "10.0.0.2:7400": "e0dd77aa-2", "10.0.0.9:7400": "e0dd77aa-2", "10.0.0.3:7500": "beef0000-4",
	} {
		s, err := c.findServer(ref)
		require.NoError(t, err, ref)
		require.Equal(t, want, s.ID, ref)
	}
	for ref, want := range map[string]string{
		"d": "at least 4 characters", "d4a": "at least 4 characters", "e0d": "at least 4 characters", "e0dd": "is 2 servers",
		"10.0.0.3": "is 2 servers", "10.0.0.4": "no server", "ffff": "no server", "": "no server", "10.0": "no server",
	} {
		_, err := c.findServer(ref)
		require.ErrorContains(t, err, want, ref)
	}
}
