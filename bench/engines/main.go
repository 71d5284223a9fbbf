// Command engines measures the loops of c/kernels.c in both engines of worker/wasm beside gcc -O3 and clang -O3: go run ./bench/engines [-rounds N] [-part F] bin/godwit
package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/godwit-run/godwit/mpi"
	"github.com/godwit-run/godwit/worker/wasm"
)

func main() {
	rounds := flag.Int("rounds", 5, "readings of each, which take turns")
	part := flag.String("part", "1", "how much of each kernel's rounds is run")
	flag.Parse()
	if flag.NArg() != 1 {
		fmt.Fprintln(os.Stderr, "engines: give the godwit command that compiles, such as bin/godwit")
		os.Exit(2)
	}
	if err := run(context.Background(), flag.Arg(0), *rounds, *part, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "engines:", err)
		os.Exit(1)
	}
}

// kernels are those of c/kernels.c.
var kernels = []string{"stencil", "transpose", "spmv", "dgemm", "elements", "sweep", "sieve"} //nolint:gochecknoglobals // an immutable list

// subject is one way to run the kernels: it tells the checksum, and how much time of a processor it took.
type subject struct {
	name string
	run  func(ctx context.Context, kernel, part string) (string, time.Duration, error)
}

// readings are the times of a kernel, by subject.
type readings map[string][]time.Duration

func run(ctx context.Context, godwit string, rounds int, part string, out io.Writer) error {
	dir, err := os.MkdirTemp("", "godwit-engines-")
	if err != nil {
		return fmt.Errorf("make a directory: %w", err)
	}
	defer os.RemoveAll(dir) //nolint:errcheck // temporary files
	subjects, err := build(ctx, godwit, dir, out)
	if err != nil {
		return err
	}
	all := map[string]readings{}
	for _, k := range kernels {
		all[k] = readings{}
		sum := ""
		for range rounds {
			for i, s := range subjects {
				text, took, err := s.run(ctx, k, part)
				if err != nil {
					return fmt.Errorf("%s of %s: %w", k, s.name, err)
				}
				if i == 0 {
					sum = text
				}
				if sum != text && !strings.Contains(s.name, "march") { // a processor that multiplies and adds at once rounds otherwise
					return fmt.Errorf("%s of %s is %s, and of %s %s", k, s.name, text, subjects[0].name, sum)
				}
				all[k][s.name] = append(all[k][s.name], took)
			}
		}
	}
	table(out, subjects, all)
	return nil
}

// table writes, of each subject, the median of its speeds beside the first's, taken reading by reading.
func table(out io.Writer, subjects []subject, all map[string]readings) {
	fmt.Fprintf(out, "| kernel | %s |", subjects[0].name)
	for _, s := range subjects[1:] {
		fmt.Fprintf(out, " %s |", s.name)
	}
	fmt.Fprintf(out, "\n|---|%s\n", strings.Repeat("---|", len(subjects)))
	means := make([]float64, len(subjects))
	for _, k := range kernels {
		base := all[k][subjects[0].name]
		fmt.Fprintf(out, "| %s | %.0f ms |", k, float64(slices.Sorted(slices.Values(base))[len(base)/2])/1e6)
		for at, s := range subjects[1:] {
			ratios := make([]float64, len(base))
			for i, took := range all[k][s.name] {
				ratios[i] = float64(base[i]) / float64(took)
			}
			slices.Sort(ratios)
			middle := ratios[len(ratios)/2]
			means[at+1] += math.Log(middle) / float64(len(kernels))
			fmt.Fprintf(out, " %.2f [%.2f..%.2f] |", middle, ratios[0], ratios[len(ratios)-1])
		}
		fmt.Fprintln(out)
	}
	fmt.Fprint(out, "| geometric mean | |")
	for _, m := range means[1:] {
		fmt.Fprintf(out, " %.2f |", math.Exp(m))
	}
	fmt.Fprintln(out)
}

// build compiles the kernels for all subjects. Of a compiler that is not there nothing is shown.
func build(ctx context.Context, godwit, dir string, out io.Writer) ([]subject, error) {
	const source = "bench/engines/c/kernels.c"
	var subjects []subject
	for _, compiler := range [][]string{{"gcc", "-O3"}, {"clang-19", "-O3"}, {"gcc", "-O3", "-march=native"}} {
		name := strings.Join(compiler, " ")
		binary := filepath.Join(dir, fmt.Sprint("native", len(subjects)))
		if err := command(ctx, compiler[0], append(compiler[1:], source, "-o", binary)...); errors.Is(err, exec.ErrNotFound) {
			continue
		} else if err != nil {
			return nil, err
		}
		subjects = append(subjects, subject{name, func(ctx context.Context, kernel, part string) (string, time.Duration, error) {
			cmd := exec.CommandContext(ctx, binary, kernel, part)
			text, err := cmd.Output()
			if err != nil {
				return "", 0, err
			}
			return string(text), cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime(), nil
		}})
	}
	for _, engine := range []string{wasm.EngineWazero, wasm.EngineNative} {
		for _, option := range []string{"", "-fno-unroll-loops"} {
			s, err := compile(ctx, godwit, source, dir, engine, option, out)
			if err != nil {
				return nil, err
			}
			subjects = append(subjects, s)
		}
	}
	return subjects, nil
}

// compile makes a module of the kernels, and has an engine compile it.
func compile(ctx context.Context, godwit, source, dir, engine, option string, out io.Writer) (subject, error) {
	module := filepath.Join(dir, "kernels.wasm")
	args := []string{"cc", "-O3", source, "-o", module}
	if option != "" {
		args = append(args, option)
	}
	if err := command(ctx, godwit, args...); err != nil {
		return subject{}, err
	}
	code, err := os.ReadFile(module)
	if err != nil {
		return subject{}, fmt.Errorf("read the module: %w", err)
	}
	begin := time.Now()
	e, err := wasm.NewEngine(ctx, wasm.Config{Engine: engine, Optimize: "-O3"})
	if err != nil {
		return subject{}, err
	}
	m, err := e.Compile(ctx, code)
	if err != nil {
		return subject{}, err
	}
	if _, why := m.Engine(); why != "" {
		return subject{}, fmt.Errorf("%s: %s", engine, why)
	}
	name := strings.TrimSpace(engine + " " + option)
	fmt.Fprintf(out, "%s: %d KB compiled in %.1f s\n\n", name, len(code)>>10, time.Since(begin).Seconds())
	return subject{name, func(ctx context.Context, kernel, part string) (string, time.Duration, error) {
		return guest(ctx, m, kernel, part)
	}}, nil
}

func command(ctx context.Context, name string, args ...string) error {
	text, err := exec.CommandContext(ctx, name, args...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s: %w: %s", name, err, text)
	}
	return nil
}

// alone is the host of a guest that has no others.
type alone struct{}

// Invoke implements wasm.Host.
func (alone) Invoke(*mpi.Call, []uint64) (uint64, error) { return 0, nil }

// guest runs a kernel as a guest of this process, on a thread of its own.
func guest(ctx context.Context, m *wasm.Module, kernel, part string) (string, time.Duration, error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var out bytes.Buffer
	g, err := m.New(ctx, wasm.GuestConfig{Args: []string{"kernels", kernel, part}, Stdout: &out, Stderr: os.Stderr})
	if err != nil {
		return "", 0, err
	}
	g.Bind(alone{})
	before, err := threadTime()
	if err != nil {
		return "", 0, errors.Join(err, g.Close(ctx))
	}
	exit := g.Run(ctx)
	after, err := threadTime()
	if exit.Code != 0 {
		err = errors.New(exit.Reason)
	}
	return out.String(), after - before, errors.Join(err, g.Close(ctx))
}

// threadTime is how much time of a processor this thread has had.
func threadTime() (time.Duration, error) {
	var use unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_THREAD, &use); err != nil {
		return 0, fmt.Errorf("processor time: %w", err)
	}
	return time.Duration(use.Utime.Nano() + use.Stime.Nano()), nil
}
