package main

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// TestListenWithoutPort: the standard port is taken where none is given and there is one.
func TestListenWithoutPort(t *testing.T) {
	for _, tc := range []struct {
		addr     string
		standard int
		host     string
		port     int
		err      string
	}{
		{"127.0.0.1", 7400, loopback, 7400, ""},
		{"127.0.0.1:17400", 7400, loopback, 17400, ""},
		{"127.0.0.1:0", 7400, loopback, 0, ""},
		{"127.0.0.1", 0, "", 0, "use host:port"},
		{"127.0.0.1:", 7400, "", 0, "the port must be 0 to 65535"},
		{"0.0.0.0", 7400, "", 0, "name the one address"},
		{"", 7400, "", 0, "name the one address"},
		{":7400", 7400, "", 0, "name the one address"},
		{"http://127.0.0.1:7400", 7400, "", 0, "use host:port"},
	} {
		host, port, err := checkListen(t.Context(), "listen", tc.addr, tc.standard)
		if tc.err != "" {
			require.ErrorContains(t, err, "--listen "+tc.addr, tc.addr)
			require.ErrorContains(t, err, tc.err, tc.addr)
			continue
		}
		require.NoError(t, err, tc.addr)
		require.Equal(t, tc.host, host)
		require.Equal(t, tc.port, port)
	}
}
