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
	mib, rounds, period := 64, 3000, "30s" // of two ranks, all of it written in every round
	if b.quick {
		mib, rounds, period = 1, 4000, "1s"
	}
	if err := b.dev(ctx, 1, 2, 8, func(env []string) error {
		if err := b.savingCost(ctx, env, mib, rounds, period); err != nil {
			return err
		}
		return b.standing(ctx, env)
	}); err != nil {
		return err
	}
	var again, lost []float64
	for range max(1, b.repeats-2) {
		err := b.dev(ctx, 1, 3, 8, func(env []string) error {
			took, since, err := b.lostHost(ctx, env)
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

// savingCost runs a program with checkpoints and without, in turn.
func (b *bench) savingCost(ctx context.Context, env []string, mib, rounds int, period string) error {
	var with, without []float64
	for i := range 2 * max(1, b.repeats-2) {
		args := []string{b.godwit, "run", "-q", "-n", "2", "--place", "w1:1,w2:1"}
		if i%2 == 0 {
			args = append(args, "--checkpoint-period", period)
		}
		begin := time.Now()
		if _, err := output(ctx, env, append(args, sweep, strconv.Itoa(mib), strconv.Itoa(rounds))...); err != nil {
			return err
		}
		if took := time.Since(begin).Seconds(); i%2 == 0 {
			with = append(with, took)
		} else {
			without = append(without, took)
		}
	}
	b.core = append(b.core, row{
		what: fmt.Sprintf("2 ranks that write to all of %d MiB, a checkpoint every %s", mib, period), unit: "s", godwit: with, peers: []peerFigure{{peer: "no checkpoints", values: without}},
	})
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

// lostHost kills a worker under an app that has a checkpoint every 5 s, and returns how long it takes until all ranks run again, and how old the checkpoint was, in seconds. What the app prints has to be
// what it prints when nothing happens.
func (b *bench) lostHost(ctx context.Context, env []string) (again, lost float64, err error) {
	args := []string{heat2d, "512", "512", "12000", "100"}
	if b.quick {
		args[3] = "5000"
	}
	run := func(more ...string) (string, error) {
		return output(ctx, env, append(append([]string{b.godwit, "run", "-q", "-n", "8", "--place", "w1:4,w2:4"}, more...), args...)...)
	}
	want, err := run()
	if err != nil {
		return 0, 0, err
	}
	type ended struct {
		out string
		err error
	}
	done := make(chan ended, 1)
	go func() {
		out, err := run("--name", "lost", "--checkpoint-period", map[bool]string{true: "1s", false: "5s"}[b.quick])
		done <- ended{out, err}
	}()
	taken, err := b.firstSaved(ctx, env)
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
	if err := b.secondAttempt(ctx, env); err != nil {
		return 0, 0, err
	}
	again = time.Since(killed).Seconds()
	e := <-done
	if e.err == nil && e.out != want {
		e.err = errors.New("the app that lost a host prints something else")
	}
	return again, lost, e.err
}

// secondAttempt waits until an app runs for the second time.
func (b *bench) secondAttempt(ctx context.Context, env []string) error {
	for ctx.Err() == nil {
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
func (b *bench) firstSaved(ctx context.Context, env []string) (time.Time, error) {
	for ctx.Err() == nil {
		out, err := output(ctx, env, b.godwit, "checkpoints", "-o", "json")
		if err != nil {
			return time.Time{}, err
		}
		list, err := parseSaved(out)
		if err != nil {
			return time.Time{}, err
		}
		for _, s := range list {
			if s.Phase == "complete" {
				return s.TakenAt, nil
			}
		}
		time.Sleep(pollEach)
	}
	return time.Time{}, ctx.Err()
}

// pidOf is the process of a name in a godwit dev.
func pidOf(env []string, name string) (int, error) {
	for _, v := range env {
		dir, ok := strings.CutPrefix(v, devDir)
		if !ok {
			continue
		}
		text, err := os.ReadFile(filepath.Join(dir, "dev.json"))
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
	}
	return 0, fmt.Errorf("godwit dev does not say which process %s is", name)
}
