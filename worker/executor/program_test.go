package executor

import (
	"math/rand/v2"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	apiv1 "github.com/godwit-run/godwit/api/v1"
)

// TestSeveralPrograms: the ranks of an app run several programs, each with its arguments and environment, know which is theirs (MPI 5.0 sections
// 9.1.2 and 11.2.1), and may move to a host that had none of their program.
func TestSeveralPrograms(t *testing.T) {
	first, err := filepath.Abs("../../jepsen/testdata/coupled.wasm")
	require.NoError(t, err)
	second := strings.TrimSuffix(first, ".wasm") + "2.wasm"
	programs := []*apiv1.ExecProgram{
		{ModulePath: first, CacheDir: t.TempDir(), Args: []string{"ocean", "3000", "a"}, Env: []string{"VAR=1"}, Ranks: 1},
		{ModulePath: second, CacheDir: t.TempDir(), Args: []string{"atmos", "3000"}, Ranks: 2},
		{ModulePath: first, Args: []string{"ice", "3000", "b", "c"}, Env: []string{"VAR=2"}, Ranks: 1},
	}
	output := func(a *testApp) string {
		lines := make([]string, len(a.placement))
		for _, l := range a.finishAll() {
			lines[l.Rank] += string(l.Text) + "\n"
		}
		return strings.Join(lines, "")
	}
	want := output(startPrograms(t, []int{0, 0, 0, 0}, 1, programs...))
	for _, has := range []string{
		"rank 0 of 4: first as ocean, appnum 0, 2 arguments, last a, VAR=1, command ocean, argv 3000 a, maxprocs 1,",
		"rank 1 of 4: second as atmos, appnum 1, 1 arguments, last 3000, VAR=-, command atmos, argv 3000, maxprocs 2,",
		"rank 2 of 4: second as atmos, appnum 1,",
		"rank 3 of 4: first as ice, appnum 2, 3 arguments, last c, VAR=2, command ice, argv 3000 b c, maxprocs 1,",
	} {
		require.Contains(t, want, has)
	}
	rnd := rand.New(rand.NewPCG(testSeed(t), 2))
	a := startPrograms(t, []int{0, 1, 1, 0}, 2, programs...)
	a.rnd = rnd
	moved := 0
	for range 10 {
		rank := int32(rnd.IntN(4))
		if a.ended[rank] != nil || !a.move(rank, 1-a.placement[rank], true) {
			break
		}
		moved++
	}
	require.Equal(t, want, output(a))
	require.Positive(t, moved)
}
