package gossip

import (
	"bytes"
	"log/slog"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestClosedConnectionsAreNoErrorsAtTheEnd: they are closed here; before, they are an error like any other.
func TestClosedConnectionsAreNoErrorsAtTheEnd(t *testing.T) {
	var out bytes.Buffer
	stopping := make(chan struct{})
	log := newLogger(slog.New(slog.NewTextHandler(&out, nil)), stopping)
	say := func() string {
		out.Reset()
		log.Print("[ERR] memberlist: Failed to send indirect UDP ping: write udp 10.0.0.1:7402: use of closed network connection")
		log.Print("[ERR] memberlist: something else")
		return out.String()
	}
	require.Contains(t, say(), "closed network")
	close(stopping)
	said := say()
	require.NotContains(t, said, "closed network")
	require.Contains(t, said, "level=ERROR msg=\"something else\"")
}
