package main

import (
	"context"
	"path/filepath"
	"slices"
)

const srunHelp = `Usage: srun [OPTIONS] PROGRAM [ARGS...]

Run a program on the cluster in GODWIT_ADDR, see its output, and exit with its code, as godwit run does. PROGRAM is a module made by mpicc.

  -n, --ntasks N              number of ranks (default 1)
  -N, --nodes N, --ntasks-per-node K    N times K ranks, where there is no -n; where they go is the cluster's choice
  -J, --job-name NAME         the app's name (default: the program's)
  -t, --time TIME             how long it may run: M, M:S, H:M:S, D-H, D-H:M, D-H:M:S; 0 or UNLIMITED: as long as it likes
  --mem-per-cpu SIZE          memory that each rank takes of its host's, and may grow to (times -c); --mem SIZE, a node's, is parted among its ranks
  -l, --label                 the rank in front of each line
  -d, --dependency, -A, --account, --priority, --nice, --export, -O, --requeue    as of sbatch
  -Q, --quiet; -V, --version; -h, --help

-u, --mpi, -K, --cpu-bind and others that mean nothing here are taken; sbatch --help says of which it is said.
`

// srun is the whole of that command.
func srun(ctx context.Context, o *options, words []string) error {
	j := &slurmJob{}
	rest, err := (&slurmLine[*slurmJob]{program: "srun", options: runOptions()}).read(words, j)
	if err != nil {
		return err
	}
	if done, err := j.answer("srun", srunHelp); done {
		return err
	}
	if len(rest) == 0 {
		return usagef("no program is named: srun -n 4 ./hello.wasm (see srun --help)")
	}
	if j.name == "" {
		j.name = appName(filepath.Base(rest[0]))
	}
	b := &batch{o: o, f: newSlurmFlags(), program: "srun", said: nothingSaid}
	f := b.f
	f.label, f.quiet = j.label, j.quiet
	passed, err := j.passed(true)
	if err != nil {
		return err
	}
	f.env = slices.Concat(passed, j.slurmVariables(nil))
	if err := j.fill(f, nothingSaid); err != nil {
		return err
	}
	if !j.quiet {
		j.notes.say("srun")
	}
	return start(ctx, o, f, rest)
}
