package text

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
)

func TestClean(t *testing.T) {
	for in, want := range map[string]string{
		"":                    "",
		"plain":               "plain",
		"two\nlines\tand tab": "two\nlines\tand tab",
		"\x1b[2Jgone":         "?[2Jgone",
		"back\rover":          "back?over",
		"bidi\u202eover":      "bidi?over",
		"c1\u009bcsi":         "c1?csi",
		"bad\xffutf":          "bad?utf",
		"ümlaut":              "ümlaut",
		"del\x7fete":          "del?ete",
		"line\u2028sep":       "line?sep",
		"paragraph\u2029sep":  "paragraph?sep",
		"was bad\ufffd":       "was bad?",
	} {
		require.Equal(t, want, Clean(in, 100), "%q", in)
		require.Equal(t, want != in, Bad(in), "%q", in)
	}
	require.Equal(t, "a b c", Line("a\nb\tc", 100))
}

func TestCleanCuts(t *testing.T) {
	in := strings.Repeat("ü", 50)
	for limit := 3; limit < 100; limit++ {
		out := Clean(in, limit)
		require.LessOrEqual(t, len(out), limit)
		require.True(t, utf8.ValidString(out))
		require.True(t, strings.HasSuffix(out, "…"))
		require.GreaterOrEqual(t, len(out), limit-1, "no more is cut than it must")
	}
	require.Equal(t, in, Clean(in, 100))
	require.False(t, Bad(in), "a long text is not a bad one")
	require.True(t, Bad("\x1b"))
}

func TestWord(t *testing.T) {
	for _, good := range []string{"127.0.0.1:7400", "!", "~", strings.Repeat("x", MaxWord)} {
		require.True(t, Word(good), "%q", good)
	}
	for _, bad := range []string{"", "a b", "a\n", "ü", "a\x7f", strings.Repeat("x", MaxWord+1)} {
		require.False(t, Word(bad), "%q", bad)
	}
}

func TestEscape(t *testing.T) {
	for in, want := range map[string]string{
		"":                               "",
		"trap: unreachable\n  at .f()\t": "trap: unreachable\n  at .f()\t",
		"\x1b]0;title\x07\x1b[31m":       `\x1b]0;title\x07\x1b[31m`,
		"a\r\x00b\x7f":                   `a\x0d\x00b\x7f`,
		"naïve – 日本":                     "naïve – 日本",
		"\u009b31m":                      `\x9b31m`,
		"a\xff\xc3":                      `a\xff\xc3`,
		"abc\u202edef":                   `abc\u202edef`,
		"was bad\ufffd":                  `was bad\ufffd`,
		"a\u2028b\u2029c":                `a\u2028b\u2029c`,
	} {
		require.Equal(t, want, Escape(in, 1024))
	}
	for _, long := range []string{strings.Repeat("x", 1<<20), strings.Repeat("\x1b", 1<<20), strings.Repeat("日", 1<<20), strings.Repeat("\xff", 5000)} {
		got := Escape(long, 1024)
		require.Equal(t, got, Clean(got, 2048), "nothing is left to clean")
		require.LessOrEqual(t, len(got), 1024)
		require.True(t, utf8.ValidString(got))
		require.Regexp(t, `\(\d+ bytes more\)$`, got)
	}
	require.Equal(t, strings.Repeat("x", 60)+" (9940 bytes more)", Escape(strings.Repeat("x", 10_000), 100))
	require.Equal(t, strings.Repeat("x", 60), Escape(strings.Repeat("x", 60), 100))
}

func TestCut(t *testing.T) {
	require.Equal(t, "abc", Cut("abc", 3))
	require.Equal(t, "ab", Cut("abc", 2))
	require.Equal(t, "a", Cut("aü", 2))
	require.Equal(t, "日", Cut("日本", 5))
	require.Empty(t, Cut("abc", -1))
	require.Empty(t, Cut("日", 2))
	require.Equal(t, "a\ufffd", Cut("a\ufffdb", 4), "a replacement character that is there is one")
	require.Equal(t, "abcdef", Cut("abcdef\xff\xff\xff\xff\xff", 10))
}
