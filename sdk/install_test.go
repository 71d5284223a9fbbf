package sdk

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestInstall(t *testing.T) {
	dir, binary := filepath.Join(t.TempDir(), "sdk"), filepath.Join(t.TempDir(), "godwit")
	require.NoError(t, os.WriteFile(binary, nil, 0o700))
	for range 2 {
		require.NoError(t, Install(dir, binary))
		for _, name := range []string{
			"include/mpi.h", "include/godwit.h", "lib/pkgconfig/mpi.pc", "share/godwit/godwit.cmake", "share/godwit/cmake/Platform/WASI.cmake", "lib/pkgconfig/ompi-c.pc",
			"lib/libm.a", "lib/librt.a", "lib/libpthread.a", "lib/libdl.a",
		} {
			require.FileExists(t, filepath.Join(dir, name))
		}
		for _, name := range Commands() {
			target, err := os.Readlink(filepath.Join(dir, "bin", name))
			require.NoError(t, err)
			require.Equal(t, binary, target)
		}
	}
	meson, err := os.ReadFile(filepath.Join(dir, "share", "godwit", "meson.ini"))
	require.NoError(t, err)
	require.Contains(t, string(meson), "'"+dir+"/bin/'")
	require.NotContains(t, string(meson), here)
	require.Contains(t, string(meson), "default_library = 'static'", "library() makes what can be linked")
	mine := filepath.Join(dir, "bin", "mpicc")
	require.NoError(t, os.Remove(mine))
	require.NoError(t, os.WriteFile(mine, []byte("mine"), 0o600))
	require.ErrorContains(t, Install(dir, binary), "no link")
}
