// Bench measures Godwit side by side with its peers, in one run on one machine, and
// prints tables of ratios. Peers that are not installed are left out. Run it by
// make bench; the machine should be otherwise idle. README.md says what the rows mean.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"github.com/godwit-run/godwit/bench/fleet"
)

// runLimit is the most that everything together may take.
const runLimit = time.Hour

const usage = "usage: bench [-only core|jobs|moves|checkpoints|mpi|kernels|files|compiling|veth|growth|alltoall|fleet] [-quick] GODWIT (run in the repository's top directory)"

func main() { os.Exit(run(os.Args[1:])) }

func run(args []string) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	ctx, cancel := context.WithTimeout(ctx, runLimit)
	defer cancel()
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.Usage = func() { fmt.Fprintln(os.Stderr, usage); flags.PrintDefaults() }
	only := flags.String("only", "", "measure one part: core, jobs, moves, checkpoints, mpi, kernels, files, compiling, veth, growth, alltoall or fleet")
	pauses := flags.Int("pauses", 0, "with -only moves: this many migrations of one rank of 64 MiB, of which 1 % is written a second, in the place of the list, and the pause that 99 % of them keep within; 0: the list")
	quick := flags.Bool("quick", false, "a short run with small sizes: that everything works, not how fast it is")
	size := fleetFlags(flags)
	if err := flags.Parse(args); err != nil {
		return 2
	}
	if flags.NArg() != 1 || !slices.Contains([]string{"", "core", "jobs", "moves", "checkpoints", "mpi", "kernels", "files", "compiling", "veth", "growth", "alltoall", "fleet"}, *only) {
		flags.Usage()
		return 2
	}
	godwit, err := filepath.Abs(flags.Arg(0))
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		return 1
	}
	b := &bench{godwit: godwit, quick: *quick, pauses: *pauses, repeats: 5, size: *size}
	if *quick {
		b.repeats = 1
	}
	err = b.all(ctx, *only)
	b.print(os.Stdout) // what was measured before an error, too
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		return 1
	}
	return 0
}

// bench collects rows.
type bench struct {
	godwit  string
	quick   bool
	size    fleet.Config // of the fleet; the rest is filled in
	repeats int          // readings of each figure
	pauses  int          // migrations of which the longest pauses are looked at; 0: none
	dir     string
	shm     string // for what programs share memory by; a file system in memory, if there is one
	volume  string // a directory that programs see; empty: none
	hosts   *network
	core    []row
	mpi     [][]row // of each suite
}

// all measures the part that is named, or every part.
func (b *bench) all(ctx context.Context, only string) (err error) {
	if b.dir, err = os.MkdirTemp("", "godwit-bench-"); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(b.dir)) }()
	if b.shm, err = os.MkdirTemp("/dev/shm", "godwit-bench-"); err != nil {
		b.shm = b.dir
	}
	defer func() { err = errors.Join(err, os.RemoveAll(b.shm)) }()
	if b.hosts, err = b.loopback(); err != nil {
		return err
	}
	for _, part := range []struct {
		of, name string
		f        func(context.Context) error
	}{
		{"core", "API", b.api},
		{"core", "programs", b.programs},
		{"core", "submissions", b.submissions},
		{"jobs", "jobs", b.jobs},
		{"moves", "moves", b.moves},
		{"checkpoints", "checkpoints", b.checkpoints},
		{"mpi", "MPI", b.messages},
		{"kernels", "kernels", b.kernels},
		{"files", "files", b.files},
		{"compiling", "compiling", b.compiling},
		{"veth", "two machines", b.veth},
		{"growth", "growth", b.growth},
		{"alltoall", "all-to-all that moves", b.alltoall},
		{"fleet", "fleet", b.fleet},
	} {
		if only != "" && only != part.of {
			continue
		}
		fmt.Fprintln(os.Stderr, "bench:", part.name)
		if err := part.f(ctx); err != nil {
			return fmt.Errorf("%s: %w", part.name, err)
		}
	}
	return nil
}
