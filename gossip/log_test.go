package gossip

import (
	"bytes"
	"log"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/godwit-run/godwit/internal/text"
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

// TestNoiseIsBounded: a packet that no member sent is a line of the library, and may come without end.
func TestNoiseIsBounded(t *testing.T) {
	var out bytes.Buffer
	now := time.Unix(1000, 0)
	log := log.New(lineWriter{slog.New(slog.NewTextHandler(&out, nil)), nil, &text.Flood{For: floodFor, Most: floodMost}, func() time.Time { return now }}, "", 0)
	for i := range 5000 {
		log.Printf("[ERR] memberlist: msg type (%d) not supported from=10.0.0.1:%d", i%256, i)
	}
	log.Print("[WARN] memberlist: another")
	require.Equal(t, floodMost+1, strings.Count(out.String(), "\n"))
	require.Equal(t, 1, strings.Count(out.String(), "left out and counted for up to 1m0s"))
	out.Reset()
	now = now.Add(floodFor)
	log.Print("[DEBUG] memberlist: anything")
	require.Equal(t, 1, strings.Count(out.String(), "\n"))
	require.Contains(t, out.String(), `kind="msg type #" lines=4990 within=1m0s`)
}

// TestEachLoggerIsBounded: the ones that are in use are.
func TestEachLoggerIsBounded(t *testing.T) {
	var out bytes.Buffer
	log := newLogger(slog.New(slog.NewTextHandler(&out, nil)), nil)
	for range 5000 {
		log.Print("[ERR] memberlist: UDP packet too short (0 bytes)")
	}
	require.Less(t, strings.Count(out.String(), "\n"), 1000)
}
