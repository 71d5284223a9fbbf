package fsm

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/types/known/timestamppb"

	apiv1 "github.com/godwit-run/godwit/api/v1"
)

func wishOf(host string, wish Wish, inMs int64, force bool) *apiv1.Command {
	return &apiv1.Command{Op: &apiv1.Command_SetHostWish{SetHostWish: &apiv1.SetHostWish{Host: host, Wish: string(wish), InMs: inMs, Force: force}}}
}

// TestDrained: a host that is draining is drained in the entry that takes the last rank, reservation or directory from it, and stays so over restarts, until somebody wishes otherwise.
func TestDrained(t *testing.T) {
	m := captured(t)
	host := func(id HostID) *apiv1.Host { h, _ := m.View().Host(id); return h }
	must(t, m, wishOf("h3", Draining, 0, false))
	require.Equal(t, Drained, WishOf(host("h3")), "nothing is on it")
	require.Equal(t, "drained", Condition(host("h3")))
	must(t, m, wishOf("h1", Draining, 0, false))
	require.Equal(t, Draining, WishOf(host("h1")))
	at(t, m, 2, "files a h1 opened")
	must(t, m, wishOf("h3", Schedulable, 0, false))
	at(t, m, 3, "propose g a 1 0:h1>h3", "announce g h1 h3")
	require.Equal(t, Draining, WishOf(host("h1")))
	at(t, m, 3, "freeze+commit g 0")
	require.Zero(t, host("h1").GetUsed())
	require.Equal(t, Draining, WishOf(host("h1")), "the app's directory is there")
	at(t, m, 4, "files a h3 moves move=7", "files a h3 moved move=7")
	require.Equal(t, Drained, WishOf(host("h1")))
	require.False(t, TakesRanks(host("h1")))
	must(t, m, wishOf("h1", Draining, 1000, false))
	require.Equal(t, Drained, WishOf(host("h1")), "it is so already")
	at(t, m, 5, "host h1 4 n1 i2")
	require.Equal(t, Drained, WishOf(host("h1")))
	requireSound(t, m)
	must(t, m, wishOf("h1", Schedulable, 0, false))
	require.True(t, TakesRanks(host("h1")))
}

// TestWishesAreChecked: deadlines and force go with what they mean something for, and a wish that stands changes nothing.
func TestWishesAreChecked(t *testing.T) {
	m := captured(t)
	for _, bad := range []*apiv1.Command{
		wishOf("h1", "drowned", 0, false), wishOf("h1", Drained, 0, false), wishOf("h9", Draining, 0, false), wishOf("h1", Cordoned, 5, false), wishOf("h1", Schedulable, 0, true),
		wishOf("h1", Evicting, 5, true), wishOf("h1", Draining, -1, false), wishOf("h1", Draining, MaxWishMs+1, false),
	} {
		require.NotEmpty(t, codeOf(t, m, bad), bad)
	}
	at(t, m, 10)
	must(t, m, wishOf("h1", Draining, 60_000, true))
	h, _ := m.View().Host("h1")
	require.True(t, h.GetForce())
	require.Equal(t, time.Minute, h.GetDeadline().AsTime().Sub(h.GetWishedAt().AsTime()))
	must(t, m, wishOf("h1", Cordoned, 0, false))
	h, _ = m.View().Host("h1")
	require.Nil(t, h.GetDeadline())
	require.False(t, h.GetForce())
	before := h
	must(t, m, wishOf("h1", Cordoned, 0, false))
	h, _ = m.View().Host("h1")
	require.Same(t, before, h)
}

// TestEvictionSaidAgain: a host that is evicting has its time from the first word of it, however often it is said again; once it is taken back the next begins anew.
func TestEvictionSaidAgain(t *testing.T) {
	m := captured(t)
	wished := func() (time.Time, time.Time) {
		h, _ := m.View().Host("h1")
		return h.GetWishedAt().AsTime(), h.GetDeadline().AsTime()
	}
	say := func(second int64, wish Wish, inMs int64) {
		cmd := wishOf("h1", wish, inMs, false)
		cmd.At = &timestamppb.Timestamp{Seconds: second}
		must(t, m, cmd)
	}
	say(10, Evicting, 60_000)
	first, until := wished()
	say(20, Evicting, 50_001)
	again, later := wished()
	require.Equal(t, first, again)
	require.True(t, later.After(until), "%s, %s", until, later)
	say(30, Draining, 60_000)
	stands, _ := wished()
	require.Equal(t, first, stands)
	say(35, Schedulable, 0)
	say(40, Evicting, 60_000)
	anew, _ := wished()
	require.True(t, anew.After(first))
}

// TestWishesStand: that a machine goes, what people want of it and what its worker wants stand beside each other: the strongest is what the host is, and each is taken back by who has it, or by
// who wants the host schedulable.
func TestWishesStand(t *testing.T) {
	type say struct {
		own    bool
		wish   Wish
		inMs   int64
		reason string
	}
	for name, tt := range map[string]struct {
		said []say
		is   string
	}{
		"a drain over an eviction":           {[]say{{false, Evicting, 60_000, "gone"}, {false, Draining, 0, "disk"}}, "evicting gone 60; draining disk"},
		"an eviction over a drain":           {[]say{{false, Draining, 90_000, "disk"}, {false, Evicting, 60_000, "gone"}}, "evicting gone 60; draining disk 90"},
		"uncordoned":                         {[]say{{false, Draining, 0, "disk"}, {false, Evicting, 60_000, "gone"}, {true, Evicting, 30_000, "notice"}, {false, Schedulable, 0, ""}}, ""},
		"a cordon over an eviction":          {[]say{{false, Evicting, 60_000, "gone"}, {false, Cordoned, 0, "look"}}, "evicting gone 60; cordoned look"},
		"of evictions the sooner":            {[]say{{false, Evicting, 60_000, "gone"}, {true, Evicting, 30_000, "notice"}}, "evicting notice 30 own; evicting gone 60"},
		"of evictions the sooner, again":     {[]say{{true, Evicting, 30_000, "notice"}, {false, Evicting, 20_000, "gone"}, {true, Evicting, 10_000, "notice"}}, "evicting notice 10 own; evicting gone 20"},
		"a notice over a forced drain":       {[]say{{false, Draining, 90_000, "disk"}, {true, Evicting, 30_000, "notice"}}, "evicting notice 30 own; draining disk 90"},
		"which is gone":                      {[]say{{false, Draining, 90_000, "disk"}, {true, Evicting, 30_000, "notice"}, {true, Schedulable, 0, ""}}, "draining disk 90"},
		"a notice over a cordon, then drain": {[]say{{false, Cordoned, 0, "look"}, {true, Evicting, 30_000, "notice"}, {false, Draining, 0, "disk"}, {true, Schedulable, 0, ""}}, "draining disk"},
		"nothing of its own":                 {[]say{{false, Cordoned, 0, "look"}, {true, Schedulable, 0, ""}}, "cordoned look"},
		"told to stop, and cordoned":         {[]say{{true, Draining, 5_000, "stop"}, {false, Cordoned, 0, "look"}}, "draining stop 5 own; cordoned look"},
		"a notice of who was told to stop":   {[]say{{true, Draining, 5_000, "stop"}, {true, Evicting, 9_000, "notice"}}, "evicting notice 9 own"},
	} {
		m := captured(t)
		at(t, m, 10)
		for _, s := range tt.said {
			cmd := wishOf("h1", s.wish, s.inMs, false)
			op := cmd.GetSetHostWish()
			op.Own, op.Reason = s.own, s.reason
			cmd.At = &timestamppb.Timestamp{Seconds: 100}
			must(t, m, cmd)
			before, _ := m.View().Host("h1")
			must(t, m, cmd)
			after, _ := m.View().Host("h1")
			require.Same(t, before, after, "%s: what is said again changes nothing", name)
		}
		h, _ := m.View().Host("h1")
		var is []string
		for _, w := range WishesOf(h) {
			text := w.GetWish() + " " + w.GetReason()
			if w.GetDeadline() != nil {
				text += fmt.Sprintf(" %d", w.GetDeadline().GetSeconds()-100)
			}
			if w.GetOwn() {
				text += " own"
			}
			is = append(is, text)
		}
		require.Equal(t, tt.is, strings.Join(is, "; "), name)
		requireSound(t, m)
	}
	m := captured(t)
	at(t, m, 10)
	own := func(wish Wish, inMs int64) *apiv1.Command {
		cmd := wishOf("h3", wish, inMs, false)
		cmd.GetSetHostWish().Own = true
		return cmd
	}
	must(t, m, wishOf("h3", Draining, 0, false))
	must(t, m, own(Evicting, 1000))
	h, _ := m.View().Host("h3")
	require.Equal(t, Evicting, WishOf(h))
	require.True(t, h.GetOwnWish())
	must(t, m, own(Schedulable, 0))
	h, _ = m.View().Host("h3")
	require.Equal(t, Drained, WishOf(h), "it is empty still")
	require.False(t, h.GetOwnWish())
	require.NotEmpty(t, codeOf(t, m, own(Cordoned, 0)))
	must(t, m, own(Evicting, 1000))
	at(t, m, 11, "state h3 i1 lost", "host h3 4 another i2")
	h, _ = m.View().Host("h3")
	require.Equal(t, Drained, WishOf(h), "another machine knows nothing of a notice")
	require.Empty(t, h.GetBesides())
}
