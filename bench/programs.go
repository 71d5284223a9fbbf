package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

const (
	guests   = "worker/wasm/testdata/"
	rounds   = "20000"
	repeats  = 5
	pollEach = 20 * time.Millisecond
)

// dev runs f with a cluster on this machine, whose directory is dir; GODWIT_ADDR is in env.
func (b *bench) dev(ctx context.Context, servers, workers int, f func(env []string, dir string) error) (err error) {
	dir, err := os.MkdirTemp(b.dir, "dev-")
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, b.godwit, "dev", "--servers", strconv.Itoa(servers), "--workers", strconv.Itoa(workers), "--data-dir", dir)
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = 15 * time.Second
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	defer func() {
		_ = cmd.Process.Signal(os.Interrupt) // it may have ended
		_ = cmd.Wait()                       // ended by our signal
	}()
	line := make([]byte, 4096)
	n, err := out.Read(line)
	if err != nil {
		return fmt.Errorf("godwit dev: %w", err)
	}
	for _, w := range strings.Fields(string(line[:n])) {
		if strings.HasPrefix(w, "GODWIT_ADDR=") {
			return f(append(os.Environ(), w), dir)
		}
	}
	return fmt.Errorf("godwit dev: unexpected %q", line[:n])
}

// output runs a command and returns what it prints.
func output(ctx context.Context, env []string, argv ...string) (string, error) {
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...) //nolint:gosec // the commands of this program
	cmd.Env = env
	out, err := cmd.Output()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		err = fmt.Errorf("%w: %s", err, exit.Stderr)
	}
	if err != nil {
		return "", fmt.Errorf("%s: %w", strings.Join(argv, " "), err)
	}
	return string(out), nil
}

// best is the lowest of several readings: what the machine's other work disturbed least.
func best(f func() (float64, error)) (float64, error) {
	low := math.Inf(1)
	for range repeats {
		v, err := f()
		if err != nil {
			return 0, err
		}
		low = min(low, v)
	}
	return low, nil
}

// programs measures ping-pong, the start of a run, and the pause of a migration.
func (b *bench) programs(ctx context.Context) error {
	mpi, err := b.buildNative(ctx)
	if err != nil {
		return err
	}
	return b.dev(ctx, 3, 3, func(env []string, _ string) error {
		pingpong := func(place string) func() (float64, error) {
			return func() (float64, error) {
				out, err := output(ctx, env, b.godwit, "run", "-q", "-n", "2", "--place", place, guests+"pingpong.wasm", rounds)
				return leading(out), err
			}
		}
		if err := b.compare("8-byte message, ranks on one host", "us", pingpong("w1:2"), mpi.pingpong(ctx, "self,vader")); err != nil {
			return err
		}
		if err := b.compare("8-byte message, between executors (gRPC over TCP)", "us", pingpong("w1:1,w2:1"), mpi.pingpong(ctx, "self,tcp")); err != nil {
			return err
		}
		run := func() (float64, error) {
			start := time.Now()
			_, err := output(ctx, env, b.godwit, "run", "-q", "-n", "4", "examples/hello/hello.wasm")
			return time.Since(start).Seconds() * 1e3, err
		}
		if err := b.compare("hello with 4 ranks, from command to end", "ms", run, mpi.hello(ctx)); err != nil {
			return err
		}
		return b.pause(ctx, env)
	})
}

// compare adds a row; without the peer's function, one without a ratio.
func (b *bench) compare(what, unit string, ours, theirs func() (float64, error)) error {
	v, err := best(ours)
	if err != nil {
		return err
	}
	r := row{what: what, unit: unit, godwit: v}
	if theirs != nil {
		r.peer = "Open MPI"
		if r.value, err = best(theirs); err != nil {
			return err
		}
	}
	b.rows = append(b.rows, r)
	return nil
}

// leading is the number a text begins with; NaN if it begins with none.
func leading(s string) float64 {
	f := strings.Fields(s)
	if len(f) == 0 {
		return math.NaN()
	}
	v, err := strconv.ParseFloat(f[0], 64)
	if err != nil {
		return math.NaN()
	}
	return v
}

// pause moves a rank with 64 MiB of memory that does not compress to and fro, and takes the median pause.
func (b *bench) pause(ctx context.Context, env []string) error {
	id, err := output(ctx, env, b.godwit, "submit", "-n", "2", "--place", "w1:1,w2:1", guests+"bigmem.wasm", "64", "100000000")
	if err != nil {
		return err
	}
	id = strings.TrimSpace(id)
	var pauses []float64
	for i := range repeats {
		var p float64
		for err = errors.New("not moved"); err != nil && ctx.Err() == nil; {
			if p, err = b.moveOnce(ctx, env, id, []string{"w3", "w1"}[i%2], i+1); err != nil && i == 0 {
				time.Sleep(pollEach) // it does not run yet
			}
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		pauses = append(pauses, p)
	}
	slices.Sort(pauses)
	b.rows = append(b.rows, row{what: "pause of a rank with 64 MiB, incompressible, median", unit: "ms", godwit: pauses[len(pauses)/2]})
	_, err = output(ctx, env, b.godwit, "cancel", id)
	return err
}

// moveOnce migrates rank 0 and waits for the n-th committed migration's pause.
func (b *bench) moveOnce(ctx context.Context, env []string, id, to string, n int) (float64, error) {
	if _, err := output(ctx, env, b.godwit, "migrate", id+"/0", "--to", to); err != nil {
		return 0, err
	}
	for ctx.Err() == nil {
		out, err := output(ctx, env, b.godwit, "migrations", "--app", id, "-o", "json")
		if err != nil {
			return 0, err
		}
		var migs []struct {
			Phase string
			Moves []struct {
				PauseMs float64 `json:"pause_ms"`
			}
		}
		if err := json.Unmarshal([]byte(out), &migs); err != nil {
			return 0, err
		}
		if len(migs) == n && migs[n-1].Phase == "committed" && migs[n-1].Moves[0].PauseMs > 0 {
			return migs[n-1].Moves[0].PauseMs, nil
		}
		time.Sleep(pollEach)
	}
	return 0, ctx.Err()
}

// native is the same sources built for this machine; zero: no Open MPI here.
type native struct{ dir string }

func (b *bench) buildNative(ctx context.Context) (native, error) {
	mpicc, err := exec.LookPath("mpicc")
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench: no mpicc: install openmpi-bin and libopenmpi-dev to compare")
		return native{}, nil
	}
	for bin, src := range map[string]string{"pingpong": guests + "src/pingpong.c", "hello": "examples/hello/hello.c"} {
		if _, err := output(ctx, os.Environ(), mpicc, "-O3", "-o", filepath.Join(b.dir, bin), src); err != nil {
			return native{}, err
		}
	}
	return native{b.dir}, nil
}

func (n native) run(ctx context.Context, ranks, btl, bin string, args ...string) (string, error) {
	argv := []string{"mpirun", "--allow-run-as-root", "--oversubscribe", "-np", ranks, "--mca", "btl", btl, filepath.Join(n.dir, bin)}
	return output(ctx, os.Environ(), append(argv, args...)...)
}

func (n native) pingpong(ctx context.Context, btl string) func() (float64, error) {
	if n.dir == "" {
		return nil
	}
	return func() (float64, error) {
		out, err := n.run(ctx, "2", btl, "pingpong", rounds)
		return leading(out), err
	}
}

func (n native) hello(ctx context.Context) func() (float64, error) {
	if n.dir == "" {
		return nil
	}
	return func() (float64, error) {
		start := time.Now()
		_, err := n.run(ctx, "4", "self,vader", "hello")
		return time.Since(start).Seconds() * 1e3, err
	}
}
