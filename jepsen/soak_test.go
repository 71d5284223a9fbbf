package jepsen

import (
	"context"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/godwit-run/godwit/jepsen/history"
)

// What a soak does.
const (
	soakApps    = 2000
	soakClients = 16
	soakWithin  = 20 * time.Minute
	// sampleEach is how often processes are looked at.
	sampleEach = 5 * time.Second
)

// mayKeep is what a process may have more than at the beginning, by role: connections come and go, the collector is lazy, a
// server remembers ended apps and has its log, a worker keeps their output.
var mayKeep = map[string]sample{
	"server": {rssKiB: 96 << 10, threads: 12, fds: 16, files: 40, disk: 128 << 20},
	"worker": {rssKiB: 24 << 10, threads: 12, fds: 16, files: 4200, disk: 32 << 20},
}

// TestSoak has many clients run many short apps while hosts come and go, and looks at what the processes use meanwhile.
func TestSoak(t *testing.T) {
	if os.Getenv(envLong) == "" {
		t.Skipf("takes many minutes: set %s, or run make soak", envLong)
	}
	o := newOrdeal(t, shape{servers: 3, workers: 4, slots: 8})
	c := o.c
	warm := &caller{tr: o.tr, id: 900, api: newClient(), addr: c.api.addrs[0]}
	for range 40 { // what is loaded once and kept is there before the first sample
		warm.submit(o.tr.short(o.rng), true)
	}
	_, err := warm.finish(settleWithin)
	require.NoError(t, err)
	c.idle()
	first := c.usage()
	t.Logf("usage before, %s", first)

	ctx, stop := context.WithCancel(context.Background())
	var watching sync.WaitGroup
	watching.Go(func() { c.watchUsage(ctx) })
	watching.Go(func() { o.comeAndGo(ctx) })
	o.submitAll()
	stop()
	watching.Wait()
	for _, w := range c.workers {
		require.NoError(t, restart(c, w))
	}
	c.waitReadyWithin(settleWithin)
	last, err := (&caller{tr: o.tr, id: 901, api: newClient()}).finish(soakWithin)
	require.NoError(t, err)
	c.idle()
	after := c.usage()
	t.Logf("usage at the end, %s", after)
	c.cameBack(first)
	for _, s := range c.servers {
		c.caughtUp(s)
	}
	for _, p := range c.processes() {
		p.kill()
	}
	o.oneEnd(last)
}

// submitAll has the clients submit their share, each app until it is accepted, with no more in flight than there are slots.
func (o *ordeal) submitAll() {
	var left atomic.Int32
	left.Store(soakApps)
	deadline := time.Now().Add(soakWithin)
	var all sync.WaitGroup
	for i := range soakClients {
		rng := rand.New(rand.NewPCG(o.seed, uint64(i+1))) //nolint:gosec // not for secrets
		k := &caller{tr: o.tr, id: i, api: newClient(), addr: o.c.api.addrs[i%len(o.c.api.addrs)]}
		all.Go(func() {
			for left.Add(-1) >= 0 && time.Now().Before(deadline) {
				for op := k.submit(o.tr.short(rng), true); op.End != history.OK && time.Now().Before(deadline); {
					<-time.After(100 * time.Millisecond)
					op = k.submit(o.tr.short(rng), true)
				}
				for o.tr.inFlight() > 40 && time.Now().Before(deadline) {
					k.list()
					<-time.After(100 * time.Millisecond)
				}
			}
		})
	}
	all.Wait()
	require.Less(o.c.t, left.Load(), int32(1), "not all apps were submitted in time")
}

// comeAndGo kills or stops one worker at a time and starts it again, until ctx ends.
func (o *ordeal) comeAndGo(ctx context.Context) {
	rng := rand.New(rand.NewPCG(o.seed, 2000)) //nolint:gosec // not for secrets
	for ctx.Err() == nil {
		w := pick(rng, o.c.workers[1:]) // the first stays, and is compared with itself
		if rng.IntN(2) == 0 {
			w.kill()
		} else {
			w.interrupt(o.c.t)
		}
		o.note("gone: " + w.name)
		select {
		case <-time.After(time.Duration(1+rng.IntN(4)) * time.Second):
		case <-ctx.Done():
		}
		w.start(o.c.t)
		select {
		case <-time.After(time.Duration(3+rng.IntN(5)) * time.Second):
		case <-ctx.Done():
		}
	}
}

// usage is what the processes of a cluster use.
type usage map[string]sample

// sample is what one process uses: of memory, threads, open files, and files and bytes below its data directory.
type sample struct {
	rssKiB, threads, fds, files int
	disk                        int64
}

func (u usage) String() string {
	out := fmt.Sprintf("%-4s %9s %8s %5s %6s %9s\n", "", "rss MiB", "threads", "fds", "files", "disk MiB")
	for _, name := range []string{"s1", "s2", "s3", "w1", "w2", "w3", "w4"} {
		s := u[name]
		out += fmt.Sprintf("%-4s %9.1f %8d %5d %6d %9.1f\n", name, float64(s.rssKiB)/1024, s.threads, s.fds, s.files, float64(s.disk)/(1<<20))
	}
	return out
}

// usage looks at all processes that run.
func (c *cluster) usage() usage {
	out := usage{}
	for _, p := range c.processes() {
		if s, err := sampleOf(p); err == nil {
			out[p.name] = s
		}
	}
	return out
}

func sampleOf(p *process) (s sample, err error) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.pid()))
	if err != nil {
		return s, err
	}
	for line := range strings.Lines(string(status)) {
		_, _ = fmt.Sscanf(line, "VmRSS: %d", &s.rssKiB) // other lines
		_, _ = fmt.Sscanf(line, "Threads: %d", &s.threads)
	}
	fds, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", p.pid()))
	s.fds = len(fds)
	_ = filepath.WalkDir(p.dir, func(_ string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return nil // it is just being removed
		}
		if info, err := d.Info(); err == nil {
			s.files++
			s.disk += info.Size()
		}
		return nil
	})
	return s, err
}

// watchUsage prints the curve.
func (c *cluster) watchUsage(ctx context.Context) {
	began := time.Now()
	for {
		select {
		case <-ctx.Done():
			return
		case <-time.After(sampleEach):
			c.t.Logf("usage after %s, %s", time.Since(began).Round(time.Second), c.usage())
		}
	}
}

// cameBack waits until no process that has run all the time has more of anything than it may keep, and no executor is left.
func (c *cluster) cameBack(first usage) {
	c.t.Helper()
	c.noExecutors("")
	c.eventually(patience, "what was used is free again", func() error {
		now := c.usage()
		for _, p := range c.processes() {
			if p.name != "w1" && p.role != "server" {
				continue
			}
			a, b, more := first[p.name], now[p.name], mayKeep[p.role]
			if b.rssKiB > a.rssKiB+more.rssKiB || b.threads > a.threads+more.threads || b.fds > a.fds+more.fds ||
				b.files > a.files+more.files || b.disk > a.disk+more.disk {
				return fmt.Errorf("%s has %+v, at first %+v, and may have %+v more", p.name, b, a, more)
			}
		}
		return nil
	})
}

// oneEnd asks the log whether each app that was accepted has ended once.
func (o *ordeal) oneEnd(last history.Op) {
	t := o.c.t
	t.Helper()
	logs := map[string][]history.Entry{}
	for _, s := range o.c.servers {
		logs[s.name] = dumpLog(t, s, false)
	}
	log, err := history.Agree(logs)
	require.NoError(t, err)
	ops := o.tr.rec.Ops()
	require.NoError(t, history.Witness(ops, log))
	require.NoError(t, history.Audit(ops, log))
	ends := map[string]int{}
	for _, a := range last.Apps {
		require.True(t, over(a), "%+v", a)
		ends[a.Phase]++
	}
	shown := map[string]bool{}
	for _, a := range last.Apps {
		shown[a.ID] = true
	}
	for _, op := range ops {
		if op.Kind == history.Submit && op.End == history.OK {
			require.True(t, shown[op.Apps[0].ID], "app %s was accepted and is lost", op.Apps[0].ID)
		}
	}
	t.Logf("%d apps: %v", len(last.Apps), ends)
	require.GreaterOrEqual(t, len(last.Apps), soakApps)
	require.Positive(t, ends["succeeded"])
}
