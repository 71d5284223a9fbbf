package main

import (
	"context"
	"fmt"
	"slices"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/api/v1/apiv1connect"
	"github.com/godwit-run/godwit/internal/client"
)

const scancelHelp = `Usage: scancel [OPTIONS] [ID...]

Cancel apps of the cluster in GODWIT_ADDR: those that are named, all of an array, or some of it by ARRAY_INDEX or
ARRAY_[1-3,7]. It returns once that is decided; godwit cancel also waits for their end.

  -n, --name NAME,...     only those of these names; without an ID all of them
  -A, --account NAME,...  only those of these tenants; without an ID all of them
  -t, --state STATE,...   only those that are PENDING, RUNNING or SUSPENDED
  -Q, --quiet; -V, --version; -h, --help

There are no users: -u is an error, for it would cancel everybody's.
`

// cancelWish is what scancel was asked to cancel.
type cancelWish struct {
	slurmAsks

	jobs, names, tenants, states []string
	quiet                        bool
}

func cancelOptions() []slurmOption[*cancelWish] {
	refused := slurmRefused[*cancelWish]
	users := "there are no users, and everybody's apps would be cancelled: name apps, or give -n NAME or -A TENANT"
	return slices.Concat([]slurmOption[*cancelWish]{
		slurmList("n name jobname", func(w *cancelWish) *[]string { return &w.names }),
		slurmList("A account", func(w *cancelWish) *[]string { return &w.tenants }),
		{"t state", needsValue, func(w *cancelWish, flag, v string) (err error) {
			w.states, err = parseSlurmStates(flag, v)
			return err
		}},
		slurmSwitch("Q quiet", func(w *cancelWish) *bool { return &w.quiet }),
		slurmIgnored[*cancelWish](needsValue, "p partition"),
		slurmIgnored[*cancelWish](noValue, "v verbose H hurry f full c ctld"),
		refused(needsValue, "u user", users), refused(noValue, "me", users),
		refused(needsValue, "s signal", "programs get no signals: without it they are ended"),
		refused(noValue, "b batch", "programs get no signals: without it they are ended"),
		refused(noValue, "i interactive", "nothing is asked: squeue with the same options lists what would be cancelled"),
		refused(needsValue, "w nodelist R reservation q qos wckey", "name apps, or give -n NAME or -A TENANT"),
		refused(needsValue, "M clusters", "GODWIT_ADDR names the cluster"),
	}, slurmHelp("h help usage", func(w *cancelWish) *slurmAsks { return &w.slurmAsks }))
}

// scancel is the whole of that command.
func scancel(ctx context.Context, o *options, words []string) error {
	w := &cancelWish{}
	jobs, err := (&slurmLine[*cancelWish]{program: "scancel", options: cancelOptions(), anywhere: true}).read(words, w)
	if err != nil {
		return err
	}
	if done, err := w.answer("scancel", scancelHelp); done {
		return err
	}
	w.jobs = jobs
	switch {
	case len(w.jobs) == 0 && len(w.names) == 0 && len(w.tenants) == 0 && len(w.states) > 0:
		return usagef("--state alone means everybody's apps: name apps, or give -n NAME or -A TENANT as well")
	case len(w.jobs) == 0 && len(w.names) == 0 && len(w.tenants) == 0:
		return usagef("name an app: scancel ID (see scancel --help)")
	}
	cl, err := o.client()
	if err != nil {
		return err
	}
	refs, err := w.apps(ctx, cl)
	if err != nil {
		return err
	}
	all := cancelAll(ctx, cl, refs, "cancelled by the user", stopGrace)
	t := &tally{done: "being cancelled", lack: "apps are not being cancelled", of: len(refs)}
	if w.quiet && len(refs) > 1 { // of those that cannot be the first is told
		t.of = 1
	}
	for _, ref := range refs {
		if a := all[ref]; a != nil {
			t.add(ref, a.err)
		} else {
			t.add(ref, errNotTried)
		}
	}
	return t.err()
}

// apps are those that are to be cancelled.
func (w *cancelWish) apps(ctx context.Context, cl *client.Client) ([]string, error) {
	filtered := len(w.names) > 0 || len(w.tenants) > 0 || len(w.states) > 0
	if members := slices.ContainsFunc(w.jobs, func(ref string) bool { _, _, ok := splitMember(ref); return ok }); !filtered && !members {
		return withArrays(ctx, cl, w.jobs)
	}
	res, err := call(ctx, cl, apiv1connect.ControlClient.ListApps, &apiv1.ListAppsRequest{All: true})
	if err != nil {
		return nil, err
	}
	for _, ref := range w.jobs {
		if !slices.ContainsFunc(res.Apps, func(a *apiv1.App) bool { return slurmRefers([]string{ref}, a) }) {
			return nil, fmt.Errorf("no app %s is remembered: squeue -t all lists those that are", ref)
		}
	}
	var refs []string
	q := &queueView{jobs: w.jobs, names: w.names, tenants: w.tenants, states: w.states}
	for _, a := range res.Apps {
		if q.lists(a) && !apiv1.AppOver(a.Phase) {
			refs = append(refs, a.Id)
		}
	}
	return refs, nil
}
