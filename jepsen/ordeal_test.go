package jepsen

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/api/v1/apiv1connect"
	"github.com/godwit-run/godwit/jepsen/history"
)

// ordeal is a cluster with clients at work and nemeses among them, and what came of it.
type ordeal struct {
	c    *cluster
	tr   *traffic
	rng  *rand.Rand
	seed uint64
	// fired counts how often each nemesis has done its harm.
	fired map[string]int
	// terms and moved are how many terms the log knows and how many migrations it committed.
	terms, moved int
}

// How long things take in an ordeal. What is random of them is so around these.
const (
	quietFor  = 2 * time.Second // before the first harm
	harmFor   = 4 * time.Second
	healedFor = 2 * time.Second // between two harms
	// settleWithin is how soon after the last harm everything must be at work again.
	settleWithin = 90 * time.Second
	// judgeWithin bounds the search for an order; a longer one has failed.
	judgeWithin = 60 * time.Second
)

// wholeLog keeps servers from cutting their logs: the judges want them whole.
func wholeLog() []string { return []string{"--snapshot-threshold", "1000000"} }

func newOrdeal(t *testing.T, s shape) *ordeal {
	t.Helper()
	seed := seedOf(t)
	s.serverArgs = append(s.serverArgs, wholeLog()...)
	o := &ordeal{c: newCluster(t, s), rng: rand.New(rand.NewPCG(seed, 0)), seed: seed, fired: map[string]int{}} //nolint:gosec // not for secrets
	o.c.revives = true
	o.tr = &traffic{c: o.c, rec: history.NewRecorder(), live: map[string]bool{}, kept: map[string]bool{}}
	o.tr.digest, o.tr.long, o.tr.bad = o.push("hello", helloModule), o.push("steady", steadyModule), o.push("exit", guests+"exit.wasm")
	return o
}

// push makes a module known and returns its digest.
func (o *ordeal) push(name, path string) string {
	o.c.t.Helper()
	o.c.must("module", "push", path)
	return o.c.module(name)
}

// module is the digest of a module that is known by a name.
func (c *cluster) module(name string) string {
	c.t.Helper()
	digest := ""
	c.ask(func(ctx context.Context, control apiv1connect.ControlClient) error {
		res, err := control.ListModules(ctx, &apiv1.ListModulesRequest{})
		for _, m := range res.GetModules() {
			if strings.HasPrefix(m.GetName(), name) {
				digest = m.GetDigest()
			}
		}
		return err
	})
	require.NotEmpty(c.t, digest, "module %s", name)
	return digest
}

// run lets clients work while harm does its work, then heals all and waits until everything has come to its end. If it does
// not, the judges say why, perhaps.
func (o *ordeal) run(harm func()) {
	t := o.c.t
	t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	var all sync.WaitGroup
	all.Go(func() { o.tr.run(ctx, o.seed) })
	o.wait(quietFor)
	harm()
	o.wait(healedFor)
	stop()
	all.Wait()
	o.note("no more clients")

	var last history.Op
	defer func() {
		for _, d := range o.c.disks {
			d.thaw() // what waits for a frozen one cannot be killed
		}
		for _, p := range o.c.processes() {
			p.kill()
		}
		o.note("judged")
		o.judge(last)
	}()
	o.c.waitReadyWithin(settleWithin)
	var err error
	last, err = (&caller{tr: o.tr, id: 99, api: newClient()}).finish(settleWithin)
	require.NoError(t, err)
	o.c.idle()
	for _, s := range o.c.servers {
		o.c.caughtUp(s) // so that it holds all that the judges will ask for
	}
	o.note("all is at rest")
}

// wait lets time pass for the clients.
func (o *ordeal) wait(d time.Duration) { <-time.After(d) }

// about is a duration around d, by the seed.
func (o *ordeal) about(d time.Duration) time.Duration {
	return d/2 + time.Duration(o.rng.Int64N(int64(d)))
}

// inflict does the harm of some nemeses at a time, and then heals it.
func (o *ordeal) inflict(all ...nemesis) {
	for _, n := range all {
		what, err := n.start(o.c, o.rng)
		require.NoError(o.c.t, err, n.name())
		o.fired[n.name()]++
		o.note(n.name() + ": " + what)
		o.wait(o.about(harmFor) / time.Duration(len(all)))
	}
	for _, d := range o.c.disks {
		d.thaw() // first: to heal what waits for a disk would wait as well
	}
	slices.SortStableFunc(all, func(a, b nemesis) int { return cmp.Compare(asks(a), asks(b)) })
	for _, n := range all {
		require.NoError(o.c.t, n.heal(o.c), n.name())
		o.note("healed: " + n.name())
	}
	for _, s := range o.c.servers {
		require.NoError(o.c.t, restart(o.c, s)) // one that has ended by itself, as it may
	}
	o.wait(o.about(healedFor))
}

// asks is 1 for harm whose healing asks the cluster for something: the rest is to be well by then.
func asks(n nemesis) int {
	if _, ok := n.(*guest); ok {
		return 1
	}
	return 0
}

// note puts what a nemesis did into the history.
func (o *ordeal) note(what string) {
	now := o.tr.rec.Now()
	o.c.t.Logf("%6.2f s  %s", now.Seconds(), what)
	o.tr.rec.Add(history.Op{Client: -1, Kind: history.Fault, Call: now, Return: now, End: history.OK, Error: what})
}

// judge reads the servers' logs and asks all judges.
func (o *ordeal) judge(last history.Op) {
	t := o.c.t
	t.Helper()
	ops := o.tr.rec.Ops()
	saved := filepath.Join(os.TempDir(), fmt.Sprintf("godwit-history-%d.jsonl", o.seed))
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the history is in %s: %v", saved, o.tr.rec.Save(saved))
		}
	})
	logs := map[string][]history.Entry{}
	for i, s := range o.c.servers {
		logs[s.name] = dumpLog(t, s, i == 0) // they agree, and so must what they lead to
	}
	log, err := history.Agree(logs)
	require.NoError(t, err)
	require.NotEmpty(t, log)
	require.EqualValues(t, 1, log[0].Index, "the log is whole")
	require.GreaterOrEqual(t, log[len(log)-1].Index, last.Index, "the log holds the last answer")

	o.note("the logs are read")
	o.account(ops, log)
	for _, judge := range []struct {
		name string
		ask  func() error
	}{
		{"witness", func() error { return history.Witness(ops, log) }},
		{"audit", func() error { return history.Audit(ops, log) }},
		{"order", func() error { return history.Linearizable(ops, judgeWithin) }},
	} {
		if err := judge.ask(); err != nil {
			t.Errorf("%s: %v", judge.name, err)
		}
		o.note("judged: " + judge.name)
	}
	o.quietLogs()
}

// dumpLog reads the log of a server that has ended, and may have the state checked at each entry.
func dumpLog(t *testing.T, s *process, check bool) []history.Entry {
	t.Helper()
	dump := exec.Command(os.Getenv(envBinary), "debug", "raft-dump", fmt.Sprintf("--check=%t", check), s.dir) //nolint:noctx // ends by itself
	var stderr bytes.Buffer
	dump.Stderr = &stderr
	out, err := dump.Output()
	require.NoError(t, err, "dump the log of %s: %s", s.name, stderr.String())
	log, err := history.ReadLog(bytes.NewReader(out))
	require.NoError(t, err, "log of %s", s.name)
	return log
}

// account fails a run that has shown nothing: too little was asked, or nothing happened.
func (o *ordeal) account(ops []history.Op, log []history.Entry) {
	t := o.c.t
	t.Helper()
	ends := map[string]int{}
	done := map[history.Kind]int{}
	for _, op := range ops {
		ends[string(op.End)]++
		if op.End == history.OK {
			done[op.Kind]++
		}
	}
	terms := map[uint64]bool{}
	for _, e := range log {
		terms[e.Term] = true
		o.moved += e.Moved()
	}
	o.terms = len(terms)
	t.Logf("%d operations: %v, done: %v; %d entries, %d terms, %d migrations committed", len(ops), ends, done, len(log), o.terms, o.moved)
	for _, k := range []history.Kind{history.Submit, history.Status, history.List, history.Cancel} {
		require.GreaterOrEqual(t, done[k], 3, "%s: too few of them to have shown anything", k)
	}
}

// neverSaid are words of defects: of a crash, of a command that would have broken the state, of replicas that differ.
func neverSaid() []string {
	return []string{"panic:", "fatal error:", "DATA RACE", "would have broken the state", "state differs from that of"}
}

// quietLogs fails the test if a process has said something that none may ever say.
func (o *ordeal) quietLogs() {
	for _, p := range o.c.processes() {
		if o.c.damaged[p.name] {
			continue
		}
		b, err := os.ReadFile(p.log)
		require.NoError(o.c.t, err)
		for _, never := range neverSaid() {
			if i := strings.Index(string(b), never); i >= 0 {
				o.c.t.Errorf("%s says: %.2000s", p.name, b[i:])
			}
		}
	}
}
