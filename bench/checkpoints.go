package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// devDir is how the variable begins that names the data directory of a godwit dev.
const devDir = "GODWIT_BENCH_DIR="

const (
	heat2d = "examples/heat2d/heat2d.wasm"
	sweep  = "worker/wasm/testdata/sweep.wasm"
)

// checkpoints measures what checkpoints cost a program, for how long its ranks stand still for one, and how long it takes after the loss of a host until they run again.
func (b *bench) checkpoints(ctx context.Context) error {
	if err := b.dev(ctx, 1, 2, 8, func(env []string) error {
		if err := b.savingCost(ctx, env); err != nil {
			return err
		}
		return b.standing(ctx, env)
	}); err != nil {
		return err
	}
	var again, lost []float64
	want := ""
	for range max(1, b.repeats-3) {
		err := b.dev(ctx, 1, 3, 8, func(env []string) error {
			took, since, err := b.lostHost(ctx, env, &want)
			again, lost = append(again, took), append(lost, since)
			return err
		})
		if err != nil {
			return err
		}
	}
	b.core = append(b.core, row{
		what: "a host is killed: until all 8 ranks run again", unit: "s", godwit: again, peers: []peerFigure{{peer: "the lease", values: []float64{10}}},
	}, row{what: "a host is killed: work lost, at a checkpoint every 5 s", unit: "s", godwit: lost, peers: []peerFigure{{peer: "the period", values: []float64{5}}}})
	return nil
}

// sweepLimit is how long a run of it may take where the machine has other things to do: ten times as long as it should.
const sweepLimit = 5 * time.Minute

// sweeping is a program of two ranks that writes to all of its memory in every round.
type sweeping struct {
	bench  *bench
	env    []string
	dir    string // of the cluster
	mib    int    // of each rank
	rounds int
	period int             // of checkpoints, in seconds
	seen   map[string]bool // checkpoints that were complete
	idle   float64         // processors that the cluster takes without an app: a run that takes longer by others' doing has more of that
}

// swept is what a run of it has taken, in seconds, and how many checkpoints were complete.
type swept struct {
	time, processor float64
	checkpoints     int
}

// run runs it, with checkpoints or without.
func (s *sweeping) run(ctx context.Context, saves bool) (out swept, err error) {
	name := fmt.Sprintf("sweep-%d", time.Now().UnixNano())
	args := []string{s.bench.godwit, "run", "-q", "-n", "2", "--place", "w1:1,w2:1", "--name", name}
	if saves {
		args = append(args, "--checkpoint-period", fmt.Sprintf("%ds", s.period))
	}
	seen := len(s.seen)
	watching, stop := context.WithCancel(ctx)
	watched := make(chan error, 1)
	go func() { // until the run has ended
		for saves && watching.Err() == nil {
			if _, err := s.bench.completed(ctx, s.env, s.seen); err != nil {
				watched <- err
				return
			}
			select {
			case <-time.After(time.Second): // a few are kept
			case <-watching.Done():
			}
		}
		watched <- nil
	}()
	before, begin := processorTimes(s.dir), time.Now()
	_, _, err = outputLines(ctx, s.env, sweepLimit, 0, append(args, sweep, strconv.Itoa(s.mib), strconv.Itoa(s.rounds))...)
	out.time = time.Since(begin).Seconds()
	out.processor = total(processorTimes(s.dir).since(before)) - s.idle*out.time
	stop()
	err = errors.Join(err, <-watched)
	out.checkpoints = len(s.seen) - seen
	return out, err
}

func total(t times) (sum float64) {
	for _, seconds := range t {
		sum += seconds
	}
	return sum
}

// rest measures what the cluster takes without an app.
func (s *sweeping) rest() {
	const long = 5 * time.Second
	before := processorTimes(s.dir)
	time.Sleep(long)
	s.idle = total(processorTimes(s.dir).since(before)) / long.Seconds()
}

// calibrate finds how many rounds take so many seconds on the machine as it is.
func (s *sweeping) calibrate(ctx context.Context, seconds float64) error {
	few := []int{10, 10, 80} // the first compiles it
	took := make([]float64, len(few))
	for i, n := range few {
		s.rounds = n
		r, err := s.run(ctx, false)
		if err != nil {
			return err
		}
		took[i] = r.time
	}
	each := max(took[2]-took[1], took[2]/8) / float64(few[2]-few[1]) // the machine may have had other things to do in the shorter one
	s.rounds = max(few[2], int(seconds/each))
	return nil
}

// savingCost runs a program with checkpoints and without, in turn, for so long that a few are made, and says what one adds, as a share of 30 s.
func (b *bench) savingCost(ctx context.Context, env []string) error {
	const of = 30.0
	s := &sweeping{bench: b, env: env, dir: dirOf(env), mib: 64, period: 8, seen: map[string]bool{}}
	seconds := 30.0
	if b.quick {
		s.mib, s.period, seconds = 1, 1, 3
	}
	s.rest()
	var time, still, processor, cheap, longer, more []float64
	n := 0
	for range max(1, b.repeats-2) {
		if err := s.calibrate(ctx, seconds); err != nil { // for each pair: the machine may be busier than before
			return err
		}
		with, err := s.run(ctx, true)
		if err != nil {
			return err
		}
		without, err := s.run(ctx, false)
		if err != nil {
			return err
		}
		n += with.checkpoints
		time, still = append(time, with.time), append(still, without.time)
		processor, cheap = append(processor, with.processor), append(cheap, without.processor)
		if with.checkpoints > 0 {
			longer = append(longer, (with.time-without.time)/float64(with.checkpoints)/of*100)
			more = append(more, (with.processor-without.processor)/float64(with.checkpoints)/of/2*100)
		}
	}
	what := fmt.Sprintf("2 ranks that write to all of %d MiB, a checkpoint every %d s", s.mib, s.period)
	b.core = append(b.core,
		row{what: what + fmt.Sprintf(" (%d in all)", n), unit: "s", godwit: time, peers: []peerFigure{{peer: "no checkpoints", values: still}}},
		row{what: what + ": processor time, but for what the cluster takes without an app", unit: "s", godwit: processor, peers: []peerFigure{{peer: "no checkpoints", values: cheap}}},
	)
	if len(longer) > 0 {
		goal := []peerFigure{{peer: "the goal", values: []float64{2}}}
		b.core = append(b.core,
			row{what: "what one adds to the run, of 30 s", unit: "%", godwit: longer, peers: goal},
			row{what: "what one takes of two processors, of 30 s", unit: "%", godwit: more, peers: goal})
	}
	return nil
}

// standing measures for how long ranks stand still for a checkpoint, beside a plain copy of as many bytes.
func (b *bench) standing(ctx context.Context, env []string) error {
	bin, err := b.ours().compile(ctx, b.dir, filepath.Join(sources, "churn.c"))
	if err != nil {
		return err
	}
	list := []move{{64, 1, 2}, {512, 1, 1}}
	if b.quick {
		list = []move{{1, 0, 2}}
	}
	for _, m := range list {
		pauses, err := b.saving(ctx, env, bin, m)
		if err != nil {
			return err
		}
		var plain []float64
		for range b.repeats {
			took, err := copied(ctx, m.mib*m.ranks<<20)
			if err != nil {
				return err
			}
			plain = append(plain, took.Seconds()*1e3)
		}
		b.core = append(b.core, row{what: "pause for a checkpoint, " + m.String(), unit: "ms", godwit: pauses, peers: []peerFigure{{peer: "copy", values: plain}}})
	}
	return nil
}

// saving makes checkpoints of an app: how long its ranks stood still for each but the first, in milliseconds.
func (b *bench) saving(ctx context.Context, env []string, bin string, m move) (pauses []float64, err error) {
	id, err := output(ctx, env, b.godwit, "submit", "-n", strconv.Itoa(m.ranks), bin, strconv.Itoa(m.mib), strconv.Itoa(m.percent))
	if err != nil {
		return nil, err
	}
	id = strings.TrimSpace(id)
	defer func() {
		_, cerr := output(context.WithoutCancel(ctx), env, b.godwit, "cancel", id)
		err = errors.Join(err, cerr)
	}()
	for filled := 0; filled < m.ranks && ctx.Err() == nil; time.Sleep(pollEach) {
		out, err := output(ctx, env, b.godwit, "logs", id)
		if err != nil && !strings.Contains(err.Error(), "no output") {
			return nil, err
		}
		filled = strings.Count(out, "filled")
	}
	for i := range 2*b.repeats + 1 {
		out, err := output(ctx, env, b.godwit, "checkpoint", "-o", "json", id)
		if err != nil {
			return nil, err
		}
		c, err := parseSaved("[" + out + "]")
		if err != nil {
			return nil, err
		}
		if i > 0 {
			pauses = append(pauses, c[0].pause())
		}
	}
	return pauses, nil
}

// saved is what is known of a checkpoint.
type saved struct {
	ID      string `json:"id"`
	App     string `json:"app"`
	Phase   string
	TakenAt time.Time `json:"taken_at"`
	Parts   []struct {
		PauseMs float64 `json:"pause_ms"`
	}
}

func (s *saved) pause() (longest float64) {
	for _, p := range s.Parts {
		longest = max(longest, p.PauseMs)
	}
	return longest
}

func parseSaved(text string) (list []saved, err error) {
	err = json.Unmarshal([]byte(text), &list)
	return list, err
}

// ended is how a command has ended.
type ended struct {
	out string
	err error
}

// lostHost kills a worker under an app that has a checkpoint every 5 s, and returns how long it takes until all ranks run again, and how old the checkpoint was, in seconds. What the app prints has to be
// what it prints when nothing happens, which is found out once.
func (b *bench) lostHost(ctx context.Context, env []string, want *string) (again, lost float64, err error) {
	args := []string{heat2d, "512", "512", "12000", "100"}
	if b.quick {
		args[3] = "5000"
	}
	run := func(more ...string) (string, error) {
		return output(ctx, env, append(append([]string{b.godwit, "run", "-q", "-n", "8", "--place", "w1:4,w2:4"}, more...), args...)...)
	}
	if *want == "" {
		if *want, err = run(); err != nil {
			return 0, 0, err
		}
	}
	done := make(chan ended, 1)
	go func() {
		out, err := run("--name", "lost", "--checkpoint-period", map[bool]string{true: "1s", false: "5s"}[b.quick])
		done <- ended{out, err}
	}()
	taken, err := b.firstSaved(ctx, env, done)
	if err != nil {
		return 0, 0, err
	}
	time.Sleep(2 * time.Second) // of work that will be lost
	pid, err := pidOf(env, "w2")
	if err != nil {
		return 0, 0, err
	}
	// It stands still, and is not started anew before its lease is over.
	if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
		return 0, 0, err
	}
	killed := time.Now()
	lost = killed.Sub(taken).Seconds()
	if err := b.secondAttempt(ctx, env, done); err != nil {
		return 0, 0, err
	}
	again = time.Since(killed).Seconds()
	e := <-done
	if e.err == nil && e.out != *want {
		e.err = errors.New("the app that lost a host prints something else")
	}
	return again, lost, e.err
}

// sooner says that a command has ended before what it was watched for.
func sooner(done <-chan ended, what string) error {
	select {
	case e := <-done:
		return errors.Join(fmt.Errorf("the app has ended before %s", what), e.err)
	default:
		return nil
	}
}

// secondAttempt waits until an app runs for the second time.
func (b *bench) secondAttempt(ctx context.Context, env []string, done <-chan ended) error {
	for ctx.Err() == nil {
		if err := sooner(done, "it has run for the second time"); err != nil {
			return err
		}
		out, err := output(ctx, env, b.godwit, "ps", "-a", "-o", "json")
		if err != nil {
			return err
		}
		var apps []struct {
			Phase   string
			Attempt int
		}
		if err := json.Unmarshal([]byte(out), &apps); err != nil {
			return err
		}
		for _, a := range apps {
			if a.Attempt == 2 && a.Phase == "running" {
				return nil
			}
		}
		time.Sleep(pollEach)
	}
	return ctx.Err()
}

// firstSaved waits for a complete checkpoint, and returns when it was taken.
func (b *bench) firstSaved(ctx context.Context, env []string, done <-chan ended) (time.Time, error) {
	for ctx.Err() == nil {
		if err := sooner(done, "a checkpoint of it was complete"); err != nil {
			return time.Time{}, err
		}
		at, err := b.completed(ctx, env, map[string]bool{})
		if !at.IsZero() || err != nil {
			return at, err
		}
		time.Sleep(pollEach)
	}
	return time.Time{}, ctx.Err()
}

// completed notes which checkpoints are complete, and says when one of them was taken, if there is one.
func (b *bench) completed(ctx context.Context, env []string, ids map[string]bool) (at time.Time, err error) {
	out, err := output(ctx, env, b.godwit, "checkpoints", "-o", "json")
	if err != nil {
		return at, err
	}
	list, err := parseSaved(out)
	for _, s := range list {
		if s.Phase == "complete" {
			at, ids[s.ID] = s.TakenAt, true
		}
	}
	return at, err
}

// dirOf is the data directory of a godwit dev.
func dirOf(env []string) string {
	for _, v := range env {
		if dir, ok := strings.CutPrefix(v, devDir); ok {
			return dir
		}
	}
	return ""
}

// pidOf is the process of a name in a godwit dev.
func pidOf(env []string, name string) (int, error) {
	text, err := os.ReadFile(filepath.Join(dirOf(env), "dev.json"))
	if err != nil {
		return 0, err
	}
	var list []struct {
		Name string
		Pid  int
	}
	if err := json.Unmarshal(text, &list); err != nil {
		return 0, err
	}
	for _, p := range list {
		if p.Name == name {
			return p.Pid, nil
		}
	}
	return 0, fmt.Errorf("godwit dev does not say which process %s is", name)
}
