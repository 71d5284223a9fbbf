// Godwit runs MPI programs on a cluster of machines, and moves
// their ranks between machines while they run. This one binary plays every
// role: server, worker, executor, client, compiler driver.
package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/godwit-run/godwit/internal/text"
	"github.com/godwit-run/godwit/sdk"
)

func main() { os.Exit(run(os.Args)) }

// run is the whole program: it returns the exit code.
func run(argv []string) int {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	if code, ok := runAs(ctx, argv); ok {
		return code
	}
	root := newRoot()
	root.SetArgs(argv[1:])
	help := &keepsError{w: os.Stdout}
	root.SetOut(help)
	err := root.ExecuteContext(ctx)
	return report("godwit", cmp.Or(err, help.err))
}

// report tells the user of an error, and returns the exit code.
func report(program string, err error) int {
	if err == nil {
		return 0
	}
	msg := message(err)
	line := program + ": " + text.Clean(msg, maxShown)
	var interrupted interruptedError
	switch {
	case msg == "":
	case errors.As(err, &interrupted):
		interrupted.in.tell(os.Stderr, line)
	default:
		fmt.Fprintln(os.Stderr, line)
	}
	return exitCode(err)
}

// runAs runs what has a command line that is not ours to parse by the rules of the other commands: the compilers, the tools for objects,
// mpirun and Slurm's, by the name that the binary is called by or by its first argument. Both are false for all else.
func runAs(ctx context.Context, argv []string) (code int, ok bool) {
	name, args := strings.TrimSuffix(filepath.Base(argv[0]), ".exe"), argv[1:]
	if len(args) > 0 && !isWrapper(name) && !isLauncher(name) && !isSlurm(name) {
		switch first := args[0]; first {
		case "cc", "c++":
			name, args = "mpi"+first, args[1:]
		case "mpirun", "mpiexec":
			name, args = first, args[1:]
		case "fc":
			name = "mpifort"
		default:
			if isSlurm(first) || slices.Contains(sdk.Binutils(), first) {
				name, args = first, args[1:]
			}
		}
	}
	switch {
	case isWrapper(name):
		return compile(ctx, name, args), true
	case isUnsupported(name):
		fmt.Fprintf(os.Stderr, "%s: %s\n", name, sdk.Unsupported)
		return 1, true
	case isLauncher(name):
		return report(name, mpirun(ctx, name, args)), true
	case isSlurm(name):
		return runSlurm(ctx, name, args), true
	case binutil(name) != "":
		return runBinutil(ctx, binutil(name), args), true
	default:
		return 0, false
	}
}
