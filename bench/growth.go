package main

import "context"

// mostRanks is with how many the growth on one host ends.
const mostRanks = 64

// growth measures the same with more and more ranks on one host, and on more and more hosts.
func (b *bench) growth(ctx context.Context) error {
	sized := func(name string, what ...string) program {
		return program{name, append([]string{"20"}, what...), append([]string{"5"}, what...), inBytes}
	}
	var trials []trial
	for _, p := range []program{sized("pingpong", "8"), sized("msgrate"), sized("collectives", "barrier", "allreduce:8")} {
		for ranks := 2; ranks <= mostRanks; ranks *= 2 {
			trials = append(trials, trial{p, ranks, b.on(1)})
		}
	}
	spread := sized("collectives", "allreduce:8", "allreduce:1048576", "alltoall:65536", "bcast:1048576")
	for _, hosts := range []int{2, 4} {
		for _, ranks := range []int{4, 8} {
			trials = append(trials, trial{spread, ranks, b.on(hosts)})
		}
	}
	trials = append(trials, trial{sized("collectives", "allreduce:8"), mostHosts, b.on(mostHosts)})
	return b.suite(ctx, trials, turnLimit, func(f func([]string) error) error { return b.dev(ctx, 1, mostHosts, mostRanks, f) })
}
