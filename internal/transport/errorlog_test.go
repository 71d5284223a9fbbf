package transport

import (
	"bytes"
	"log/slog"
	"net"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestErrorLogIsBounded: a caller that breaks off each connection makes a line with each.
func TestErrorLogIsBounded(t *testing.T) {
	var out bytes.Buffer
	log := newErrorLog(slog.New(slog.NewTextHandler(&out, nil)))
	for i := range 5000 {
		log.Printf("http2: server: error reading preface from client %v: bogus greeting", &net.TCPAddr{IP: net.IPv4(10, 0, 0, 1), Port: i})
	}
	require.Less(t, strings.Count(out.String(), "\n"), 1000)
	require.Contains(t, out.String(), "left out and counted")
	require.Contains(t, out.String(), "error reading preface")
}
