package client

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestContextsThatAreNotThere: whoever has no contexts, or no home of his own, reaches what he names, or what everybody has.
func TestContextsThatAreNotThere(t *testing.T) {
	for name, value := range map[string]string{"GODWIT_CONTEXTS": "", "GODWIT_ADDR": "", "GODWIT_TOKEN": "", "GODWIT_CONTEXT": "", "XDG_CONFIG_HOME": "", "HOME": os.DevNull} {
		t.Setenv(name, value)
	}
	a, err := FindAccess("")
	require.NoError(t, err)
	require.Equal(t, Access{Addrs: DefaultAddr}, a)
	a, err = FindAccess("a:1,b:1")
	require.NoError(t, err)
	require.Equal(t, Access{Addrs: "a:1,b:1"}, a)

	file := filepath.Join(t.TempDir(), "contexts.json")
	t.Setenv("GODWIT_CONTEXTS", file)
	require.NoError(t, os.WriteFile(file, []byte(`{"use":"x","contexts":{"x":null,"y":{"addrs":"b:1,c:1","token":"secret"}}}`), 0o600))
	a, err = FindAccess("")
	require.NoError(t, err)
	require.Equal(t, DefaultAddr, a.Addrs)
	a, err = FindAccess("b:1")
	require.NoError(t, err)
	require.Equal(t, "secret", a.Token)
	require.NoError(t, os.Chmod(file, 0o644)) //nolint:gosec // it is to be refused
	_, err = FindAccess("b:1")
	require.ErrorContains(t, err, "chmod 600")
}
