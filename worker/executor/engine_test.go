package executor

import (
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/worker/wasm"
)

// A host without clang that is asked for the native engine runs ranks in wazero, and says so.
func TestNativeWithoutClang(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	module, err := filepath.Abs("../../jepsen/testdata/deadlock.wasm")
	require.NoError(t, err)
	a := startAs(t, []int{0, 0, 0}, 1, &apiv1.ExecStart{
		Programs: []*apiv1.ExecProgram{{ModulePath: module, CacheDir: cacheDir(t), Args: []string{"prog"}, Ranks: 3}}, Engine: wasm.EngineNative,
	})
	for _, r := range a.inspect(a.hosts[0]) {
		require.Contains(t, r.Doing, "(in wazero: ")
	}
	a.hosts[0].say(t, &apiv1.ExecCommand{Msg: &apiv1.ExecCommand_Cancel{Cancel: &apiv1.ExecCancel{Reason: "enough"}}})
	for len(a.ended) < 3 {
		a.inspect(a.hosts[0]) // notes ends
	}
}
