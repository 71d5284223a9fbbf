package planner

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	apiv1 "github.com/godwit-run/godwit/api/v1"
)

// TestScenarios runs testdata/*.txt: scenarios in, plans (and the error) out.
func TestScenarios(t *testing.T) {
	datadriven.Walk(t, "testdata", func(t *testing.T, path string) {
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			var out strings.Builder
			if err := RunScenarios("f", strings.NewReader(d.Input), &out); err != nil {
				fmt.Fprintln(&out, "error:", err)
			}
			return out.String()
		})
	})
}

func TestRunScenariosReportsWriteErrors(t *testing.T) {
	full := errors.New("disk full")
	err := RunScenarios("f", strings.NewReader(`{"kind":"new","ranks":1}`), failing{full})
	require.ErrorIs(t, err, full)
}

type failing struct{ err error }

func (f failing) Write([]byte) (int, error) { return 0, f.err }

func drawRequest(t *rapid.T, kind string) Request {
	req := Request{
		Kind:          kind,
		Hint:          rapid.SampledFrom([]string{"", HintNone, Underfull, NeverAlone, ForceLocal}).Draw(t, "hint"),
		MainHost:      rapid.SampledFrom([]string{"", "h0", "h1", "h9"}).Draw(t, "main"),
		Oversubscribe: rapid.Bool().Draw(t, "oversubscribe"),
		Ranks:         rapid.IntRange(1, 10).Draw(t, "ranks"),
		Tenant:        "x",
		RankMemory:    drawMemory(t, 2),
	}
	uneven := rapid.Bool().Draw(t, "uneven")
	policies := []string{"", BinPack, Compact, Spot}
	if kind != KindMigrate {
		policies = append(policies, MainFirst)
	}
	req.Policy = rapid.SampledFrom(policies).Draw(t, "policy")
	for i := range rapid.IntRange(1, 4).Draw(t, "hosts") {
		req.Hosts = append(req.Hosts, Host{
			Name:     fmt.Sprintf("h%d", i),
			Slots:    rapid.IntRange(0, 6).Draw(t, "slots"),
			Used:     rapid.IntRange(0, 6).Draw(t, "used"),
			Evicting: rapid.IntRange(0, 5).Draw(t, "evicting") == 0,
			Tenants:  rapid.SampledFrom([][]string{nil, {"x"}, {"y"}}).Draw(t, "tenants"),
			Memory:   drawMemory(t, 8),
			Speed:    drawSpeed(t, uneven),

			RankMemory: drawMemory(t, 2),
		})
		req.Hosts[i].MemoryUsed = drawMemory(t, 4)
	}
	if kind == KindNew {
		return req
	}
	for range rapid.IntRange(1, 7).Draw(t, "current") {
		h := &req.Hosts[rapid.IntRange(0, len(req.Hosts)-1).Draw(t, "on")]
		h.take(1, req.RankMemory)
		req.Current = append(req.Current, h.Name)
	}
	return req
}

func decide(t require.TestingT, req Request) Plan {
	before, err := json.Marshal(req)
	require.NoError(t, err)
	plan, err := Decide(req)
	require.NoError(t, err)
	after, err := json.Marshal(req)
	require.NoError(t, err)
	require.Equal(t, string(before), string(after), "the request is not changed")

	// The same input gives the same plan, in whatever order hosts are listed.
	shuffled := req
	shuffled.Hosts = slices.Clone(req.Hosts)
	slices.Reverse(shuffled.Hosts)
	again, err := Decide(shuffled)
	require.NoError(t, err)
	require.Equal(t, plan, again)
	return plan
}

func count(placement []string) map[string]int {
	n := make(map[string]int)
	for _, host := range placement {
		n[host]++
	}
	return n
}

func TestPlacementProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		req := drawRequest(t, rapid.SampledFrom([]string{KindNew, KindScale}).Draw(t, "kind"))
		plan := decide(t, req)
		require.Empty(t, plan.Moves)
		if plan.Outcome == NotEnoughSlots {
			require.Empty(t, plan.Placement)
			require.NotEmpty(t, plan.Reason)
			return
		}
		require.Equal(t, Placed, plan.Outcome)
		require.Len(t, plan.Placement, req.Ranks)
		given := count(plan.Placement)
		for _, h := range req.Hosts {
			require.False(t, h.Evicting && given[h.Name] > 0, "an evicting host takes ranks")
			require.LessOrEqual(t, given[h.Name], max(0, h.memoryFor(req.RankMemory)), "memory is never oversubscribed: %s", h.Name)
			if !req.Oversubscribe && req.Hint != NeverAlone {
				require.LessOrEqual(t, given[h.Name], h.free(), h.Name)
			}
		}
		if req.Hint == ForceLocal {
			require.Len(t, given, 1)
		}
	})
}

// TestNewUsesTheFewestHosts: without hints, bin_pack finds room whenever there
// is, on as few hosts as any placement could.
func TestNewUsesTheFewestHosts(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		req := drawRequest(t, KindNew)
		req.Policy, req.Hint, req.Oversubscribe = BinPack, HintNone, false
		plan := decide(t, req)
		best, ok := bruteForce(req, req.Ranks)
		require.Equal(t, ok, plan.Outcome == Placed)
		if ok {
			require.Len(t, count(plan.Placement), best.hosts)
			require.Equal(t, best.spread, spreadOfPlaced(req, plan.Placement))
			require.InDelta(t, best.speed, speedOver(req, plan.Placement), 0, "of all ways with as few links one with the fastest slowest host")
		}
	})
}

// spreadSpeed is how far apart an app's ranks are, and the speed of the slowest host.
type spreadSpeed struct {
	spread
	speed float64
}

// bruteForce tries every way to spread n ranks over the hosts' room: the best, and of those the fastest.
func bruteForce(req Request, n int) (best spreadSpeed, ok bool) {
	cs := candidates(req)
	quotas := make([]int, len(cs))
	var try func(i, left int)
	try = func(i, left int) {
		if i == len(cs) {
			s := spreadSpeed{spreadOf(cs, quotas, n), slowest(cs, quotas)}
			if left == 0 && (!ok || s.betterThan(best.spread) || s.spread == best.spread && s.speed > best.speed) {
				best, ok = s, true
			}
			return
		}
		for q := 0; q <= min(left, cs[i].room); q++ {
			quotas[i] = q
			try(i+1, left-q)
		}
		quotas[i] = 0
	}
	try(0, n)
	return best, ok
}

func TestMigrationProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		req := drawRequest(t, KindMigrate)
		plan := decide(t, req)
		n := len(req.Current)
		own := count(req.Current)
		if plan.Outcome != Migrate {
			require.Empty(t, plan.Placement)
			require.Empty(t, plan.Moves)
			require.NotEmpty(t, plan.Reason)
		} else {
			requireSoundMoves(t, req, plan)
		}
		if req.Policy != BinPack && req.Policy != "" {
			return
		}
		now := make([]int, 0, len(req.Hosts))
		for _, h := range req.Hosts {
			now = append(now, own[h.Name])
		}
		best, ok := bruteForce(req, n)
		cs := candidates(req)
		at := spreadOf(cs, now, n)
		better := best.betterThan(at) || best.spread == at && best.speed > slowest(cs, now)
		require.Equal(t, ok && better, plan.Outcome == Migrate, "moves exactly if that is better")
		if plan.Outcome == Migrate {
			var then []int
			for _, q := range count(plan.Placement) {
				then = append(then, q)
			}
			require.Equal(t, best.spread, spreadOf(make([]candidate, len(then)), then, n), "no placement is better")
			require.InDelta(t, best.speed, speedOver(req, plan.Placement), 0, "none is faster")
		}
	})
}

// requireSoundMoves: ranks are conserved, moves are as few as the quotas allow,
// and the targets fit beside everything that is there before any source is freed.
func requireSoundMoves(t *rapid.T, req Request, plan Plan) {
	require.Len(t, plan.Placement, len(req.Current))
	require.NotEmpty(t, plan.Moves)
	moved := slices.Clone(req.Current)
	in := make(map[string]int)
	last := -1
	for _, m := range plan.Moves {
		require.Greater(t, m.Rank, last, "by rank")
		require.Equal(t, req.Current[m.Rank], m.From)
		require.NotEqual(t, m.From, m.To)
		moved[m.Rank], last = m.To, m.Rank
		in[m.To]++
	}
	require.Equal(t, plan.Placement, moved)
	own, then, fewest := count(req.Current), count(plan.Placement), 0
	for _, h := range req.Hosts {
		fewest += max(0, own[h.Name]-then[h.Name])
		require.LessOrEqual(t, in[h.Name], h.freeFor(req.RankMemory), "reserved beside all that is there")
		require.False(t, h.Evicting && in[h.Name] > 0)
	}
	require.Len(t, plan.Moves, fewest)
}

func TestExplicit(t *testing.T) {
	hosts := []Host{{Name: "a", Slots: 4, Used: 2}, {Name: "b", Slots: 1}, {Name: "c", Slots: 8, Evicting: true}, {Name: "d", Slots: 8, Evicting: true, Why: "unfit: no disk"}}
	rule := func(host string, ranks int32) *apiv1.PlaceRule { return &apiv1.PlaceRule{Host: host, Ranks: ranks} }
	for _, tt := range []struct {
		name  string
		rules []*apiv1.PlaceRule
		size  int
		over  bool
		want  []string
		why   string
		err   string
	}{
		{name: "fits", rules: []*apiv1.PlaceRule{rule("a", 1), rule("b", 1), rule("a", 1)}, size: 3, want: []string{"a", "b", "a"}},
		{name: "full", rules: []*apiv1.PlaceRule{rule("a", 2), rule("b", 1), rule("a", 1)}, size: 4, why: "needs 3 slots on a, which has 2 free"},
		{name: "oversubscribe", rules: []*apiv1.PlaceRule{rule("b", 2)}, size: 2, over: true, want: []string{"b", "b"}},
		{name: "evicting", rules: []*apiv1.PlaceRule{rule("c", 1)}, size: 1, over: true, why: "host c takes no ranks"},
		{name: "unfit", rules: []*apiv1.PlaceRule{rule("d", 1)}, size: 1, why: "host d takes no ranks (it is unfit: no disk)"},
		{name: "absent", rules: []*apiv1.PlaceRule{rule("z", 1), rule("b", 2)}, size: 3, why: "z is not a host of this cluster; b has 1 slots, 2 are asked for; the hosts are a, b, c, d"},
		{name: "too few", rules: []*apiv1.PlaceRule{rule("a", 1)}, size: 2, err: "place: the rules place 1 ranks, the app has 2"},
		{name: "too many", rules: []*apiv1.PlaceRule{rule("a", 2), rule("b", 1)}, size: 2, err: "place: the rules place at least 3 ranks, the app has 2"},
		{name: "zero", rules: []*apiv1.PlaceRule{rule("a", 0)}, size: 2, err: "place[0].ranks: 0; 1 to 2 are possible"},
		{name: "no host", rules: []*apiv1.PlaceRule{rule("", 1)}, size: 1, err: "place[0].host: empty"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			plan, err := Explicit(tt.rules, tt.size, tt.over, 0, hosts)
			if tt.err != "" {
				require.EqualError(t, err, tt.err)
				return
			}
			require.NoError(t, err)
			require.Equal(t, tt.why, plan.Reason)
			if tt.why != "" {
				require.Equal(t, NotEnoughSlots, plan.Outcome)
				return
			}
			require.Equal(t, tt.want, plan.Placement)
		})
	}
}

// Of a large cluster some hosts are named to whoever has named another.
func TestExplicitNamesHosts(t *testing.T) {
	of := func(n int) (hosts []Host) {
		for i := n; i > 0; i-- {
			hosts = append(hosts, Host{Name: fmt.Sprintf("h%02d", i), Slots: 1})
		}
		return hosts
	}
	for n, want := range map[int]string{
		0: "w is not a host of this cluster; there is no host", 2: "w is not a host of this cluster; the hosts are h01, h02",
		99: "w is not a host of this cluster; the hosts are h01, h02, h03, h04, h05, h06, h07, h08, and 91 more",
	} {
		plan, err := Explicit([]*apiv1.PlaceRule{{Host: "w", Ranks: 1}}, 1, false, 0, of(n))
		require.NoError(t, err)
		require.Equal(t, want, plan.Reason)
	}
}

// TestNoHostSaysWhy: where no host takes ranks, the reasons are told, of some of many.
func TestNoHostSaysWhy(t *testing.T) {
	req := Request{ID: "a", Kind: KindNew, Ranks: 1}
	for _, name := range []string{"a", "b", "c", "d", "e"} {
		req.Hosts = append(req.Hosts, Host{Name: name, Slots: 1, Evicting: true, Why: "cordoned"})
	}
	plan, err := Decide(req)
	require.NoError(t, err)
	require.Equal(t, "needs 1 slot; no host takes ranks: a is cordoned; b is cordoned; c is cordoned; and others take none either", plan.Reason)
}
