package text

import (
	"log/slog"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestFlood: of each kind so many lines pass in a window, and kinds without end are one; what was left out is told afterwards, once.
func TestFlood(t *testing.T) {
	now := time.Unix(1000, 0)
	f := &Flood{For: time.Minute, Most: 3}
	say := func(kind string, n int) (passed, last int) {
		for range n {
			v := f.Line(kind, now)
			require.Empty(t, v.Left)
			if v.Pass {
				passed++
			}
			if v.Last {
				last++
			}
		}
		return passed, last
	}
	passed, last := say("a", 100)
	require.Equal(t, 3, passed)
	require.Equal(t, 1, last)
	passed, last = say("b", 2)
	require.Equal(t, 2, passed)
	require.Zero(t, last)
	now = now.Add(time.Minute)
	require.Equal(t, []Left{{"a", 97}}, f.Line("", now).Left)
	passed = 0
	for i := range 1000 {
		n, _ := say("kind "+strconv.Itoa(i), 1)
		passed += n
	}
	require.Equal(t, maxKinds+3, passed)
	now = now.Add(time.Minute)
	v := f.Line("a", now)
	require.True(t, v.Pass)
	require.Equal(t, []Left{{OtherKinds, 1000 - maxKinds - 3}}, v.Left)
	require.Empty(t, f.Line("", now.Add(time.Minute)).Left)
	require.Equal(t, "msg type #", Kind("msg type (200) not supported from=1.2.3.4:5"))
	require.Equal(t, "a", Kind(" a\n"))
	require.Equal(t, "two words", Kind("two words"))
	require.Len(t, Kind(strings.Repeat("x", 1000)), 64)
}

// TestFloodLogs: what a library says is logged until it is too much, then how much was left out. Lines for debugging are not counted.
func TestFloodLogs(t *testing.T) {
	now := time.Unix(1000, 0)
	f := &Flood{For: time.Minute, Most: 3}
	say := func(level slog.Level, said string, n int) string {
		var out strings.Builder
		for range n {
			f.Log(slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{Level: slog.LevelDebug})), level, "lib", said, now)
		}
		return out.String()
	}
	require.Equal(t, 100, strings.Count(say(slog.LevelDebug, "a b c", 100), "\n"))
	out := say(slog.LevelInfo, "a b c", 100)
	require.Equal(t, 3, strings.Count(out, `level=INFO msg="a b c" library=lib`))
	require.Equal(t, 3, strings.Count(out, "\n"))
	require.Equal(t, 1, strings.Count(out, `more="left out and counted for up to 1m0s"`))
	require.NotContains(t, strings.Join(strings.Split(out, "\n")[:2], "\n"), "left out", "the last line tells of what follows")
	require.Equal(t, 3, strings.Count(say(slog.LevelWarn, " ", 10), "library=lib"), "lines that say nothing are of a kind too")
	require.Equal(t, 1, strings.Count(say(slog.LevelDebug, "a b c", 1), "\n"), "the window is not over")
	now = now.Add(time.Minute)
	out = say(slog.LevelDebug, "debug", 1)
	require.Contains(t, out, `level=WARN msg="lines of a library were left out" kind="a b c" lines=97 within=1m0s library=lib`)
	require.Contains(t, out, `level=WARN msg="lines of a library were left out" kind="nothing said" lines=7 within=1m0s library=lib`)
	require.Equal(t, 3, strings.Count(out, "\n"))
	require.Equal(t, 1, strings.Count(say(slog.LevelInfo, "a b c", 1), "\n"), "it is told once")
}
