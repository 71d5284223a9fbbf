package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

const (
	sources = "bench/mpi"
	// mostRanks is the most ranks of a program, and so the workers of the cluster.
	mostRanks = 4
	// sameWithin is the relative difference of two sums of the same numbers in another order.
	sameWithin = 1e-9
)

// program is one source of bench/mpi.
type program struct {
	name        string
	ranks       int
	args, quick []string
	sized       func(size int) string // what its sizes are
}

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

// messages measures what MPI itself takes.
func (b *bench) messages(ctx context.Context) error {
	full, quick := []string{"50"}, []string{"5"} // milliseconds of one measurement
	return b.suite(ctx, []program{
		{"pingpong", 2, full, quick, inBytes},
		{"msgrate", mostRanks, full, quick, inBytes},
		{"collectives", mostRanks, full, quick, inBytes},
	})
}

// kernels measures programs that compute, and compares their results.
func (b *bench) kernels(ctx context.Context) error {
	return b.suite(ctx, []program{
		{"stencil", mostRanks, []string{"1024", "200"}, []string{"128", "10"}, squared},
		{"transpose", mostRanks, []string{"1024", "21"}, []string{"128", "5"}, squared},
		{"spmv", mostRanks, []string{"65536", "100"}, []string{"4096", "10"}, squared},
	})
}

// suite is programs that every build runs.
type suite struct {
	bench    *bench
	builds   []build // Godwit first
	programs []program
	bins     [][]string     // of each build, of each program
	sums     map[string]sum // of what is computed
}

// sum is the first checksum that was seen, with whose it is.
type sum struct {
	whose string
	value float64
}

func (b *bench) suite(ctx context.Context, programs []program) error {
	s := &suite{bench: b, builds: []build{b.ours()}, programs: programs, sums: map[string]sum{}}
	for _, m := range []build{openMPI(), mpich()} {
		if m.installed() {
			s.builds = append(s.builds, m)
		}
	}
	for _, m := range s.builds {
		var bins []string
		for _, p := range programs {
			bin, err := m.compile(ctx, b.dir, filepath.Join(sources, p.name+".c"))
			if err != nil {
				return err
			}
			bins = append(bins, bin)
		}
		s.bins = append(s.bins, bins)
	}
	return b.dev(ctx, 1, mostRanks, func(env []string, _ string) error {
		for _, at := range []place{oneHost, betweenHosts} {
			for i := range programs {
				if err := s.measure(ctx, env, i, at); err != nil {
					return fmt.Errorf("%s, %s: %w", programs[i].name, at, err)
				}
			}
		}
		return nil
	})
}

// measure runs the i-th program by every build in turn, several times, and adds its rows. No checksum may differ.
func (s *suite) measure(ctx context.Context, env []string, i int, at place) error {
	p, all := s.programs[i], newReadings(len(s.builds))
	fmt.Fprintf(os.Stderr, "bench: %s, %s\n", p.name, at)
	for range s.bench.repeats {
		if err := s.round(ctx, env, i, at, all); err != nil {
			return err
		}
	}
	var err error
	for _, r := range all.list {
		if r.unit == checksum {
			err = errors.Join(err, s.compareSums(r))
			continue
		}
		s.bench.mpi = append(s.bench.mpi, s.row(p, r, at, all.failed))
	}
	return err
}

// round runs the i-th program once by every build. Godwit must succeed. A peer that fails is left out of the program's other
// rounds; one that has printed its results and does not end is stopped, and its results count.
func (s *suite) round(ctx context.Context, env []string, i int, at place, all *readings) error {
	p, lines := s.programs[i], 0
	args := p.args
	if s.bench.quick {
		args = p.quick
	}
	for m, build := range s.builds {
		if all.failed[m] {
			continue
		}
		out, ended, err := build.runLines(ctx, env, at, p.ranks, lines, s.bins[m][i], args...)
		if err == nil {
			err = all.add(m, out)
		}
		if err != nil && (m == 0 || ctx.Err() != nil) {
			return err
		}
		if err != nil {
			fmt.Fprintf(os.Stderr, "bench: %s failed: %v\n", build.name, err)
			all.failed[m] = true
		}
		if !ended {
			fmt.Fprintf(os.Stderr, "bench: %s did not end after its results, and was stopped\n", build.name)
		}
		if m == 0 {
			lines = strings.Count(out, "\n")
		}
	}
	return nil
}

// row takes the medians.
func (s *suite) row(p program, r *reading, at place, failed []bool) row {
	line := row{
		what: fmt.Sprintf("%s%s, %s", r.name, p.sized(r.size), at), unit: r.unit, higher: r.unit != "us", godwit: median(r.values[0]),
	}
	for m := 1; m < len(s.builds); m++ {
		v := median(r.values[m])
		if failed[m] {
			v = math.NaN()
		}
		line.peers = append(line.peers, peerFigure{s.builds[m].name, v})
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
