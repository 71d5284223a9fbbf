package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/api/v1/apiv1connect"
	"github.com/godwit-run/godwit/fsm"
	"github.com/godwit-run/godwit/internal/client"
)

// isLauncher says whether a name is one that the binary runs programs under as mpirun does.
func isLauncher(name string) bool {
	switch name {
	case "mpirun", "mpiexec", "mpiexec.hydra", "orterun", "prterun":
		return true
	default:
		return false
	}
}

const launchHelp = `Usage: mpirun [OPTIONS] PROGRAM [ARGS...]

Run an MPI program as Open MPI's and MPICH's mpirun do, on the cluster in GODWIT_ADDR, or on this machine's at ` + client.DefaultAddr + `.
If GODWIT_ADDR is not set and no cluster is there, or it is "none", one is started on this machine for this run, with as
many slots as there are ranks. PROGRAM is a module made by mpicc or mpicxx; ".wasm" may be left out.

Several programs, or argument lists, run side by side in one MPI_COMM_WORLD with colons between them; MPI_APPNUM says which is whose:
  mpirun -n 1 ocean.wasm : -n 3 -x GRID=fine atmos.wasm fast
Options of ranks, hosts and environment are those of their part, all others are the run's, wherever they stand.

Ranks and hosts:
  -n, -np, -c N                 number of ranks (default 1)
  --host, -H, -hosts A[:N],B    only on these hosts of the cluster, at most N ranks on each
  --hostfile, -f FILE           the same from a file: "host slots=N" or "host:N" on a line; nothing is ever done by ssh
  -N, -ppn, --npernode K        at most K ranks on a host; without -n, K on each
  --map-by slot|node|ppr:K:node fill one host after the other, or put one rank on each in turn
  --oversubscribe               more ranks than slots
  --mem SIZE                    memory that each rank takes of its host's, and may grow to, such as 512M (0: none; default: the cluster's, see godwit policy get)
Files:
  -stdin, --stdin N|all|none    which ranks read the standard input (default: 0)
  -wdir, --wdir DIR             begin in DIR, which is the same for all programs (default: here); a cluster for this run sees it under its own path, and /tmp for the run's time
Environment:
  -x VAR[=VALUE], -env VAR VALUE, -envlist A,B          variables for the ranks; no others are passed
  -genv VAR VALUE, -genvlist A,B                        the same for the programs behind all colons
  -envall, -genvall             all variables, but for those of this machine (PATH, HOME, PWD, SHELL, TMPDIR, LD_*, XDG_*, GODWIT_* and their like); -envnone, -genvnone: not
  GODWIT_PASS=A,B               in mpirun's own environment: passes these, as far as they are set; for the tests of build systems
Output:
  -l, -prepend-rank             [RANK] before each line
  --tag-output                  [1,RANK]<stdout>: before each line
  --timestamp-output            the time before each line
  -prepend-pattern P            P before each line, with %r rank and %h host
  --merge-stderr-to-stdout      all output to standard output
  --output-filename DIR         also into DIR/1/rank.N/stdout and stderr (DIR:nocopy: only)
  -outfile-pattern, -errfile-pattern P    into a file for each rank
Control:
  --timeout SECONDS             stop the program after that, exit 124 (also MPIEXEC_TIMEOUT)
  --on-deadlock tell|fail       when every rank waits for another for good: say so (default), or end the program as well, exit 1
  --do-not-launch               show where ranks would go
  --report-bindings             show where ranks are
  -print-all-exitcodes          show every rank's exit code
  -configfile, --app FILE       options and program from a file, one part a line
  -q, --quiet; -v, --verbose; -V, --version; -h, --help

Options of other MPIs that mean nothing here (--mca, --bind-to, -launcher, -iface and others) are accepted; -v lists them.
On a cluster that is there, the program is cancelled when nothing is heard of mpirun for 30 s, as when it was killed or stopped.
The exit code is the program's, or 128 and the number of the signal that ended mpirun (INT, TERM, HUP, QUIT end the program too); 141: nobody reads
the output any more; 1: refused, 2: wrong usage, 69: no cluster at GODWIT_ADDR, 124: --timeout, 126, 127: no such program.
`

func newLaunch(name string) *cobra.Command {
	return &cobra.Command{
		Use: name + " [-n N] [OPTIONS] PROGRAM [ARGS...]", Short: "Run a program with mpirun's options; starts a cluster if none is there",
		Long: strings.TrimSpace(launchHelp), DisableFlagParsing: true,
		RunE: func(*cobra.Command, []string) error { return nil }, // runAs handles it before flags are parsed
	}
}

// mpirun is the whole of that command, whatever its name.
func mpirun(ctx context.Context, name string, words []string) error {
	l, err := parseLaunch(words)
	if err != nil {
		return err
	}
	switch {
	case l.help:
		return printf("%s", launchHelp)
	case l.version:
		return printf("%s (Godwit) %s\n", name, version)
	}
	if v := os.Getenv("MPIEXEC_TIMEOUT"); v != "" && l.timeout == 0 {
		if l.timeout, err = parseTimeout("MPIEXEC_TIMEOUT", v); err != nil {
			return err
		}
	}
	l.sayNotes(name)
	if err := l.checkRun(); err != nil {
		return err
	}
	paths, err := l.programs()
	if err != nil {
		return err
	}
	var stop func()
	l.in, stop = watchInterrupts()
	defer stop()
	ctx = context.WithoutCancel(ctx) // l.in says what a signal means
	return l.in.exit(l.onCluster(ctx, func(hosts []*apiv1.Host, c *client.Client) error {
		return l.run(ctx, name, paths, hosts, c)
	}))
}

func (l *launch) sayNotes(name string) {
	if l.verbose && len(l.notes) > 0 {
		fmt.Fprintf(os.Stderr, "%s: note: ignored: %s\n", name, strings.Join(l.notes, ", "))
	}
	for _, note := range l.loud {
		if !l.quiet {
			fmt.Fprintf(os.Stderr, "%s: note: %s\n", name, note)
		}
	}
}

// programs are the files of all parts' programs, which are modules.
func (l *launch) programs() ([]string, error) {
	if len(l.parts) > fsm.MaxParts {
		return nil, usagef("%d programs between colons; a run has at most %d", len(l.parts), fsm.MaxParts)
	}
	var paths []string
	for _, p := range l.parts {
		path, err := findProgram(p)
		if err != nil {
			return nil, err
		}
		if _, err := os.Stat(path); err != nil && strings.HasSuffix(p.program, ":") {
			return nil, usagef("there is no program %s: put blanks around the colon between two programs, as in mpirun -n 1 ocean : -n 3 atmos", p.program)
		}
		if !slices.Contains(paths, path) {
			if _, err := readModule(path); err != nil {
				return nil, err
			}
		}
		paths = append(paths, path)
	}
	return paths, nil
}

// findProgram is the file that a program's name means: as it is, with .wasm behind it, in the directory asked for, in PATH.
func findProgram(p *part) (string, error) {
	dirs := []string{""}
	if p.dir != "" && !filepath.IsAbs(p.program) {
		dirs = []string{p.dir, ""}
	}
	for _, dir := range dirs {
		for _, name := range []string{p.program, p.program + ".wasm"} {
			path := filepath.Join(dir, name)
			if st, err := os.Stat(path); err == nil && st.Mode().IsRegular() {
				return path, nil
			}
		}
	}
	if !strings.ContainsRune(p.program, filepath.Separator) {
		for _, name := range []string{p.program, p.program + ".wasm"} {
			if path, err := exec.LookPath(name); err == nil {
				return path, nil
			}
		}
	}
	return p.program, nil // readModule says what is wrong
}

// noCluster in GODWIT_ADDR says that no cluster is to be looked for.
const noCluster = "none"

// onCluster calls f with the hosts of the cluster to run on: the one there is, or one that is started for this run and
// stopped behind f. For a dry run nothing is started: f gets the hosts there would be.
func (l *launch) onCluster(ctx context.Context, f func([]*apiv1.Host, *client.Client) error) error {
	addr := os.Getenv("GODWIT_ADDR")
	if addr != noCluster && (addr != "" || l.clusterHere(ctx, client.DefaultAddr)) {
		c, err := client.New("", 30*time.Second)
		if err != nil {
			return usageError{err}
		}
		looking, cancel := until(ctx, l.in.first)
		defer cancel()
		res, err := call(looking, c, apiv1connect.ControlClient.ListHosts, &apiv1.ListHostsRequest{})
		if err != nil {
			return l.in.nothingYet(err)
		}
		return f(res.Hosts, c)
	}
	shape, err := l.privateShape()
	if err != nil {
		return err
	}
	if l.dryRun {
		return f(shape.hosts(), nil)
	}
	l.private, l.mounts, l.dir = true, shape.mounts(), shape.dir
	return withPrivateCluster(ctx, l.in, shape, f)
}

// clusterHere says whether addr, where nobody has said that there is a cluster, is a server of one. What else listens there is named.
func (l *launch) clusterHere(ctx context.Context, addr string) bool {
	switch whoListens(ctx, addr) {
	case aServer:
		return true
	case aStranger:
		if !l.quiet {
			fmt.Fprintf(os.Stderr, "mpirun: note: what listens at %s does not answer as Godwit does: this run has a cluster of its own "+
				"(GODWIT_ADDR=%s to wait for that one, GODWIT_ADDR=none to ask none)\n", addr, addr)
		}
	case nobody:
	}
	return false
}

// unconstrained says whether the cluster decides where all ranks go.
func (l *launch) unconstrained() bool { return !slices.ContainsFunc(l.parts, (*part).constrained) }

// placement is the host of each rank, or nothing where the cluster is to decide. sizes is the number of ranks of each part.
func (l *launch) placement(hosts []*apiv1.Host) (placement []string, sizes []int, err error) {
	shared := map[string]*room{}
	for _, p := range l.parts {
		rs, err := rooms(p.hosts, hosts, isLocalHost)
		if err != nil {
			return nil, nil, err
		}
		all := slices.Clone(rs)
		for i := range rs { // what earlier parts have taken is gone
			if before := shared[rs[i].name]; before != nil {
				rs[i].free, rs[i].all = min(rs[i].free, before.free), min(rs[i].all, before.all)
			}
		}
		on, err := p.place(rs, l.oversubscribe)
		if err != nil && l.unconstrained() && len(l.parts) > 1 {
			return nil, nil, l.tooMany(all)
		}
		if err != nil {
			return nil, nil, err
		}
		for i := range rs {
			shared[rs[i].name] = &rs[i]
		}
		placement, sizes = append(placement, on...), append(sizes, len(on))
	}
	if l.unconstrained() {
		placement = nil
	}
	return placement, sizes, nil
}

// app is what is to be submitted: of files, each with so many ranks.
func (l *launch) app(paths []string, sizes []int) (*submitFlags, error) {
	first := l.parts[0]
	env, err := l.envOf(first)
	if err != nil {
		return nil, err
	}
	f := &submitFlags{spec: &apiv1.AppSpec{Oversubscribe: l.oversubscribe}, period: "0", quiet: l.quiet, env: env, onLock: l.onDeadlock, queue: queueFlags{memory: l.memory}}
	for _, n := range sizes {
		f.size += n
	}
	if err := f.finish(append([]string{first.program}, first.args...)); err != nil || len(paths) == 1 {
		return f, err
	}
	f.spec.Program, f.spec.Args, f.spec.Env = "", nil, nil
	for i, p := range l.parts {
		env, err := l.envOf(p)
		if err != nil {
			return nil, err
		}
		f.spec.Parts = append(f.spec.Parts, &apiv1.AppPart{Name: appName(paths[i]), Program: p.program, Args: p.args, Env: env, Ranks: int32(sizes[i])})
	}
	return f, nil
}

// run submits the program and stays with it to its end.
func (l *launch) run(ctx context.Context, name string, paths []string, hosts []*apiv1.Host, c *client.Client) error {
	placement, sizes, err := l.placement(hosts)
	if err != nil {
		return err
	}
	f, err := l.app(paths, sizes)
	if err != nil {
		return err
	}
	if l.dryRun {
		return l.showPlan(paths, hosts, placement, sizes)
	}
	f.spec.Place, f.spec.Mounts, f.spec.Dir = rulesOf(placement), l.mounts, l.dir
	if f.owner = ownerLease; !l.private { // the processes of a private cluster end with this one
		if err := f.own(); err != nil {
			return err
		}
	}
	r := &runner{o: &options{output: "table"}, f: f, client: c, in: l.in, program: name, limit: l.timeout, private: l.private}
	if first := l.parts[0]; first.dir != "" && !l.private {
		r.say("note: -wdir %s: on a cluster the program begins in a directory of its own, and does not see that one (godwit run --in sends files there)", first.dir)
	}
	if err := r.input(cmp.Or(l.stdin, "0"), os.Stdin); err != nil {
		return err
	}
	hostOf := func(rank int32) string { return r.hostOf(ctx, rank) }
	l.tags.hostOf, l.files.hostOf, l.files.ranks, l.files.merge = hostOf, hostOf, f.size, l.tags.merge
	r.lines = l.files.writer(l.tags.writer(os.Stdout, os.Stderr))
	screen := l.tags.onScreen()
	r.atOnce = func(stream int32) bool { return !l.files.any() && screen(stream) }
	if l.bindings {
		r.placed = func(app *apiv1.App) {
			for rank, host := range app.Placement {
				r.say("rank %d on %s", rank, host)
			}
		}
	}
	err = r.run(ctx, paths...)
	if cerr := l.files.close(); cerr != nil {
		err = errors.Join(err, cerr)
	}
	l.sayElsewhere(r)
	if l.exitCodes && r.ended != nil {
		l.in.tell(os.Stderr, exitCodes(r.ended))
	}
	return err
}

// sayElsewhere tells who may not know it that a program that has failed had not the files of this directory.
func (l *launch) sayElsewhere(r *runner) {
	if l.private || r.ended.GetPhase() != apiv1.AppFailed || r.ended.ExitCode == fsm.ExitFailed || r.ended.Reason == deadlocked || missesNoFile(r.ended.Reason) {
		return
	}
	r.say("note: it ran on the cluster at %s, where the files of this directory are not: godwit run --in FILE sends them, and with GODWIT_ADDR=none mpirun runs it here",
		cmp.Or(os.Getenv("GODWIT_ADDR"), client.DefaultAddr))
}

// missesNoFile says whether the reason of a failure names another one than a file that is not there: a trap, an exception. A code alone, or an abort, may stand for anything.
func missesNoFile(reason string) bool {
	_, why, said := strings.Cut(reason, " (")
	why = strings.ToLower(why)
	return said && !strings.HasPrefix(why, "exit code") && !strings.Contains(why, "no such file") && !strings.Contains(why, "abort")
}

// exitCodes lists every rank's code by host, as MPICH does.
func exitCodes(app *apiv1.App) string {
	codes, order := map[string][]string{}, []string{}
	for rank, host := range app.Placement {
		if codes[host] == nil {
			order = append(order, host)
		}
		codes[host] = append(codes[host], fmt.Sprintf("%d:%d", rank, app.RankState(int32(rank)).GetExitCode()))
	}
	text := "Exit codes (rank:code):"
	for _, host := range order {
		text += fmt.Sprintf(" [%s] %s", host, strings.Join(codes[host], ","))
	}
	return text
}
