package control

import (
	"cmp"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/types/known/timestamppb"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/fsm"
	"github.com/godwit-run/godwit/internal/apierr"
	"github.com/godwit-run/godwit/planner"
)

// TestPages: pages hold every item once, in order, whatever comes in between, and are bounded in bytes.
func TestPages(t *testing.T) {
	b := newBench(t, nil)
	const apps = 25
	for i := range apps {
		b.submit(fmt.Sprintf("a%02d", apps-i), &apiv1.AppSpec{Size: 1, Args: []string{strings.Repeat("x", 100<<10)}})
	}
	for _, size := range []int32{0, 1, 7, 25, 1000} {
		var got []string
		token, pages := "", 0
		for {
			res, err := b.l.c.ListApps(b.ctx, &apiv1.ListAppsRequest{PageSize: size, PageToken: token})
			require.NoError(t, err)
			require.NotEmpty(t, res.Apps)
			if size > 0 {
				require.LessOrEqual(t, len(res.Apps), int(size))
			}
			require.LessOrEqual(t, len(res.Apps), 11, "a page is bounded in bytes")
			for _, a := range res.Apps {
				got = append(got, a.Id)
			}
			pages++
			if token = res.NextPageToken; token == "" {
				break
			}
		}
		require.Len(t, got, apps)
		require.Equal(t, "a25", got[0], "in order of submission")
		require.Equal(t, "a01", got[apps-1])
	}
	for _, name := range []string{"h1", "h2", "h3"} {
		b.host(name, 1)
	}
	first, err := b.l.c.ListHosts(b.ctx, &apiv1.ListHostsRequest{PageSize: 2})
	require.NoError(t, err)
	b.host("h0", 1)
	second, err := b.l.c.ListHosts(b.ctx, &apiv1.ListHostsRequest{PageSize: 2, PageToken: first.NextPageToken})
	require.NoError(t, err)
	require.Len(t, second.Hosts, 1)
	require.Equal(t, "h3", second.Hosts[0].Id)
	require.Empty(t, second.NextPageToken)
	require.NoError(t, b.register(&apiv1.Host{Id: "secretive", Addr: "a:1", Slots: 1, Incarnation: "i", NodeId: "n"}, secretHash("s")))
	all, err := b.l.c.ListHosts(b.ctx, &apiv1.ListHostsRequest{})
	require.NoError(t, err)
	for _, h := range all.Hosts {
		require.Empty(t, h.SecretHash, "it is between the worker and the servers")
	}
	_, err = b.l.c.ListHosts(b.ctx, &apiv1.ListHostsRequest{PageSize: -1})
	require.ErrorContains(t, err, "page_size")
}

// TestPagesCostWhatTheyHold: a page looks at what it holds, and at one item more, however much is before it.
func TestPagesCostWhatTheyHold(t *testing.T) {
	b := newBench(t, nil)
	const apps, size = 60, 4
	for i := range apps {
		b.submit(fmt.Sprintf("a%02d", apps-i), &apiv1.AppSpec{Size: 1})
		b.host(fmt.Sprintf("h%02d", i), 1)
	}
	b.propose(&apiv1.Command{Op: &apiv1.Command_StopApp{StopApp: &apiv1.StopApp{App: "a30", Phase: string(fsm.Cancelled), Reason: "enough"}}})
	v := b.l.c.state.View()
	ended, ok := v.App("a30")
	require.True(t, ok)
	require.True(t, fsm.PhaseOf(ended).Terminal())
	var got []string
	for token, more := "", true; more; more = token != "" {
		p, err := newPager("apps", size, token)
		require.NoError(t, err)
		res, err := b.l.c.pageOfApps(b.ctx, v, p, true)
		require.NoError(t, err)
		require.LessOrEqual(t, p.visited, size+1)
		for _, app := range res.Apps {
			got = append(got, app.Id)
		}
		token = res.NextPageToken
	}
	require.Len(t, got, apps)
	require.Contains(t, got, "a30")
	require.True(t, slices.IsSortedFunc(got, func(a, b string) int { return cmp.Compare(b, a) }))
	last, err := newPager("hosts", size, "hosts/h50")
	require.NoError(t, err)
	hosts := pageOf(last, visit(last, v.HostsAfter("h50")), (*apiv1.Host).GetId)
	require.Equal(t, "h51", hosts[0].Id)
	require.Equal(t, size+1, last.visited)
}

// TestPagesOfNow: without the old ones, a page passes over none of them, and has the others in the order of all.
func TestPagesOfNow(t *testing.T) {
	b := newBench(t, nil)
	stop := func(id string) {
		b.propose(&apiv1.Command{Op: &apiv1.Command_StopApp{StopApp: &apiv1.StopApp{App: id, Phase: string(fsm.Cancelled), Reason: "enough"}}})
	}
	b.log.before = func(c *apiv1.Command) { c.At = timestamppb.New(time.Now().Add(-3 * recent)) }
	for i := range 50 {
		id := fmt.Sprintf("old%02d", i)
		b.submit(id, &apiv1.AppSpec{Size: 1})
		stop(id)
	}
	b.log.before = func(c *apiv1.Command) { c.At = timestamppb.Now() }
	for _, id := range []string{"d", "c", "b", "a"} {
		b.submit(id, &apiv1.AppSpec{Size: 1})
	}
	stop("a")
	stop("c")
	v := b.l.c.state.View()
	for _, size := range []int32{1, 2, 3, 10} {
		var got []string
		for token, more := "", true; more; more = token != "" {
			p, err := newPager("apps", size, token)
			require.NoError(t, err)
			res, err := b.l.c.pageOfApps(b.ctx, v, p, false)
			require.NoError(t, err)
			require.LessOrEqual(t, p.visited, int(size)+1)
			for _, app := range res.Apps {
				got = append(got, app.Id)
			}
			token = res.NextPageToken
		}
		require.Equal(t, []string{"d", "c", "b", "a"}, got)
	}
}

// TestPagesOfNowCostWhatTheyHold: a page takes as much memory however many apps ended a moment ago.
func TestPagesOfNowCostWhatTheyHold(t *testing.T) {
	b := newBench(t, nil)
	b.log.before = func(c *apiv1.Command) { c.At = timestamppb.Now() }
	n := 0
	cost := func(ended int) int64 {
		for ; n < ended; n++ {
			id := fmt.Sprintf("a%d", n)
			b.submit(id, &apiv1.AppSpec{Size: 1})
			b.propose(&apiv1.Command{Op: &apiv1.Command_StopApp{StopApp: &apiv1.StopApp{App: id, Phase: string(fsm.Cancelled), Reason: "enough"}}})
		}
		v := b.l.c.state.View()
		const pages = 100
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		for range pages {
			p, err := newPager("apps", 2, "")
			require.NoError(t, err)
			res, err := b.l.c.pageOfApps(b.ctx, v, p, false)
			require.NoError(t, err)
			require.Len(t, res.Apps, 2)
		}
		runtime.ReadMemStats(&after)
		return int64(after.TotalAlloc-before.TotalAlloc) / pages
	}
	few := cost(20)
	require.Less(t, cost(3000), 4*few)
}

// TestPagesOfAQueue: what a page costs is not what the queue is long, whatever its apps ask for and though something happens between two
// pages.
func TestPagesOfAQueue(t *testing.T) {
	b := newBench(t, nil)
	for i := range 30 {
		b.host(fmt.Sprintf("h%02d", i), 4)
	}
	n, others := 0, 0
	cost := func(queued int) int64 {
		for ; n < queued; n++ {
			spec := &apiv1.AppSpec{Size: 100}
			switch n % 4 {
			case 1:
				spec.Place = []*apiv1.PlaceRule{{Host: "elsewhere", Ranks: 100}}
			case 2:
				spec.Policy = planner.Compact
			case 3:
				spec.Size, spec.Hint = 5, planner.ForceLocal
			}
			b.submit(fmt.Sprintf("a%d", n), spec)
		}
		const pages = 50
		var before, after runtime.MemStats
		total := int64(0)
		for range pages {
			b.host(fmt.Sprintf("h%02d", others%30), 4)
			others++
			v := b.l.c.state.View()
			p, err := newPager("apps", 4, "")
			require.NoError(t, err)
			runtime.ReadMemStats(&before)
			res, err := b.l.c.pageOfApps(b.ctx, v, p, false)
			runtime.ReadMemStats(&after)
			require.NoError(t, err)
			require.Len(t, res.Apps, 4)
			for _, app := range res.Apps {
				require.NotEmpty(t, app.Reason)
			}
			total += int64(after.TotalAlloc - before.TotalAlloc)
		}
		return total / pages
	}
	few := cost(20)
	require.Less(t, cost(2000), 4*few)
}

// TestPageTokens: a token that no page gave is refused, that of another list too.
func TestPageTokens(t *testing.T) {
	b := newBench(t, nil)
	for _, name := range []string{"a", "b"} {
		b.submit(name, &apiv1.AppSpec{Size: 1})
	}
	apps, err := b.l.c.ListApps(b.ctx, &apiv1.ListAppsRequest{PageSize: 1})
	require.NoError(t, err)
	require.NotEmpty(t, apps.NextPageToken)
	for _, token := range []string{"zzzz", "hosts/h1", "/", "apps/a", "apps/7/a", apps.NextPageToken[1:], strings.Repeat("x", 1<<20)} {
		_, err := b.l.c.ListApps(b.ctx, &apiv1.ListAppsRequest{PageToken: token})
		require.Equal(t, "page_token", apierr.Info(err).GetField(), "%v", err)
	}
	_, err = b.l.c.ListHosts(b.ctx, &apiv1.ListHostsRequest{PageToken: apps.NextPageToken})
	require.Equal(t, "page_token", apierr.Info(err).GetField(), "%v", err)
	_, err = b.l.c.ListHosts(b.ctx, &apiv1.ListHostsRequest{PageSize: -1})
	require.Equal(t, "page_size", apierr.Info(err).GetField(), "%v", err)
}
