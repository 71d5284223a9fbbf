package control

import (
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/fsm"
)

// copying is a bench whose app has a complete checkpoint, and the duty that copies its parts.
type copying struct {
	*archived

	c *copier
}

func newCopying(t *testing.T) *copying {
	t.Helper()
	a := newArchived(t)
	a.host("h4", 4)
	a.connect("h4")
	c := &copying{archived: a, c: a.l.copier}
	c.c.now = func() time.Time { return *a.now }
	a.complete("")
	return c
}

// given are what a host is told next to bring to others.
func (c *copying) given(host string) (out []*apiv1.StoreTask) {
	c.c.look(c.ctx)
	for t := c.sessions[host].takeTask(); t != nil; t = c.sessions[host].takeTask() {
		out = append(out, t)
	}
	return out
}

func (c *copying) wish(host, wish string) {
	c.propose(&apiv1.Command{Op: &apiv1.Command_SetHostWish{SetHostWish: &apiv1.SetHostWish{Host: host, Wish: wish}}})
}

// holders are who holds the part of a host.
func (c *copying) holders(host string) (out []string) {
	for _, p := range c.made().Parts {
		if p.Host == host {
			for _, h := range p.Holders() {
				out = append(out, h.Host)
			}
		}
	}
	return out
}

// expects says whether a host has been told that it is to hold the part of another.
func (c *copying) expects(host, part string) bool {
	s := c.sessions[host]
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, ck := range s.holds.GetHold() {
		for _, p := range ck.Parts {
			if p.Host == part && (p.Second == host || p.Third == host) {
				return true
			}
		}
	}
	return false
}

// TestCopiesWhatIsToBeLeft: what a host holds that is to be left goes to another one at once, which is told before.
func TestCopiesWhatIsToBeLeft(t *testing.T) {
	c := newCopying(t)
	for _, h := range []string{"h1", "h2", "h3", "h4"} {
		require.Empty(t, c.given(h), "two hosts hold each part")
	}
	require.Equal(t, []string{"h1", "h2"}, c.holders("h1"))
	require.Equal(t, []string{"h2", "h1"}, c.holders("h2"))
	c.wish("h2", string(fsm.Draining))
	tasks := c.given("h1") // who stays gives
	require.Len(t, tasks, 2)
	require.Empty(t, c.given("h2"))
	parts := map[string]string{}
	for _, task := range tasks {
		require.NotEmpty(t, task.GiveAddr)
		require.NotEmpty(t, task.Checkpoint.Parts[0].Digest)
		require.True(t, c.expects(task.GiveTo, task.Parts[0]))
		parts[task.Parts[0]] = task.GiveTo
		c.l.tasks.take(&apiv1.StoreStatus{Id: task.Id, Done: true})
	}
	require.Len(t, parts, 2)
	c.c.look(c.ctx)
	require.Equal(t, []string{"h1", parts["h1"]}, c.holders("h1"), "in the place of the one that is to be left")
	require.Equal(t, []string{"h2", "h1", parts["h2"]}, c.holders("h2"))
	require.Empty(t, c.l.c.state.View().HeldAlone())
	require.Empty(t, c.given("h1"))
	require.Empty(t, c.c.apps)
	require.Empty(t, c.c.parts)
	require.Empty(t, c.l.tasks.statuses)
}

// TestCopiesWhatALostHostHeld: a host that is lost may be back; after a while another one is given what it held.
func TestCopiesWhatALostHostHeld(t *testing.T) {
	c := newCopying(t)
	c.propose(&apiv1.Command{Op: &apiv1.Command_SetHostState{SetHostState: &apiv1.SetHostState{Host: "h2", Incarnation: "i-h2", State: string(fsm.Lost)}}})
	require.Empty(t, c.given("h1"))
	*c.now = c.now.Add(copyRest)
	tasks := c.given("h1")
	require.Len(t, tasks, 2)
	require.Empty(t, c.given("h1"), "they are under way")
	for _, task := range tasks {
		c.l.tasks.take(&apiv1.StoreStatus{Id: task.Id, Done: true})
	}
	c.c.look(c.ctx)
	require.Len(t, c.holders("h1"), 2)
	require.Len(t, c.holders("h2"), 3)
}

// TestCopyInTrouble: a copy that does not get on is given up, and another host is tried; so is one whose host is gone, or that nobody wants any more.
func TestCopyInTrouble(t *testing.T) {
	c := newCopying(t)
	c.wish("h3", string(fsm.Cordoned))
	c.wish("h2", string(fsm.Evicting))
	first := c.given("h1")
	require.Len(t, first, 2)
	for _, task := range first {
		require.Equal(t, "h4", task.GiveTo)
		c.l.tasks.take(&apiv1.StoreStatus{Id: task.Id, Trouble: "its disk has no room"})
	}
	require.Empty(t, c.given("h1"))
	*c.now = c.now.Add(copyPatience)
	c.wish("h3", string(fsm.Schedulable))
	for _, task := range c.given("h1") {
		require.True(t, task.Cancel)
	}
	require.False(t, c.expects("h4", "h1"))
	*c.now = c.now.Add(copyAgain)
	second := c.given("h2") // another holder
	require.Len(t, second, 2)
	for _, task := range second {
		require.Equal(t, "h3", task.GiveTo)
	}
	c.connect("h3") // its worker has begun anew
	for _, task := range second {
		c.l.tasks.take(&apiv1.StoreStatus{Id: task.Id, Done: true})
	}
	for _, task := range c.given("h2") {
		require.True(t, task.Cancel)
	}
	require.Equal(t, []string{"h1", "h2"}, c.holders("h1"), "it has dropped what nobody has told it to hold")
	*c.now = c.now.Add(copyAgainMost)
	third := c.given("h1")
	require.Len(t, third, 2)
	c.wish("h2", string(fsm.Schedulable))
	for _, task := range c.given("h1") {
		require.True(t, task.Cancel, "two hosts that stay have it")
	}
	require.Empty(t, c.l.tasks.statuses)
}

// TestTwoPartsToOneHost: a host that is to be given two parts of a checkpoint expects both, whatever becomes of either; and what it has of one is not dropped when the other is given up.
func TestTwoPartsToOneHost(t *testing.T) {
	c := newCopying(t)
	c.wish("h4", string(fsm.Cordoned)) // h3 alone can take any
	c.wish("h2", string(fsm.Draining))
	tasks := c.given("h1")
	require.Len(t, tasks, 2)
	first, second := tasks[0].Parts[0], tasks[1].Parts[0]
	teller := c.l.holdingsTeller()
	teller(c.ctx) // of what the log says
	require.True(t, c.expects("h3", first))
	require.True(t, c.expects("h3", second))
	c.l.tasks.take(&apiv1.StoreStatus{Id: tasks[0].Id, Trouble: "it is damaged"})
	c.c.look(c.ctx)
	*c.now = c.now.Add(copyPatience)
	c.l.tasks.take(&apiv1.StoreStatus{Id: tasks[1].Id, Done: true})
	c.c.look(c.ctx)
	teller(c.ctx)
	require.NotContains(t, c.holders(first), "h3")
	require.Contains(t, c.holders(second), "h3")
	require.False(t, c.expects("h3", first))
	require.True(t, c.expects("h3", second))
	*c.now = c.now.Add(copyAgainMost)
	again := c.given("h2") // another holder
	require.Len(t, again, 1)
	require.Equal(t, first, again[0].Parts[0])
	require.True(t, c.expects("h3", first))
	require.True(t, c.expects("h3", second))
	c.l.tasks.take(&apiv1.StoreStatus{Id: again[0].Id, Done: true})
	c.c.look(c.ctx)
	teller(c.ctx)
	require.Contains(t, c.holders(first), "h3")
	require.True(t, c.expects("h3", first))
	require.True(t, c.expects("h3", second))
	require.Empty(t, c.sessions["h3"].given)
}

// crowd adds parts that are as thin as p, but for nobody's app.
func (c *copying) crowd(n int, p fsm.ThinPart) {
	for i := range n {
		of := copied{"x", strconv.Itoa(i)}
		w := &copyWatch{of: of, part: p, since: *c.now, apps: map[fsm.AppID]uint64{"x": 0}, vain: map[fsm.HostID]int{}, torn: map[fsm.HostID]int{}}
		c.c.parts[of] = w
		c.c.waiting.add(w)
	}
}

// quiet fails if a look costs more where there are many thin parts, of which nothing new is known.
func (c *copying) quiet() {
	c.t.Helper()
	require.Zero(c.t, c.c.beginSome(c.l.c.state.View()))
	apps := c.c.looks
	require.LessOrEqual(c.t, testing.AllocsPerRun(100, func() { c.c.look(c.ctx) }), 20.0)
	require.Equal(c.t, apps, c.c.looks, "no app has changed")
}

// TestCopiesCost: a look costs what has changed, and the copies under way, however many parts are thin.
func TestCopiesCost(t *testing.T) {
	const many = 3*copyLooks - 10
	c := newCopying(t)
	c.wish("h3", string(fsm.Cordoned))
	c.wish("h4", string(fsm.Cordoned))
	c.wish("h2", string(fsm.Draining))
	c.c.look(c.ctx)
	require.Len(t, c.c.parts, 2)
	c.crowd(many, c.c.parts[copied{fsm.CheckpointID(c.made().Id), "h1"}].part)
	require.Empty(t, c.given("h1"), "h1 alone may take any, and holds all")
	for range 2 {
		require.Positive(t, c.c.beginSome(c.l.c.state.View()), "each is tried once")
	}
	require.Len(t, c.c.parts, many+2)
	c.quiet()

	c.wish("h3", string(fsm.Schedulable))
	require.Len(t, c.given("h1"), copiesOfHost, "a host that comes is news")
	for range 3 {
		require.LessOrEqual(t, c.c.beginSome(c.l.c.state.View()), copyLooks)
	}
	c.quiet()

	// As many as there may be at a time.
	for i := range copiesAtOnce {
		c.c.jobs[copied{"y", strconv.Itoa(i)}] = &copyWatch{job: &copyJob{from: c.l.sessions.of("h1"), to: c.l.sessions.of("h3")}}
	}
	c.c.waiting.stir()
	require.Positive(t, c.c.waiting.untried.Len())
	c.quiet()
}

// TestCopiesToAnotherMachineOfTheName: a machine that has taken the name of a holder has nothing of what that held, and can be given it.
func TestCopiesToAnotherMachineOfTheName(t *testing.T) {
	c := newCopying(t)
	c.wish("h3", string(fsm.Cordoned))
	c.wish("h4", string(fsm.Cordoned))
	c.propose(&apiv1.Command{Op: &apiv1.Command_SetHostState{SetHostState: &apiv1.SetHostState{Host: "h2", Incarnation: "i-h2", State: string(fsm.Lost)}}})
	require.NoError(t, c.register(&apiv1.Host{Id: "h2", Name: "h2", Addr: "h2:2", Slots: 4, Incarnation: "i-other", NodeId: "n-other"}, nil))
	other := newSession("h2", "i-other", func() {})
	require.True(t, c.l.inbox.open(other, nil))
	c.sessions["h2"] = other
	require.Empty(t, c.given("h1"), "who held it may be back")
	*c.now = c.now.Add(copyRest)
	tasks := c.given("h1")
	require.Len(t, tasks, 2)
	teller := c.l.holdingsTeller()
	teller(c.ctx)
	for _, task := range tasks {
		require.Equal(t, "h2", task.GiveTo)
		require.True(t, c.expects("h2", task.Parts[0]), "also of what the other machine of its name has made, or held")
		c.l.tasks.take(&apiv1.StoreStatus{Id: task.Id, Done: true})
	}
	c.c.look(c.ctx)
	require.Equal(t, []string{"h1", "h2"}, c.holders("h1"))
	require.Equal(t, []string{"h2", "h1", "h2"}, c.holders("h2"), "the one that made it, and the other of its name")
	require.Empty(t, other.given)
	*c.now = c.now.Add(copyAgainMost)
	require.Empty(t, c.given("h1"), "they are not thin any more")
	require.Empty(t, c.c.parts)
}
