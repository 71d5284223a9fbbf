package control

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	apiv1 "github.com/godwit-run/godwit/api/v1"
)

// TestEpisode: a trouble is said when it begins and when it is over, and with growing pauses while it lasts.
func TestEpisode(t *testing.T) {
	var e episode
	begin := time.Now()
	_, say := e.well(begin)
	require.False(t, say)
	var at []time.Duration
	for d := time.Duration(0); d <= time.Hour; d += 125 * time.Millisecond {
		if lasted, say := e.found(begin.Add(d)); say {
			require.Equal(t, d, lasted)
			at = append(at, d)
		}
	}
	s := time.Second
	require.Equal(t, []time.Duration{0, 10 * s, 30 * s, 70 * s, 150 * s, 310 * s, 630 * s, 1230 * s, 1830 * s, 2430 * s, 3030 * s}, at)
	end := begin.Add(time.Hour)
	lasted, say := e.well(end)
	require.True(t, say)
	require.Equal(t, time.Hour, lasted)
	_, say = e.well(end)
	require.False(t, say, "once")

	lines := 0
	for d := time.Duration(0); d <= time.Hour; d += 250 * time.Millisecond { // it comes and goes
		for _, see := range []func(time.Time) (time.Duration, bool){e.found, e.well} {
			if _, say := see(end.Add(d)); say {
				lines++
			}
		}
	}
	require.LessOrEqual(t, lines, 2*len(at))
	_, say = e.found(end.Add(time.Hour + episodeGap + time.Second))
	require.True(t, say, "another one")
}

// TestTroubleIsLoggedOnce: a leader that cannot extend leases, or commit, says so once, not at each look.
func TestTroubleIsLoggedOnce(t *testing.T) {
	b := newBench(t, nil)
	var out bytes.Buffer
	b.l.log = slog.New(slog.NewTextHandler(&out, nil))
	b.l.c.log = deadLog{b.log}
	for range 20 {
		b.l.noteLeases(errNoQuorum)
		require.False(t, b.l.propose(b.ctx, "anything", func(*apiv1.Command) {}))
	}
	require.Equal(t, 1, strings.Count(out.String(), "no lease is extended"), out.String())
	require.Equal(t, 1, strings.Count(out.String(), "proposal failed"), out.String())
	b.l.c.log = b.log
	for range 2 {
		b.l.noteLeases(nil)
	}
	require.Equal(t, 1, strings.Count(out.String(), "leases are extended again"), out.String())
}

// deadLog takes nothing.
type deadLog struct{ *memoryLog }

func (deadLog) Propose(context.Context, *apiv1.Command) (*apiv1.Result, error) {
	return nil, ErrOverloaded
}
