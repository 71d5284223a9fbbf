package sdk

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// The glue is compiled once for a directory of the SDK, unless another is asked for or what is kept is damaged.
func TestGlueIsKept(t *testing.T) {
	code, _, stderr := build(t, C, map[string]string{"a.c": "int main(void) { return 0; }", "other.c": "int other;"}, "-c", "other.c")
	require.Zero(t, code, stderr)
	dir := t.TempDir()
	link := func(args ...string) (int, string) {
		var stderr bytes.Buffer
		code := Toolchain{Dir: dir}.Run(context.Background(), C, append(args, "a.c"), new(bytes.Buffer), &stderr)
		return code, stderr.String()
	}
	kept := func() []string {
		names, err := filepath.Glob(filepath.Join(dir, gluePattern))
		require.NoError(t, err)
		return names
	}
	code, stderr = link()
	require.Zero(t, code, stderr)
	require.Len(t, kept(), 1)
	whole, err := os.ReadFile(kept()[0])
	require.NoError(t, err)

	other, err := os.ReadFile("other.o")
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(kept()[0], other, 0o600))
	code, _ = link()
	require.NotZero(t, code, "the glue was compiled again")

	require.NoError(t, os.WriteFile(kept()[0], whole[:len(whole)/2], 0o600))
	code, stderr = link()
	require.Zero(t, code, stderr)
	again, err := os.ReadFile(kept()[0])
	require.NoError(t, err)
	require.True(t, bytes.Equal(whole, again))

	code, stderr = link("-DGODWIT_UNWIND_BYTES=65536")
	require.Zero(t, code, stderr)
	require.Len(t, kept(), 2)
}

func TestGlueIsBounded(t *testing.T) {
	dir := t.TempDir()
	now := time.Now()
	for i := range maxGlue + 3 {
		name := filepath.Join(dir, fmt.Sprintf("glue-%02d.o", i))
		require.NoError(t, os.WriteFile(name, nil, 0o600))
		require.NoError(t, os.Chtimes(name, now, now.Add(-time.Duration(i)*time.Hour)))
	}
	dropGlue(dir)
	names, err := filepath.Glob(filepath.Join(dir, gluePattern))
	require.NoError(t, err)
	require.Len(t, names, maxGlue)
	require.NoFileExists(t, filepath.Join(dir, fmt.Sprintf("glue-%02d.o", maxGlue+2)))
	require.FileExists(t, filepath.Join(dir, "glue-00.o"))
}

// configure looks for functions without their header: those that mpi.h has inline are there for it, too.
func TestConversionsAreFunctions(t *testing.T) {
	code, _, stderr := build(t, C, map[string]string{
		"a.c": "int MPI_Comm_f2c(int), PMPI_Type_c2f(int), MPI_Status_f2c(void *, void *);\nint main(void) { return MPI_Comm_f2c(1) + PMPI_Type_c2f(2) + MPI_Status_f2c(0, 0); }",
		"b.c": "#include <mpi.h>\nint main(void) { return MPI_Comm_c2f(MPI_COMM_WORLD); }",
	}, "a.c")
	require.Zero(t, code, stderr)
	require.Empty(t, stderr)
	var said bytes.Buffer
	code = Toolchain{}.Run(context.Background(), C, []string{"-Wall", "-Wextra", "b.c"}, &said, &said)
	require.Zero(t, code, said.String())
	require.Empty(t, said.String())
}
