package sdk

import (
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestWrappedSymbols(t *testing.T) {
	for words, want := range map[string]string{
		"-Wl,--wrap=f a.o": "f", "-Wl,-wrap=f": "f", "-Wl,--wrap,f": "f", "-Wl,--wrap -Wl,f": "f", "-Xlinker --wrap -Xlinker f": "f", "-Wl,--wrap=f,--wrap,g": "f g", "--wrapped=f -Wl,--wrap": "",
	} {
		got := wrappedSymbols(strings.Fields(words))
		require.Len(t, got, len(strings.Fields(want)), words)
		for _, symbol := range strings.Fields(want) {
			require.True(t, got[symbol], words)
		}
	}
}

func TestPlainFiles(t *testing.T) {
	t.Chdir(t.TempDir())
	for _, name := range []string{"a.o", "b,c.o"} {
		require.NoError(t, os.WriteFile(name, nil, 0o600))
	}
	require.NoError(t, os.Mkdir("dir", 0o700))
	require.NoError(t, os.WriteFile("words", []byte("a.o -ly\n"), 0o600))
	for words, want := range map[string]string{
		"-Wl,a.o -Wl,none.o": "a.o -Wl,none.o", "-Wl,dir": "-Wl,dir", "-Wl,b,c.o": "-Wl,b,c.o", "-Wl,-L -Wl,dir -Wl,-l -Wl,x": "-Ldir -lx", "-Wl,--library-path=dir -Wl,--library=x": "-Ldir -lx",
		"-Wl,-L -Wl,--x": "-L--x", "-Wl,-L": "-Wl,-L", "-Wl,@words z.o": "a.o -ly z.o", "-Wl,@none": "-Wl,@none", "-Wl,--export=a.o": "-Wl,--export=a.o",
	} {
		require.Equal(t, strings.Fields(want), plainFiles(strings.Fields(words)), words)
	}
}

// Objects go before archives, but not out of what the linker takes for one.
func TestObjectsFirst(t *testing.T) {
	t.Chdir(t.TempDir())
	for _, name := range []string{"a.o", "b.o"} {
		require.NoError(t, os.WriteFile(name, []byte(wasmMagic), 0o600))
	}
	require.NoError(t, writeArchive("libx.a", []member{{data: []byte(wasmMagic)}}))
	for words, want := range map[string]string{
		"libx.a a.o -L. -lx b.o": "a.o b.o libx.a -L. -lx", "-Wl,--whole-archive -l x a.o": "a.o -Wl,--whole-archive -l x", "libx.a -Wl,--start-lib a.o -Wl,--end-lib b.o": "libx.a -Wl,--start-lib a.o -Wl,--end-lib b.o",
	} {
		require.Equal(t, strings.Fields(want), objectsFirst(strings.Fields(words)), words)
	}
}
