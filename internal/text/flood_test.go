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

	var out strings.Builder
	for range 10 {
		f.Log(slog.New(slog.NewTextHandler(&out, nil)), slog.LevelWarn, "lib", " ", now.Add(2*time.Minute))
	}
	require.Equal(t, 3, strings.Count(out.String(), "library=lib"), "lines that say nothing too")
	require.Equal(t, "msg type #", Kind("msg type (200) not supported from=1.2.3.4:5"))
	require.Equal(t, "a", Kind(" a\n"))
}
