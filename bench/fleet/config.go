package fleet

import (
	"fmt"
	"io"
	"time"
)

// Config says how large a fleet is, and what it does.
type Config struct {
	// Godwit is the binary that servers run.
	Godwit string
	// Module is the file of the program that is submitted; nothing runs it.
	Module string
	// Dir is for the servers' data, on a real disk.
	Dir string
	// Hosts is for the workers' data: in memory, or a thousand workers that try their disk now and then keep the servers from theirs.
	Hosts string
	// Workers is how many hosts there are, of so many Slots each.
	Workers, Slots int
	// Hour is how many apps are submitted an hour, of 1 to MostRanks ranks; Burst how many before, at once.
	Hour, Burst, MostRanks int
	// Mean is how long an app runs on average.
	Mean time.Duration
	// Idle is for how long nothing is done first, Before for how long apps are submitted before the leader is killed, and After for how long behind that.
	Idle, Before, After time.Duration
	// End is within what time all apps end at last.
	End time.Duration
	// Drain is how many hosts are drained in the middle of Before, and made schedulable again.
	Drain int
	// Seed of the sizes and lengths of apps.
	Seed uint64
	// Log is told what goes on.
	Log io.Writer
}

// DefaultConfig is a fleet of 1,000 hosts and 10,000 apps an hour, which takes some four minutes.
func DefaultConfig() Config {
	return Config{
		Workers: 1000, Slots: 16, Hour: 10_000, Burst: 500, MostRanks: 64, Mean: 200 * time.Second,
		Idle: 20 * time.Second, Before: 60 * time.Second, After: 45 * time.Second, End: 15 * time.Second, Drain: 10, Seed: 1, Log: io.Discard,
	}
}

// Validate says what is wrong with c.
func (c Config) Validate() error {
	switch {
	case c.Godwit == "" || c.Module == "" || c.Dir == "" || c.Hosts == "":
		return fmt.Errorf("fleet: the binary, the module and directories are needed")
	case c.Workers < 1 || c.Workers > 5000:
		return fmt.Errorf("fleet: %d workers: give 1 to 5000", c.Workers)
	case c.Slots < 1 || c.MostRanks < 1 || c.MostRanks > c.Workers*c.Slots:
		return fmt.Errorf("fleet: apps of up to %d ranks do not fit on %d hosts of %d slots", c.MostRanks, c.Workers, c.Slots)
	case c.Hour < 1 || c.Burst < 0 || c.Burst > 5000:
		return fmt.Errorf("fleet: %d apps an hour after a burst of %d: give at least 1, and a burst of up to 5000", c.Hour, c.Burst)
	case c.End <= 0 || c.Mean <= 0:
		return fmt.Errorf("fleet: apps last, and end within, some time above 0")
	case c.Drain < 0 || c.Drain >= c.Workers:
		return fmt.Errorf("fleet: %d of %d hosts cannot be drained", c.Drain, c.Workers)
	}
	return nil
}

// Figure is something that was measured.
type Figure struct {
	What  string
	Value float64
	Unit  string
}
