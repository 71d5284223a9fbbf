package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"
)

const (
	alltoallRanks = 8
	// progressLines is how often examples/alltoall says how far it is.
	progressLines = 10
	// never has no rank move.
	never = 0
)

// course is one way for an all-to-all to go.
type course struct {
	what  string
	place string
	moves int // of ten parts of the program, after how many half of the ranks move to the other half; never: they stay
}

// alltoall measures the experiment of the traces (README, Scheduling) with real ranks: an all-to-all of eight ranks that begins on two hosts, four on each, and
// whose one half moves to the other when a part of it is done, beside one that stays and one that is on one host from the beginning.
func (b *bench) alltoall(ctx context.Context) (err error) {
	courses := []course{{"never moved", "w1:4,w2:4", never}}
	for _, tenths := range []int{2, 4, 6, 8} {
		courses = append(courses, course{fmt.Sprintf("moved at %d %%", 10*tenths), "w1:4,w2:4", tenths})
	}
	courses = append(courses, course{"on one host", "w1:8", never})
	iterations, count := 16_000, 64
	if b.quick {
		iterations = 2000
	}
	where, enter := "between 2 hosts of this machine", []string(nil)
	cluster := func(f func(env []string) error) error { return b.dev(ctx, 1, 2, alltoallRanks, f) }
	if n, err := b.newMachines(ctx); err != nil {
		fmt.Fprintf(os.Stderr, "bench: the all-to-all is on two hosts of this machine, there can be no two machines here: %v\n", err)
	} else {
		defer func() { err = errors.Join(err, removeSpaces(ctx, os.Getpid())) }()
		where, enter = "between 2 machines", n.enter
		cluster = func(f func(env []string) error) error { return b.apart(ctx, n, alltoallRanks, f) }
	}
	took := make([][]float64, len(courses))
	pauses := make([][]float64, len(courses))
	sum := ""
	err = cluster(func(env []string) error {
		for range b.repeats {
			for i, c := range courses {
				r, err := b.alltoallOnce(ctx, env, enter, c, iterations, count)
				if err != nil {
					return fmt.Errorf("%s: %w", c.what, err)
				}
				if sum == "" {
					sum = r.sum
				}
				if r.sum != sum {
					return fmt.Errorf("%s: the result is %q, and was %q", c.what, r.sum, sum)
				}
				took[i], pauses[i] = append(took[i], r.took), append(pauses[i], r.pauses...)
			}
		}
		return nil
	})
	for i, c := range courses {
		if len(took[i]) == 0 {
			continue
		}
		what := fmt.Sprintf("all-to-all of %d ranks %s, 4+4, %s", alltoallRanks, where, c.what)
		b.core = append(b.core, row{what: what, unit: "s", godwit: took[i], peers: []peerFigure{{peer: courses[0].what, values: took[0]}}})
	}
	for i, c := range courses {
		if len(pauses[i]) > 0 {
			b.core = append(b.core, row{what: fmt.Sprintf("pause of a rank, %s", c.what), unit: "ms", godwit: pauses[i]})
		}
	}
	return err
}

// ran is what came of one all-to-all.
type ran struct {
	took   float64 // seconds, from the beginning of its ranks to the end of the last
	sum    string  // its last line, the same wherever it runs
	pauses []float64
}

// alltoallOnce runs one. Each element that a rank receives is checked by the program, and all ranks' sums are in its last line.
func (b *bench) alltoallOnce(ctx context.Context, env, enter []string, c course, iterations, count int) (r ran, err error) {
	godwit := func(args ...string) (string, error) {
		return output(ctx, env, slices.Concat(enter, []string{b.godwit}, args)...)
	}
	id, err := godwit("submit", "-n", strconv.Itoa(alltoallRanks), "--place", c.place, "examples/alltoall/alltoall.wasm", strconv.Itoa(iterations), strconv.Itoa(count))
	if err != nil {
		return r, err
	}
	id = strings.TrimSpace(id)
	ctx, cancel := context.WithTimeout(ctx, commandLimit)
	defer cancel()
	logs := command(ctx, slices.Concat(enter, []string{b.godwit, "logs", "-f", id})...)
	logs.Env, logs.Stderr = env, os.Stderr
	out, err := logs.StdoutPipe()
	if err != nil {
		return r, err
	}
	if err := logs.Start(); err != nil {
		return r, err
	}
	lines := 0
	var moved error
	for s := bufio.NewScanner(out); s.Scan(); {
		r.sum = s.Text()
		if lines++; lines == c.moves {
			_, moved = godwit("migrate", id+"/4,5,6,7", "--to", "w1")
		}
	}
	if err := errors.Join(logs.Wait(), moved); err != nil {
		return r, err
	}
	if lines != progressLines+1 {
		return r, fmt.Errorf("it printed %d lines, not %d; the last is %q", lines, progressLines+1, r.sum)
	}
	if r.took, err = lasted(godwit("show", id, "-o", "json")); err != nil || c.moves == never {
		return r, err
	}
	r.pauses, err = pausesOf(godwit("migrations", "--app", id, "-o", "json"))
	return r, err
}

// lasted is for how many seconds an app has run, by what show prints.
func lasted(out string, err error) (float64, error) {
	if err != nil {
		return 0, err
	}
	var app struct {
		Phase     string
		StartedAt time.Time `json:"started_at"`
		EndedAt   time.Time `json:"ended_at"`
	}
	if err := json.Unmarshal([]byte(out), &app); err != nil {
		return 0, err
	}
	if app.Phase != "succeeded" {
		return 0, fmt.Errorf("the app is %s", app.Phase)
	}
	return app.EndedAt.Sub(app.StartedAt).Seconds(), nil
}

// pausesOf are how long the ranks of an app's one migration stood still, by what migrations prints.
func pausesOf(out string, err error) (pauses []float64, _ error) {
	if err != nil {
		return nil, err
	}
	var migs []struct {
		Phase, Reason string
		Moves         []struct {
			PauseMs float64 `json:"pause_ms"`
		}
	}
	if err := json.Unmarshal([]byte(out), &migs); err != nil {
		return nil, err
	}
	if len(migs) != 1 || migs[0].Phase != "committed" {
		return nil, fmt.Errorf("not one committed migration: %s", out)
	}
	for _, m := range migs[0].Moves {
		pauses = append(pauses, m.PauseMs)
	}
	return pauses, nil
}
