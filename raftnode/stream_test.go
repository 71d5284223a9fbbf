package raftnode

import (
	"bytes"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/godwit-run/godwit/internal/listen"
)

// dialAs opens a connection in the name of a caller, and waits until it is let in.
func dialAs(t *testing.T, p *peer, caller string) net.Conn {
	t.Helper()
	c, err := listen.Dial(t.Context(), p.Addr(), Protocol, p.ClusterID(), p.ID(), caller, "127.0.0.1:1")
	require.NoError(t, err)
	t.Cleanup(func() { _ = c.Close() })
	require.NoError(t, c.SetDeadline(time.Now().Add(patience)))
	require.NoError(t, readAnswer(c))
	return c
}

// TestConnectionsAreBounded: whoever is let in holds so many connections and no more, the newest of them.
func TestConnectionsAreBounded(t *testing.T) {
	p := single(t, func(c *Config) { c.Vouch = func(string) bool { return true } })
	other := dialAs(t, p, "other")
	var conns []net.Conn
	for range 4 * maxOfCaller {
		conns = append(conns, dialAs(t, p, "greedy"))
	}
	for _, c := range conns[:3*maxOfCaller] {
		_, err := c.Read(make([]byte, 1))
		require.ErrorIs(t, err, io.EOF, "an old one is closed")
	}
	for i := range 2 * maxAccepted / maxOfCaller {
		for range maxOfCaller {
			dialAs(t, p, strconv.Itoa(i))
		}
	}
	_, err := other.Read(make([]byte, 1))
	require.ErrorIs(t, err, io.EOF, "the oldest of all is closed")
	p.stream.mu.Lock()
	require.LessOrEqual(t, len(p.stream.accepted), maxAccepted)
	p.stream.mu.Unlock()
	propose(t, p, "goes on")
	p.stop(t)
	until(t, "still counted", func() bool { // Raft's goroutines close them, some after its end
		p.stream.mu.Lock()
		defer p.stream.mu.Unlock()
		return len(p.stream.accepted) == 0
	})
}

// TestComplaintsAreBounded: strangers at as many addresses as they like make so many lines within complainEvery.
func TestComplaintsAreBounded(t *testing.T) {
	var out bytes.Buffer
	s := newStream(nil, "", slog.New(slog.NewTextHandler(&out, nil)))
	for i := range 20 * maxComplaints {
		s.complain(slog.LevelWarn, "refused a raft connection", fmt.Sprintf("10.0.%d.%d:1", i/256, i%256), "a stranger")
	}
	require.Equal(t, maxComplaints, strings.Count(out.String(), "\n"))
	for at := range s.complaints {
		s.complaints[at] = s.complaints[at].Add(-complainEvery)
	}
	s.complain(slog.LevelWarn, "refused a raft connection", "10.1.0.0:1", "a stranger")
	require.Equal(t, maxComplaints+1, strings.Count(out.String(), "\n"))
}
