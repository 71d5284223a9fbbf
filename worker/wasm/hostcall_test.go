package wasm

import (
	"os/exec"
	"runtime"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
)

// callsModule calls MPI_Wtime a million times:
//
//	(func (export "_start") (local i32) (loop (drop (call $MPI_Wtime)) (br_if 0 (i32.lt_u (local.tee 0 (i32.add (local.get 0) (i32.const 1))) (i32.const 1000000)))))
func callsModule() []byte {
	text := func(s string) []byte { return append([]byte{byte(len(s))}, s...) }
	code := []byte("\x01\x01\x7f\x03\x40\x10\x00\x1a\x20\x00\x41\x01\x6a\x22\x00\x41\xc0\x84\x3d\x49\x0d\x00\x0b\x0b")
	return slices.Concat([]byte("\x00asm\x01\x00\x00\x00"),
		section(1, []byte("\x02\x60\x00\x01\x7c\x60\x00\x00")...),
		section(2, slices.Concat([]byte{1}, text("mpi_abi"), text("MPI_Wtime"), []byte{0, 0})...),
		section(3, 1, 1), section(5, 1, 0, 1),
		section(7, slices.Concat([]byte{2}, text("memory"), []byte{2, 0}, text("_start"), []byte{0, 1})...),
		section(10, slices.Concat([]byte{1, byte(len(code))}, code)...))
}

// What a call of the host costs that does nothing, in each engine. A round is a million calls.
func BenchmarkHostCall(b *testing.B) {
	for _, engine := range []string{EngineWazero, EngineNative} {
		b.Run(engine, func(b *testing.B) {
			if _, err := exec.LookPath("clang-19"); engine == EngineNative && (err != nil || runtime.GOARCH != "amd64") {
				b.Skip("the native engine needs clang-19, and amd64")
			}
			module, err := newEngine(b, Config{Engine: engine, MemoryLimitPages: 1024}).Compile(b.Context(), callsModule())
			require.NoError(b, err)
			in, why := module.Engine()
			require.Equal(b, engine, in, why)
			for b.Loop() {
				guest, err := module.New(b.Context(), GuestConfig{})
				require.NoError(b, err)
				guest.Bind(&alone{})
				require.Equal(b, Exit{}, guest.Run(b.Context()))
				require.NoError(b, guest.Close(b.Context()))
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/1e6, "ns/call")
		})
	}
}
