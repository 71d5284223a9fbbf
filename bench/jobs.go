package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/api/v1/apiv1connect"
	"github.com/godwit-run/godwit/internal/transport"
)

const (
	jobClients  = 16
	jobsAtOnce  = 1000 // below the most apps that may be queued at once
	jobsAlone   = 200  // one after the other
	jobsQuick   = 500
	jobsSlots   = 4
	jobsBefore  = 24 // that bring module and executors
	jobWait     = 60 // seconds
	succeeded   = "succeeded"
	listedAPage = 1000
)

// jobs measures programs of one rank that do nothing, on three workers: how many a second come from their submission to their end, what
// they cost processes of the cluster, and how long one of them takes alone.
func (b *bench) jobs(ctx context.Context) error {
	bin, err := b.ours().compile(ctx, b.dir, filepath.Join(sources, "nothing.c"))
	if err != nil {
		return err
	}
	many, alone := jobsAtOnce, jobsAlone
	if b.quick {
		many, alone = jobsQuick, 50
	}
	for _, servers := range []int{3, 1} {
		err := b.dev(ctx, servers, 3, jobsSlots, func(env []string) error {
			j, err := b.newJobs(ctx, env, bin)
			if err != nil {
				return err
			}
			return b.jobsOn(ctx, j, fmt.Sprintf("%d servers, 3 workers", servers), many, alone)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// jobsOn adds the rows of one cluster.
func (b *bench) jobsOn(ctx context.Context, j *jobs, where string, many, alone int) error {
	add := func(what, unit string, values ...float64) {
		b.core = append(b.core, row{what: what + ", " + where, unit: unit, higher: unit == "/s", godwit: values})
	}
	if _, err := j.run(ctx, jobsBefore); err != nil {
		return err
	}
	first, err := j.index(ctx)
	if err != nil {
		return err
	}
	before := processorTimes(j.dir)
	var rates []float64
	for range b.repeats {
		v, err := j.run(ctx, many)
		if err != nil {
			return err
		}
		rates = append(rates, v)
	}
	spent, n := processorTimes(j.dir).since(before), float64(many*b.repeats)
	last, err := j.index(ctx)
	if err != nil {
		return err
	}
	add("jobs of one rank, from submission to end, 16 clients", "/s", rates...)
	add("log entries of a job", "", float64(last-first)/n)
	for _, role := range []string{"servers", "workers", "executors"} {
		add("processor time of a job, "+role, "ms", spent[role]*1e3/n)
	}
	began, end, err := j.alone(ctx, alone)
	if err != nil {
		return err
	}
	for _, p := range []int{50, 99} {
		add(fmt.Sprintf("one job alone, from submission to its first instruction, %d %%", p), "ms", percentile(began, p))
	}
	for _, p := range []int{50, 99} {
		add(fmt.Sprintf("one job alone, from submission until its end is known, %d %%", p), "ms", percentile(end, p))
	}
	return nil
}

// percentile is the least value that so many of a hundred do not exceed.
func percentile(values []float64, p int) float64 {
	sorted := slices.Sorted(slices.Values(values))
	return sorted[max(0, (len(sorted)*p+99)/100-1)]
}

// jobs submits programs that do nothing.
type jobs struct {
	control apiv1connect.ControlClient
	digest  string
	dir     string // of the cluster
}

// newJobs uploads the program.
func (b *bench) newJobs(ctx context.Context, env []string, bin string) (*jobs, error) {
	digest, err := output(ctx, env, b.godwit, "module", "push", bin)
	if err != nil {
		return nil, err
	}
	j := &jobs{digest: strings.TrimSpace(digest)}
	for _, kv := range env {
		if addrs, ok := strings.CutPrefix(kv, "GODWIT_ADDR="); ok {
			addr, _, _ := strings.Cut(addrs, ",")
			j.control = apiv1connect.NewControlClient(transport.NewClient(transport.NewHTTPClient(), addr))
		}
		if dir, ok := strings.CutPrefix(kv, devDir); ok {
			j.dir = dir
		}
	}
	servers, err := j.control.ListServers(ctx, &apiv1.ListServersRequest{})
	if err != nil {
		return nil, err
	}
	for _, s := range servers.Servers { // submissions that go by another server cost that as well
		if s.Role == "leader" {
			j.control = apiv1connect.NewControlClient(transport.NewClient(transport.NewHTTPClient(), s.Addr))
			return j, nil
		}
	}
	return nil, errors.New("no leader")
}

// index is how far the log is.
func (j *jobs) index(ctx context.Context) (uint64, error) {
	res, err := j.control.ListHosts(ctx, &apiv1.ListHostsRequest{})
	return res.GetIndex(), err
}

// submit submits one program and returns its id.
func (j *jobs) submit(ctx context.Context, args ...string) (string, error) {
	res, err := j.control.Submit(ctx, &apiv1.SubmitRequest{Spec: &apiv1.AppSpec{Name: "nothing", Size: 1, ModuleDigest: j.digest, Args: args}})
	if err != nil {
		return "", err
	}
	return res.App.Id, nil
}

// wait waits for a program's end.
func (j *jobs) wait(ctx context.Context, id string) error {
	for {
		res, err := j.control.WaitApp(ctx, &apiv1.WaitAppRequest{App: id, Timeout: jobWait})
		switch {
		case err != nil:
			return err
		case apiv1.AppOver(res.App.Phase) && res.App.Phase != succeeded:
			return fmt.Errorf("app %s: %s: %s", id, res.App.Phase, res.App.Reason)
		case apiv1.AppOver(res.App.Phase):
			return nil
		}
	}
}

// run submits n programs from jobClients clients, waits until all have ended, and returns how many did a second. The queue is first come first served, so those
// submitted last are waited for one by one, and all are looked at when time has stopped: of who waits for each program the cluster would serve n calls more.
func (j *jobs) run(ctx context.Context, n int) (float64, error) {
	var next atomic.Int64
	var wg sync.WaitGroup
	ids, errs := make([]string, n), make([]error, jobClients)
	start := time.Now()
	for c := range jobClients {
		wg.Go(func() {
			for i := next.Add(1) - 1; i < int64(n) && errs[c] == nil; i = next.Add(1) - 1 {
				ids[i], errs[c] = j.submit(ctx)
			}
		})
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		return 0, err
	}
	for _, id := range ids[max(0, n-3*jobClients):] {
		if err := j.wait(ctx, id); err != nil {
			return 0, err
		}
	}
	took := time.Since(start)
	if err := j.ended(ctx, ids, start.Add(took)); err != nil {
		return 0, err
	}
	return float64(n) / took.Seconds(), nil
}

// ended is an error if one of these programs has not succeeded, or was not over by then.
func (j *jobs) ended(ctx context.Context, ids []string, by time.Time) error {
	waits := map[string]bool{}
	for _, id := range ids {
		waits[id] = true
	}
	for token := ""; ; {
		res, err := j.control.ListApps(ctx, &apiv1.ListAppsRequest{PageSize: listedAPage, PageToken: token})
		if err != nil {
			return err
		}
		for _, a := range res.Apps {
			switch {
			case !waits[a.Id]:
			case a.Phase != succeeded:
				return fmt.Errorf("app %s is %s when the last ones have ended: %s", a.Id, a.Phase, a.Reason)
			case a.EndedAt.AsTime().After(by):
				return fmt.Errorf("app %s ended behind the last ones", a.Id)
			}
			delete(waits, a.Id)
		}
		if token = res.NextPageToken; token == "" {
			break
		}
	}
	if len(waits) > 0 {
		return fmt.Errorf("%d apps are in no list", len(waits))
	}
	return nil
}

// alone runs n programs one after the other and returns how many milliseconds after its submission each began, and was known to have ended.
func (j *jobs) alone(ctx context.Context, n int) (first, end []float64, err error) {
	for range n {
		start := time.Now()
		id, err := j.submit(ctx, "clock")
		if err != nil {
			return nil, nil, err
		}
		if err := j.wait(ctx, id); err != nil {
			return nil, nil, err
		}
		end = append(end, time.Since(start).Seconds()*1e3)
		began, err := j.began(ctx, id)
		if err != nil {
			return nil, nil, err
		}
		first = append(first, began.Sub(start).Seconds()*1e3)
	}
	return first, end, nil
}

// began is the clock that a program has printed.
func (j *jobs) began(ctx context.Context, id string) (time.Time, error) {
	stream, err := j.control.Logs(ctx, &apiv1.LogsRequest{App: id})
	if err != nil {
		return time.Time{}, err
	}
	text := ""
	for {
		m, err := stream.Receive()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return time.Time{}, err
		}
		for _, l := range m.Lines {
			text += string(l.Text)
		}
	}
	ns, err := strconv.ParseInt(strings.TrimSpace(text), 10, 64)
	if err != nil {
		return time.Time{}, fmt.Errorf("app %s printed %q: %w", id, text, err)
	}
	return time.Unix(0, ns), nil
}
