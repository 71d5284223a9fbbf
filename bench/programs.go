package main

import (
	"context"
	"math"
	"strconv"
	"strings"
	"time"
)

const (
	guests      = "worker/wasm/testdata/"
	rounds      = "20000"
	quickRounds = "500"
	pollEach    = 20 * time.Millisecond
)

// programs measures ping-pong, and the start of a run.
func (b *bench) programs(ctx context.Context) error {
	peer, there := openMPI(), openMPI().installed()
	bins := map[string]string{}
	for name, source := range map[string]string{"pingpong": guests + "src/pingpong.c", "hello": "examples/hello/hello.c"} {
		if !there {
			break
		}
		bin, err := peer.compile(ctx, b.dir, source)
		if err != nil {
			return err
		}
		bins[name] = bin
	}
	one, between := b.on(1), b.on(2)
	n := rounds
	if b.quick {
		n = quickRounds
	}
	return b.dev(ctx, 3, 3, 4, func(env []string) error {
		pingpong := func(m build, bin string, at place) func() (float64, error) {
			return func() (float64, error) {
				out, err := m.run(ctx, env, at, 2, bin, n)
				return leading(out), err
			}
		}
		hello := func(m build, bin string) func() (float64, error) {
			return func() (float64, error) {
				start := time.Now()
				_, err := m.run(ctx, env, one, 4, bin)
				return time.Since(start).Seconds() * 1e3, err
			}
		}
		for _, c := range []struct {
			what, unit   string
			ours, theirs func() (float64, error)
		}{
			{
				"8-byte message, ranks on one host", "us",
				pingpong(b.ours(), guests+"pingpong.wasm", one), pingpong(peer, bins["pingpong"], one),
			},
			{
				"8-byte message, between executors (gRPC over TCP)", "us",
				pingpong(b.ours(), guests+"pingpong.wasm", between), pingpong(peer, bins["pingpong"], between),
			},
			{
				"hello with 4 ranks, from command to end", "ms",
				hello(b.ours(), "examples/hello/hello.wasm"), hello(peer, bins["hello"]),
			},
		} {
			if !there {
				c.theirs = nil
			}
			if err := b.compare(c.what, c.unit, c.ours, c.theirs); err != nil {
				return err
			}
		}
		return nil
	})
}

// compare takes readings of both in turn and adds a row; without the peer's function, one without a ratio.
func (b *bench) compare(what, unit string, ours, theirs func() (float64, error)) error {
	r, peer := row{what: what, unit: unit}, peerFigure{peer: openMPI().name}
	for range b.repeats {
		v, err := ours()
		if err != nil {
			return err
		}
		r.godwit = append(r.godwit, v)
		if theirs == nil {
			continue
		}
		if v, err = theirs(); err != nil {
			return err
		}
		peer.values = append(peer.values, v)
	}
	if theirs != nil {
		r.peers = []peerFigure{peer}
	}
	b.core = append(b.core, r)
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
