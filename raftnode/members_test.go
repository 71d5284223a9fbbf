package raftnode

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestMembersAreKnownBeforeRun: by the log, and by a snapshot that has taken the log's place.
func TestMembersAreKnownBeforeRun(t *testing.T) {
	keepsOne := func(c *Config) { c.SnapshotThreshold, c.TrailingLogs, c.SnapshotInterval = 1<<20, 1, time.Hour }
	p := open(t, t.TempDir(), "127.0.0.1:0", keepsOne)
	require.Empty(t, p.Servers())
	dir, group := p.cfg.DataDir, []Server{{ID: p.ID(), Addr: p.Addr(), Voter: true}}
	require.NoError(t, p.Bootstrap(group))
	require.Equal(t, group, p.Servers())
	p.start(t)
	leaderOf(t, p)
	require.NoError(t, p.AddNonvoter(t.Context(), "other", "127.0.0.1:1"))
	group = append(group, Server{ID: "other", Addr: "127.0.0.1:1"})
	for range 3 {
		propose(t, p, "a")
	}
	addr, how := p.Addr(), "by the log"
	look := func() {
		p.stop(t)
		p = open(t, dir, addr, keepsOne)
		require.Equal(t, group, p.Servers(), how)
	}
	look()
	p.start(t)
	leaderOf(t, p)
	require.NoError(t, p.raft.Load().Snapshot().Error())
	how = "by the snapshot"
	look()
	require.Empty(t, p.dir.groups.all())
	p.stopNet()
	require.NoError(t, p.Close())
}

func TestMembersComeAndGo(t *testing.T) {
	first := single(t, nil)
	propose(t, first, "a")
	second := open(t, t.TempDir(), "127.0.0.1:0", nil)
	has, err := second.HasState()
	require.NoError(t, err)
	require.False(t, has)
	second.start(t)
	ctx := t.Context()
	require.ErrorIs(t, second.AddNonvoter(ctx, "x", "127.0.0.1:1"), ErrNotLeader)
	require.NoError(t, first.AddNonvoter(ctx, second.ID(), second.Addr()))
	until(t, "not replicated", func() bool { return second.machine.has("a") })
	require.Contains(t, first.Servers(), Server{ID: second.ID(), Addr: second.Addr()})
	require.NoError(t, first.Promote(ctx, second.ID()))
	require.Contains(t, first.Servers(), Server{ID: second.ID(), Addr: second.Addr(), Voter: true})
	require.ErrorIs(t, first.Promote(ctx, "nobody"), ErrNoServer)
	require.ErrorIs(t, first.RemoveServer(ctx, "nobody"), ErrNoServer)

	third := open(t, t.TempDir(), "127.0.0.1:0", nil)
	third.start(t)
	require.NoError(t, first.AddNonvoter(ctx, third.ID(), third.Addr()))
	until(t, "not promoted", func() bool { return first.Promote(ctx, third.ID()) == nil })

	// The second loses its raft.db: it comes back as somebody new, and takes the old one's place.
	old := second.ID()
	second.stop(t)
	require.NoError(t, os.RemoveAll(filepath.Join(second.cfg.DataDir, "raft")))
	second = open(t, second.cfg.DataDir, second.Addr(), nil)
	require.NotEqual(t, old, second.ID())
	second.start(t)
	all := []*peer{first, second, third}
	until(t, "not added", func() bool {
		return leaderOf(t, first, third).AddNonvoter(ctx, second.ID(), second.Addr()) == nil
	})
	require.NotContains(t, first.Servers(), Server{ID: old, Addr: second.Addr(), Voter: true})
	until(t, "not promoted", func() bool { return leaderOf(t, all...).Promote(ctx, second.ID()) == nil })
	until(t, "not replicated again", func() bool { return second.machine.has("a") })

	// A leader that removes itself ends, and says why.
	leader := leaderOf(t, all...)
	require.NoError(t, leader.RemoveServer(ctx, leader.ID()))
	require.ErrorIs(t, leader.wait(t), ErrRemoved)
	rest := others(all, leader)
	gone := rest[0]
	until(t, "not removed", func() bool {
		l := leaderOf(t, rest...)
		gone = others(rest, l)[0]
		return l.RemoveServer(ctx, gone.ID()) == nil
	})
	last := others(rest, gone)[0]
	require.ErrorIs(t, leaderOf(t, last).RemoveServer(ctx, last.ID()), ErrUnsafe, "the last voter")
	gone.stop(t)
	last.stop(t)
}

// TestAddressOfALiveServer is nobody else's; once the server there is silent, it is.
func TestAddressOfALiveServer(t *testing.T) {
	p := single(t, nil)
	const addr = "127.0.0.1:1"
	require.NoError(t, p.AddNonvoter(t.Context(), "live", addr))
	p.stream.contact("live").at.Store(int64(time.Hour)) // later than now: heard from, however slow the machine is.
	err := p.AddNonvoter(t.Context(), "new", addr)
	require.ErrorIs(t, err, ErrTaken)
	require.ErrorContains(t, err, "server live")
	require.Contains(t, p.Servers(), Server{ID: "live", Addr: addr})
	require.Len(t, p.Servers(), 2)

	p.stream.contact("live").at.Store(0)
	until(t, "it is not replaced", func() bool { return p.AddNonvoter(t.Context(), "new", addr) == nil })
	require.Contains(t, p.Servers(), Server{ID: "new", Addr: addr})
	require.Len(t, p.Servers(), 2)
	p.stop(t)
}

func TestSafe(t *testing.T) {
	voter := func(id string) Server { return Server{ID: id, Voter: true} }
	for _, tc := range []struct {
		group []Server
		live  string
		ok    bool
	}{
		{nil, "", false},
		{[]Server{{ID: "a"}}, "a", false},
		{[]Server{voter("a")}, "a", true},
		{[]Server{voter("a"), voter("b")}, "a", false},
		{[]Server{voter("a"), voter("b")}, "ab", true},
		{[]Server{voter("a"), voter("b"), {ID: "c"}}, "ac", false},
		{[]Server{voter("a"), voter("b"), voter("c")}, "ab", true},
		{[]Server{voter("a"), voter("b"), voter("c"), voter("d")}, "ab", false},
		{[]Server{voter("a"), voter("b"), voter("c"), voter("d")}, "abd", true},
	} {
		err := safe(tc.group, func(id string) bool { return strings.Contains(tc.live, id) })
		require.Equal(t, tc.ok, err == nil, "%v of %v: %v", tc.live, tc.group, err)
	}
}

// TestChangesThatCostTheMajority has one of three voters dead: neither of the others can go, the dead one can. On a crowded machine the
// two that are left lose each other for moments, and leadership to each other: so each change is asked for until its answer, which no such
// moment gives, comes.
func TestChangesThatCostTheMajority(t *testing.T) {
	peers := cluster(t, 3, nil)
	dead := others(peers, leaderOf(t, peers...))[0]
	left := others(peers, dead)
	dead.crash(t)
	ctx := t.Context()
	// answer has whichever leads asked until f says that the answer is the one wanted.
	answer := func(what string, f func(leader, other *peer) bool) {
		t.Helper()
		until(t, what, func() bool {
			leader := leaderOf(t, left...)
			return f(leader, others(left, leader)[0])
		})
	}
	answer("not noticed", func(leader, _ *peer) bool { return !leader.Live(dead.ID()) })
	refused := func(what string, want error, change func(leader, other *peer) error) {
		t.Helper()
		var err error
		answer(what, func(leader, other *peer) bool {
			err = change(leader, other)
			return err == nil || errors.Is(err, want)
		})
		require.ErrorIs(t, err, want, what)
	}
	refused("the follower goes", ErrUnsafe, func(l, other *peer) error { return l.RemoveServer(ctx, other.ID()) })
	refused("the leader goes", ErrUnsafe, func(l, _ *peer) error { return l.RemoveServer(ctx, l.ID()) })
	refused("the dead one is to lead", ErrBehind, func(l, _ *peer) error { return l.TransferLeadership(ctx, dead.ID()) })
	refused("nobody is to lead", ErrNoServer, func(l, _ *peer) error { return l.TransferLeadership(ctx, "nobody") })
	answer("not added", func(l, _ *peer) bool { return l.AddNonvoter(ctx, "dead", "127.0.0.1:1") == nil })
	refused("who never answered votes", ErrUnsafe, func(l, _ *peer) error { return l.Promote(ctx, "dead") })
	for _, id := range []string{"dead", dead.ID()} {
		answer("not removed", func(l, _ *peer) bool {
			err := l.RemoveServer(ctx, id)
			return err == nil || errors.Is(err, ErrNoServer) // it was, and the answer was lost with the leadership.
		})
	}
	answer("not transferred", func(l, other *peer) bool {
		return l.TransferLeadership(ctx, other.ID()) == nil && leaderOf(t, left...) == other
	})
	for _, p := range left {
		p.stop(t)
	}
}

func TestForeignClusterIsRefused(t *testing.T) {
	ours, theirs := single(t, nil), single(t, nil)
	require.Equal(t, ClusterIDOf(ours.Servers()), ours.ClusterID(), "known before the log names it")
	require.ErrorIs(t, ours.SetClusterID("theirs"), ErrForeignCluster)
	propose(t, theirs, "a")
	term := theirs.Term()

	// Ours believes that the other cluster's server is a new member of its own.
	require.NoError(t, ours.AddNonvoter(t.Context(), theirs.ID(), theirs.Addr()))
	until(t, "not logged by the acceptor", logged(theirs, "this server is of cluster "+theirs.ClusterID()+", the caller of cluster "+ours.ClusterID()))
	until(t, "not logged by the dialer", logged(ours, "a raft peer refused this server"))
	propose(t, theirs, "b")
	require.Equal(t, term, theirs.Term(), "nothing disturbed it")
	require.Len(t, theirs.Servers(), 1)
	require.False(t, theirs.machine.has("never"))
	require.False(t, ours.Live(theirs.ID()), "a refusal is no contact")

	// The same address with another server's id is refused too.
	stranger := open(t, t.TempDir(), "127.0.0.1:0", nil)
	stranger.start(t)
	require.NoError(t, ours.AddNonvoter(t.Context(), "00000000-0000-0000-0000-000000000000", stranger.Addr()))
	until(t, "not refused", logged(stranger, "the caller wants server 00000000"))
	for _, p := range []*peer{ours, theirs, stranger} {
		p.stop(t)
	}
}

// TestPrefaces is the table of who may speak Raft with a server.
func TestPrefaces(t *testing.T) {
	group := []Server{{ID: "me", Voter: true}, {ID: "friend", Voter: true}}
	for _, tc := range []struct {
		name, own string
		members   []Server
		preface   string
		refused   string // "": accepted.
	}{
		{"too short", "ours", group, "ours me friend", "malformed"},
		{"nobody is named", "ours", group, "- - x x", "wants server -"},
		{"another server is wanted", "ours", group, "ours you friend a:1", "wants server you"},
		{"member", "ours", group, "ours me friend a:1", ""},
		{"member of another cluster", "ours", group, "theirs me friend a:1", "of cluster theirs"},
		{"member without a cluster", "ours", group, "- me friend a:1", "the caller of none yet"},
		{"stranger", "ours", group, "ours me stranger a:1", "no member"},
		{"stranger whom other members know", "ours", group, "ours me vouched a:1", ""},
		{"data lost, cluster kept", "ours", nil, "ours me friend a:1", ""},
		{"data lost, other cluster", "ours", nil, "theirs me friend a:1", "of cluster theirs"},
		{"new server, a cluster adds it", "", nil, "ours me friend a:1", ""},
		{"new server, a stranger", "", nil, "- me friend a:1", "neither"},
		{"bootstrapped by others", "", group, "- me friend a:1", ""},
		{"bootstrapped by others, a member that knows more", "", group, "ours me friend a:1", ""},
		{"bootstrapped by others, a stranger", "", group, "ours me stranger a:1", "no member"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := newStream(nil, "", slog.Default())
			s.self = func() string { return "me" }
			s.cluster = func() string { return tc.own }
			s.members = func() []Server { return tc.members }
			s.vouched = func(id string) bool { return id == "vouched" }
			why := s.judge(strings.Fields(tc.preface))
			if tc.refused == "" {
				require.Empty(t, why)
				return
			}
			require.Contains(t, why, tc.refused)
		})
	}
}

// TestAllAtNewAddresses stops three servers and starts them elsewhere: what they know by asking counts before what the log says.
func TestAllAtNewAddresses(t *testing.T) {
	for moved := 1; moved <= 3; moved++ {
		t.Run(strconv.Itoa(moved), func(t *testing.T) {
			var mu sync.Mutex
			found := map[string]string{}
			locate := func(c *Config) {
				c.Locate = func(id string) string {
					mu.Lock()
					defer mu.Unlock()
					return found[id]
				}
			}
			peers := cluster(t, 3, locate)
			commit(t, "before", peers...)
			for i := range moved {
				p := peers[i]
				p.stop(t)
				peers[i] = open(t, p.cfg.DataDir, "127.0.0.1:0", locate)
				require.NotEqual(t, p.Addr(), peers[i].Addr())
				mu.Lock()
				found[p.ID()] = peers[i].Addr()
				mu.Unlock()
			}
			for _, p := range peers[:moved] {
				p.start(t)
			}
			commit(t, "after", peers...)
			for _, p := range peers {
				until(t, "not everywhere", func() bool { return p.machine.has("after") })
				until(t, "leader not known by its new address", func() bool {
					addr, id := p.Leader()
					return slices.ContainsFunc(peers, func(l *peer) bool { return l.Addr() == addr && l.ID() == id })
				})
			}
			for _, p := range peers {
				p.stop(t)
			}
		})
	}
}

func TestChangesWaitForTheirTurn(t *testing.T) {
	p := single(t, nil)
	p.changing <- struct{}{}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, p.AddNonvoter(ctx, "x", "127.0.0.1:1"), context.Canceled)
	<-p.changing
	p.stop(t)
}

// TestContactsAreBounded replaces more servers than are remembered: the newest counts.
func TestContactsAreBounded(t *testing.T) {
	s := newStream(nil, "", nil)
	for i := range 3 * maxContacts {
		s.contact(fmt.Sprint(i)).at.Store(int64(i + 1))
	}
	require.Len(t, s.contacts, maxContacts)
	_, heard := s.heard(fmt.Sprint(3*maxContacts - 1))
	require.True(t, heard)
	_, heard = s.heard("0")
	require.False(t, heard)
}

// TestNoVoteForTheSilent: a majority that would hold without the newcomer does not make a voter of one that does not answer.
func TestNoVoteForTheSilent(t *testing.T) {
	peers := cluster(t, 3, nil)
	fourth := open(t, t.TempDir(), "127.0.0.1:0", nil)
	fourth.start(t)
	until(t, "not added", func() bool {
		return leaderOf(t, peers...).AddNonvoter(t.Context(), fourth.ID(), fourth.Addr()) == nil
	})
	fourth.stop(t)
	err := leaderOf(t, peers...).Promote(t.Context(), fourth.ID())
	require.ErrorIs(t, err, ErrUnsafe)
	require.ErrorContains(t, err, "does not answer")
	for _, p := range peers {
		p.stop(t)
	}
}
