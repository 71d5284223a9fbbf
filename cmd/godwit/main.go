// Godwit runs MPI programs and functions on a cluster of machines, and moves
// their ranks between machines while they run. This one binary plays every
// role: server, worker, executor, client, compiler driver.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/godwit-run/godwit/sdk"
)

func main() { os.Exit(run(os.Args)) }

// run is the whole program: it returns the exit code.
func run(argv []string) int {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	if lang, ok := wrapper(argv[0]); ok {
		return compile(ctx, lang, argv[1:])
	}
	if len(argv) > 1 && (argv[1] == "cc" || argv[1] == "c++") {
		lang, _ := wrapper("mpi" + argv[1])
		return compile(ctx, lang, argv[2:]) // a compiler's flags are not ours to parse
	}
	root := newRoot()
	root.SetArgs(argv[1:])
	err := root.ExecuteContext(ctx)
	if err == nil {
		return 0
	}
	code := exitCode(err)
	if msg := message(err); msg != "" {
		fmt.Fprintln(os.Stderr, "godwit: "+msg)
	}
	return code
}

// wrapper says whether the binary was called as a compiler.
func wrapper(name string) (sdk.Lang, bool) {
	switch strings.TrimSuffix(filepath.Base(name), ".exe") {
	case "mpicc":
		return sdk.C, true
	case "mpicxx", "mpic++", "mpiCC":
		return sdk.CXX, true
	default:
		return 0, false
	}
}

func compile(ctx context.Context, lang sdk.Lang, args []string) int {
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt)
	defer stop()
	return sdk.Toolchain{}.Run(ctx, lang, args, os.Stdout, os.Stderr)
}
