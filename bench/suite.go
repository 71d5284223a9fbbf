package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

const (
	sources = "bench/mpi"
	// turnLimit is the most that one run of a peer may take among many: one that spins while it waits may never come to an end
	// where the ranks are many more than the processors.
	turnLimit = 10 * time.Second
	// sameWithin is the relative difference of two sums of the same numbers in another order.
	sameWithin = 1e-9
)

// program is one source of bench/mpi.
type program struct {
	name        string
	args, quick []string
	sized       func(size int) string // what its sizes are
}

// trial is a program with so many ranks at a place.
type trial struct {
	program

	ranks int
	at    place
}

// String is how its rows end.
func (t trial) String() string { return fmt.Sprintf("%d ranks %s", t.ranks, t.at) }

// inBytes is the size of a message; a call without one has none.
func inBytes(n int) string {
	switch {
	case n == 0:
		return ""
	case n >= 1<<20:
		return fmt.Sprintf(" %d MiB", n>>20)
	case n >= 1<<10:
		return fmt.Sprintf(" %d KiB", n>>10)
	default:
		return fmt.Sprintf(" %d B", n)
	}
}

func squared(n int) string { return fmt.Sprintf(" %d x %d", n, n) }

// messagePrograms are those that measure MPI itself; each measurement takes so many milliseconds.
func messagePrograms(milliseconds string) []program {
	full, quick := []string{milliseconds}, []string{"5"}
	return []program{
		{"pingpong", full, quick, inBytes},
		{"msgrate", full, quick, inBytes},
		{"collectives", full, quick, inBytes},
	}
}

// messages measures what MPI itself takes.
func (b *bench) messages(ctx context.Context) error {
	return b.near(ctx, messagePrograms("50"), []int{2, 4, 4})
}

// kernels measures programs that compute, and compares their results.
func (b *bench) kernels(ctx context.Context) error {
	return b.near(ctx, []program{
		{"stencil", []string{"1024", "200"}, []string{"128", "10"}, squared},
		{"transpose", []string{"1024", "21"}, []string{"128", "5"}, squared},
		{"spmv", []string{"65536", "100"}, []string{"4096", "10"}, squared},
	}, []int{4, 4, 4})
}

// files measures MPI-IO on a file of this machine.
func (b *bench) files(ctx context.Context) error {
	b.volume = filepath.Join(b.dir, "files")
	defer func() { b.volume = "" }()
	if err := os.Mkdir(b.volume, 0o700); err != nil {
		return err
	}
	return b.near(ctx, []program{{"files", []string{"64", "3", b.volume}, []string{"1", "1", b.volume}, inBytes}}, []int{4})
}

// near tries programs with so many ranks each on one host, and with each rank on a host of its own.
func (b *bench) near(ctx context.Context, programs []program, ranks []int) error {
	var trials []trial
	for i, p := range programs {
		trials = append(trials, trial{p, ranks[i], b.on(1)})
	}
	for i, p := range programs {
		trials = append(trials, trial{p, ranks[i], b.on(ranks[i])})
	}
	return b.suite(ctx, trials, commandLimit, func(f func([]string) error) error {
		most := slices.Max(ranks)
		return b.dev(ctx, 1, most, most, f)
	})
}

// suite is trials of every build.
type suite struct {
	bench    *bench
	builds   []build             // Godwit first
	bins     map[string][]string // by the program's name, of each build
	sums     map[string]sum      // of what is computed
	limit    time.Duration       // of one run of a peer
	rows     []row
	overtime map[overtime]int // the ranks with which a peer did not keep within the limit
}

// overtime is a program of a peer at a place.
type overtime struct {
	build   int
	program string
	at      place
}

// sum is the first checksum that was seen, with whose it is.
type sum struct {
	whose string
	value float64
}

// suite tries every build in a cluster, and adds a table. Trials with more ranks stand behind those with fewer.
func (b *bench) suite(ctx context.Context, trials []trial, limit time.Duration, cluster func(func(env []string) error) error) error {
	s := &suite{
		bench: b, builds: []build{b.ours()}, bins: map[string][]string{}, sums: map[string]sum{}, limit: limit, overtime: map[overtime]int{},
	}
	for _, m := range []build{openMPI(), mpich()} {
		if m.installed() {
			s.builds = append(s.builds, m)
		}
	}
	for _, t := range trials {
		if s.bins[t.name] != nil {
			continue
		}
		for _, m := range s.builds {
			bin, err := m.compile(ctx, b.dir, filepath.Join(sources, t.name+".c"))
			if err != nil {
				return err
			}
			s.bins[t.name] = append(s.bins[t.name], bin)
		}
	}
	defer func() { b.mpi = append(b.mpi, s.rows) }()
	return cluster(func(env []string) error {
		for _, t := range trials {
			if err := s.measure(ctx, env, t); err != nil {
				return fmt.Errorf("%s, %s: %w", t.name, t, err)
			}
		}
		return nil
	})
}

// measure runs a trial by every build in turn, several times, and adds its rows. No checksum may differ.
func (s *suite) measure(ctx context.Context, env []string, t trial) error {
	all := newReadings(len(s.builds))
	fmt.Fprintf(os.Stderr, "bench: %s, %s\n", t.name, t)
	for m, build := range s.builds {
		if ranks := s.overtime[overtime{m, t.name, t.at}]; ranks > 0 {
			fmt.Fprintf(os.Stderr, "bench: %s is left out: %d ranks took too long\n", build.name, ranks)
			all.missing[m] = "-"
		}
	}
	for range s.bench.repeats {
		if err := s.round(ctx, env, t, all); err != nil {
			return err
		}
	}
	var err error
	for _, r := range all.list {
		if r.unit == checksum {
			err = errors.Join(err, s.compareSums(r))
			continue
		}
		s.rows = append(s.rows, s.row(t, r, all.missing))
	}
	return err
}

// round runs a trial once by every build. Godwit must succeed. A peer that fails is left out of the trial's other rounds, and
// of trials with more ranks if it took too long; what it has printed counts. One that has printed everything and does not end is
// stopped.
func (s *suite) round(ctx context.Context, env []string, t trial, all *readings) error {
	args, lines, limit := t.args, 0, commandLimit
	if s.bench.quick {
		args = t.quick
	}
	for m, build := range s.builds {
		if all.missing[m] != "" {
			continue
		}
		more, argv := build.launch(t.at, t.ranks)
		argv = slices.Concat(t.at.network.enter, argv, []string{s.bins[t.name][m]}, args)
		out, ended, err := outputLines(ctx, slices.Concat(env, more), limit, lines, argv...)
		if bad := all.add(m, out); err == nil {
			err = bad
		}
		if err != nil && (m == 0 || ctx.Err() != nil) {
			return err
		}
		if err != nil {
			fmt.Fprintf(os.Stderr, "bench: %s failed: %v\n", build.name, err)
			all.missing[m] = "failed"
		}
		if errors.Is(err, context.DeadlineExceeded) {
			s.overtime[overtime{m, t.name, t.at}] = t.ranks
		}
		if !ended {
			fmt.Fprintf(os.Stderr, "bench: %s did not end after its results, and was stopped\n", build.name)
		}
		if m == 0 {
			lines, limit = strings.Count(out, "\n"), s.limit
		}
	}
	return nil
}

// row is the line of a reading; missing is what peers say that have no value.
func (s *suite) row(t trial, r *reading, missing []string) row {
	line := row{what: r.name + t.sized(r.size), where: t.String(), unit: r.unit, higher: r.unit != "us", godwit: r.values[0]}
	for m := 1; m < len(s.builds); m++ {
		p := peerFigure{peer: s.builds[m].name, values: r.values[m]}
		if len(p.values) == 0 {
			p.missing = missing[m]
		}
		line.peers = append(line.peers, p)
	}
	return line
}

// compareSums holds all builds, in every run and place, to the first result.
func (s *suite) compareSums(r *reading) error {
	for m, values := range r.values {
		for _, v := range values {
			first, seen := s.sums[r.key()]
			if !seen {
				s.sums[r.key()] = sum{s.builds[m].name, v}
				continue
			}
			if !(math.Abs(v-first.value) <= sameWithin*math.Abs(first.value)) { // so that NaN differs
				return fmt.Errorf("the checksum of %s is %s with %s, %s with %s", r.key(),
					strconv.FormatFloat(v, 'g', -1, 64), s.builds[m].name,
					strconv.FormatFloat(first.value, 'g', -1, 64), first.whose)
			}
		}
	}
	return nil
}
