package wasm

import (
	"os"
	"os/exec"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestBudget: memories that share a budget grow to no more together, and what one had is the others' when it is released.
func TestBudget(t *testing.T) {
	b := newBudget(10 * pageSize)
	one, err := newMemory(100*pageSize, b, false)
	require.NoError(t, err)
	other, err := newMemory(100*pageSize, b, false)
	require.NoError(t, err)
	require.NotNil(t, one.Reallocate(6*pageSize))
	require.Nil(t, other.Reallocate(5*pageSize))
	require.Empty(t, other.Bytes())
	require.NotNil(t, other.Reallocate(4*pageSize))
	require.Nil(t, one.Reallocate(7*pageSize))
	require.NotNil(t, one.Reallocate(6*pageSize))
	require.NoError(t, one.release())
	require.NoError(t, one.release())
	require.NotNil(t, other.Reallocate(10*pageSize))
	require.NoError(t, other.release())
	require.Zero(t, b.inUse())
}

// A limit of addresses, where there is one, is named by who does not get so many. The limit holds for a whole process, so another one has it.
func TestAddressLimit(t *testing.T) {
	const limited = "GODWIT_TEST_ADDRESS_LIMIT"
	if os.Getenv(limited) != "" {
		_, err := newMemory(1<<40, newBudget(0), false)
		require.ErrorContains(t, err, "reserve 1048576 MiB of addresses for guest memory: cannot allocate memory (this process may have 524288 MiB of addresses, by RLIMIT_AS: ulimit -v")
		return
	}
	child := exec.CommandContext(t.Context(), "sh", "-c", `ulimit -v 536870912 && exec "$0" -test.run '^TestAddressLimit$' -test.count 1`, os.Args[0])
	child.Env = append(os.Environ(), limited+"=1")
	out, err := child.CombinedOutput()
	require.NoError(t, err, "%s", out)
}
