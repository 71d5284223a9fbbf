package fsm

import (
	"fmt"
	"io"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/types/known/timestamppb"

	apiv1 "github.com/godwit-run/godwit/api/v1"
)

// Sizes of clusters to measure: hosts, and live ranks in apps of benchAppSize.
var benchSizes = []struct{ hosts, ranks int }{{100, 1_000}, {1_000, 10_000}, {10_000, 100_000}}

const (
	benchAppSize = 16
	benchBatch   = 64 // commands an entry, as a busy leader gathers them
)

// benchCluster is a cluster at work, to which entries are applied.
type benchCluster struct {
	b     testing.TB
	m     *Machine
	hosts int
	apps  int // a0, a1, ... run
	n     int // names made so far
}

func newBenchCluster(b testing.TB, hosts, ranks int) *benchCluster {
	c := &benchCluster{b: b, m: New(), hosts: hosts, apps: ranks / benchAppSize}
	c.applyAll(1, func(int) *apiv1.Command { return command(b, "module m migratable") })
	c.applyAll(hosts, func(i int) *apiv1.Command { return command(b, fmt.Sprintf("host h%d 64 n i", i)) })
	c.applyAll(c.apps, func(i int) *apiv1.Command { return command(b, fmt.Sprintf("submit a%d m %d", i, benchAppSize)) })
	c.applyAll(c.apps, func(i int) *apiv1.Command { return c.place(fmt.Sprintf("a%d", i), i, benchAppSize) })
	c.applyAll(4*c.apps, func(i int) *apiv1.Command { return c.started(fmt.Sprintf("a%d", i/4), i/4, i%4, 1) })
	return c
}

// hostOf is where the j-th quarter of app i's ranks is.
func (c *benchCluster) hostOf(i, j int) string { return fmt.Sprintf("h%d", (i*3+j)%c.hosts) }

func (c *benchCluster) place(id string, i, size int) *apiv1.Command {
	op := &apiv1.PlaceApp{App: id}
	for r := range size {
		op.Placement = append(op.Placement, c.hostOf(i, r*4/size))
	}
	return &apiv1.Command{Op: &apiv1.Command_PlaceApp{PlaceApp: op}}
}

func (c *benchCluster) started(id string, i, j int, epoch uint64) *apiv1.Command {
	return &apiv1.Command{Op: &apiv1.Command_HostStarted{HostStarted: &apiv1.HostStarted{App: id, Host: c.hostOf(i, j), Epoch: epoch}}}
}

// encode makes the entries of n commands.
func (c *benchCluster) encode(n int, build func(i int) *apiv1.Command) [][]byte {
	var out [][]byte
	for i := 0; i < n; i += benchBatch {
		entry := new(apiv1.Entry)
		for j := i; j < min(n, i+benchBatch); j++ {
			cmd := build(j)
			cmd.At = &timestamppb.Timestamp{Seconds: 1_800_000_000}
			entry.Commands = append(entry.Commands, cmd)
		}
		data, err := seal(entry)
		require.NoError(c.b, err)
		out = append(out, data)
	}
	return out
}

// apply applies entries, and requires that none of their commands is refused.
func (c *benchCluster) apply(entries [][]byte) {
	for _, data := range entries {
		results, err := c.m.Apply(c.m.View().Index()+1, 1, data)
		if err != nil {
			c.b.Fatal(err)
		}
		for _, r := range results {
			if r.GetCode() != "" {
				c.b.Fatal(r.GetReason())
			}
		}
	}
}

func (c *benchCluster) applyAll(n int, build func(i int) *apiv1.Command) { c.apply(c.encode(n, build)) }

type benchStep = func(i int) *apiv1.Command

// measure times the application of b.N commands of one kind. Each round of them is
// prepared and cleaned up after outside the measure.
func (c *benchCluster) measure(b *testing.B, round int, prepare []benchStep, build, after benchStep) {
	b.ReportAllocs()
	b.ResetTimer()
	b.StopTimer()
	for done := 0; done < b.N; done += round {
		n := min(round, b.N-done)
		for _, f := range prepare {
			c.applyAll(n, f)
		}
		entries := c.encode(n, build)
		b.StartTimer()
		c.apply(entries)
		b.StopTimer()
		if after != nil {
			c.applyAll(n, after)
		}
		c.n += round
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "commands/s")
}

func (c *benchCluster) name(i int) string { return fmt.Sprintf("x%d", c.n+i) }

func (c *benchCluster) cmd(format string, args ...any) *apiv1.Command {
	return command(c.b, fmt.Sprintf(format, args...))
}

// BenchmarkApply is the cost of each command in clusters of three sizes: it is
// that of what the command changes.
func BenchmarkApply(b *testing.B) {
	for _, size := range benchSizes {
		b.Run(fmt.Sprintf("hosts=%d/ranks=%d", size.hosts, size.ranks), func(b *testing.B) {
			c := newBenchCluster(b, size.hosts, size.ranks)
			const round = 1024
			submit := func(i int) *apiv1.Command { return c.cmd("submit %s m 1 key=%s", c.name(i), c.name(i)) }
			cancel := func(i int) *apiv1.Command { return c.cmd("stop %s cancelled 0", c.name(i)) }
			place := func(i int) *apiv1.Command { return c.cmd("place %s %s", c.name(i), c.hostOf(i, 0)) }
			start := func(i int) *apiv1.Command { return c.cmd("started %s %s 1", c.name(i), c.hostOf(i, 0)) }
			ended := func(i int) *apiv1.Command { return c.cmd("ended %s %s 0@1=0", c.name(i), c.hostOf(i, 0)) }
			b.Run("SubmitApp", func(b *testing.B) { c.measure(b, round, nil, submit, cancel) })
			b.Run("PlaceApp", func(b *testing.B) {
				c.measure(b, round, []benchStep{submit}, place, ended)
			})
			b.Run("HostStarted", func(b *testing.B) {
				c.measure(b, round, []benchStep{submit, place}, start, ended)
			})
			b.Run("RanksEnded", func(b *testing.B) {
				c.measure(b, round, []benchStep{submit, place, start}, ended, nil)
			})
			b.Run("Life", func(b *testing.B) { // four commands of one app, in one entry each
				steps := []func(int) *apiv1.Command{submit, place, start, ended}
				c.measure(b, round, nil, func(i int) *apiv1.Command { return steps[i%4](i / 4) }, nil)
			})
			b.Run("StopApp", func(b *testing.B) { c.measure(b, round, []benchStep{submit}, cancel, nil) })
			b.Run("RegisterHost", func(b *testing.B) {
				c.measure(b, round, nil, func(i int) *apiv1.Command { return c.cmd("host h%d %d n i", i%c.hosts, 64+i%2) }, nil)
			})
			b.Run("SetHostWish", func(b *testing.B) {
				c.measure(b, round, nil, func(i int) *apiv1.Command { return c.cmd("wish h%d %s", i%c.hosts, wishes[i/c.hosts%2]) }, func(i int) *apiv1.Command {
					return c.cmd("wish h%d schedulable", i%c.hosts)
				})
			})
			b.Run("CheckHash", func(b *testing.B) { // after 64 changes each
				c.measure(b, 1, nil, func(int) *apiv1.Command {
					c.applyAll(benchBatch, func(i int) *apiv1.Command { return c.cmd("host h%d %d n i", i%c.hosts, 64+c.n%2) })
					return c.cmd("hash 0")
				}, nil)
			})
		})
	}
}

// BenchmarkMigration is the cost of a whole migration of one rank.
func BenchmarkMigration(b *testing.B) {
	for _, size := range benchSizes {
		b.Run(fmt.Sprintf("hosts=%d/ranks=%d", size.hosts, size.ranks), func(b *testing.B) {
			c := newBenchCluster(b, size.hosts, size.ranks)
			step := func(i int) *apiv1.Command {
				app, turn, id := i/5%c.apps, i/5/c.apps, fmt.Sprintf("g%d", c.n+i/5)
				switch i % 5 {
				case 0:
					return c.cmd("propose %s a%d %d 0:>h%d", id, app, 1+turn, (app*3+7+turn%2)%c.hosts)
				case 1:
					return c.cmd("announce %s", id)
				case 2:
					return c.cmd("freeze %s 0", id)
				case 3:
					return c.cmd("commit %s", id)
				default:
					return c.cmd("pause %s 0 2.5", id)
				}
			}
			b.ReportAllocs()
			entries := c.encode(5*b.N, step)
			b.ResetTimer()
			c.apply(entries)
			b.ReportMetric(5*float64(b.N)/b.Elapsed().Seconds(), "commands/s")
		})
	}
}

// BenchmarkHostLost ends the ranks of one host's apps.
func BenchmarkHostLost(b *testing.B) {
	for _, size := range benchSizes {
		b.Run(fmt.Sprintf("hosts=%d/ranks=%d", size.hosts, size.ranks), func(b *testing.B) {
			c := newBenchCluster(b, size.hosts, size.ranks)
			v := c.m.View()
			entries := c.encode(1, func(int) *apiv1.Command { return c.cmd("state h7 i lost gone") })
			b.ReportAllocs()
			b.ResetTimer()
			for range b.N {
				m := &Machine{feed: newFeed(nil), ledger: &ledger{touched: map[objectKey]struct{}{}}}
				m.view.Store(v)
				c.m = m
				c.apply(entries)
			}
		})
	}
}

// BenchmarkLargeApp starts and ends an app of the largest size on as many hosts,
// each of which reports by itself.
func BenchmarkLargeApp(b *testing.B) {
	c := newBenchCluster(b, MaxAppSize, 1000)
	b.ReportAllocs()
	for n := range b.N {
		id := fmt.Sprintf("big%d", n)
		c.applyAll(1, func(int) *apiv1.Command { return c.cmd("submit %s m %d", id, MaxAppSize) })
		op := &apiv1.PlaceApp{App: id}
		for r := range MaxAppSize {
			op.Placement = append(op.Placement, fmt.Sprintf("h%d", r))
		}
		c.applyAll(1, func(int) *apiv1.Command { return &apiv1.Command{Op: &apiv1.Command_PlaceApp{PlaceApp: op}} })
		c.applyAll(MaxAppSize, func(i int) *apiv1.Command { return c.cmd("started %s h%d 1", id, i) })
		c.applyAll(MaxAppSize, func(i int) *apiv1.Command { return c.cmd("ended %s h%d %d@1=0", id, i, i) })
	}
}

// BenchmarkSnapshot is the stall of a snapshot (taking the view), what writing it
// costs beside Apply, reading it back, and the hash made anew.
func BenchmarkSnapshot(b *testing.B) {
	for _, size := range benchSizes {
		c := newBenchCluster(b, size.hosts, size.ranks)
		name := fmt.Sprintf("hosts=%d/ranks=%d", size.hosts, size.ranks)
		b.Run(name+"/stall", func(b *testing.B) {
			for range b.N {
				_ = c.m.View()
			}
		})
		b.Run(name+"/write", func(b *testing.B) {
			b.ReportAllocs()
			for range b.N {
				n, err := c.m.View().WriteTo(io.Discard)
				require.NoError(b, err)
				b.SetBytes(n)
			}
		})
		b.Run(name+"/hash", func(b *testing.B) {
			for range b.N {
				c.m.View().Hash()
			}
		})
	}
}
