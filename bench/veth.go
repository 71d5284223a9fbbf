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
	"sync"
	"time"
)

// readyWait is how long a cluster may take until its workers are ready.
const readyWait = 30 * time.Second

// veth measures between two machines what messages measures on one.
func (b *bench) veth(ctx context.Context) (err error) {
	n, err := b.newMachines(ctx)
	if err != nil {
		fmt.Fprintf(os.Stderr, "bench: veth is left out, there can be no two machines here: %v\n", err)
		return nil
	}
	defer func() { err = errors.Join(err, removeSpaces(ctx, os.Getpid())) }()
	const most = 8
	var trials []trial
	for _, p := range messagePrograms("20") {
		for ranks := 2; ranks <= most; ranks *= 2 {
			trials = append(trials, trial{p, ranks, place{n, 2}})
		}
	}
	return b.suite(ctx, trials, turnLimit, func(f func([]string) error) error { return b.apart(ctx, n, most, f) })
}

// newMachines is two machines that nothing but a veth pair joins: network namespaces. 198.18.0.0/15 is for benchmarks.
func (b *bench) newMachines(ctx context.Context) (n *network, err error) {
	if os.Geteuid() != 0 {
		return nil, errors.New("network namespaces need root")
	}
	if err := sweepSpaces(ctx); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, removeSpaces(ctx, os.Getpid()))
		}
	}()
	n = &network{noun: "machines", addrs: []string{"198.18.0.1", "198.18.0.2"}, device: "veth0"}
	one, other := spaceName(os.Getpid(), n.addrs[0]), spaceName(os.Getpid(), n.addrs[1])
	n.enter = inSpace(one)
	steps := [][]string{
		{"netns", "add", one},
		{"netns", "add", other},
		{"link", "add", n.device, "netns", one, "type", "veth", "peer", "name", n.device, "netns", other},
	}
	for i, space := range []string{one, other} {
		steps = append(steps, []string{"-n", space, "link", "set", "lo", "up"},
			[]string{"-n", space, "addr", "add", n.addrs[i] + "/24", "dev", n.device}, []string{"-n", space, "link", "set", n.device, "up"})
	}
	for _, args := range steps {
		if _, err := ip(ctx, args...); err != nil {
			return nil, err
		}
	}
	return n, b.writeAgent(n, strings.Join(inSpace(spaceName(os.Getpid(), "$host")), " "))
}

// apart runs f with a cluster on machines: a server and worker w1 are on the first, worker w2 on the second, and so on.
func (b *bench) apart(ctx context.Context, n *network, slots int, f func(env []string) error) error {
	dir, err := os.MkdirTemp(b.dir, "apart-")
	if err != nil {
		return err
	}
	daemons, cancel := context.WithCancel(context.WithoutCancel(ctx)) // they end when f does, whose programs they have to cancel
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	start := func(addr string, argv ...string) error {
		cmd := command(daemons, append(inSpace(spaceName(os.Getpid(), addr)), argv...)...)
		cmd.Stderr = os.Stderr
		if err := cmd.Start(); err != nil {
			return err
		}
		wg.Go(func() { _ = cmd.Wait() }) // ended by our signal
		return nil
	}
	server := n.addrs[0] + ":7400"
	if err := start(n.addrs[0], b.godwit, "server", "--log-level", "error", "--data-dir", filepath.Join(dir, "s1"), "--listen", server); err != nil {
		return err
	}
	for i, addr := range n.addrs {
		name := fmt.Sprintf("w%d", i+1)
		if err := start(addr, b.godwit, "worker", "--log-level", "error", "--on-stop", "leave", "--data-dir", filepath.Join(dir, name), "--listen", addr+":7403",
			"--join", server, "--name", name, "--slots", strconv.Itoa(slots)); err != nil {
			return err
		}
	}
	env := append(os.Environ(), "GODWIT_ADDR="+server)
	if err := b.ready(ctx, n, env); err != nil {
		return err
	}
	return f(env)
}

// ready waits until as many workers are ready as there are machines.
func (b *bench) ready(ctx context.Context, n *network, env []string) error {
	ctx, cancel := context.WithTimeout(ctx, readyWait)
	defer cancel()
	for {
		out, err := output(ctx, env, append(n.enter, b.godwit, "hosts", "-o", "json")...)
		if err != nil {
			return err
		}
		var hosts []struct{ State string }
		if err := json.Unmarshal([]byte(out), &hosts); err != nil {
			return err
		}
		ready := 0
		for _, h := range hosts {
			if h.State == "ready" {
				ready++
			}
		}
		if ready == len(n.addrs) {
			return nil
		}
		time.Sleep(pollEach)
	}
}
