package planner

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/fsm"
)

// fleet is what hosts and apps of a benchmark have beside slots.
type fleet struct {
	name   string
	memory bool // each rank declares a unit, and a host has 14 for its 16 slots
	speeds bool // every second host is twice as fast
	racks  bool // of 40 hosts each
	labels bool // apps ask for a label that all hosts have
}

var fleets = []fleet{{}, {name: "/memory", memory: true}, {name: "/speeds", speeds: true}, {name: "/memory-and-speeds", memory: true, speeds: true}, {name: "/racks", racks: true}, {name: "/labels", labels: true}}

// crowded is a cluster of hosts of 16 slots, with two apps of five ranks for each host, which lie as they fell, and 6 of 16 slots free.
func crowded(b *testing.B, hosts int, policy string, f fleet) (*cluster, []fsm.AppID) {
	b.Helper()
	c := newCluster(b)
	c.level()
	name := func(i int) string { return fmt.Sprintf("h%05d", i%hosts) }
	for i := range hosts {
		memory, speed := int64(0), 0.0
		if f.memory {
			memory = 14 * unit
		}
		if f.speeds {
			speed = float64(1 + i%2)
		}
		c.equipped(name(i), 16, memory, speed, f.labelsOf(i))
	}
	var due []fsm.AppID
	for i := range 2 * hosts {
		id := fmt.Sprintf("a%05d", i)
		c.submit(id, f.asks(&apiv1.AppSpec{Size: 5, MigrationCheckPeriod: 60, Policy: policy}))
		// Half of them are on two hosts.
		second := i/2 + 1
		if i%4 < 2 {
			second = i / 2
		}
		c.runs(id, name(i/2), name(i/2), name(i/2), name(second), name(second))
		due = append(due, fsm.AppID(id))
	}
	return c, due
}

// asks has an app ask for what there is to ask for.
func (f fleet) asks(spec *apiv1.AppSpec) *apiv1.AppSpec {
	if f.memory {
		spec.MemoryBytes = unit
	}
	if f.labels {
		spec.On = []string{"disk=ssd"}
	}
	return spec
}

// labelsOf are the labels of a host.
func (f fleet) labelsOf(i int) map[string]string {
	labels := map[string]string{}
	if f.racks {
		labels[RackLabel] = fmt.Sprint(i / 40)
	}
	if f.labels {
		labels["disk"] = "ssd"
	}
	return labels
}

// BenchmarkTick is one look of the checker at all apps of a cluster: 10,000 hosts with 20,000 apps of 100,000 ranks at the most.
func BenchmarkTick(b *testing.B) {
	for _, policy := range []string{BinPack, EmptyHosts, Compact} {
		for _, f := range fleets {
			for _, hosts := range []int{100, 1000, 10000} {
				b.Run(fmt.Sprintf("%s%s/hosts=%d", policy, f.name, hosts), func(b *testing.B) {
					c, due := crowded(b, hosts, policy, f)
					v := c.m.View()
					b.ResetTimer()
					for b.Loop() {
						proposals := Checker{View: v, Now: time.Unix(5000, 0)}.Check(due)
						require.Equal(b, policy != Compact, len(proposals) > 0) // two apps on each host: none would be without ranks
					}
				})
			}
		}
	}
}

// BenchmarkTickOfAll is one look that plans for all of 20,000 apps on 10,000 hosts, none of which finds a place to move to.
func BenchmarkTickOfAll(b *testing.B) {
	for _, f := range fleets {
		for _, hosts := range []int{100, 1000, 10000} {
			b.Run(fmt.Sprintf("all%s/hosts=%d", f.name, hosts), func(b *testing.B) {
				c, due := settled(b, hosts, f)
				v := c.m.View()
				b.ResetTimer()
				for b.Loop() {
					require.Empty(b, Checker{View: v, Now: time.Unix(5000, 0)}.Check(due))
				}
			})
		}
	}
}

// settled is a cluster with one slot free on each host: apps of five ranks on two hosts, which stay there since they would have to save all of their links.
func settled(b *testing.B, hosts int, f fleet) (*cluster, []fsm.AppID) {
	b.Helper()
	c := newCluster(b)
	c.level()
	c.do(&apiv1.Command{Op: &apiv1.Command_SetScheduling{SetScheduling: &apiv1.SetScheduling{Scheduling: &apiv1.Scheduling{MinGainPercent: 100}}}})
	name := func(i int) string { return fmt.Sprintf("h%05d", i%hosts) }
	var due []fsm.AppID
	for i := range hosts {
		memory, speed := int64(0), 0.0
		if f.memory {
			memory = 11 * unit
		}
		if f.speeds {
			speed = float64(1 + i%2)
		}
		c.equipped(name(i), 11, memory, speed, f.labelsOf(i))
	}
	for i := range 2 * hosts {
		id := fmt.Sprintf("a%05d", i)
		c.submit(id, f.asks(&apiv1.AppSpec{Size: 5, MigrationCheckPeriod: 60}))
		at, next := i/2, i/2+1
		c.runs(id, name(at), name(at), name(at), name(next), name(next))
		due = append(due, fsm.AppID(id))
	}
	return c, due
}

// BenchmarkSubmitDecision is the placement of one app that was submitted, by a board that is kept.
func BenchmarkSubmitDecision(b *testing.B) {
	for _, f := range fleets {
		for _, hosts := range []int{100, 1000, 10000} {
			b.Run(fmt.Sprintf("submit%s/hosts=%d", f.name, hosts), func(b *testing.B) {
				c, _ := crowded(b, hosts, BinPack, f)
				c.submit("new", f.asks(&apiv1.AppSpec{Size: 8}))
				board, v := NewBoard(), c.m.View()
				board.Reset(v)
				require.Len(b, board.Next(v, 1), 1)
				for b.Loop() {
					require.Len(b, board.Next(v, 1), 1)
				}
			})
		}
	}
}

// BenchmarkBackfill is the placement of one app behind a head that waits.
func BenchmarkBackfill(b *testing.B) {
	for _, hosts := range []int{100, 1000, 10000} {
		b.Run(fmt.Sprintf("backfill/hosts=%d", hosts), func(b *testing.B) {
			c, _ := crowded(b, hosts, BinPack, fleet{})
			for i := range min(1000, hosts) {
				id := fmt.Sprintf("l%05d", i)
				c.submit(id, &apiv1.AppSpec{Size: 1, TimeLimitMs: 60_000})
				c.runs(id, fmt.Sprintf("h%05d", i))
			}
			c.submit("head", &apiv1.AppSpec{Size: 20, Place: []*apiv1.PlaceRule{{Host: "h00000", Ranks: 10}, {Host: "h00001", Ranks: 10}}})
			c.submit("short", &apiv1.AppSpec{Size: 1, TimeLimitMs: 1000})
			v := c.m.View()
			for b.Loop() {
				Backfill(Cluster{View: v}, epoch, 64)
			}
		})
	}
}
