package fsm

import (
	"testing"

	"github.com/stretchr/testify/require"

	apiv1 "github.com/godwit-run/godwit/api/v1"
)

// How a rank ended is said by its code, unless the report says that its reason does: however a program's own words begin.
func TestExitReason(t *testing.T) {
	const own, forced = "ended by the program's own wish", "ended without MPI_Finalize (exit code 0)"
	for _, tc := range []struct {
		level  uint32
		reason string
		told   bool
		want   string
	}{
		{2, "", false, "rank 2 on w3 exited 1"},
		{2, "integer divide by zero in main", false, "rank 2 on w3 exited 1 (integer divide by zero in main)"},
		{2, own, false, "rank 2 on w3 exited 1 (" + own + ")"},
		{2, forced, true, "rank 2 on w3 " + forced},
		{2, "", true, "rank 2 on w3 exited 1"}, // too many reasons have been told
		{1, own, false, "rank 2 on w3 " + own}, // as ever, in entries of old
		{1, forced, false, "rank 2 on w3 " + forced},
		{0, forced, false, "rank 2 on w3 " + forced},
		{1, "endedly is no word", false, "rank 2 on w3 exited 1 (endedly is no word)"},
	} {
		at := &tx{View: View{feature: tc.level}}
		require.Equal(t, tc.want, at.exitReason("w3", &apiv1.EndedRank{Rank: 2, ExitCode: 1, ToldByReason: tc.told}, tc.reason), "%+v", tc)
	}
}
