package worker

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	apiv1 "github.com/godwit-run/godwit/api/v1"
)

func TestClean(t *testing.T) {
	for in, want := range map[string]string{
		"":                               "",
		"trap: unreachable\n  at .f()\t": "trap: unreachable\n  at .f()\t",
		"\x1b]0;title\x07\x1b[31m":       `\x1b]0;title\x07\x1b[31m`,
		"a\r\x00b\x7f":                   `a\x0d\x00b\x7f`,
		"naïve – 日本":                     "naïve – 日本",
		"\u009b31m":                      `\x9b31m`,
		"a\xff\xc3":                      `a\xff\xc3`,
		"abc\u202edef":                   `abc\u202edef`,
	} {
		require.Equal(t, want, clean(in))
	}
	for _, long := range []string{strings.Repeat("x", 1<<20), strings.Repeat("\x1b", 1<<20), strings.Repeat("日", 1<<20), strings.Repeat("\xff", 5000)} {
		got := clean(long)
		require.LessOrEqual(t, len(got), maxReasonBytes)
		require.True(t, utf8.ValidString(got))
		require.Regexp(t, `\(\d+ bytes more\)$`, got)
	}
}

// Whatever an app's ranks say, its status can be sent.
func TestStatusIsBounded(t *testing.T) {
	const ranks = 65_536
	b := newBench(t)
	app := b.rec.App
	app.Size, app.Placement, app.Ranks = ranks, make([]string, ranks), make([]*apiv1.RankState, ranks)
	for i := range app.Ranks {
		app.Placement[i], app.Ranks[i] = "h1", &apiv1.RankState{Epoch: 1}
		b.a.ranks[int32(i)] = &rankInfo{epoch: 1, state: rankRunning}
	}
	reason := strings.Repeat("\x1b[31m terminate called after throwing an instance of 'x' ", 150)
	for i := range int32(ranks) {
		b.a.rankEnded(&apiv1.ExecEnded{Rank: i, ExitCode: codeKilled, Reason: reason})
	}
	b.a.failure, b.a.execErr = reason, reason
	st := b.a.status()
	require.Len(t, st.Ranks, ranks)
	require.NotEmpty(t, st.Ranks[0].Reason)
	require.EqualValues(t, codeKilled, st.Ranks[ranks-1].ExitCode)
	require.Less(t, proto.Size(st), 2<<20)

	app.Ranks[0].Ended = true
	require.Len(t, b.a.status().Ranks, ranks-1, "what the log has is not repeated")
}
