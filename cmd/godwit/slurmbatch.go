package main

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	apiv1 "github.com/godwit-run/godwit/api/v1"
)

const sbatchHelp = `Usage: sbatch [OPTIONS] SCRIPT [ARGS...]
       sbatch [OPTIONS] --wrap COMMAND
       sbatch [OPTIONS] PROGRAM.wasm [ARGS...]

Submit a program to the cluster in GODWIT_ADDR, and print its id. A script is also read by godwit submit, and without one the standard input.

  -n, --ntasks N              number of ranks (default 1)
  -N, --nodes N, --ntasks-per-node K    N times K ranks, where there is no -n; where they go is the cluster's choice
  -J, --job-name NAME         the app's name (default: the script's)
  -t, --time TIME             how long it may run: M, M:S, H:M:S, D-H, D-H:M, D-H:M:S; 0 or UNLIMITED: as long as it likes
  --mem-per-cpu SIZE          memory that each rank takes of its host's, and may grow to (times -c); --mem SIZE, a node's, is parted among its ranks
  -a, --array INDEXES[%N]     an app for each index, such as 0-99, 0-99:2 or 1,4,7-9; %N: N of them at once
  -d, --dependency afterok:ID[:ID...],afterany:ID    not before these have succeeded, or ended
  -A, --account NAME          the tenant whose app it is
  --priority N, --nice[=N]    queued apps of a higher priority are placed first; --nice lowers it, by 100 or N
  --export ALL|NONE|A,B=VALUE which variables the program gets (default: ALL, but for PATH, HOME and others of this machine)
  --requeue, --no-requeue     when a host is lost: go on from the last checkpoint, or fail
  -O, --overcommit            more ranks than slots
  --wrap COMMAND              the script is this one command
  -W, --wait                  wait for the end, and exit with the program's code
  --parsable                  print the id alone
  -Q, --quiet                 print no id
  -V, --version; -h, --help

#SBATCH lines before a script's first command have the same options; those of the command line count before them. Godwit runs no shell on its
hosts. A script is read here, and may have
  export NAME=VALUE, NAME=VALUE         for the program, or for use below; $NAME, ${NAME:-VALUE}, $1 and their like
  cd $SLURM_SUBMIT_DIR                  and no other directory
  set, ulimit, module, source           which are passed over
  srun [OPTIONS] PROGRAM ARGS..., mpirun [-n N] PROGRAM ARGS... or PROGRAM.wasm ARGS...    once
and nothing else. There are SLURM_NTASKS, SLURM_JOB_NAME and SLURM_SUBMIT_DIR; in an array SLURM_ARRAY_TASK_ID and SLURM_ARRAY_JOB_ID. The program
has them too.

-p, -o, -e, --mail-type, -c, -q, --exclusive and -D are taken, and it is said what is done in their place. Options that ask for what
the program would not get, such as -w or --begin, are errors that say what to do.
`

// sbatch is the whole of that command.
func sbatch(ctx context.Context, o *options, words []string) error {
	j := &slurmJob{}
	rest, err := (&slurmLine[*slurmJob]{program: "sbatch", options: batchOptions()}).read(words, j)
	if err != nil {
		return err
	}
	if done, err := j.answer("sbatch", sbatchHelp); done {
		return err
	}
	b := &batch{o: o, f: newSlurmFlags(), program: "sbatch", said: nothingSaid}
	b.f.detach = true
	b.options = func(j *slurmJob) error {
		_, err := (&slurmLine[*slurmJob]{program: "sbatch", options: batchOptions()}).read(words, j)
		return err
	}
	id := ""
	b.f.tell = func(submitted string) error {
		id = submitted
		return tellBatch(&b.job, id)
	}
	s, err := b.source(j, rest)
	if err != nil {
		return err
	}
	if err := b.submit(ctx, s, rest); err != nil || !b.job.wait || id == "" {
		return err
	}
	return awaitBatch(ctx, o, id)
}

// tellBatch prints the id of what was submitted as sbatch does.
func tellBatch(j *slurmJob, id string) error {
	switch {
	case j.parsable:
		return printf("%s\n", id)
	case j.quiet:
		return nil
	default:
		return printf("Submitted batch job %s\n", id)
	}
}

// submitScript submits what a script says, as godwit submit.
func submitScript(c *cobra.Command, o *options, f *submitFlags, args []string) error {
	s, err := readScriptFile(args[0], args[1:])
	if err != nil {
		return err
	}
	b := &batch{o: o, f: f, program: "godwit", said: c.Flags().Changed}
	b.options = func(j *slurmJob) error {
		if b.said("np") {
			j.ranks = f.size
		}
		if b.said("name") {
			j.name = f.spec.Name
		}
		if b.said("array") {
			j.array = f.queue.array
		}
		return nil
	}
	return b.submit(c.Context(), s, args)
}

// newSlurmFlags are the flags of submit and run as they are where none is given.
func newSlurmFlags() *submitFlags {
	return &submitFlags{spec: &apiv1.AppSpec{}, size: 1, period: "0", saves: "0", stdin: "0", onLock: onDeadlockTell, owner: ownerLease}
}

// nothingSaid is of a command that has no flags of Godwit's.
func nothingSaid(string) bool { return false }

// batch is a job on its way to the cluster.
type batch struct {
	o       *options
	f       *submitFlags
	program string                 // in messages
	said    func(flag string) bool // whether a flag of godwit submit was given, which counts before the job
	options func(*slurmJob) error  // puts in what the command line says

	job slurmJob // as it was read
}

// source is the script that the command line means; nil: a program is named in its place.
func (b *batch) source(j *slurmJob, rest []string) (*batchScript, error) {
	switch {
	case j.wrap != "" && len(rest) > 0:
		return nil, usagef("--wrap and %s: give a command or a script", rest[0])
	case j.wrap != "":
		return parseScript("wrap", j.wrap, nil)
	case len(rest) == 0:
		return readScript("sbatch", os.Stdin, nil)
	case isModule(rest[0]) || strings.HasSuffix(rest[0], ".wasm"):
		return nil, nil
	default:
		return readScriptFile(rest[0], rest[1:])
	}
}

// submit submits what the script, or without one the words, and the options say.
func (b *batch) submit(ctx context.Context, s *batchScript, words []string) error {
	j := &b.job
	if s != nil {
		j.name = s.name
		if err := s.direct(j); err != nil {
			return err
		}
	} else {
		j.name = appName(words[0])
	}
	if err := b.options(j); err != nil {
		return err
	}
	if j.wait && b.program != "sbatch" {
		j.notes.add("-W: godwit submit does not wait for the end; sbatch does")
	}
	passed, err := j.passed(b.program == "sbatch")
	if err != nil {
		return err
	}
	if s == nil {
		s = &batchScript{}
	}
	launches := func(m *memberPlace) (*scriptLaunch, error) {
		if s.file == nil {
			return &scriptLaunch{job: *j, program: words[0], args: words[1:]}, nil
		}
		l, err := s.evaluate(*j, m, passed)
		if err == nil && b.said("np") {
			l.job.ranks = b.f.size // whatever the launch says
		}
		return l, err
	}
	first, err := b.launch(launches, passed)
	if err != nil {
		return err
	}
	if err := first.job.fill(b.f, b.said); err != nil {
		return err
	}
	if !first.job.quiet {
		notes := slices.Concat(first.job.notes, s.said())
		notes.say(b.program)
	}
	return start(ctx, b.o, b.f, append([]string{first.program}, first.args...))
}

// launch is what the job launches, with the variables for it in the flags; of an array what its first app does, after all were looked at.
func (b *batch) launch(launches func(*memberPlace) (*scriptLaunch, error), passed []string) (*scriptLaunch, error) {
	given := b.f.env
	env := func(l *scriptLaunch, m *memberPlace) []string {
		return slices.Concat(l.job.slurmVariables(m), l.env)
	}
	if b.job.array == "" {
		l, err := launches(nil)
		if err == nil {
			b.f.env = slices.Concat(passed, env(l, nil), given)
		}
		return l, err
	}
	all, err := parseArray(b.job.array)
	if err != nil {
		return nil, err
	}
	var first *scriptLaunch
	for _, index := range all.indexes {
		l, err := launches(&memberPlace{all, newArrayID(), index})
		if err != nil {
			return nil, err
		}
		if first == nil {
			first = l
		}
		if l.program != first.program || l.job.size() != first.job.size() {
			return nil, usagef("the apps of an array run one program, by as many ranks: index %d has %d of %s, and the first %d of %s",
				index, l.job.size(), l.program, first.job.size(), first.program)
		}
	}
	b.f.env = slices.Concat(passed, given)
	b.f.queue.each = func(spec *apiv1.AppSpec) error {
		m := &memberPlace{all, spec.Array.Id, spec.Array.Index}
		l, err := launches(m)
		if err != nil {
			return err
		}
		spec.Args = l.args
		spec.Env = slices.Concat(env(l, m), spec.Env)
		return nil
	}
	return first, nil
}

// awaitBatch waits for the end of an app, or of all apps of an array, and has the highest of their codes.
func awaitBatch(ctx context.Context, o *options, id string) error {
	cl, err := o.client()
	if err != nil {
		return err
	}
	apps := []*apiv1.App{{Id: id}}
	if isArray(id) {
		if apps, err = arrayApps(ctx, cl, id); err != nil {
			return err
		}
	}
	worst := (*exitError)(nil)
	for _, a := range apps {
		app, err := waitApp(ctx, cl, a.Id, ignore)
		if err != nil {
			return fmt.Errorf("%s was submitted, and its end is not known: %w", a.Id, err)
		}
		if app.Phase == apiv1.AppSucceeded {
			continue
		}
		code := max(exitFailed, int(app.ExitCode))
		if worst == nil || code > worst.code {
			worst = &exitError{code, fmt.Sprintf("%s %s%s", app.Id, apiv1.AppStands(app.Phase, false), because(app.Reason))}
		}
	}
	if worst == nil {
		return nil
	}
	return worst
}
