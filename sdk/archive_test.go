package sdk

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"testing"

	"github.com/stretchr/testify/require"
)

// The machine's own ar makes archives without an index of WebAssembly objects; they link all the same, by -l and by name.
func TestStaticArchive(t *testing.T) {
	if _, err := exec.LookPath("ar"); err != nil {
		t.Skip("needs ar")
	}
	code, _, stderr := build(t, C, map[string]string{
		"answer.c": "int unused(void) { return 1; } int answer(void) { return 42; }",
		"table.c":  "const int table[2] = {4, 2}; static int hidden; int *f(void) { return &hidden; }",
		"main.c":   "int answer(void); extern const int table[2]; int main(void) { return answer() + table[0]; }",
	}, "-c", "answer.c", "table.c")
	require.Zero(t, code, stderr)
	object, err := os.ReadFile("table.o")
	require.NoError(t, err)
	require.ElementsMatch(t, []string{"table", "f"}, definedSymbols(object))
	for n := range object {
		definedSymbols(object[:n]) // no panic
	}
	ar := exec.CommandContext(t.Context(), "ar", "rcs", "libanswer.a", "answer.o", "table.o")
	output, err := ar.CombinedOutput()
	require.NoError(t, err, string(output))
	for _, args := range [][]string{
		{"main.c", "libanswer.a"}, {"main.c", "-L.", "-lanswer"}, {"main.c", "-L", ".", "-l", "answer"},
	} {
		var out bytes.Buffer
		code := Toolchain{}.Run(context.Background(), C, append(args, "-o", "a.wasm"), &out, &out)
		require.Zero(t, code, "%s: %s", args, out.String())
	}

	indexed, err := indexArchive("libanswer.a", "indexed.a")
	require.NoError(t, err)
	if indexed != "" {
		again, err := indexArchive(indexed, "again.a")
		require.NoError(t, err)
		require.Empty(t, again, "an index is not made twice")
	}
}

func TestNoArchive(t *testing.T) {
	for _, body := range []string{"", "short", string(make([]byte, 200))} {
		for _, magic := range []string{"", archiveMagic, thinMagic} {
			files, indexed, _ := members("none", []byte(magic+body))
			require.Empty(t, files)
			require.False(t, indexed)
		}
	}
	require.Nil(t, symbolIndex([]member{{data: []byte("no object")}}))
}

// An archive's copy has its members' names.
func TestNamesOfMembers(t *testing.T) {
	want := []string{"short.o", "a_name_of_more_than_fifteen.o", "dir/other file.o", "3.o"}
	body, files := fattened([]member{{name: want[0], data: []byte("1")}, {name: want[1], data: []byte("22")}, {name: want[2]}, {data: []byte("4")}})
	got, _, _ := members("a", append([]byte(archiveMagic), body...))
	require.Len(t, got, 4)
	for i, m := range got {
		require.Equal(t, want[i], m.name)
		require.Equal(t, files[i].at, m.at)
	}
}
