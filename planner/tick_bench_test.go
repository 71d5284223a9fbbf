package planner

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/fsm"
)

// crowded is a cluster of hosts of 16 slots, with two apps of five ranks for each host, which lie as they fell, and 6 of 16 slots free.
func crowded(b *testing.B, hosts int, policy string) (*cluster, []fsm.AppID) {
	b.Helper()
	c := newCluster(b)
	c.level()
	name := func(i int) string { return fmt.Sprintf("h%05d", i%hosts) }
	for i := range hosts {
		c.host(name(i), 16)
	}
	var due []fsm.AppID
	for i := range 2 * hosts {
		id := fmt.Sprintf("a%05d", i)
		c.submit(id, &apiv1.AppSpec{Size: 5, MigrationCheckPeriod: 60, Policy: policy})
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

// BenchmarkTick is one look of the checker at all apps of a cluster: 10,000 hosts with 20,000 apps of 100,000 ranks at the most.
func BenchmarkTick(b *testing.B) {
	for _, policy := range []string{BinPack, EmptyHosts} {
		for _, hosts := range []int{100, 1000, 10000} {
			b.Run(fmt.Sprintf("%s/hosts=%d", policy, hosts), func(b *testing.B) {
				c, due := crowded(b, hosts, policy)
				v := c.m.View()
				b.ResetTimer()
				for b.Loop() {
					require.NotNil(b, Checker{View: v, Now: time.Unix(5000, 0)}.Check(due))
				}
			})
		}
	}
}

// BenchmarkSubmitDecision is the placement of one app that was submitted, by a board that is kept, and, in the second, behind a head that waits.
func BenchmarkSubmitDecision(b *testing.B) {
	for _, hosts := range []int{100, 1000, 10000} {
		b.Run(fmt.Sprintf("hosts=%d", hosts), func(b *testing.B) {
			c, _ := crowded(b, hosts, BinPack)
			c.submit("new", &apiv1.AppSpec{Size: 8})
			board, v := NewBoard(), c.m.View()
			board.Reset(v)
			for b.Loop() {
				require.Len(b, board.Next(v, 1), 1)
			}
		})
		b.Run(fmt.Sprintf("backfill/hosts=%d", hosts), func(b *testing.B) {
			c, _ := crowded(b, hosts, BinPack)
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
