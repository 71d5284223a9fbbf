package main

import (
	"slices"
	"time"

	apiv1 "github.com/godwit-run/godwit/api/v1"
)

type jobOption = slurmOption[*slurmJob]

// jobNumber is an option whose value is read by parse into a field.
func jobNumber[V any](names string, value slurmValue, field func(*slurmJob) *V, parse func(flag, v string) (V, error)) jobOption {
	return jobOption{names, value, func(j *slurmJob, flag, v string) (err error) {
		n, err := parse(flag, v)
		if err == nil {
			*field(j) = n
		}
		return err
	}}
}

// stepOptions are what srun takes, also in a script.
func stepOptions() []jobOption {
	return slices.Concat([]jobOption{
		slurmWord("J job-name", func(j *slurmJob) *string { return &j.name }),
		jobNumber("n ntasks", needsValue, func(j *slurmJob) *int { return &j.ranks }, slurmCount),
		jobNumber("N nodes", needsValue, func(j *slurmJob) *int { return &j.nodes }, parseSlurmNodes),
		jobNumber("ntasks-per-node", needsValue, func(j *slurmJob) *int { return &j.perNode }, slurmCount),
		jobNumber("t time", needsValue, func(j *slurmJob) *time.Duration { return &j.limit }, parseSlurmTime),
		jobNumber("export", needsValue, func(j *slurmJob) **slurmExport { return &j.export }, parseSlurmExport),
		jobNumber("mem", needsValue, func(j *slurmJob) *int64 { return &j.memory.node }, parseSlurmMemory),
		jobNumber("mem-per-cpu", needsValue, func(j *slurmJob) *int64 { return &j.memory.cpu }, parseSlurmMemory),
		slurmSwitch("O overcommit", func(j *slurmJob) *bool { return &j.oversubscribe }),
		slurmSwitch("Q quiet", func(j *slurmJob) *bool { return &j.quiet }),
		{"c cpus-per-task", needsValue, func(j *slurmJob, flag, v string) (err error) {
			j.perTask, err = slurmCount(flag, v)
			j.notes.add(flag + ": a rank has one slot, and one thread")
			return err
		}},
	}, takenJobOptions(), refusedJobOptions())
}

// placedJobOptions are what sbatch and srun take, and an srun in a script does not: they are about the job and not about a step of it.
func placedJobOptions() []jobOption {
	return []jobOption{
		jobNumber("d dependency", needsValue, func(j *slurmJob) *[]string { return &j.depends }, parseSlurmDepends),
		slurmWord("A account", func(j *slurmJob) *string { return &j.tenant }),
		jobNumber("nice", mayHave, func(j *slurmJob) *int64 { return &j.nice }, parseSlurmNice),
		jobNumber("priority", needsValue, func(j *slurmJob) *int64 { return &j.priority }, parseSlurmPriority),
		{"requeue", noValue, func(j *slurmJob, _, _ string) error { j.onHostLoss = apiv1.OnHostLossRestart; return nil }},
		{"no-requeue", noValue, func(j *slurmJob, _, _ string) error { j.onHostLoss = apiv1.OnHostLossFail; return nil }},
	}
}

// directiveOptions are what #SBATCH lines may have.
func directiveOptions() []jobOption {
	return slices.Concat(stepOptions(), placedJobOptions(), []jobOption{
		slurmWord("a array", func(j *slurmJob) *string { return &j.array }),
		slurmSwitch("parsable", func(j *slurmJob) *bool { return &j.parsable }),
		slurmSwitch("W wait", func(j *slurmJob) *bool { return &j.wait }),
	})
}

// batchOptions are what sbatch takes.
func batchOptions() []jobOption {
	return slices.Concat(directiveOptions(), []jobOption{
		slurmWord("wrap", func(j *slurmJob) *string { return &j.wrap }),
		slurmRefused[*slurmJob](noValue, "test-only", "godwit explain APP says of a submitted app when it is placed, and godwit plan where apps would be"),
	}, slurmHelp("h help usage", func(j *slurmJob) *slurmAsks { return &j.slurmAsks }))
}

// runOptions are what srun takes on a command line.
func runOptions() []jobOption {
	return slices.Concat(stepOptions(), stepOnlyOptions(), placedJobOptions(), slurmHelp("h help usage", func(j *slurmJob) *slurmAsks { return &j.slurmAsks }))
}

// stepOnlyOptions are what srun takes and sbatch does not.
func stepOnlyOptions() []jobOption {
	return []jobOption{
		slurmSwitch("l label", func(j *slurmJob) *bool { return &j.label }),
		slurmIgnored[*slurmJob](noValue, "u unbuffered X disable-status exact overlap"),
		slurmIgnored[*slurmJob](mayHave, "K kill-on-bad-exit"),
		slurmIgnored[*slurmJob](needsValue, "mpi W wait T threads"),
		slurmRefused[*slurmJob](mayHave, "pty", "a program has no terminal: leave it out, and rank 0 reads what is typed"),
		slurmRefused[*slurmJob](noValue, "multi-prog", "several programs run side by side by mpirun -n 1 A : -n 3 B"),
		slurmRefused[*slurmJob](needsValue, "jobid r relative", "ranks go where the cluster has room: leave it out"),
	}
}

// takenJobOptions do nothing, and harm nothing. What some would miss is said.
func takenJobOptions() []jobOption {
	noted := func(value slurmValue, names, note string) jobOption {
		return jobOption{names, value, func(j *slurmJob, flag, _ string) error {
			j.notes.add(flag + ": " + note)
			return nil
		}}
	}
	kept := func(names string) jobOption { // one sentence for both
		return jobOption{names, needsValue, func(j *slurmJob, _, _ string) error {
			j.notes.add("-o, -e: output is kept by the cluster, and in no file here: godwit logs APP prints it")
			return nil
		}}
	}
	unread := func(names string) jobOption {
		return jobOption{names, needsValue, func(j *slurmJob, _, _ string) error {
			j.notes.add("--mail-type, --mail-user: no mail is sent: sbatch --wait, or godwit logs -f APP, waits for the end")
			return nil
		}}
	}
	return []jobOption{
		kept("o output"), kept("e error"), unread("mail-type"), unread("mail-user"),
		noted(needsValue, "p partition", "there are no partitions: an app may run on every host"),
		noted(needsValue, "q qos", "there are no qualities of service: --priority and godwit tenant say who comes first"),
		noted(mayHave, "exclusive", "hosts are shared: godwit submit --policy compact keeps other tenants off an app's hosts"),
		noted(needsValue, "D chdir", "the program begins in a directory of its own: godwit submit --in sends files there, and godwit get brings them back"),
		slurmIgnored[*slurmJob](noValue, "v verbose s oversubscribe contiguous use-min-nodes spread-job ignore-pbs reboot"),
		slurmIgnored[*slurmJob](mayHave, "get-user-env"),
		slurmIgnored[*slurmJob](needsValue, "open-mode comment wckey kill-on-invalid-dep time-min propagate tmp switches profile acctg-freq cpu-freq"),
		slurmIgnored[*slurmJob](needsValue, "m distribution B extra-node-info cpu-bind mem-bind hint threads-per-core ntasks-per-core ntasks-per-socket cores-per-socket sockets-per-node mincpus S core-spec thread-spec"),
	}
}

// refusedJobOptions ask for what an app would not get.
func refusedJobOptions() []jobOption {
	refused := slurmRefused[*slurmJob]
	return []jobOption{
		refused(needsValue, "w nodelist F nodefile", "hosts are named, with how many ranks each gets, by godwit submit --place w1:2,w2:2"),
		refused(needsValue, "x exclude", "no hosts can be excluded for one app: godwit submit --place names those that it gets, --on KEY!=VALUE leaves out hosts with a label, and godwit cordon HOST keeps new ranks off a host"),
		refused(noValue, "H hold", "no app is held: submit it when it may run, or with --dependency=afterany:ID"),
		refused(needsValue, "C constraint prefer", "features of hosts are labels here: godwit submit --on KEY=VALUE asks for one"),
		refused(needsValue, "b begin", "no app waits for a time: submit it then, from cron or at"),
		refused(needsValue, "deadline", "no app waits for a time: --time bounds how long it runs"),
		refused(needsValue, "G gpus gres gpus-per-node gpus-per-task gpus-per-socket cpus-per-gpu mem-per-gpu gpu-bind gpu-freq tres-per-task tres-bind", "programs see no GPUs and no other devices"),
		refused(needsValue, "L licenses", "no licenses are counted: a tenant of its own with a limit of slots (godwit tenant) bounds what runs at once"),
		refused(needsValue, "reservation", "there are no reservations: --priority has it placed first"),
		refused(needsValue, "i input", "what is submitted reads nothing: godwit submit --in sends files, and godwit run gives rank 0 its standard input"),
		refused(needsValue, "signal", "programs get no signals; they end at --time"),
		refused(needsValue, "M clusters", "GODWIT_ADDR names the cluster"),
		refused(needsValue, "uid gid", "programs run as no user of the hosts"),
		refused(needsValue, "bb bbf", "there is no burst buffer: godwit submit --in sends files"),
		refused(mayHave, "I immediate", "an app waits until there is room: leave it out; godwit cancel takes it back"),
		refused(mayHave, "k no-kill", "an app that lost a host goes on from its checkpoint: see --checkpoint-period of godwit submit"),
		refused(needsValue, "container", "programs run in no container: they are WebAssembly"),
	}
}
