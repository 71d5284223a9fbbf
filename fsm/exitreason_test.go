package fsm

import (
	"testing"

	"github.com/stretchr/testify/require"

	apiv1 "github.com/godwit-run/godwit/api/v1"
)

// How a rank ended is said by its code, unless its reason says that.
func TestExitReason(t *testing.T) {
	for reason, want := range map[string]string{
		"":                                 "rank 2 on w3 exited 1",
		"integer divide by zero in main":   "rank 2 on w3 exited 1 (integer divide by zero in main)",
		"ended without MPI_Finalize (0)":   "rank 2 on w3 ended without MPI_Finalize (0)",
		"endedly is no word of a reason's": "rank 2 on w3 exited 1 (endedly is no word of a reason's)",
	} {
		require.Equal(t, want, exitReason("w3", &apiv1.EndedRank{Rank: 2, ExitCode: 1}, reason))
	}
}
