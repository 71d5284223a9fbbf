package sdk

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// configure reads config.site in its own shell: for a guest it tells what cannot be tried, unless the user says another; for the machine
// itself, with the same CONFIG_SITE, nothing.
func TestConfigSite(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "sdk")
	binary, err := os.Executable()
	require.NoError(t, err)
	require.NoError(t, Install(dir, binary))
	for before, want := range map[string]string{
		"host_alias=wasm32-wasi": "yes yes mpicc",
		"host_alias=wasm32-unknown-wasi; ac_cv_func_malloc_0_nonnull=no; CC=clang": "no yes clang",
		"host_alias=x86_64-linux-gnu": "  ",
		"host_alias=":                 "  ",
		"unset host_alias; set -u":    "  ",
	} {
		script := "unset CC; " + before + `; . "$0"; echo "${ac_cv_func_malloc_0_nonnull-} ${ac_cv_func_realloc_0_nonnull-} ${CC-}"`
		out, err := exec.CommandContext(context.Background(), "sh", "-ec", script, filepath.Join(dir, "share", "config.site")).CombinedOutput()
		require.NoError(t, err, "%s", out)
		require.Equal(t, want+"\n", string(out), before)
	}
}
