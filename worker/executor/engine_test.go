package executor

import (
	"crypto/sha256"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/worker/native"
	"github.com/godwit-run/godwit/worker/wasm"
)

// Ranks for which no code is there run in wazero, and say why; they go on in the code that the worker tells of, and what is not what it was said to be the worker hears of.
func TestCodeComes(t *testing.T) {
	module, err := filepath.Abs("../../jepsen/testdata/deadlock.wasm")
	require.NoError(t, err)
	a := startAs(t, []int{0, 0, 0}, 1, &apiv1.ExecStart{
		Programs: []*apiv1.ExecProgram{{ModulePath: module, CacheDir: cacheDir(t), Args: []string{"prog"}, Ranks: 3, Code: &apiv1.ExecCode{ModulePath: module, Why: "another host compiles it"}}}, Engine: wasm.EngineNative,
	})
	h := a.hosts[0]
	for _, r := range a.inspect(h) {
		require.Contains(t, r.Doing, "(in wazero: another host compiles it)")
	}
	say := func(c *apiv1.ExecCode) {
		c.ModulePath = module
		h.say(t, &apiv1.ExecCommand{Msg: &apiv1.ExecCommand_Code{Code: c}})
	}
	file := filepath.Join(t.TempDir(), "code")
	require.NoError(t, os.WriteFile(file, []byte("forged"), 0o600))
	say(&apiv1.ExecCode{File: file, Grade: 1, Sha256: make([]byte, 32)})
	refused := a.next(h).GetCodeRefused()
	require.Equal(t, file, refused.GetFile())
	require.Contains(t, refused.GetReason(), "has changed since it was checked")
	if object := compiled(t, module); object != nil {
		require.NoError(t, os.WriteFile(file, object, 0o600))
		sum := sha256.Sum256(object)
		for n := range 20 {
			say(&apiv1.ExecCode{Why: fmt.Sprint("not yet ", n)})
		}
		say(&apiv1.ExecCode{File: file, Grade: 2, Sha256: sum[:], Made: "compiled by a test", Why: "the last word"})
		require.Eventually(t, func() bool { // deadlocked ranks make no call, so they stay where they are
			return strings.Contains(a.inspect(h)[0].Doing, "(in wazero: it goes on in the native engine at its next call)")
		}, 10*time.Second, 10*time.Millisecond)
	}
	h.say(t, &apiv1.ExecCommand{Msg: &apiv1.ExecCommand_Cancel{Cancel: &apiv1.ExecCancel{Reason: "enough"}}})
	for len(a.ended) < 3 {
		a.inspect(h) // notes ends
	}
}

// compiled is a module's object; nil: nothing can be compiled here.
func compiled(t *testing.T, module string) []byte {
	t.Helper()
	if _, err := exec.LookPath("clang-19"); err != nil || native.Level() == "" {
		return nil
	}
	code, err := os.ReadFile(module)
	require.NoError(t, err)
	object, err := native.Compiler{O: native.Quick}.Compile(t.Context(), code)
	require.NoError(t, err)
	return object
}
