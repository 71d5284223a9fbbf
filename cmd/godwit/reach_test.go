package main

import (
	"net"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestCheckReach(t *testing.T) {
	mine := net.IPv4(10, 0, 0, 9).Equal
	for _, tt := range []struct {
		host    string
		servers []string
		ok      bool
	}{
		{"127.0.0.1", nil, true},
		{"127.0.0.1", []string{"127.0.0.1:7401", "[::1]:7402"}, true},
		{"127.0.0.1", []string{"10.0.0.9:7400"}, true}, // this machine itself
		{"127.0.0.1", []string{"server.example:7400"}, true},
		{"10.0.0.9", []string{"10.0.0.1:7400"}, true},
		{"127.0.0.1", []string{"127.0.0.1:7401", "10.0.0.1:7400"}, false},
		{"::1", []string{"10.0.0.1"}, false},
	} {
		err := checkReach(tt.host, "retry-join", tt.servers, mine)
		require.Equal(t, tt.ok, err == nil, "%+v: %v", tt, err)
		if err != nil {
			require.ErrorContains(t, err, "--listen")
		}
	}
}
