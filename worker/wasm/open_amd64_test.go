//go:build linux && amd64

package wasm

import (
	"bytes"
	"crypto/sha256"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/godwit-run/godwit/worker/native"
)

// What it takes from hearing of a module's code, which is kept sealed in a file, to a guest that can be entered in it: reading, checking, loading, and an instance. A module that wazero has compiled is there.
// "opened" is the median, and "of-a-processor" the mean of what that takes of one.
func BenchmarkOpenCode(b *testing.B) {
	if _, err := exec.LookPath("clang-19"); err != nil {
		b.Skip("needs clang-19")
	}
	for _, path := range []string{"../../examples/hello/hello.wasm", "testdata/exceptions.wasm", "../../mpi/conformance/conformance.wasm"} {
		b.Run(filepath.Base(path), func(b *testing.B) {
			wasm, err := os.ReadFile(path)
			require.NoError(b, err)
			object, err := native.Compiler{O: native.Quick}.Compile(b.Context(), wasm)
			require.NoError(b, err)
			sealed := native.Seal(nil, native.Name{Module: "m"}, object)
			is, err := native.Check(nil, bytes.NewReader(sealed))
			require.NoError(b, err)
			require.Equal(b, sha256.Sum256(object), is.Sum)
			code := Code{File: filepath.Join(b.TempDir(), "native.so"), From: is.From, Sum: is.Sum, Grade: 1}
			require.NoError(b, os.WriteFile(code.File, sealed, 0o600))
			engine, err := NewEngine(b.Context(), Config{Engine: EngineNative, MemoryLimitPages: 1024, CacheDir: os.Getenv(cacheVariable)})
			require.NoError(b, err)
			var opened []time.Duration
			var processor time.Duration
			for b.Loop() {
				module, err := engine.Compile(b.Context(), wasm)
				require.NoError(b, err)
				begin, before := time.Now(), processorTime(b)
				require.NoError(b, module.Offer(code))
				guest, err := module.New(b.Context(), GuestConfig{})
				opened, processor = append(opened, time.Since(begin)), processor+processorTime(b)-before
				require.NoError(b, err)
				require.NoError(b, guest.Close(b.Context()))
				require.NoError(b, module.Close(b.Context()))
			}
			require.NoError(b, engine.Close(b.Context()))
			slices.Sort(opened)
			b.ReportMetric(float64(opened[len(opened)/2].Microseconds()), "µs-opened")
			b.ReportMetric(float64(processor.Microseconds())/float64(len(opened)), "µs-of-a-processor")
			b.ReportMetric(float64(len(object))/1024, "KiB-object")
		})
	}
}

// processorTime is what this process has had of processors.
func processorTime(b *testing.B) time.Duration {
	b.Helper()
	var u unix.Rusage
	require.NoError(b, unix.Getrusage(unix.RUSAGE_SELF, &u))
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
