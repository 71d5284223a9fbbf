package planner

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/fsm"
)

// nextOfAll is what a board must say, by a look at all hosts for each app, and remembering nothing.
func nextOfAll(v *fsm.View, limit int) (out []Next) {
	hosts := hostsOf(v)
	for app := range v.Queue() {
		plan, never := tryBoth(app, hosts)
		switch {
		case v.WhyAway(app) != "":
		case len(out) == limit:
			return out
		case plan.Outcome == Placed:
			out = append(out, Next{app, plan.Placement})
			take(hosts, app, plan.Placement)
		case !never:
			return out
		}
	}
	return out
}

// tryBoth places an app on the hosts as they are, and if it does not fit on the same with nothing on them.
func tryBoth(app *apiv1.App, hosts []Host) (plan Plan, never bool) {
	plan, err := placeApp(app, hosts, "")
	if err != nil || plan.Outcome == Placed {
		return plan, err != nil
	}
	empty, err := placeApp(app, emptied(hosts), "")
	return plan, err == nil && empty.Outcome != Placed
}

// checkLine compares what a line says with a look at all hosts for each app.
func checkLine(t require.TestingT, v *fsm.View, line *Line) {
	hosts, first := hostsOf(v), ""
	for app := range v.Queue() {
		plan, never := tryBoth(app, hosts)
		why := line.Why(app)
		switch {
		case never:
			require.Regexp(t, "^(cannot be placed|needs .* the cluster has|does not fit the empty cluster)", why)
		case first != "":
			require.Contains(t, why, "waits behind app "+first+", which ")
		default:
			first = app.GetId()
			require.Equal(t, whyHead(plan), why)
		}
	}
}

// TestBoardDecidesAlike: whatever happens to a cluster, a board that is told which hosts have changed plans as one that
// looks at all of them does, and so does a new board; and planning changes nothing of it.
func TestBoardDecidesAlike(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := newCluster(t)
		c.level()
		e := &events{
			c: c, uneven: rapid.Bool().Draw(t, "uneven"), board: NewBoard(),
			hosts: rapid.Map(rapid.IntRange(0, 11), func(i int) string { return fmt.Sprintf("w%d", i) }),
		}
		t.Repeat(map[string]func(*rapid.T){
			"host": e.host, "wish": e.wish, "lost": e.lost, "submit": e.submit, "stop": e.stop, "place": e.place, "": e.check,
		})
	})
}

// events are what happens to a cluster, and a board that follows.
type events struct {
	c      *cluster
	board  *Board
	lines  Lines
	uneven bool   // hosts are of different speed
	index  uint64 // up to which the board has followed
	apps   int
	hosts  *rapid.Generator[string]
}

func (e *events) host(t *rapid.T) {
	e.c.try(&apiv1.Command{Op: &apiv1.Command_RegisterHost{RegisterHost: &apiv1.RegisterHost{Host: &apiv1.Host{
		Id: e.hosts.Draw(t, "host"), Slots: int32(rapid.IntRange(1, 6).Draw(t, "slots")), NodeId: "n", Incarnation: fmt.Sprint(e.c.m.View().Index()),
		MemoryBytes: drawMemory(t, 6), RankMemoryBytes: drawMemory(t, 2), Speed: drawSpeed(t, e.uneven),
	}}}})
}

func (e *events) wish(t *rapid.T) {
	e.c.try(&apiv1.Command{Op: &apiv1.Command_SetHostWish{SetHostWish: &apiv1.SetHostWish{
		Host: e.hosts.Draw(t, "host"), Wish: rapid.SampledFrom([]string{"schedulable", "cordoned", "draining"}).Draw(t, "wish"),
	}}})
}

func (e *events) lost(t *rapid.T) {
	h, _ := e.c.m.View().Host(fsm.HostID(e.hosts.Draw(t, "host")))
	e.c.try(&apiv1.Command{Op: &apiv1.Command_SetHostState{SetHostState: &apiv1.SetHostState{
		Host: h.GetId(), Incarnation: h.GetIncarnation(), State: "lost",
	}}})
}

func (e *events) submit(t *rapid.T) {
	spec := &apiv1.AppSpec{
		Size: int32(rapid.IntRange(1, 12).Draw(t, "size")), Oversubscribe: rapid.IntRange(0, 5).Draw(t, "over") == 0,
		Tenant: rapid.SampledFrom([]string{"", "x"}).Draw(t, "tenant"), MemoryBytes: drawMemory(t, 2),
	}
	switch rapid.IntRange(0, 7).Draw(t, "kind") {
	case 0:
		first := int32(rapid.IntRange(1, int(spec.GetSize())).Draw(t, "ranks"))
		spec.Place = []*apiv1.PlaceRule{{Host: e.hosts.Draw(t, "rule"), Ranks: first}}
		if first < spec.GetSize() {
			spec.Place = append(spec.Place, &apiv1.PlaceRule{Host: e.hosts.Draw(t, "rule"), Ranks: spec.GetSize() - first})
		}
	case 1:
		spec.Policy = rapid.SampledFrom([]string{MainFirst, Compact, Spot, "traffic"}).Draw(t, "policy")
	case 2:
		spec.Hint = rapid.SampledFrom([]string{Underfull, NeverAlone, ForceLocal}).Draw(t, "hint")
	case 3:
		spec.MainHost = e.hosts.Draw(t, "main")
	}
	e.c.submit(fmt.Sprintf("a%03d", e.apps), spec)
	e.apps++
}

func (e *events) stop(t *rapid.T) {
	id := fmt.Sprintf("a%03d", rapid.IntRange(0, max(0, e.apps-1)).Draw(t, "app"))
	e.c.try(&apiv1.Command{Op: &apiv1.Command_StopApp{StopApp: &apiv1.StopApp{App: id, Phase: "cancelled"}}})
	app, ok := e.c.m.View().App(fsm.AppID(id))
	if !ok {
		return
	}
	for r, on := range app.GetPlacement() {
		e.c.try(&apiv1.Command{Op: &apiv1.Command_RanksEnded{RanksEnded: &apiv1.RanksEnded{
			App: id, Host: on, Ranks: []*apiv1.EndedRank{{Rank: int32(r), Epoch: app.GetEpoch()}},
		}}})
	}
}

func (e *events) place(*rapid.T) {
	for _, n := range nextOfAll(e.c.m.View(), 2) {
		e.c.place(n.App.GetId(), n.Placement...)
	}
}

func (e *events) check(t *rapid.T) {
	v, changes, ok := e.c.m.Feed().Look(e.index)
	require.True(t, ok)
	e.index = v.Index()
	for _, change := range changes {
		for _, id := range change.Hosts {
			e.board.Change(v, id)
		}
	}
	fresh := NewBoard()
	fresh.Reset(v)
	requireSame(t, fresh, e.board)
	checkLine(t, v, e.lines.Of(v, nil))
	for _, limit := range []int{1, 3, 100} {
		require.Equal(t, nextOfAll(v, limit), e.board.Next(v, limit))
	}
	requireSame(t, fresh, e.board)
}

func requireSame(t require.TestingT, want, got *Board) {
	require.Equal(t, want.hosts, got.hosts)
	require.LessOrEqual(t, len(got.orders), maxOrders)
	for rank, o := range got.orders {
		fresh := newOrder(rank, want.hosts, nil)
		require.Equal(t, fresh.free, o.free)
		require.Len(t, o.list, len(fresh.list))
		for i := range fresh.list {
			require.Equal(t, fresh.list[i], o.list[i])
		}
	}
	for rank, most := range got.mosts {
		require.Equal(t, (mosts{}).of(rank, want.hosts), most)
	}
}

// TestQueueThatWaits: what a look at a queue costs that goes on waiting is not what the cluster is large, whatever stands at its front and
// cannot be placed.
func TestQueueThatWaits(t *testing.T) {
	cost := func(hosts int) float64 {
		c := newCluster(t)
		for i := range hosts {
			c.host(fmt.Sprintf("w%05d", i), 4)
		}
		for i := range 100 {
			spec := &apiv1.AppSpec{Size: 5}
			switch i % 3 {
			case 0:
				spec.Place = []*apiv1.PlaceRule{{Host: fmt.Sprintf("gone%d", i), Ranks: 5}}
			case 1:
				spec.Place = []*apiv1.PlaceRule{{Host: "w00001", Ranks: 5}}
			case 2:
				spec.Hint = ForceLocal
			}
			c.submit(fmt.Sprintf("a%03d", i), spec)
		}
		c.submit("on", &apiv1.AppSpec{Size: 4})
		c.place("on", "w00001", "w00001", "w00001", "w00001")
		c.submit("head", &apiv1.AppSpec{Size: 1, Place: []*apiv1.PlaceRule{{Host: "w00001", Ranks: 1}}})
		v := c.m.View()
		board := NewBoard()
		board.Reset(v)
		require.Empty(t, board.Next(v, 10))
		return testing.AllocsPerRun(20, func() {
			board.Change(v, "w00000")
			require.Empty(t, board.Next(v, 10))
		})
	}
	few := cost(10)
	require.LessOrEqual(t, cost(500), few)
}

// TestQueueOfManySizesThatWaits: so it is with apps that never fit and declare memory, each as much as no other does: their hosts are not put in order for that.
func TestQueueOfManySizesThatWaits(t *testing.T) {
	cost := func(hosts int) float64 {
		c := newCluster(t)
		c.level()
		for i := range hosts {
			c.declared(fmt.Sprintf("w%05d", i), 4, 1<<30, 0)
		}
		for i := range 100 {
			c.submit(fmt.Sprintf("a%03d", i), &apiv1.AppSpec{Size: 1, MemoryBytes: 2<<30 + int64(i)<<20, Oversubscribe: i%10 == 0})
		}
		v := c.m.View()
		board := NewBoard()
		board.Reset(v)
		require.Empty(t, board.Next(v, 10))
		require.Len(t, board.orders, 1)
		return testing.AllocsPerRun(20, func() {
			board.Change(v, "w00000")
			require.Empty(t, board.Next(v, 10))
			require.Len(t, board.orders, 1)
		})
	}
	few := cost(10)
	require.LessOrEqual(t, cost(500), few)
}

// BenchmarkNext is what it costs to place an app of 16 ranks when four of its hosts' slots have been freed.
func BenchmarkNext(b *testing.B) {
	for _, hosts := range []int{100, 1000, 10_000} {
		c := newCluster(b)
		for i := range hosts {
			c.host(fmt.Sprintf("w%05d", i), 1+i%16)
		}
		c.submit("a", &apiv1.AppSpec{Size: 16})
		v := c.m.View()
		board := NewBoard()
		board.Reset(v)
		b.Run(fmt.Sprintf("all/hosts=%d", hosts), func(b *testing.B) {
			for b.Loop() {
				require.Len(b, nextOfAll(v, 1), 1)
			}
		})
		b.Run(fmt.Sprintf("board/hosts=%d", hosts), func(b *testing.B) {
			for i := 0; b.Loop(); i++ {
				board.Change(v, fsm.HostID(fmt.Sprintf("w%05d", i%hosts)))
				require.Len(b, board.Next(v, 1), 1)
			}
		})
	}
}

// BenchmarkNextBesideRunning is what it costs to place the one app that waits, while others have hosts.
func BenchmarkNextBesideRunning(b *testing.B) {
	for _, running := range []int{0, 1000, 8000} {
		c := newCluster(b)
		for i := range 100 {
			c.host(fmt.Sprintf("w%02d", i), 128)
		}
		for i := range running {
			id, on := fmt.Sprintf("r%04d", i), fmt.Sprintf("w%02d", i%100)
			c.submit(id, &apiv1.AppSpec{Size: 1})
			c.place(id, on)
			c.do(&apiv1.Command{Op: &apiv1.Command_HostStarted{HostStarted: &apiv1.HostStarted{App: id, Host: on, Epoch: 1}}})
		}
		c.submit("a", &apiv1.AppSpec{Size: 16})
		v := c.m.View()
		board := NewBoard()
		board.Reset(v)
		b.Run(fmt.Sprintf("running=%d", running), func(b *testing.B) {
			for b.Loop() {
				require.Len(b, board.Next(v, 1), 1)
			}
		})
	}
}

// TestManyRules: what is remembered of an app, and said of it, does not grow with its rules.
func TestManyRules(t *testing.T) {
	c := newCluster(t)
	c.host("w1", 4)
	const n = 500
	rules := make([]*apiv1.PlaceRule, n)
	for i := range rules {
		rules[i] = &apiv1.PlaceRule{Host: fmt.Sprintf("gone%03d", i), Ranks: 1}
	}
	c.submit("many", &apiv1.AppSpec{Size: n, Place: rules})
	c.submit("few", &apiv1.AppSpec{Size: 1, Place: rules[:1]})
	v := c.m.View()
	var lines Lines
	require.Equal(t, "cannot be placed as asked for: gone000 is not a host of this cluster; gone001 is not a host of this cluster; "+
		"gone002 is not a host of this cluster; gone003 is not a host of this cluster; gone004 is not a host of this cluster; "+
		"gone005 is not a host of this cluster; gone006 is not a host of this cluster; gone007 is not a host of this cluster; and 492 more; the hosts are w1",
		lines.Of(v, nil).Why(c.app("many")))
	board := NewBoard()
	board.Reset(v)
	cost := func() float64 {
		return testing.AllocsPerRun(10, func() { require.Empty(t, board.Next(v, 1)) })
	}
	require.Empty(t, board.Next(v, 1))
	require.LessOrEqual(t, cost(), 20.0)
	again := func() float64 {
		line := lines.Of(v, nil)
		return testing.AllocsPerRun(10, func() { require.NotEmpty(t, line.Why(c.app("many"))) })
	}
	require.LessOrEqual(t, again(), 20.0)
}

// TestFitsIsBounded: what is remembered of apps does not grow for ever.
func TestFitsIsBounded(t *testing.T) {
	f := (*fits)(nil).follow([]Host{{Name: "w1", Slots: 1}})
	for i := range maxShapes + 10 {
		require.NotEmpty(t, f.never(&apiv1.App{Spec: &apiv1.AppSpec{Size: int32(i + 2)}}, ""))
	}
	require.LessOrEqual(t, len(f.reasons), maxShapes)
}

// TestSameIDLater: an app that has the id of one before it, which is forgotten, is not taken for that.
func TestSameIDLater(t *testing.T) {
	before, now := newCluster(t), newCluster(t)
	board := NewBoard()
	var lines Lines
	for _, c := range []*cluster{before, now} {
		c.host("w1", 4)
	}
	before.submit("a", &apiv1.AppSpec{Size: 1, Place: []*apiv1.PlaceRule{{Host: "gone", Ranks: 1}}})
	board.Reset(before.m.View())
	require.Empty(t, board.Next(before.m.View(), 1))
	require.Contains(t, lines.Of(before.m.View(), nil).Why(before.app("a")), "gone is not a host")
	now.submit("other", &apiv1.AppSpec{Size: 1})
	now.place("other", "w1")
	now.submit("a", &apiv1.AppSpec{Size: 1, Place: []*apiv1.PlaceRule{{Host: "w1", Ranks: 1}}})
	board.Change(now.m.View(), "w1")
	require.Len(t, board.Next(now.m.View(), 1), 1)
	require.Equal(t, "about to be placed", lines.Of(now.m.View(), nil).Why(now.app("a")))
}

// TestFitsFollowsWhy: why a host takes no ranks is told as it is now, though it takes none before and after.
func TestFitsFollowsWhy(t *testing.T) {
	hosts := func(why string) []Host { return []Host{{Name: "w1", Slots: 1, Evicting: true, Why: why}} }
	app := &apiv1.App{Spec: &apiv1.AppSpec{Size: 1, Place: []*apiv1.PlaceRule{{Host: "w1", Ranks: 1}}}}
	f := (*fits)(nil).follow(hosts("cordoned"))
	require.Contains(t, f.never(app, ""), "cordoned")
	require.Same(t, f, f.follow(hosts("cordoned")))
	require.Contains(t, f.follow(hosts("unfit: no disk")).never(app, ""), "unfit: no disk")
}

// TestHostsThatAreAway: who takes no ranks for the moment is full, whatever an app asks for, also when the board is made anew; nothing that waits for it is
// passed over as what never fits.
func TestHostsThatAreAway(t *testing.T) {
	for name, spec := range map[string]*apiv1.AppSpec{
		"largest first": {Size: 2},
		"compact":       {Size: 2, Policy: Compact},
	} {
		t.Run(name, func(t *testing.T) {
			c := newCluster(t)
			c.host("w1", 8)
			c.host("w2", 2)
			c.submit("a", spec)
			c.submit("all", &apiv1.AppSpec{Size: 9})
			c.submit("last", &apiv1.AppSpec{Size: 1})
			v := c.m.View()
			board := NewBoard()
			board.Reset(v)
			board.SetAway(v, "w1", true)
			for range 2 {
				next := board.Next(v, 9)
				require.Len(t, next, 1, "the second waits for it, and the last for the second")
				require.Equal(t, []string{"w2", "w2"}, next[0].Placement)
				board.Reset(v)
			}
			board.SetAway(v, "w1", false)
			next := board.Next(v, 9)
			require.NotEmpty(t, next)
			require.Contains(t, next[0].Placement, "w1")
		})
	}
	c := newCluster(t)
	c.host("w1", 8)
	c.submit("here", &apiv1.AppSpec{Size: 1, Place: []*apiv1.PlaceRule{{Host: "w1", Ranks: 1}}})
	board := NewBoard()
	board.Reset(c.m.View())
	board.SetAway(c.m.View(), "w1", true)
	require.Empty(t, board.Next(c.m.View(), 1))
	require.Empty(t, board.short, "it is no host that has too little")
	board.SetAway(c.m.View(), "w1", false)
	require.Len(t, board.Next(c.m.View(), 1), 1)
}
