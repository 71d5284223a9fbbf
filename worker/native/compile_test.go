//go:build linux && amd64

package native

import (
	"os"
	"os/exec"
	"testing"

	"github.com/stretchr/testify/require"
)

// How long a module of about a megabyte takes: at -O1, with which ranks begin, and at -O3, with which they go on. -benchtime=1x is enough.
func BenchmarkCompile(b *testing.B) {
	if _, err := exec.LookPath("clang-19"); err != nil {
		b.Skip("clang-19 is not installed")
	}
	wasm, err := os.ReadFile("../../mpi/conformance/conformance.wasm")
	require.NoError(b, err)
	for _, o := range []string{"-O1", "-O3"} {
		b.Run(o, func(b *testing.B) {
			for b.Loop() {
				object, err := Compiler{O: o}.Compile(b.Context(), wasm)
				require.NoError(b, err)
				b.ReportMetric(float64(len(object)>>10), "KB")
			}
		})
	}
}
