package apierr

import (
	"strings"
	"testing"

	"connectrpc.com/connect/v2"
	"github.com/stretchr/testify/require"
)

// TestLongTexts: an error does not repeat all that a caller has sent, and says what to do.
func TestLongTexts(t *testing.T) {
	e := New(connect.CodeNotFound, ReasonNotFound, "app", "no app "+strings.Repeat("é", 1<<20), "godwit ps -a lists them")
	require.LessOrEqual(t, len(Message(e)), MaxText+64)
	require.True(t, strings.HasSuffix(Message(e), "é…: godwit ps -a lists them"), Message(e)[MaxText-10:])
	require.Equal(t, "godwit ps -a lists them", Info(e).GetFix())
}
