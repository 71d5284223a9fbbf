package planner

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/types/known/timestamppb"
	"pgregory.net/rapid"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/fsm"
)

func drawCluster(t *rapid.T) Request {
	req := Request{Kind: KindCluster, Policy: EmptyHosts}
	for i := range rapid.IntRange(1, 6).Draw(t, "hosts") {
		req.Hosts = append(req.Hosts, Host{Name: fmt.Sprintf("h%d", i), Slots: rapid.IntRange(1, 4).Draw(t, "slots"), Evicting: rapid.IntRange(0, 9).Draw(t, "evicting") == 0})
	}
	for i := range rapid.IntRange(1, 5).Draw(t, "apps") {
		app := Resident{ID: fmt.Sprintf("a%d", i)}
		for range rapid.IntRange(1, 4).Draw(t, "ranks") {
			h := &req.Hosts[rapid.IntRange(0, len(req.Hosts)-1).Draw(t, "on")]
			if h.Used < h.Slots {
				h.Used++
				app.Current = append(app.Current, h.Name)
			}
		}
		if len(app.Current) > 0 {
			req.Apps = append(req.Apps, app)
		}
	}
	for i := range req.Hosts { // what does not move
		if h := &req.Hosts[i]; h.Used < h.Slots && rapid.IntRange(0, 3).Draw(t, "others") == 0 {
			h.Used++
		}
	}
	return req
}

// emptiable is the most hosts that can be emptied, by trying all sets.
func emptiable(req Request) int {
	own, best := make(map[string]int), 0
	for _, app := range req.Apps {
		for _, host := range app.Current {
			own[host]++
		}
	}
	for set := range 1 << len(req.Hosts) {
		n, ranks, free, ok := 0, 0, 0, true
		for i, h := range req.Hosts {
			switch {
			case set&(1<<i) != 0:
				ok = ok && own[h.Name] > 0 && own[h.Name] == h.Used && !h.Evicting
				n, ranks = n+1, ranks+h.Used
			case h.Used > 0:
				free += h.free()
			}
		}
		if ok && ranks <= free {
			best = max(best, n)
		}
	}
	return best
}

// TestEmptyHosts: as many hosts become empty as can, nothing is moved onto one that is, or beyond what is free before anything has left, and equal questions have equal answers.
func TestEmptyHosts(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		req := drawCluster(t)
		if len(req.Apps) == 0 {
			return
		}
		plan, err := Decide(req)
		require.NoError(t, err)
		again, _ := Decide(req)
		require.Equal(t, plan, again)
		gains, used := make(map[string]int), make(map[string]int)
		for _, h := range req.Hosts {
			used[h.Name] = h.Used
		}
		for _, m := range plan.Moves {
			app := req.Apps[slices.IndexFunc(req.Apps, func(a Resident) bool { return a.ID == m.App })]
			require.Equal(t, app.Current[m.Rank], m.From)
			gains[m.To]++
			used[m.From]--
			used[m.To]++
		}
		emptied := 0
		for _, h := range req.Hosts {
			require.LessOrEqual(t, gains[h.Name], h.free(), h.Name)
			require.True(t, gains[h.Name] == 0 || h.Used > 0, "%s was empty", h.Name)
			if h.Used > 0 && used[h.Name] == 0 {
				emptied++
			}
		}
		require.Equal(t, emptiable(req), emptied)
		require.Equal(t, emptied > 0, plan.Outcome == Migrate)
	})
}

// empties has apps of EmptyHosts run that leave three hosts half used.
func empties(t *testing.T) *cluster {
	c := newCluster(t)
	c.level()
	for i := range 3 {
		c.host(fmt.Sprintf("h%d", i), 4)
	}
	for i, hosts := range [][]string{{"h0", "h0"}, {"h1", "h1"}, {"h2"}} {
		id := fmt.Sprintf("a%d", i)
		c.submit(id, &apiv1.AppSpec{Size: int32(len(hosts)), Policy: EmptyHosts, MigrationCheckPeriod: 1})
		c.runs(id, hosts...)
	}
	return c
}

// TestEmptyHostsOfAView: one app that is due has all of the policy planned for together, and each one's moves are a migration that the log accepts.
func TestEmptyHostsOfAView(t *testing.T) {
	c := empties(t)
	proposals := CheckMigrations(c.m.View(), []fsm.AppID{"a0"})
	require.Len(t, proposals, 1, "5 ranks fit two hosts: one becomes empty, that with one rank")
	require.Equal(t, fsm.AppID("a2"), proposals[0].App)
	require.Equal(t, EmptyHosts, proposals[0].Cause)
	require.Empty(t, c.propose("g1", proposals[0]).GetCode())
	require.Empty(t, CheckMigrations(c.m.View(), []fsm.AppID{"a0"}), "one plan at a time")
}

// TestLimitsOnChurn: no more migrations of policies than may be, an app is left alone for a while, and little is not enough.
func TestLimitsOnChurn(t *testing.T) {
	c := newCluster(t)
	c.level()
	for i := range 4 {
		c.host(fmt.Sprintf("h%d", i), 4)
	}
	for i := range 3 {
		id := fmt.Sprintf("a%d", i)
		c.submit(id, &apiv1.AppSpec{Size: 2, MigrationCheckPeriod: 1})
		c.runs(id, "h0", "h1")
	}
	due := []fsm.AppID{"a0", "a1", "a2"}
	rules := func(s *apiv1.Scheduling) {
		c.do(&apiv1.Command{Op: &apiv1.Command_SetScheduling{SetScheduling: &apiv1.SetScheduling{Scheduling: s}}})
	}
	require.Len(t, CheckMigrations(c.m.View(), due), 3)
	rules(&apiv1.Scheduling{MigrationsAtOnce: 2, CoolDownMs: 60_000})
	proposals := CheckMigrations(c.m.View(), due)
	require.Len(t, proposals, 2)
	require.Empty(t, c.propose("g0", proposals[0]).GetCode())
	require.Len(t, CheckMigrations(c.m.View(), due), 1)
	manual := Proposal{App: "a2", FromEpoch: 1, Moves: []*apiv1.Move{{Rank: 0, To: "h3"}}, Cause: CauseManual}
	require.Empty(t, c.propose("g1", manual).GetCode())
	require.Len(t, CheckMigrations(c.m.View(), due), 1, "one by hand is none of a policy's")
	c.do(&apiv1.Command{At: timestamppb.New(epoch), Op: &apiv1.Command_AbortMigration{AbortMigration: &apiv1.AbortMigration{Id: "g0"}}})
	at := func(d time.Duration) []Proposal {
		return Checker{View: c.m.View(), Now: epoch.Add(d)}.Check([]fsm.AppID{"a0"})
	}
	require.Empty(t, at(59*time.Second))
	require.Len(t, at(60*time.Second), 1)
	require.Contains(t, Checker{View: c.m.View(), Now: epoch}.Explain(c.app("a0"), "", nil).Verdict, "is left alone for 1m0s more")
}

// TestMinimumGain: bin_pack moves for less than so many percent of the links only if it is to fewer hosts.
func TestMinimumGain(t *testing.T) {
	req := Request{Kind: KindMigrate, Hosts: []Host{{Name: "a", Slots: 3, Used: 2}, {Name: "b", Slots: 2, Used: 2}}, Current: []string{"a", "a", "b", "b"}}
	for percent, outcome := range map[int]string{0: Migrate, 25: Migrate, 26: DoNotMigrate, 100: DoNotMigrate} {
		req.MinGainPercent = percent // 4 links become 3
		plan, err := Decide(req)
		require.NoError(t, err)
		require.Equal(t, outcome, plan.Outcome, percent)
	}
	req.Hosts[0].Slots = 4
	plan, err := Decide(req)
	require.NoError(t, err)
	require.Equal(t, Migrate, plan.Outcome, "one host less")
}

func drawTraffic(t *rapid.T, ranks int) *Matrix {
	m := &Matrix{Lasts: float64(rapid.IntRange(0, 3).Draw(t, "lasts") * 10)}
	for range ranks {
		row := make([]float64, ranks)
		for j := range row {
			row[j] = float64(rapid.IntRange(0, 3).Draw(t, "bytes"))
		}
		m.BytesPerSecond, m.ImageBytes = append(m.BytesPerSecond, row), append(m.ImageBytes, int64(rapid.IntRange(0, 50).Draw(t, "image")))
	}
	return m
}

// TestTraffic: a plan has fewer bytes go between hosts, by more than its moves cost, or none more and a faster slowest host, and takes only what is free on hosts that take ranks.
func TestTraffic(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		req := drawRequest(t, KindMigrate)
		if req.Policy = Traffic; len(req.Current) == 0 {
			return
		}
		req.Traffic = drawTraffic(t, len(req.Current))
		plan, err := Decide(req)
		if err != nil {
			return // the request's hosts
		}
		if plan.Outcome != Migrate {
			require.Empty(t, plan.Moves)
			return
		}
		gains, cost := make(map[string]int), 0.0
		for _, m := range plan.Moves {
			gains[m.To]++
			cost += req.Traffic.costs(m.Rank)
		}
		for _, m := range plan.Moves {
			require.Zero(t, gains[m.From], "%s gives and gets", m.From)
		}
		for _, h := range req.Hosts {
			require.LessOrEqual(t, gains[h.Name], h.free(), h.Name)
		}
		if speedOver(req, plan.Placement) > speedOver(req, req.Current) { // that is worth what it costs, as to bin_pack
			require.LessOrEqual(t, req.Traffic.Cut(plan.Placement), req.Traffic.Cut(req.Current))
			return
		}
		require.Less(t, req.Traffic.Cut(plan.Placement)+cost, req.Traffic.Cut(req.Current))
	})
}

// TestTrafficWeighsImages: a move that saves less than its image costs, as long as the app goes on, is not made.
func TestTrafficWeighsImages(t *testing.T) {
	req := Request{
		Kind: KindMigrate, Policy: Traffic, Current: []string{"a", "b"}, Hosts: []Host{{Name: "a", Slots: 2, Used: 1}, {Name: "b", Slots: 1, Used: 1}},
		Traffic: &Matrix{BytesPerSecond: [][]float64{{0, 10}, {0, 0}}, ImageBytes: []int64{1000, 1000}, Lasts: 99},
	}
	plan, err := Decide(req)
	require.NoError(t, err)
	require.Equal(t, DoNotMigrate, plan.Outcome)
	req.Traffic.Lasts = 101
	plan, err = Decide(req)
	require.NoError(t, err)
	require.Equal(t, []Move{{Rank: 1, From: "b", To: "a"}}, plan.Moves)
	require.Equal(t, "10 B/s between its hosts, and 0 B/s then", plan.Reason)
	require.InDelta(t, 5, Lasting(20*time.Second, 5*time.Second), 0)
	require.InDelta(t, 20, Lasting(20*time.Second, 0), 0)
}

// TestTrafficSeesWhatBinPackDoesNot: of ranks that need two hosts, those that talk most are together.
func TestTrafficSeesWhatBinPackDoesNot(t *testing.T) {
	c := newCluster(t)
	c.host("h0", 3)
	c.host("h1", 3)
	c.submit("a", &apiv1.AppSpec{Size: 4, Policy: Traffic, MigrationCheckPeriod: 1})
	c.place("a", "h0", "h1", "h0", "h1")
	c.start("a")
	talk := func(fsm.AppID) *Matrix { // 0 with 1, 2 with 3
		return &Matrix{BytesPerSecond: [][]float64{{0, 9, 0, 0}, {0, 0, 1, 0}, {0, 0, 0, 9}, {0, 0, 0, 0}}}
	}
	require.Empty(t, CheckMigrations(c.m.View(), []fsm.AppID{"a"}), "nothing was measured")
	proposals := Checker{View: c.m.View(), Traffic: talk}.Check([]fsm.AppID{"a"})
	require.Len(t, proposals, 1)
	require.Equal(t, Traffic, proposals[0].Cause)
	require.Len(t, proposals[0].Moves, 1, "one slot is free on each host, and a host that gives gets none")
	require.Empty(t, c.propose("g", proposals[0]).GetCode())
}

// TestInUse: new apps of empty_hosts go to as few empty hosts as can be, and to one host where one in use holds them.
func TestInUse(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		req := drawRequest(t, KindNew)
		req.Policy, req.Hint, req.MainHost, req.Oversubscribe = EmptyHosts, "", "", false
		plan, err := Decide(req)
		require.NoError(t, err)
		room, one, empties := 0, false, []int{}
		for _, c := range candidates(req) {
			switch {
			case c.Evicting:
			case c.Used == 0:
				empties = append(empties, c.room)
			default:
				room, one = room+c.room, one || c.room >= req.Ranks
			}
		}
		slices.Sort(empties)
		needed := 0
		for ; room < req.Ranks && needed < len(empties); needed++ {
			room += empties[len(empties)-1-needed]
		}
		require.Equal(t, room >= req.Ranks, plan.Outcome == Placed)
		if plan.Outcome != Placed {
			return
		}
		n, taken := count(plan.Placement), 0
		for _, c := range candidates(req) {
			require.LessOrEqual(t, n[c.Name], c.room)
			if n[c.Name] > 0 && c.Used == 0 {
				taken++
			}
		}
		require.LessOrEqual(t, taken, needed)
		require.True(t, !one || len(n) == 1)
	})
}
