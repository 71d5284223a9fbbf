package sdk

import (
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestSystemLibrariesAsFiles: libraries of this machine's system, by the files that build systems find, are those of the guest; what else is this machine's is refused by its name.
func TestSystemLibrariesAsFiles(t *testing.T) {
	t.Chdir(t.TempDir())
	require.NoError(t, os.Mkdir("dir", 0o700))
	for _, name := range []string{"libm.so.6", "libz.so.1.2.13", "host.o", "dir/libgomp.so.1"} {
		require.NoError(t, os.WriteFile(name, []byte(elf), 0o600))
	}
	require.NoError(t, os.WriteFile("own.o", []byte(wasmMagic), 0o600))
	require.NoError(t, writeArchive("libz.a", []member{{name: "a.o", data: []byte(elf)}}))
	require.NoError(t, writeArchive("libm.a", []member{{name: "a.o", data: []byte(wasmMagic)}})) // the user's own
	require.NoError(t, os.WriteFile("libfirst.so", []byte("GROUP(/lib/x86_64-linux-gnu/libm.so.6 AS_NEEDED(/lib/x86_64-linux-gnu/libmvec.so.1))"), 0o600))
	for words, want := range map[string]string{
		"own.o /usr/lib/x86_64-linux-gnu/libm.so /usr/lib/x86_64-linux-gnu/libpthread.so": "own.o -lm -lpthread",
		"/usr/lib/x86_64-linux-gnu/libm.a /usr/lib/x86_64-linux-gnu/libm-2.36.a":          "-lm -lm",
		"/lib/x86_64-linux-gnu/libdl.so.2 /usr/lib64/librt.so.1 /usr/lib/libutil.a":       "-ldl -lrt -lutil",
		"/usr/lib/x86_64-linux-gnu/libc.so /usr/lib/x86_64-linux-gnu/libmpi.so.40":        "",
		"/usr/lib/x86_64-linux-gnu/libstdc++.so.6 dir/libgomp.so.1 libm.so.6":             "-lc++ -lc++abi -lm",
		"-l:libpthread.so.0 -Wl,-l:libdl.so.2 -l:libstdc++.so.6 -l:libown.so.1":           "-lpthread -ldl -lc++ -lc++abi -l:libown.so.1",
		"libfirst.so libm.a -L. -lm -l:libm.so.6 -l :libm.so.6":                           "-lm libm.a -L. -lm -lm -lm",
	} {
		got, err := followScripts(strings.Fields(words))
		require.NoError(t, err, words)
		require.Equal(t, strings.Fields(want), append([]string{}, got...), words)
	}
	for words, name := range map[string]string{
		"own.o host.o": "host.o", "libz.a": "libz.a", "./libz.so.1.2.13": "libz.so.1.2.13", "-L. -lz": "libz.a", "/proc/self/exe": "/proc/self/exe",
	} {
		_, err := followScripts(strings.Fields(words))
		require.ErrorIs(t, err, errForeign, words)
		require.ErrorContains(t, err, name+": it was compiled for this machine")
	}
}
