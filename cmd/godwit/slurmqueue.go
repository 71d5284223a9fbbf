package main

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"os"
	"slices"
	"strconv"
	"time"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/api/v1/apiv1connect"
)

const squeueHelp = `Usage: squeue [OPTIONS]

List the apps of the cluster in GODWIT_ADDR that have not ended, as Slurm lists jobs. godwit ps lists them as they are.

  -j, --jobs ID,ID...     these alone: apps, arrays, ARRAY_INDEX or ARRAY_[1-3,7]
  -n, --name NAME,...     those of these names
  -A, --account NAME,...  those of these tenants
  -t, --states STATE,...  those in these states: PD queued, CF starting, R running, CG stopping, S frozen, CD succeeded, F failed,
                          TO over its time limit, CA cancelled, ALL
  -h, --noheader          no first line
  -V, --version; --help

--me, -u and -p are taken: there are no users and no partitions. For scripts there is godwit ps -o json in place of -o and -O.
`

// queueView is what squeue was asked to list.
type queueView struct {
	slurmAsks

	jobs, names, tenants, states []string
	noHeader                     bool
	notes                        slurmNotes
}

func queueOptions() []slurmOption[*queueView] {
	refused := slurmRefused[*queueView]
	users := func(value slurmValue, names string) slurmOption[*queueView] {
		return slurmOption[*queueView]{names, value, func(q *queueView, _, _ string) error {
			q.notes.add("--me, -u: everybody's apps are listed, for there are no users; -A NAME lists a tenant's")
			return nil
		}}
	}
	return slices.Concat([]slurmOption[*queueView]{
		slurmList("j jobs", func(q *queueView) *[]string { return &q.jobs }),
		slurmList("n name", func(q *queueView) *[]string { return &q.names }),
		slurmList("A account", func(q *queueView) *[]string { return &q.tenants }),
		{"t states", needsValue, func(q *queueView, flag, v string) (err error) {
			q.states, err = parseSlurmStates(flag, v)
			return err
		}},
		slurmSwitch("h noheader", func(q *queueView) *bool { return &q.noHeader }),
		users(noValue, "me"), users(needsValue, "u user"),
		slurmIgnored[*queueView](needsValue, "p partition"),
		slurmIgnored[*queueView](noValue, "r array a all l long v verbose hide local Q"),
		refused(needsValue, "o format O Format", "use godwit ps -o json, which has all that is known of the apps"),
		refused(mayHave, "json yaml", "use godwit ps -o json"),
		refused(noValue, "start", "godwit explain APP says for what an app waits"),
		refused(needsValue, "i iterate", "use watch -n SECONDS squeue"),
		refused(needsValue, "S sort", "apps are listed in the order of submission: pipe it into sort"),
		refused(mayHave, "s steps", "an app has no steps"),
		refused(needsValue, "w nodelist", "godwit ps names the hosts of each app"),
		refused(needsValue, "M clusters", "GODWIT_ADDR names the cluster"),
	}, slurmHelp("help usage", func(q *queueView) *slurmAsks { return &q.slurmAsks }))
}

// squeue is the whole of that command.
func squeue(ctx context.Context, o *options, words []string) error {
	q := &queueView{}
	rest, err := (&slurmLine[*queueView]{program: "squeue", options: queueOptions(), anywhere: true}).read(words, q)
	if err != nil {
		return err
	}
	if done, err := q.answer("squeue", squeueHelp); done {
		return err
	}
	if len(rest) > 0 {
		return usagef("%q is one argument too many: squeue -j %s lists a job", rest[0], rest[0])
	}
	q.notes.say("squeue")
	res, err := ask(ctx, o, apiv1connect.ControlClient.ListApps, &apiv1.ListAppsRequest{All: len(q.states) > 0 || len(q.jobs) > 0})
	if err != nil {
		return err
	}
	for _, ref := range q.jobs {
		if !slices.ContainsFunc(res.Apps, func(a *apiv1.App) bool { return slurmRefers([]string{ref}, a) }) {
			return fmt.Errorf("no app %s is remembered: squeue -t all lists those that are", ref)
		}
	}
	apps := slices.DeleteFunc(res.Apps, func(a *apiv1.App) bool { return !q.lists(a) })
	return slurmTable("JOBID PARTITION NAME USER ST TIME NODES NODELIST(REASON)", q.noHeader, apps, queueRow)
}

// lists says whether an app is one of those that are asked for.
func (q *queueView) lists(a *apiv1.App) bool {
	return inStates(q.states, a) &&
		(len(q.jobs) == 0 || slurmRefers(q.jobs, a)) &&
		(len(q.names) == 0 || slurmNamed(q.names, a)) &&
		(len(q.tenants) == 0 || slices.Contains(q.tenants, a.GetSpec().GetTenant()))
}

// slurmNamed says whether an app has one of the names; an app of an array has that of the array too.
func slurmNamed(names []string, a *apiv1.App) bool {
	array, of := a.Name, a.GetSpec().GetArray()
	if of != nil {
		array = array[:max(0, len(array)-len("."+strconv.Itoa(int(of.Index))))]
	}
	return slices.Contains(names, a.Name) || slices.Contains(names, array)
}

// thePartition is the name of the one that every host is in.
const thePartition = "godwit"

func queueRow(a *apiv1.App) []string {
	on := slices.Compact(slices.Sorted(slices.Values(a.Placement)))
	where := slurmHostList(on)
	if a.Phase == apiv1.AppQueued || a.Phase == apiv1.AppFrozen || where == "" || a.EndedAt != nil && a.Reason != "" {
		where = slurmReason(a)
	}
	return []string{a.Id, thePartition, programNames(a), orDash(a.GetSpec().GetTenant()), slurmState(a), slurmElapsed(runTime(a)), strconv.Itoa(len(on)), where}
}

// slurmReason is why an app does not run, in parentheses.
func slurmReason(a *apiv1.App) string {
	switch {
	case a.Phase != apiv1.AppQueued:
		return "(" + cmp.Or(a.Reason, "None") + ")"
	case len(a.WaitsFor) > 0:
		return "(Dependency)"
	case a.Held:
		return "(JobArrayTaskLimit)"
	case a.Reason != "":
		return "(Resources: " + a.Reason + ")"
	default:
		return "(Resources)"
	}
}

// runTime is for how long an app has run, with the attempts that it goes on from.
func runTime(a *apiv1.App) time.Duration {
	before := time.Duration(a.RanMs) * time.Millisecond
	switch {
	case a.StartedAt == nil:
		return before
	case a.EndedAt != nil:
		return before + max(0, a.EndedAt.AsTime().Sub(a.StartedAt.AsTime()))
	default:
		return before + time.Since(a.StartedAt.AsTime())
	}
}

// slurmTable prints rows, below a header or without one.
func slurmTable[M any](header string, noHeader bool, rows []M, row func(M) []string) error {
	var out bytes.Buffer
	if err := writeTable(&out, header, rows, row); err != nil {
		return err
	}
	text := out.Bytes()
	if noHeader {
		_, text, _ = bytes.Cut(text, []byte("\n"))
	}
	_, err := os.Stdout.Write(text)
	return err
}
