package control

import (
	"testing"

	"github.com/stretchr/testify/require"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/fsm"
)

// TestNextHolderGivesAtOnce: a holder whose copy is damaged costs no time, and who was to take it is not blamed.
func TestNextHolderGivesAtOnce(t *testing.T) {
	c := newCopying(t)
	c.wish("h3", string(fsm.Cordoned))
	c.wish("h2", string(fsm.Draining))
	first := c.given("h1")
	require.Len(t, first, 2)
	for _, task := range first {
		c.l.tasks.take(&apiv1.StoreStatus{Id: task.Id, Trouble: "host h1: this host's own copy is damaged", Torn: true})
	}
	for _, task := range c.given("h1") {
		require.True(t, task.Cancel)
	}
	second := c.given("h2")
	require.Len(t, second, 2)
	for _, task := range second {
		require.Equal(t, "h4", task.GiveTo)
		c.l.tasks.take(&apiv1.StoreStatus{Id: task.Id, Trouble: "host h2: this host's own copy is damaged", Torn: true})
	}
	c.given("h2")
	require.Empty(t, c.given("h1"), "all were asked: now there is a pause")
	*c.now = c.now.Add(copyAgain)
	require.Len(t, c.given("h1"), 2)
}

// mended are what a host is told next to mend.
func (c *copying) mended(host string) (out []*apiv1.StoreTask) {
	c.l.mender.look(c.ctx)
	for t := c.sessions[host].takeTask(); t != nil; t = c.sessions[host].takeTask() {
		out = append(out, t)
	}
	return out
}

// TestHasDamageMended: a host that says what is damaged there is told who else holds it, once, until it says that it is whole; and users see it.
func TestHasDamageMended(t *testing.T) {
	c := newCopying(t)
	id := c.made().Id
	say := func(parts ...*apiv1.DamagedPart) {
		c.l.mender.take(c.sessions["h2"], &apiv1.DamagedParts{Parts: parts})
	}
	bad := &apiv1.DamagedPart{Checkpoint: id, Host: "h1", Files: 3, File: "checkpoints/blobs/abc"}
	say(bad, &apiv1.DamagedPart{Checkpoint: "gone", Host: "h1", Files: 1}, &apiv1.DamagedPart{Checkpoint: id, Host: "h3", Files: 1})
	tasks := c.mended("h2")
	require.Len(t, tasks, 1)
	require.True(t, tasks[0].Mend)
	require.Equal(t, []string{"h1"}, tasks[0].Parts)
	require.Len(t, tasks[0].From, 1)
	require.NotEmpty(t, tasks[0].From["h1"])
	require.NotEmpty(t, tasks[0].Checkpoint.Parts[0].Digest)
	require.Empty(t, c.mended("h2"))
	require.Contains(t, c.l.mender.said(id), "host h2 has a damaged copy of the part of host h1 (checkpoints/blobs/abc and 2 more): it is mended")
	c.l.tasks.take(&apiv1.StoreStatus{Id: tasks[0].Id, Trouble: "host h1 does not answer"})
	require.Contains(t, c.l.mender.said(id), "it cannot be mended yet: host h1 does not answer")
	c.l.tasks.take(&apiv1.StoreStatus{Id: tasks[0].Id, Done: true})
	again := c.mended("h2")
	require.Len(t, again, 1, "it has found more since")
	say(&apiv1.DamagedPart{Checkpoint: id, Host: "h1"})
	require.Empty(t, c.mended("h2"), "it goes on: all of the part is read")
	require.Contains(t, c.l.mender.said(id), "host h2 has its copy of the part of host h1 whole again, as far as is known: it is being read")
	say()
	require.True(t, c.mended("h2")[0].Cancel)
	require.Empty(t, c.l.mender.said(id))
	require.Empty(t, c.l.mender.told)

	say(bad)
	require.Len(t, c.mended("h2"), 1)
	c.connect("h2") // its worker has begun anew, and says it again
	require.Empty(t, c.mended("h2"))
	require.Empty(t, c.l.mender.told)
	require.Empty(t, c.l.tasks.statuses)
	say(bad)
	require.Len(t, c.mended("h2"), 1)
}

// TestMendsFromWhoeverHasIt: a host that mends a part hears of a holder that is back, at another address, and of nothing else.
func TestMendsFromWhoeverHasIt(t *testing.T) {
	c := newCopying(t)
	id := c.made().Id
	c.l.endHost(c.ctx, "h1", c.sessions["h1"].incarnation, fsm.Left, "gone")
	c.l.mender.take(c.sessions["h2"], &apiv1.DamagedParts{Parts: []*apiv1.DamagedPart{{Checkpoint: id, Host: "h1", Files: 1, File: "x"}}})
	first := c.mended("h2")
	require.Len(t, first, 1)
	require.Empty(t, first[0].From)
	c.l.tasks.take(&apiv1.StoreStatus{Id: first[0].Id, Trouble: "host h1, which holds it, is gone"})
	require.Empty(t, c.mended("h2"), "nothing has changed")
	require.NoError(t, c.register(&apiv1.Host{Id: "h1", Name: "h1", Addr: "h1:2", Slots: 4, Incarnation: "i2-h1", NodeId: "n-h1"}, nil))
	c.connect("h1")
	then := c.mended("h2")
	require.Len(t, then, 2)
	require.True(t, then[0].Cancel)
	require.Equal(t, first[0].Id, then[0].Id)
	require.Equal(t, map[string]string{"h1": "h1:2"}, then[1].From)
	require.Contains(t, c.l.mender.said(id), "it is mended")
	require.Empty(t, c.mended("h2"))
}

// TestHoldersHearWhatTheyHave: a host hears the digests of the parts that it holds, as the log has it, and of no others: what it does not find of these it tells. A machine that has only the name of a holder has
// nothing to find, and nothing to mend.
func TestHoldersHearWhatTheyHave(t *testing.T) {
	c := newCopying(t)
	ck := c.made()
	digests := func(host fsm.HostID) (have []string) {
		for _, of := range allHoldings(c.l.c.state.View(), host).Hold {
			for i, p := range of.Parts {
				if len(p.Digest) > 0 {
					require.Equal(t, ck.Parts[i].Digest, p.Digest)
					have = append(have, p.Host)
				}
			}
		}
		return have
	}
	require.Equal(t, []string{"h1", "h2"}, digests("h1"))
	require.Equal(t, []string{"h1", "h2"}, digests("h2"))
	require.Empty(t, digests("h3"))
	require.NotNil(t, mendTask(c.l.c.state.View(), "h2", copied{fsm.CheckpointID(ck.Id), "h1"}))
	c.l.endHost(c.ctx, "h2", c.sessions["h2"].incarnation, fsm.Left, "gone")
	require.NoError(t, c.register(&apiv1.Host{Id: "h2", Name: "h2", Addr: "h2:2", Slots: 4, Incarnation: "i2-h2", NodeId: "another"}, nil))
	require.Empty(t, digests("h2"))
	require.Nil(t, mendTask(c.l.c.state.View(), "h2", copied{fsm.CheckpointID(ck.Id), "h1"}))
}
