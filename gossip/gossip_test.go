package gossip

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/hashicorp/memberlist"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const patience = 20 * time.Second

func testConfig(id string) Config {
	c := DefaultConfig()
	c.ID, c.Bind = id, "127.0.0.1:0"
	c.Meta = Meta{Role: RoleServer, Addr: "127.0.0.1:7400", ClusterID: "c1"}
	c.ProbeInterval, c.ProbeTimeout = 100*time.Millisecond, 80*time.Millisecond
	c.GossipInterval = 20 * time.Millisecond
	c.SuspicionMult = 2
	c.ReclaimAfter = time.Millisecond
	return c
}

type running struct {
	*Gossip
	cancel context.CancelFunc
	ended  chan error
}

func run(t *testing.T, c Config, log *slog.Logger) *running {
	t.Helper()
	g, err := New(c, log)
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	r := &running{g, cancel, make(chan error, 1)}
	go func() { r.ended <- g.Run(ctx) }()
	t.Cleanup(cancel)
	select {
	case <-g.Ready():
	case err := <-r.ended:
		require.NoError(t, err)
	}
	return r
}

func (r *running) stop(t *testing.T) {
	t.Helper()
	r.cancel()
	select {
	case err := <-r.ended:
		require.NoError(t, err)
	case <-time.After(patience):
		require.Fail(t, "Run did not end")
	}
}

// await waits until what g says of id satisfies ok.
func await(t *testing.T, g *Gossip, id string, ok func(m Member, known bool) bool) {
	t.Helper()
	give := time.After(patience)
	for {
		changed := g.Changed()
		var found Member
		known := false
		for _, m := range g.Members() {
			if m.ID == id {
				found, known = m, true
			}
		}
		if ok(found, known) {
			return
		}
		select {
		case <-changed:
		case <-give:
			require.FailNow(t, "condition never met", "member %s, members %+v", id, g.Members())
		}
	}
}

func inState(s State) func(Member, bool) bool {
	return func(m Member, known bool) bool { return known && m.State == s }
}

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

func TestJoinLeaveDieAndComeBack(t *testing.T) {
	a := run(t, testConfig("a"), quiet())
	b := run(t, testConfig("b"), quiet())
	c, err := New(testConfig("c"), quiet())
	require.NoError(t, err)
	require.NoError(t, c.start()) // without Run it can die without a goodbye.

	n, err := b.Join(t.Context(), []string{b.Addr(), a.Addr()})
	require.NoError(t, err)
	require.Equal(t, 1, n, "its own address is left out")
	_, err = c.Join(t.Context(), []string{a.Addr()})
	require.NoError(t, err)
	for _, g := range []*Gossip{a.Gossip, b.Gossip, c} {
		for _, id := range []string{"a", "b", "c"} {
			await(t, g, id, inState(StateAlive))
		}
	}
	require.Equal(t, Meta{Role: RoleServer, Addr: "127.0.0.1:7400", ClusterID: "c1"}, a.Members()[1].Meta)
	require.Equal(t, b.Addr(), a.Members()[1].GossipAddr)

	oldAddr := c.Addr()
	require.NoError(t, c.list.Shutdown())
	await(t, a.Gossip, "c", inState(StateDead))
	await(t, b.Gossip, "c", inState(StateDead))

	again := run(t, testConfig("c"), quiet())
	require.NotEqual(t, oldAddr, again.Addr())
	_, err = again.Join(t.Context(), []string{a.Addr()})
	require.NoError(t, err)
	for _, g := range []*Gossip{a.Gossip, b.Gossip} {
		await(t, g, "c", func(m Member, _ bool) bool { return m.State == StateAlive && m.GossipAddr == again.Addr() })
	}

	again.stop(t)
	await(t, a.Gossip, "c", inState(StateLeft))
	await(t, b.Gossip, "c", inState(StateLeft))
	a.stop(t)
	b.stop(t)
}

func TestSeedsAreJoinedAgain(t *testing.T) {
	a := run(t, testConfig("a"), quiet())
	var mu sync.Mutex
	var seeds []string
	c := testConfig("b")
	c.RejoinInterval = 20 * time.Millisecond
	c.Seeds = func() []string {
		mu.Lock()
		defer mu.Unlock()
		return seeds
	}
	b := run(t, c, quiet())
	mu.Lock()
	seeds = []string{a.Addr()}
	mu.Unlock()
	await(t, b.Gossip, "a", inState(StateAlive))
	await(t, a.Gossip, "b", inState(StateAlive))
	b.stop(t)
	a.stop(t)
}

func TestSetMetaTravels(t *testing.T) {
	a := run(t, testConfig("a"), quiet())
	c := testConfig("b")
	c.Meta.ClusterID = ""
	b := run(t, c, quiet())
	_, err := b.Join(t.Context(), []string{a.Addr()})
	require.NoError(t, err)
	await(t, a.Gossip, "b", func(m Member, _ bool) bool { return m.State == StateAlive && m.ClusterID == "" })
	m := b.Meta()
	m.ClusterID = "c1"
	require.NoError(t, b.SetMeta(m))
	await(t, a.Gossip, "b", func(m Member, _ bool) bool { return m.ClusterID == "c1" })

	m.Addr = strings.Repeat("x", 500)
	require.ErrorIs(t, b.SetMeta(m), ErrMetaTooLarge)
	require.Equal(t, "127.0.0.1:7400", b.Meta().Addr)
	b.stop(t)
	a.stop(t)
}

// lines is a log that tests may read while it is written.
type lines struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *lines) count(s string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Count(l.buf.String(), s)
}

func TestForeignClusterIsIgnored(t *testing.T) {
	log := &lines{}
	a := run(t, testConfig("a"), slog.New(slog.NewTextHandler(log, nil)))
	c := testConfig("b")
	c.Meta.ClusterID = "c2"
	b := run(t, c, quiet())
	for range 3 {
		_, _ = b.Join(t.Context(), []string{a.Addr()})
		_, err := a.Join(t.Context(), []string{b.Addr()})
		require.Error(t, err)
	}
	require.Len(t, a.Members(), 1)
	require.Len(t, b.Members(), 1)
	const ignored = "ignored a member of another cluster"
	require.Eventually(t, func() bool { return log.count(ignored) > 0 }, patience, 5*time.Millisecond, "a writes it on its own time")
	require.Equal(t, 1, log.count(ignored))

	// Two processes that met before they knew their clusters part when they learn of them.
	early := testConfig("d")
	early.Meta.ClusterID = ""
	d := run(t, early, quiet())
	_, err := d.Join(t.Context(), []string{a.Addr()})
	require.NoError(t, err)
	await(t, d.Gossip, "a", inState(StateAlive))
	require.NoError(t, d.SetMeta(Meta{ClusterID: "c2"}))
	await(t, d.Gossip, "a", func(_ Member, known bool) bool { return !known })
	for _, g := range []*running{a, b, d} {
		g.stop(t)
	}
}

// TestOneForeignMemberInAList: a process that was killed before it knew its cluster, or does not know it yet, keeps those not apart that do,
// and stays out. Of a list of a foreign cluster nobody is taken in, its workers neither.
func TestOneForeignMemberInAList(t *testing.T) {
	starting := testConfig("w1")
	starting.Meta.ClusterID, starting.Meta.Names = "", true
	for name, killed := range map[string]bool{"alive": false, "dead": true} {
		t.Run(name, func(t *testing.T) {
			w1, err := New(starting, quiet())
			require.NoError(t, err)
			require.NoError(t, w1.start()) // without Run it can die without a goodbye
			c := starting
			c.ID = "w2"
			w2 := run(t, c, quiet())
			_, err = w2.Join(t.Context(), []string{w1.Addr()})
			require.NoError(t, err)
			w3 := run(t, testConfig("w3"), quiet())
			if killed {
				require.NoError(t, w1.list.Shutdown())
				await(t, w2.Gossip, "w1", inState(StateDead))
			}
			require.NoError(t, w2.SetMeta(testConfig("w2").Meta)) // w2 and w3 are the cluster
			_, err = w3.Join(t.Context(), []string{w2.Addr()})
			require.NoError(t, err)
			require.Len(t, w3.Members(), 2)
			require.Equal(t, StateAlive, w3.Members()[0].State)
			await(t, w2.Gossip, "w3", inState(StateAlive))
			if !killed {
				require.NoError(t, w1.list.Shutdown())
			}
			w2.stop(t)
			w3.stop(t)
		})
	}
	t.Run("a worker of a foreign cluster", func(t *testing.T) {
		c := testConfig("worker")
		c.Meta = Meta{Role: RoleWorker}
		worker := run(t, c, quiet())
		c = testConfig("theirs")
		c.Meta.ClusterID = "c2"
		theirs := run(t, c, quiet())
		_, err := worker.Join(t.Context(), []string{theirs.Addr()})
		require.NoError(t, err)
		w3 := run(t, testConfig("w3"), quiet())
		_, err = w3.Join(t.Context(), []string{theirs.Addr()})
		require.ErrorContains(t, err, foreignText)
		require.Len(t, w3.Members(), 1)
		for _, g := range []*running{worker, theirs, w3} {
			g.stop(t)
		}
	})
}

func TestErrors(t *testing.T) {
	a := run(t, testConfig("a"), quiet())
	c := testConfig("b")
	c.Bind = a.Addr()
	b, err := New(c, quiet())
	require.NoError(t, err)
	err = b.Run(t.Context())
	require.ErrorIs(t, err, syscall.EADDRINUSE)
	require.ErrorContains(t, err, "another process has "+a.Addr())
	_, err = b.Join(t.Context(), []string{a.Addr()})
	require.ErrorIs(t, err, ErrNotRunning)

	_, err = a.Join(t.Context(), []string{"nonsense"})
	require.ErrorContains(t, err, "nonsense")
	a.stop(t)

	for name, change := range map[string]func(*Config){
		"no id":        func(c *Config) { c.ID = "" },
		"every ip":     func(c *Config) { c.Bind = "0.0.0.0:7402" },
		"no port":      func(c *Config) { c.Bind = "127.0.0.1" },
		"no interval":  func(c *Config) { c.ProbeInterval = 0 },
		"no suspicion": func(c *Config) { c.SuspicionMult = 0 },
		"long meta":    func(c *Config) { c.Meta.Addr = strings.Repeat("x", 512) },
	} {
		t.Run(name, func(t *testing.T) {
			c := testConfig("a")
			change(&c)
			require.Error(t, c.Validate())
		})
	}
}

func TestGoneMembersAreForgotten(t *testing.T) {
	r := newRoster("a", quiet())
	for i := range maxGone + 5 {
		id := string(rune('A' + i))
		r.members[id] = entry{Member{ID: id, State: StateDead}, time.Unix(int64(i), 0)}
		r.forget()
	}
	require.Len(t, r.list(), maxGone)
	_, first := r.members["A"]
	require.False(t, first)
}

// TestMembersAreBounded: whoever gossips that there are more members than can be gets no more of them in; those that are there,
// and come back, stay.
func TestMembersAreBounded(t *testing.T) {
	r := newRoster("a", quiet())
	node := func(i int) *memberlist.Node { return &memberlist.Node{Name: strconv.Itoa(i)} }
	for i := range maxAlive {
		require.NoError(t, r.NotifyAlive(node(i)))
		r.NotifyJoin(node(i))
		r.NotifyUpdate(node(i))
	}
	require.ErrorIs(t, r.NotifyAlive(node(maxAlive)), errFull)
	require.NoError(t, r.NotifyAlive(node(7)), "it is there")
	r.NotifyLeave(node(7))
	require.NoError(t, r.NotifyAlive(node(maxAlive)))
	r.NotifyJoin(node(maxAlive))
	require.ErrorIs(t, r.NotifyAlive(node(7)), errFull, "its place is taken")
	require.Equal(t, maxAlive, r.alive)
}

// TestWhoLeavesStaysSo: what changes of a process that has said goodbye does not take that back.
func TestWhoLeavesStaysSo(t *testing.T) {
	r := newRoster("a", quiet())
	require.NoError(t, r.setMeta(Meta{Leaving: true}))
	require.NoError(t, r.setMeta(Meta{ClusterID: "c"}))
	require.True(t, r.meta().Leaving)
	require.True(t, decodeMeta(r.NodeMeta(memberlist.MetaMaxSize)).Leaving)
}

// TestForeign is the table of who is kept out.
func TestForeign(t *testing.T) {
	of := func(c string) Meta { return Meta{ClusterID: c} }
	for _, tt := range []struct {
		name string
		a, b Meta
		want bool
	}{
		{"one cluster", of("x"), of("x"), false},
		{"two clusters", of("x"), of("y"), true},
		{"names nobody", of("x"), Meta{}, false},
		{"seeks it", of("x"), Meta{Names: true, Seeks: "x"}, false},
		{"seeks another", of("x"), Meta{Names: true, Seeks: "y"}, true},
		{"names others, seeks none yet", of("x"), Meta{Names: true}, true},
		{"two without a cluster", Meta{Names: true, Seeks: "x"}, Meta{Names: true}, false},
	} {
		require.Equal(t, tt.want, foreign(tt.a, tt.b), tt.name)
		require.Equal(t, tt.want, foreign(tt.b, tt.a), tt.name)
	}
}

// TestWhoSeeksAnotherIsKeptOut: a member and a server that does not seek its cluster keep each other out, and each can be shown whom it
// keeps out, until the server seeks the cluster.
func TestWhoSeeksAnotherIsKeptOut(t *testing.T) {
	a := run(t, testConfig("a"), quiet())
	c := testConfig("b")
	c.Meta.ClusterID, c.Meta.Names = "", true
	b := run(t, c, quiet())
	_, err := b.Join(t.Context(), []string{a.Addr()})
	require.Error(t, err)
	_, err = a.Join(t.Context(), []string{b.Addr()})
	require.Error(t, err)
	require.Len(t, a.Members(), 1)
	require.Len(t, b.Members(), 1)
	for _, kept := range [][]Member{a.Strangers(), b.Strangers()} {
		require.Len(t, kept, 1)
	}
	require.Equal(t, "c1", b.Strangers()[0].ClusterID)
	m := b.Meta()
	m.Seeks = "c1"
	require.NoError(t, b.SetMeta(m))
	_, err = b.Join(t.Context(), []string{a.Addr()})
	require.NoError(t, err)
	await(t, a.Gossip, "b", inState(StateAlive))
	await(t, b.Gossip, "a", inState(StateAlive))
	a.stop(t)
	b.stop(t)
}

// TestLists: which lists of another's members are taken.
func TestLists(t *testing.T) {
	type member struct {
		Meta
		state memberlist.NodeStateType
	}
	worker, own, theirs := Meta{Role: RoleWorker}, Meta{ClusterID: "c1"}, Meta{ClusterID: "c2"}
	comes := Meta{Names: true, Seeks: "c1"} // to us
	waits := Meta{Names: true}              // for nobody that we know of
	for name, tc := range map[string]struct {
		list []member
		take bool
	}{
		"nobody":                           {nil, true},
		"ours":                             {[]member{{own, memberlist.StateAlive}, {worker, memberlist.StateAlive}}, true},
		"theirs":                           {[]member{{theirs, memberlist.StateAlive}, {worker, memberlist.StateAlive}}, false},
		"theirs, and our dead":             {[]member{{theirs, memberlist.StateAlive}, {own, memberlist.StateDead}}, false},
		"theirs, and ours who has left":    {[]member{{theirs, memberlist.StateAlive}, {own, memberlist.StateLeft}}, false},
		"theirs, and one of ours":          {[]member{{theirs, memberlist.StateAlive}, {own, memberlist.StateAlive}}, true},
		"theirs, and one that comes to us": {[]member{{theirs, memberlist.StateAlive}, {comes, memberlist.StateAlive}}, true},
		"their dead":                       {[]member{{theirs, memberlist.StateDead}, {worker, memberlist.StateAlive}}, true},
		"one that seeks another":           {[]member{{waits, memberlist.StateAlive}, {worker, memberlist.StateAlive}}, false},
	} {
		r := newRoster("self", quiet())
		require.NoError(t, r.setMeta(own))
		var nodes []*memberlist.Node
		for i, m := range tc.list {
			b, err := m.encode()
			require.NoError(t, err)
			nodes = append(nodes, &memberlist.Node{Name: fmt.Sprint(i), Meta: b, State: m.state})
		}
		self, err := theirs.encode() // what others think of us says nothing
		require.NoError(t, err)
		nodes = append(nodes, &memberlist.Node{Name: "self", Meta: self})
		if err := r.NotifyMerge(nodes); tc.take {
			require.NoError(t, err, name)
		} else {
			require.ErrorIs(t, err, errForeign, name)
		}
	}
}

// TestEncrypted: who has a key of the cluster's is heard by all who have it, also as another than the one in use; who has none, or another, hears and says nothing.
func TestEncrypted(t *testing.T) {
	key := func(b byte) []byte { return bytes.Repeat([]byte{b}, keyBytes) }
	with := func(id string, seed *running, keys ...[]byte) *running {
		c := testConfig(id)
		c.Keys = keys
		if seed != nil {
			c.Seeds = func() []string { return []string{seed.Addr()} }
			c.RejoinInterval = 50 * time.Millisecond
		}
		return run(t, c, slog.New(slog.DiscardHandler))
	}
	sees := func(r *running) (ids []string) {
		for _, m := range r.Members() {
			if m.State == StateAlive {
				ids = append(ids, m.ID)
			}
		}
		return ids
	}
	a := with("a", nil, key(1))
	b := with("b", a, key(2), key(1)) // the next key is in use there already
	stranger, plain := with("x", a, key(3)), with("y", a)
	require.Never(t, func() bool { return len(sees(a)) > 2 || len(sees(stranger)) > 1 || len(sees(plain)) > 1 }, 500*time.Millisecond, 20*time.Millisecond)
	c := with("c", a, key(1), key(2))
	require.Eventually(t, func() bool { return len(sees(c)) >= 2 }, patience, 20*time.Millisecond)
	for _, r := range []*running{a, b, c, stranger, plain} {
		r.stop(t)
	}
	bad := testConfig("z")
	bad.Keys = [][]byte{{1}}
	require.ErrorContains(t, bad.Validate(), "a key of 1 bytes")
}
