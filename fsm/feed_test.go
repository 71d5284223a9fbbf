package fsm

import (
	"bytes"
	"fmt"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

// woken takes what waits in the subscription's channel.
func woken(s *Subscription) bool {
	select {
	case <-s.C():
		return true
	default:
		return false
	}
}

func TestFeedTellsWhatChanged(t *testing.T) {
	m := New()
	changes, next, ok := m.Feed().Since(0)
	require.True(t, ok)
	require.Empty(t, changes)
	require.Zero(t, next)

	mustApply(t, m, "init c1", "module m migratable", "host h1 4 n1 i1", "host h2 4 n2 i1")
	mustApply(t, m, "submit a m 2", "submit b m 1", "place a h1 h2", "place nobody h1")
	mustApply(t, m, "stop nobody failed 1")
	mustApply(t, m, "started a h1 1", "started a h2 1", "propose g a 1 0:h1>h2")
	changes, next, ok = m.Feed().Since(0)
	require.True(t, ok)
	require.EqualValues(t, 4, next)
	require.Equal(t, []Change{
		{Index: 1, Cluster: true, Modules: []Digest{"m"}, Hosts: []HostID{"h1", "h2"}},
		{Index: 2, Apps: []AppID{"a", "b"}, Hosts: []HostID{"h1", "h2"}, Modules: changes[1].Modules},
		{Index: 4, Apps: []AppID{"a"}, Hosts: []HostID{"h2"}, Migrations: []MigrationID{"g"}},
	}, changes)
	changes, next, ok = m.Feed().Since(2)
	require.True(t, ok)
	require.Len(t, changes, 1)
	require.EqualValues(t, 4, next)
	changes, next, ok = m.Feed().Since(9)
	require.True(t, ok, "the feed may be behind a view")
	require.Empty(t, changes)
	require.EqualValues(t, 9, next)
}

// TestFeedLooksAtOneMoment: the view of an answer has just the changes of the answer, and those before.
func TestFeedLooksAtOneMoment(t *testing.T) {
	m := New()
	v, changes, ok := m.Feed().Look(0)
	require.True(t, ok)
	require.Empty(t, changes)
	require.Same(t, m.View(), v)
	mustApply(t, m, "init c1", "module m", "host h1 4 n1 i1")
	mustApply(t, m, "submit a m 1")
	v, changes, ok = m.Feed().Look(1)
	require.True(t, ok)
	require.Len(t, changes, 1)
	require.EqualValues(t, 2, v.Index())
	require.Same(t, m.View(), v)
	var buf bytes.Buffer
	_, err := m.View().WriteTo(&buf)
	require.NoError(t, err)
	require.NoError(t, m.Restore(&buf))
	v, changes, ok = m.Feed().Look(1)
	require.False(t, ok, "nobody knows what a restored state has changed")
	require.Empty(t, changes)
	require.Same(t, m.View(), v)
}

// TestFeedWakesWhoItConcerns: and nobody else.
func TestFeedWakesWhoItConcerns(t *testing.T) {
	m := New()
	mustApply(t, m, "init c1", "module m", "host h1 4 n1 i1", "submit a m 1", "submit b m 1")
	f := m.Feed()
	a, b, hosts := f.Subscribe(OfApp("a")), f.Subscribe(OfApp("b")), f.Subscribe(AnyHost)
	either, apps, all := f.Subscribe(OfApp("a"), OfApp("b")), f.Subscribe(AnyApp), f.Subscribe(Everything)
	cluster, migs := f.Subscribe(TheCluster), f.Subscribe(AnyMigration)

	mustApply(t, m, "place a h1")
	require.Equal(t, []bool{true, false, true, true, true, true, false, false},
		[]bool{woken(a), woken(b), woken(hosts), woken(either), woken(apps), woken(all), woken(cluster), woken(migs)})
	mustApply(t, m, "stop b cancelled 0")
	mustApply(t, m, "stop nobody cancelled 0")
	require.Equal(t, []bool{false, true, false, true, true, true, false, false},
		[]bool{woken(a), woken(b), woken(hosts), woken(either), woken(apps), woken(all), woken(cluster), woken(migs)})

	var snap bytes.Buffer
	_, err := m.View().WriteTo(&snap)
	require.NoError(t, err)
	index := m.View().Index()
	require.NoError(t, m.Restore(&snap))
	require.Equal(t, []bool{true, true, true, true, true, true, true, true},
		[]bool{woken(a), woken(b), woken(hosts), woken(either), woken(apps), woken(all), woken(cluster), woken(migs)})
	_, _, ok := f.Since(index - 1)
	require.False(t, ok, "a restored state says nothing of what came before it")
	_, _, ok = f.Since(index)
	require.True(t, ok)

	for _, s := range []*Subscription{a, b, hosts, either, apps, all, cluster, migs} {
		s.Close()
		s.Close()
	}
	require.Empty(t, f.subs)
}

// TestFeedIsBounded: who lags too far behind is told so, never given a gap.
func TestFeedIsBounded(t *testing.T) {
	m := New()
	mustApply(t, m, "init c1")
	for i := range 3 * feedChanges {
		m.feed.publish(Change{Index: uint64(i) + 2, Apps: []AppID{"a", "b"}}, m.View())
	}
	last := uint64(3*feedChanges) + 1
	require.LessOrEqual(t, len(m.feed.ring), 3*feedChanges)
	_, _, ok := m.Feed().Since(5)
	require.False(t, ok)
	changes, next, ok := m.Feed().Since(last - 100)
	require.True(t, ok)
	require.Equal(t, last, next)
	require.Len(t, changes, 100)
	require.Equal(t, last-99, changes[0].Index)

	big := make([]AppID, feedNames-10)
	m.feed.publish(Change{Index: last + 1, Apps: big}, m.View())
	_, _, ok = m.Feed().Since(last - 100)
	require.False(t, ok)
	changes, _, ok = m.Feed().Since(last)
	require.True(t, ok)
	require.Len(t, changes, 1)
}

// TestFeedMissesNothing: readers that follow the feed from a view see every app,
// while entries are applied; the race detector looks on.
func TestFeedMissesNothing(t *testing.T) {
	defer goleak.VerifyNone(t)
	const apps = 300
	m := New()
	mustApply(t, m, "init c1", "module m")
	var readers sync.WaitGroup
	for range 3 {
		sub := m.Feed().Subscribe(AnyApp)
		v := m.View()
		readers.Go(func() {
			defer sub.Close()
			seen := map[AppID]bool{}
			for app := range v.appsOf(v.live) {
				seen[AppID(app.GetId())] = true
			}
			for next := v.Index(); len(seen) < apps; <-sub.C() {
				changes, upTo, ok := m.Feed().Since(next)
				if !ok {
					panic("a feed of few entries was too old")
				}
				next = upTo
				for _, c := range changes {
					for _, id := range c.Apps {
						seen[id] = true
					}
				}
				if len(seen) == apps {
					return
				}
			}
		})
	}
	for i := range apps {
		mustApply(t, m, fmt.Sprintf("submit a%d m 1", i))
	}
	readers.Wait()
}
