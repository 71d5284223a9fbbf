package main

import (
	"context"
	"flag"
	"os"
	"path/filepath"
	"time"

	"github.com/godwit-run/godwit/bench/fleet"
)

// fleetFlags are the flags that say how large the fleet is.
func fleetFlags(flags *flag.FlagSet) *fleet.Config {
	c := fleet.DefaultConfig()
	flags.IntVar(&c.Workers, "workers", c.Workers, "fleet: how many hosts there are")
	flags.IntVar(&c.Hour, "apps-an-hour", c.Hour, "fleet: how many apps are submitted an hour")
	flags.IntVar(&c.Burst, "burst", c.Burst, "fleet: how many apps are submitted at once, before")
	flags.DurationVar(&c.Mean, "mean", c.Mean, "fleet: how long an app runs, on average")
	flags.DurationVar(&c.Before, "before", c.Before, "fleet: for how long apps are submitted before the leader is killed")
	flags.DurationVar(&c.After, "after", c.After, "fleet: and for how long after that")
	flags.Uint64Var(&c.Seed, "seed", c.Seed, "fleet: of the sizes and lengths of apps")
	return &c
}

// fleet measures servers with as many hosts as a large cluster has.
func (b *bench) fleet(ctx context.Context) error {
	c := b.size
	c.Godwit, c.Module, c.Log = b.godwit, "examples/hello/hello.wasm", os.Stderr
	c.Dir, c.Hosts = filepath.Join(b.dir, "fleet-servers"), filepath.Join(b.shm, "fleet-hosts")
	if b.quick {
		c.Workers, c.Hour, c.Burst, c.MostRanks, c.Mean, c.Drain = 50, 18_000, 20, 32, 10*time.Second, 1
		c.Idle, c.Before, c.After, c.End = time.Second, 2*time.Second, time.Second, time.Second
	}
	if err := os.Mkdir(c.Dir, 0o700); err != nil {
		return err
	}
	figures, err := fleet.Run(ctx, c)
	for _, f := range figures {
		b.core = append(b.core, row{what: "fleet: " + f.What, unit: f.Unit, godwit: []float64{f.Value}})
	}
	return err
}
