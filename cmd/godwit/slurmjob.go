package main

import (
	"cmp"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/godwit-run/godwit/fsm"
	"github.com/godwit-run/godwit/internal/name"
)

// slurmJob is what the options of sbatch, of #SBATCH lines and of srun ask for. Of an option that is given twice the last counts.
type slurmJob struct {
	slurmAsks

	name                           string
	ranks, nodes, perNode, perTask int // 0: not given
	memory                         slurmMemory
	limit                          time.Duration
	array                          string
	depends                        []string // as --depends-on has them
	tenant                         string
	priority, nice                 int64
	export                         *slurmExport // nil: not given
	onHostLoss                     string
	oversubscribe                  bool

	wrap                         string
	parsable, wait, quiet, label bool

	notes slurmNotes
}

// size is the number of ranks: so many, or the product of hosts and ranks on each.
func (j *slurmJob) size() int {
	return cmp.Or(j.ranks, max(1, j.nodes)*max(1, j.perNode))
}

// jobPriority is the priority that the app has, within Godwit's bounds where --nice would leave them.
func (j *slurmJob) jobPriority() int32 {
	return int32(max(-fsm.MaxPriority, min(fsm.MaxPriority, j.priority-j.nice))) //nolint:gosec // it is within them
}

// appNamed is the job's name as an app may have it. It is said if it is another.
func (j *slurmJob) appNamed() string {
	if name.Valid(j.name) {
		return j.name
	}
	app := appName(j.name + ".wasm")
	j.notes.add(fmt.Sprintf("the app of job %q is named %s", j.name, app))
	return app
}

// fill puts the job into the flags of submit or run, but for those that said names: they were given there.
func (j *slurmJob) fill(f *submitFlags, said func(flag string) bool) (err error) {
	f.size, f.spec.Name, f.queue.array = j.size(), j.appNamed(), j.array
	if !said("time-limit") {
		f.queue.limit = j.limit
	}
	if !said("priority") && j.priority-j.nice != 0 {
		f.spec.Priority = j.jobPriority()
	}
	if !said("tenant") && j.tenant != "" {
		f.spec.Tenant = j.tenant
	}
	if !said("depends-on") {
		f.queue.dependsOn = j.depends
	}
	if !said("on-host-loss") && j.onHostLoss != "" {
		f.spec.OnHostLoss = j.onHostLoss
	}
	f.spec.Oversubscribe = f.spec.Oversubscribe || j.oversubscribe
	if !said("mem") {
		f.spec.MemoryBytes, err = j.rankMemory()
	}
	return err
}

// slurmExport is what --export passes to the program.
type slurmExport struct {
	all  bool
	vars []string // NAME=VALUE
}

// parseSlurmExport reads ALL, NONE, or names and NAME=VALUE, which ALL may be among.
func parseSlurmExport(flag, v string) (*slurmExport, error) {
	e := &slurmExport{}
	if word := strings.ToUpper(v); word == "NONE" || word == "NIL" {
		return e, nil
	}
	for part := range strings.SplitSeq(v, ",") {
		key, _, valued := strings.Cut(part, "=")
		switch {
		case strings.ToUpper(part) == "ALL":
			e.all = true
		case !variableName.MatchString(key):
			return nil, usagef("%s %s: %q is no variable: give ALL, NONE, or names and NAME=VALUE with commas between; what has a comma is exported in the script, or before", flag, v, part)
		case valued:
			e.vars = append(e.vars, part)
		default:
			value, ok := os.LookupEnv(key)
			if !ok {
				return nil, usagef("%s %s: this shell has no variable %s; use %s=VALUE", flag, v, key, key)
			}
			e.vars = append(e.vars, part+"="+value)
		}
	}
	return e, nil
}

// passed are the variables that go to the program. all says whether they all do where nothing was said.
func (j *slurmJob) passed(all bool) ([]string, error) {
	e := j.export
	if e == nil {
		e = &slurmExport{all: all}
	}
	var env []string
	if e.all {
		env = slices.DeleteFunc(wholeEnvironment(os.Environ()), func(kv string) bool { return ofOuterJob(kv) })
	}
	env = append(env, e.vars...)
	bytes := 0
	for _, kv := range env {
		bytes += len(kv) + 1
	}
	if bytes > fsm.MaxEnvBytes {
		return nil, usagef("--export: the variables that are passed have %d bytes; %d are possible: name those that are needed (--export=A,B in place of ALL), or NONE", bytes, fsm.MaxEnvBytes)
	}
	return env, nil
}

// ofOuterJob says of a variable that it tells of the job that this command itself runs in, and not of the one that it makes.
func ofOuterJob(kv string) bool {
	for _, prefix := range []string{"SLURM_", "SBATCH_", "SLURMD_"} {
		if strings.HasPrefix(kv, prefix) {
			return true
		}
	}
	return false
}

// parseSlurmDepends reads afterok:ID[:ID...] and afterany:ID[:ID...], with commas between, into what --depends-on takes.
func parseSlurmDepends(flag, v string) ([]string, error) {
	if strings.Contains(v, "?") {
		return nil, usagef("%s %s: an app waits for all that it depends on, and not for any of them: put commas in place of the question marks", flag, v)
	}
	var out []string
	for part := range strings.SplitSeq(v, ",") {
		kind, ids, _ := strings.Cut(part, ":")
		how := ""
		switch kind {
		case "afterok":
			how = ":success"
		case "afterany":
			how = ":end"
		case "afternotok":
			return nil, usagef("%s %s: an app cannot wait for another to fail: use afterany, and have the program look at what the other has left", flag, v)
		case "singleton":
			return nil, usagef("%s %s: an app does not wait for those of its name: name them, as in afterany:ID", flag, v)
		case "after":
			return nil, usagef("%s %s: an app does not wait for others to begin: use afterok or afterany", flag, v)
		case "aftercorr":
			return nil, usagef("%s %s: an app of an array does not wait for that of the same index: use afterok, for all of the other array", flag, v)
		default:
			return nil, usagef("%s %s: use afterok:ID or afterany:ID, several IDs with colons between, and several such with commas", flag, v)
		}
		for id := range strings.SplitSeq(ids, ":") {
			if id == "" {
				return nil, usagef("%s %s: name an app behind %s:", flag, v, kind)
			}
			out = append(out, id+how)
		}
	}
	return out, nil
}

// parseSlurmPriority reads --priority.
func parseSlurmPriority(flag, v string) (int64, error) {
	if strings.ToUpper(v) == "TOP" {
		return fsm.MaxPriority, nil
	}
	n, err := strconv.ParseInt(v, 10, 32)
	if err != nil || n < -fsm.MaxPriority || n > fsm.MaxPriority {
		return 0, usagef("%s %s: give a number from %d to %d, or TOP", flag, v, -fsm.MaxPriority, fsm.MaxPriority)
	}
	return n, nil
}

// defaultNice is what --nice without a value means.
const defaultNice = 100

// parseSlurmNice reads --nice.
func parseSlurmNice(flag, v string) (int64, error) {
	if v == "" {
		return defaultNice, nil
	}
	n, err := strconv.ParseInt(v, 10, 32)
	if err != nil {
		return 0, usagef("%s %s: give a number by which the priority is lowered", flag, v)
	}
	return n, nil
}

// parseSlurmNodes reads -N: a number of hosts, or the least and the most of them, of which the least counts.
func parseSlurmNodes(flag, v string) (int, error) {
	least, most, ranged := strings.Cut(v, "-")
	n, err := slurmCount(flag, least)
	if err == nil && ranged {
		var top int
		if top, err = slurmCount(flag, most); err == nil && top < n {
			return 0, usagef("%s %s: the most is less than the least", flag, v)
		}
	}
	return n, err
}
