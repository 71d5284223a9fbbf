// Demo shows the main job end to end: two MPI apps spread over the same two
// hosts are brought onto one host each while they run, one by the checker and
// the other by command, the leader is killed in between, and both outputs are
// compared with a run that never moved. It uses the godwit command as a user would, and fails if anything
// differs.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

const (
	deadline      = 10 * time.Minute // of a machine with much else to do; a minute is common
	pollEach      = 50 * time.Millisecond
	rows, columns = "512", "512"
	// A first short run tells how fast this machine is: the apps must outlast the migrations and an election in between. If they do not, all is shown
	// once more with longer ones.
	sampleIterations = 2000
	runFor           = 18 * time.Second
)

func main() { os.Exit(run()) }

func run() int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	ctx, cancel := context.WithTimeoutCause(ctx, deadline, fmt.Errorf("the demo took longer than %s", deadline))
	defer cancel()
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "usage: demo GODWIT HEAT2D.wasm")
		return 2
	}
	d := &demo{godwit: os.Args[1], module: os.Args[2], start: time.Now()}
	if err := d.play(ctx); err != nil {
		if ctx.Err() != nil {
			err = errors.Join(err, context.Cause(ctx))
		}
		fmt.Fprintln(os.Stderr, "demo FAILED:", err)
		return 1
	}
	return 0
}

// demo is one showing.
type demo struct {
	godwit, module string
	start          time.Time
	iterations     int
	dir            string
	addr           string
}

// say prints one line of the timeline.
func (d *demo) say(format string, args ...any) {
	fmt.Printf("%6.1fs  %s\n", time.Since(d.start).Seconds(), fmt.Sprintf(format, args...))
}

// play shows everything; the cluster ends with it.
func (d *demo) play(ctx context.Context) (err error) {
	if d.dir, err = os.MkdirTemp("", "godwit-demo-"); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(d.dir)) }()
	stop, err := d.startCluster(ctx)
	if err != nil {
		return err
	}
	defer stop()
	d.say("cluster is up: 3 servers, 3 workers (w1 w2 w3) of 4 slots, each a process of its own")
	if err := d.calibrate(ctx); err != nil {
		return err
	}
	for {
		err := d.moves(ctx)
		if !errors.Is(err, errTooShort) {
			return err
		}
		d.iterations *= longer
		d.say("%v: once more, with apps that run for %d times as long", err, longer)
	}
}

// startCluster runs godwit dev and waits for its ready line.
func (d *demo) startCluster(ctx context.Context) (stop func(), err error) {
	cmd := exec.CommandContext(ctx, d.godwit, "dev", "--servers", "3", "--workers", "3", "--slots", "4", "--data-dir", d.dir)
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = 15 * time.Second
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start the cluster: %w", err)
	}
	stop = func() {
		_ = cmd.Process.Signal(os.Interrupt) // it may have ended
		_ = cmd.Wait()                       // ended by our signal
	}
	line, err := readLine(out)
	if err != nil {
		stop()
		return nil, fmt.Errorf("start the cluster: %w", err)
	}
	for _, f := range strings.Fields(line) {
		if v, ok := strings.CutPrefix(f, "GODWIT_ADDR="); ok {
			d.addr = v
			return stop, nil
		}
	}
	stop()
	return nil, fmt.Errorf("start the cluster: unexpected line %q", line)
}

func readLine(r io.Reader) (string, error) {
	var line []byte
	b := make([]byte, 1)
	for {
		if _, err := io.ReadFull(r, b); err != nil {
			return "", err
		}
		if b[0] == '\n' {
			return string(line), nil
		}
		line = append(line, b[0])
	}
}

// call runs a godwit command and returns what it prints.
func (d *demo) call(ctx context.Context, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, d.godwit, args...)
	cmd.Env = append(os.Environ(), "GODWIT_ADDR="+d.addr)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("godwit %s: %w: %s", strings.Join(args, " "), err, bytes.TrimSpace(stderr.Bytes()))
	}
	return out, nil
}

// list runs a command that reads, and decodes its JSON.
func list[T any](ctx context.Context, d *demo, args ...string) (T, error) {
	var v T
	out, err := d.call(ctx, append(args, "-o", "json")...)
	if err != nil {
		return v, err
	}
	return v, json.Unmarshal(out, &v)
}

// app, migration and servers are what the demo looks at.
type app struct {
	ID        string   `json:"id"`
	Name      string   `json:"name"`
	Phase     string   `json:"phase"`
	Epoch     int      `json:"epoch"`
	Placement []string `json:"placement"`
	Reason    string   `json:"reason"`
}

type migration struct {
	ID    string `json:"id"`
	App   string `json:"app"`
	Phase string `json:"phase"`
	Moves []struct {
		Rank       int     `json:"rank"`
		From       string  `json:"from"`
		To         string  `json:"to"`
		ImageBytes int     `json:"image_bytes"`
		PauseMs    float64 `json:"pause_ms"`
	} `json:"moves"`
}

type servers struct {
	Servers []struct {
		Addr string `json:"addr"`
		Role string `json:"role"`
	} `json:"servers"`
}

type process struct {
	Name string `json:"name"`
	Addr string `json:"addr"`
	PID  int    `json:"pid"`
}

func (a app) where() string {
	n := map[string]int{}
	for _, h := range a.Placement {
		n[h]++
	}
	var parts []string
	for h, k := range n {
		parts = append(parts, fmt.Sprintf("%d on %s", k, h))
	}
	slices.Sort(parts)
	return strings.Join(parts, ", ")
}

// poll calls f until it is true.
func poll(ctx context.Context, what string, f func() (bool, error)) error {
	for {
		ok, err := f()
		if err != nil {
			return err
		}
		if ok {
			return nil
		}
		select {
		case <-time.After(pollEach):
		case <-ctx.Done():
			return fmt.Errorf("waiting until %s: %w", what, ctx.Err())
		}
	}
}

func (d *demo) args() []string {
	return []string{d.module, rows, columns, strconv.Itoa(d.iterations), strconv.Itoa(d.iterations / 8)}
}

// calibrate chooses the number of iterations.
func (d *demo) calibrate(ctx context.Context) error {
	d.iterations = sampleIterations
	start := time.Now()
	if _, err := d.call(ctx, append([]string{"run", "-q", "-n", "4", "--place", "w3:4"}, d.args()...)...); err != nil {
		return err
	}
	d.iterations = max(sampleIterations, int(sampleIterations*runFor.Seconds()/time.Since(start).Seconds())/1000*1000)
	return nil
}

// reference is the output of a run that stays where it is.
func (d *demo) reference(ctx context.Context) ([]byte, error) {
	d.say("a reference run of heat2d, 4 ranks on w3, that never moves ...")
	out, err := d.call(ctx, append([]string{"run", "-q", "-n", "4", "--place", "w3:4"}, d.args()...)...)
	if err != nil {
		return nil, err
	}
	if len(out) == 0 {
		return nil, errors.New("the reference run printed nothing")
	}
	d.say("... printed %d lines, the last: %s", bytes.Count(out, []byte("\n")), lastLine(out))
	return out, nil
}

func lastLine(b []byte) string {
	lines := strings.Split(strings.TrimSpace(string(b)), "\n")
	return lines[len(lines)-1]
}

// submitBoth starts the two apps, each with two ranks on w1 and two on w2. The first opts in to be moved, the second moves by command alone, so that
// there is a moment between the two.
func (d *demo) submitBoth(ctx context.Context) ([]string, error) {
	var ids []string
	for i, name := range []string{"heat-a", "heat-b"} {
		period := []string{"1s", "0"}[i]
		args := append([]string{"submit", "-n", "4", "--name", name, "--place", "w1:2,w2:2", "--migration-check-period", period}, d.args()...)
		out, err := d.call(ctx, args...)
		if err != nil {
			return nil, err
		}
		ids = append(ids, strings.TrimSpace(string(out)))
		d.say("%s submitted as %s: 2 ranks on w1, 2 on w2; %s", name, ids[i], []string{"to be checked every second", "never to be checked"}[i])
	}
	return ids, nil
}

func (d *demo) killLeader(ctx context.Context) error {
	leader, err := d.leader(ctx)
	if err != nil {
		return err
	}
	raw, err := os.ReadFile(filepath.Join(d.dir, "dev.json"))
	if err != nil {
		return err
	}
	var procs []process
	if err := json.Unmarshal(raw, &procs); err != nil {
		return err
	}
	for _, p := range procs {
		if p.Addr != leader {
			continue
		}
		if err := syscall.Kill(p.PID, syscall.SIGKILL); err != nil {
			return fmt.Errorf("kill the leader: %w", err)
		}
		d.say("kill -9 %d: that was %s, the leader; both apps go on", p.PID, p.Name)
		err := poll(ctx, "the process is gone", func() (bool, error) { return errors.Is(syscall.Kill(p.PID, 0), syscall.ESRCH), nil })
		if err != nil {
			return err
		}
		next, err := d.leader(ctx) // it may be the same one: its process is started again at once
		if err != nil {
			return err
		}
		for _, p := range procs {
			if p.Addr == next {
				d.say("%s leads now", p.Name)
			}
		}
		return nil
	}
	return fmt.Errorf("the leader %s is not in dev.json", leader)
}

// leader waits for a leader.
func (d *demo) leader(ctx context.Context) (string, error) {
	var addr string
	err := poll(ctx, "there is a leader", func() (bool, error) {
		all, err := list[servers](ctx, d, "servers", "--timeout", deadline.String()) // an election may last longer than it waits untold
		if err != nil {
			return false, err
		}
		for _, s := range all.Servers {
			if s.Role == "leader" {
				addr = s.Addr
				return true, nil
			}
		}
		return false, nil
	})
	return addr, err
}

// compare waits for both apps and compares what they printed with the reference.
func (d *demo) compare(ctx context.Context, apps []string, reference []byte) error {
	for _, id := range apps {
		out, err := d.call(ctx, "logs", "-f", id)
		if err != nil {
			return err
		}
		var a app
		err = poll(ctx, id+" has ended", func() (bool, error) {
			a, err = list[app](ctx, d, "show", id)
			return a.Phase == "succeeded" || a.Phase == "failed" || a.Phase == "cancelled", err
		})
		if err != nil {
			return err
		}
		if a.Phase != "succeeded" || a.Epoch < 2 || len(slices.Compact(slices.Sorted(slices.Values(a.Placement)))) != 1 {
			return fmt.Errorf("%s ended as %s at epoch %d on %s: %s", a.Name, a.Phase, a.Epoch, a.where(), a.Reason)
		}
		if !bytes.Equal(out, reference) {
			return fmt.Errorf("%s printed something else than the run that never moved:\n%s\ninstead of\n%s", a.Name, out, reference)
		}
		d.say("%s succeeded; its output equals the unmoved run's, byte for byte: %s", a.Name, lastLine(out))
	}
	d.say("demo passed: two apps moved live, one dead leader, nothing lost")
	return nil
}
