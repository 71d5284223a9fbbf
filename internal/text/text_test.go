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
	}
	require.Equal(t, in, Clean(in, 100))
}

func TestWord(t *testing.T) {
	require.True(t, Word("127.0.0.1:7400"))
	for _, bad := range []string{"", "a b", "a\n", "ü", strings.Repeat("x", MaxWord+1)} {
		require.False(t, Word(bad), "%q", bad)
	}
}
