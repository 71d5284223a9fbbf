package main

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/spf13/cobra"
	"google.golang.org/protobuf/proto"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/api/v1/apiv1connect"
	"github.com/godwit-run/godwit/fsm"
	"github.com/godwit-run/godwit/internal/client"
	"github.com/godwit-run/godwit/internal/name"
)

// queueFlags are the flags of run and submit that bear on when an app is placed, and for how long it runs.
type queueFlags struct {
	dependsOn []string
	limit     time.Duration
	memory    string
	array     string // of submit

	each func(*apiv1.AppSpec) error // changes the spec of each app of an array; nil: nothing
}

func (f *queueFlags) add(c *cobra.Command, spec *apiv1.AppSpec) {
	c.Flags().Int32Var(&spec.Priority, "priority", 0, fmt.Sprintf("queued apps of a higher one are placed first (%d to %d)", -fsm.MaxPriority, fsm.MaxPriority))
	c.Flags().StringArrayVar(&f.dependsOn, "depends-on", nil, "`APP[:success|:end]`: not placed before that app, or all of that array, has succeeded, or ended in any way; if it does not succeed, this one fails; may be repeated")
	c.Flags().DurationVar(&f.limit, "time-limit", 0, "how long it may run, such as 10m: it fails then, and is not tried again; with it it may be placed ahead of apps that wait (default: as long as it likes)")
	c.Flags().StringVar(&f.memory, "mem", "", "memory that each rank takes of its host's, and may grow to, such as 512M or 2G: hosts never have more of it declared than they have (default: what godwit policy get says is the default memory; 0: none is declared, and none taken)")
	c.Flags().StringArrayVar(&spec.On, "on", nil, "`KEY=VALUE[,VALUE]` or KEY!=VALUE: only on hosts whose workers have such a --label; may be repeated")
	c.Flags().StringVar(&spec.Spread, "spread", "", "a `LABEL` of hosts, such as zone: as many ranks on hosts with each of its values")
	c.Flags().Int32Var(&spec.Restarts, "retries", 0, "how often it runs again from its beginning when it has failed")
}

// finish fills the spec in, but for what it depends on, for which the cluster is asked.
func (f *queueFlags) finish(spec *apiv1.AppSpec) error {
	switch {
	case f.limit < 0 || f.limit > fsm.MaxTimeLimitMs*time.Millisecond:
		return usagef("--time-limit %v: give a time up to a year", f.limit)
	case spec.Priority < -fsm.MaxPriority || spec.Priority > fsm.MaxPriority:
		return usagef("--priority %d: give a number from %d to %d", spec.Priority, -fsm.MaxPriority, fsm.MaxPriority)
	case spec.Restarts < 0 || spec.Restarts > fsm.MaxRestarts:
		return usagef("--retries %d: give a number from 0 to %d", spec.Restarts, fsm.MaxRestarts)
	}
	for _, text := range spec.On {
		if _, err := fsm.ParseLabelRule(text); err != nil {
			return usagef("--on %w", err)
		}
	}
	spec.TimeLimitMs = wholeMs(f.limit)
	if err := declareMemory(spec, f.memory); err != nil {
		return err
	}
	for _, text := range f.dependsOn {
		if _, _, err := splitDependency(text); err != nil {
			return err
		}
	}
	return nil
}

// splitDependency reads APP[:success|:end].
func splitDependency(text string) (ref string, anyEnd bool, err error) {
	ref, how, said := text, "", false
	if at := strings.LastIndexByte(text, ':'); at > strings.LastIndexByte(text, ']') { // a range has one as well: ID_[0-9:2]
		ref, how, said = text[:at], text[at+1:], true
	}
	if ref == "" || said && how != "success" && how != "end" {
		return "", false, usagef("--depends-on %s: use APP, APP:success (the same) or APP:end", text)
	}
	return ref, how == "end", nil
}

// resolve asks the cluster for the apps that the spec depends on.
func (f *queueFlags) resolve(ctx context.Context, cl *client.Client, spec *apiv1.AppSpec) error {
	for _, text := range f.dependsOn {
		ref, anyEnd, err := splitDependency(text)
		if err != nil {
			return err
		}
		of, err := dependencies(ctx, cl, ref)
		if err != nil {
			return err
		}
		for _, d := range of {
			d.AnyEnd = anyEnd
			if i := slices.IndexFunc(spec.DependsOn, func(x *apiv1.Dependency) bool { return x.App == d.App && x.Array == d.Array }); i >= 0 {
				spec.DependsOn[i].AnyEnd = spec.DependsOn[i].AnyEnd && anyEnd // said twice: what asks for more
				continue
			}
			spec.DependsOn = append(spec.DependsOn, d)
		}
	}
	return nil
}

// dependencies are what a ref means: an array, some apps of one, or an app.
func dependencies(ctx context.Context, cl *client.Client, ref string) ([]*apiv1.Dependency, error) {
	if _, _, ok := splitMember(ref); ok {
		apps, err := memberApps(ctx, cl, ref)
		if err != nil {
			return nil, err
		}
		var of []*apiv1.Dependency
		for _, a := range apps {
			of = append(of, &apiv1.Dependency{App: a.Id})
		}
		return of, nil
	}
	if isArray(ref) {
		return []*apiv1.Dependency{{Array: ref}}, nil
	}
	res, err := getApp(ctx, cl, ref)
	if err != nil {
		return nil, err
	}
	return []*apiv1.Dependency{{App: res.App.Id}}, nil
}

func isArray(ref string) bool { return strings.HasPrefix(ref, apiv1.ArrayPrefix) }

// arrayApps are the apps of an array that are remembered, in order of submission.
func arrayApps(ctx context.Context, cl *client.Client, id string) ([]*apiv1.App, error) {
	res, err := call(ctx, cl, apiv1connect.ControlClient.ListApps, &apiv1.ListAppsRequest{All: true})
	if err != nil {
		return nil, err
	}
	apps := slices.DeleteFunc(res.Apps, func(a *apiv1.App) bool { return a.GetSpec().GetArray().GetId() != id })
	if len(apps) == 0 {
		return nil, fmt.Errorf("no app of an array %s is remembered: godwit ps -a shows what is", id)
	}
	return apps, nil
}

// array is which apps an array has.
type array struct {
	indexes []int32
	atOnce  int32
}

// maxArray bounds the apps of an array.
const maxArray = fsm.MaxLiveApps

// parseArray reads 0-99, 0-99:2 (every second), 1,4,7-9, and %N behind it: so many at once.
func parseArray(text string) (*array, error) {
	a, err := parseIndexes(text)
	if err == nil && len(slices.Compact(slices.Clone(a.indexes))) != len(a.indexes) {
		return nil, usagef("--array %s: an index is named twice", text)
	}
	return a, err
}

// parseIndexes is parseArray of apps that are there already: who names one twice means it once.
func parseIndexes(text string) (*array, error) {
	bad := func(why string) (*array, error) {
		return nil, usagef("--array %s: %s; use such as 0-99, 0-99:2, 1,4,7-9, or 0-99%%10 for 10 at once", text, why)
	}
	list, most, some := strings.Cut(text, "%")
	a := &array{}
	if some {
		n, err := strconv.ParseInt(most, 10, 32)
		if err != nil || n < 1 {
			return bad(fmt.Sprintf("%q is no number of apps at once", most))
		}
		a.atOnce = int32(n)
	}
	for part := range strings.SplitSeq(list, ",") {
		run, step, stepped := strings.Cut(part, ":")
		first, last, ranged := strings.Cut(run, "-")
		from, err := strconv.ParseInt(first, 10, 32)
		to, by := from, int64(1)
		if err == nil && ranged {
			to, err = strconv.ParseInt(last, 10, 32)
		}
		if err == nil && stepped {
			by, err = strconv.ParseInt(step, 10, 32)
		}
		if err != nil || from < 0 || to < from || by < 1 || stepped && !ranged {
			return bad(fmt.Sprintf("%q is no index, and no range of them", part))
		}
		for i := from; i <= to; i += by {
			if len(a.indexes) == maxArray {
				return bad(fmt.Sprintf("an array has at most %d apps", maxArray))
			}
			a.indexes = append(a.indexes, int32(i))
		}
	}
	slices.Sort(a.indexes)
	return a, nil
}

// newArrayID is the id of another array.
func newArrayID() string {
	return apiv1.ArrayPrefix + strings.ReplaceAll(uuid.NewString(), "-", "")[:10]
}

// member is the spec of an app of the array.
func (a *array) member(spec *apiv1.AppSpec, id string, index int32) *apiv1.AppSpec {
	out := proto.CloneOf(spec)
	suffix := "." + strconv.Itoa(int(index))
	out.Name = out.Name[:min(len(out.Name), name.MaxBytes-len(suffix))] + suffix
	out.Array = &apiv1.ArrayPlace{Id: id, Index: index, AtOnce: a.atOnce}
	out.Env = append(out.Env,
		"GODWIT_ARRAY_ID="+id, fmt.Sprintf("GODWIT_ARRAY_INDEX=%d", index), fmt.Sprintf("GODWIT_ARRAY_COUNT=%d", len(a.indexes)),
		fmt.Sprintf("GODWIT_ARRAY_MIN=%d", a.indexes[0]), fmt.Sprintf("GODWIT_ARRAY_MAX=%d", a.indexes[len(a.indexes)-1]))
	return out
}

// submitArray submits all apps of an array, and prints its id.
func (r *runner) submitArray(ctx context.Context, mods *moduleUploads, a *array) error {
	id, key, spec := newArrayID(), uuid.NewString(), r.f.spec
	var apps []*apiv1.App
	for _, index := range a.indexes {
		r.f.spec = a.member(spec, id, index)
		if r.f.queue.each != nil {
			if err := r.f.queue.each(r.f.spec); err != nil {
				return err
			}
		}
		app, err := r.submitKeyed(ctx, mods, fmt.Sprintf("%s-%d", key, index))
		if err != nil {
			if len(apps) == 0 {
				return err
			}
			return fmt.Errorf("%d of the %d apps of array %s are submitted (godwit cancel %s takes them back); the next is not: %w", len(apps), len(a.indexes), id, id, err)
		}
		apps = append(apps, app)
		if r.in.came() {
			for _, app := range slices.Backward(apps) { // as withArrays has them
				r.cancel(ctx, app.Id)
			}
			return &exitError{exitInterrupted, fmt.Sprintf("%d apps of array %s were submitted and are cancelled", len(apps), id)}
		}
	}
	if r.o.output == "json" {
		return printJSON(os.Stdout, orderedObject{{"array", id}, {"apps", jsonList(apps)}})
	}
	return r.f.tellID(id)
}

// parseLabel reads a worker's label, KEY=VALUE, of which an app can ask.
func parseLabel(text string) (key, value string, err error) {
	key, value, _ = strings.Cut(text, "=")
	if r, err := fsm.ParseLabelRule(text); err != nil || r.Not || strings.Contains(value, ",") {
		return "", "", usagef("--label %.80s: use KEY=VALUE: a KEY without spaces, and a VALUE without commas, each of at most %d bytes", text, fsm.MaxWordBytes)
	}
	return key, value, nil
}

// parseLabels reads a worker's labels.
func parseLabels(texts []string) (map[string]string, error) {
	labels := make(map[string]string, len(texts))
	for _, text := range texts {
		k, v, err := parseLabel(text)
		if err != nil {
			return nil, err
		}
		if _, twice := labels[k]; twice {
			return nil, usagef("--label %s: %s is given twice: a label has one value", text, k)
		}
		labels[k] = v
	}
	return labels, nil
}
