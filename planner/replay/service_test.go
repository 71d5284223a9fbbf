package replay

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// TestMeasuredTimes: the model gives back what was measured, and its one other placement.
func TestMeasuredTimes(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		workload Workload
		hosts    []int // ranks on each
		want     float64
	}{
		{Locality, []int{2}, 519},
		{Locality, []int{7}, 255},
		{Locality, []int{8}, 228},
		{Locality, []int{8, 1}, 450},
		{Locality, []int{8, 4}, 590},
		{Locality, []int{8, 7}, 710},
		{Locality, []int{4, 4}, 1.74 * 228},
		{Compute, []int{4}, 237},
		{Compute, []int{8}, 195},
		{Compute, []int{4, 4}, 195},
		{Compute, []int{8, 7}, 112},
		{Compute, []int{1, 1, 1, 1, 1, 1}, 252},
	} {
		var shares []share
		n := 0
		for _, ranks := range tt.hosts {
			shares = append(shares, share{ranks: ranks})
			n += ranks
		}
		j, ok := tt.workload.job(n)
		require.True(t, ok)
		require.InDelta(t, tt.want, j.seconds(linksOf(shares, n)), 1e-9, tt)
	}
	for _, n := range []int{0, 1, 16} {
		_, ok := Locality.job(n)
		require.False(t, ok)
	}
	_, ok := Workload("other").job(4)
	require.False(t, ok)
}

// TestApartIsSlower: between what was measured, more pairs apart take longer.
func TestApartIsSlower(t *testing.T) {
	t.Parallel()
	j, _ := Locality.job(12)
	last := 0.0
	for _, hosts := range [][]share{{{"a", 12}}, {{"a", 8}, {"b", 4}}, {{"a", 6}, {"b", 6}}, {{"a", 4}, {"b", 4}, {"c", 4}}} {
		s := j.seconds(linksOf(hosts, 12))
		require.Greater(t, s, last)
		last = s
	}
	require.Equal(t, 32, linksOf([]share{{"a", 8}, {"b", 4}}, 12))
	require.Equal(t, 32, leastLinks(12, 8))
	require.Equal(t, 0, leastLinks(8, 8))
	require.Equal(t, 3*64, leastLinks(24, 8))
}

// TestPublishedMigrations: a program of 8 ranks that takes 38.6 s as 4+4 and 5.0 s on one host, and is moved when a part of the first time is over.
// By the model, with nothing for the migration itself, it takes what was published within 7 %.
func TestPublishedMigrations(t *testing.T) {
	t.Parallel()
	j := Job{Ranks: 8, Alone: 5, Penalty: (38.6/5 - 1) / (16.0 / 28)}
	require.InDelta(t, 38.6, j.seconds(16), 1e-9)
	apart := []share{{"a", 4}, {"b", 4}}
	for share, want := range map[float64]float64{0.2: 11.9, 0.4: 18.0, 0.6: 25.9, 0.8: 33.0} {
		task := &task{Job: &j, shares: apart, links: 16}
		task.advance(duration(share * 38.6))
		task.links = 0
		require.InEpsilon(t, want, task.since.Seconds()+task.left().Seconds(), 0.07, share)
	}
}
