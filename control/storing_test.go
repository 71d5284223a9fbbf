package control

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/control/steps"
	"github.com/godwit-run/godwit/fsm"
)

const testStore = "s3://bucket/x"

// archived is a bench whose app wants its checkpoints in an object store, the duties that make and store them, and the sessions of its hosts.
type archived struct {
	*bench

	k        *checkpointer
	s        *storer
	now      *time.Time
	sessions map[string]*session
	cause    string // of checkpoints that are made
}

func newArchived(t *testing.T) *archived {
	t.Helper()
	a := &archived{sessions: map[string]*session{}, cause: steps.CausePeriod}
	a.bench, a.k, a.now = saved(t, nil)
	a.s = a.l.storer
	a.s.now = func() time.Time { return *a.now }
	a.s.began = a.now.Add(-time.Hour)
	for _, h := range []string{"h1", "h2", "h3"} {
		a.connect(h)
	}
	return a
}

// connect gives a host a new session.
func (a *archived) connect(host string) {
	s := newSession(fsm.HostID(host), "i-"+host, func() {})
	require.True(a.t, a.l.inbox.open(s, nil))
	a.sessions[host] = s
}

// complete makes a complete checkpoint.
func (a *archived) complete(to string) *apiv1.Checkpoint {
	a.t.Helper()
	v := a.l.c.state.View()
	app, _ := v.App("a")
	cmd := a.l.c.command("")
	cmd.Term = a.l.term
	require.Empty(a.t, a.propose(a.begin(cmd, v, app, to)).Code)
	c := a.made()
	for _, st := range []*apiv1.CheckpointStatus{
		{Id: c.Id, Ready: true}, {Id: c.Id, Still: true, Taken: &apiv1.CheckpointPart{}}, {Id: c.Id, Held: &apiv1.CheckpointPart{Bytes: 10, NewBytes: 5}},
	} {
		for range 2 {
			a.say(st)
			a.k.look(a.ctx)
		}
	}
	require.Equal(a.t, apiv1.CheckpointComplete, a.made().Phase)
	return a.made()
}

// tasks are what a host is told next.
func (a *archived) tasks(host string) (out []*apiv1.StoreTask) {
	a.s.look(a.ctx)
	for t := a.sessions[host].takeTask(); t != nil; t = a.sessions[host].takeTask() {
		out = append(out, t)
	}
	return out
}

func (a *archived) task(host string) *apiv1.StoreTask {
	a.t.Helper()
	all := a.tasks(host)
	require.Len(a.t, all, 1)
	return all[0]
}

func (a *archived) done(ids ...*apiv1.StoreTask) {
	for _, t := range ids {
		a.l.tasks.take(&apiv1.StoreStatus{Id: t.Id, Done: true})
	}
	a.s.look(a.ctx)
}

// TestStoresWhatIsComplete: each host brings its part, one of them says that all is there, and then the log does; what is collected goes from the store as well.
func TestStoresWhatIsComplete(t *testing.T) {
	a := newArchived(t)
	a.complete("")
	require.Empty(t, a.tasks("h1"), "it is to be in no store")
	c := a.complete(testStore)
	one, two := a.task("h1"), a.task("h2")
	require.Equal(t, []string{"h1"}, one.Parts)
	require.Equal(t, []string{"h2"}, two.Parts)
	require.True(t, one.Describe)
	require.False(t, two.Describe)
	require.Equal(t, c.Id, one.Checkpoint.Id)
	require.NotEmpty(t, one.Checkpoint.Parts[1].Digest)
	require.Contains(t, storeWords(a.s.said(c.Id)), "not in its object store")
	a.l.tasks.take(&apiv1.StoreStatus{Id: "another", Done: true})
	a.done(two)
	require.Nil(t, a.made().StoredAt)
	a.done(one)
	require.NotNil(t, a.made().StoredAt)
	_, lost := a.l.c.state.View().LostPart(a.made())
	require.False(t, lost)

	swept := a.task("h1")
	require.Nil(t, swept.Checkpoint)
	require.Equal(t, []string{c.Id}, swept.Keep)
	a.done(swept)
	require.Empty(t, a.tasks("h1"))
	require.Empty(t, a.l.tasks.statuses)
	a.propose(&apiv1.Command{Op: &apiv1.Command_RemoveCheckpoint{RemoveCheckpoint: &apiv1.RemoveCheckpoint{Ids: []string{c.Id}}}})
	swept = a.task("h1")
	require.Empty(t, swept.Keep)
	a.done(swept)
	a.s.look(a.ctx)
	require.Empty(t, a.s.apps)
	require.Empty(t, a.s.stored)
}

// TestSlowStore: what is on its way goes on, and is not collected; then the newest is next. A store that is in trouble has the newest soon.
func TestSlowStore(t *testing.T) {
	a := newArchived(t)
	first := a.complete(testStore)
	one, two := a.task("h1"), a.task("h2")
	for range 4 {
		a.complete(testStore)
		require.Empty(t, a.tasks("h1"))
	}
	_, ok := a.l.c.state.View().Checkpoint(fsm.CheckpointID(first.Id))
	require.True(t, ok, "it is on its way")
	a.done(one, two)
	next, other := a.task("h1"), a.task("h2")
	require.Equal(t, a.made().Id, next.Checkpoint.Id, "those between are not begun")

	a.l.tasks.take(&apiv1.StoreStatus{Id: next.Id, Trouble: "the part of h2 is not there yet"})
	last := a.complete(testStore)
	require.Empty(t, a.tasks("h1"), "it only waits for the other host")
	a.l.tasks.take(&apiv1.StoreStatus{Id: other.Id, Trouble: "no route to host"})
	require.Empty(t, a.tasks("h2"), "it tries again")
	*a.now = a.now.Add(storeHiccup + 1)
	told := a.tasks("h2")
	require.Len(t, told, 1)
	require.True(t, told[0].Cancel)
	require.Contains(t, storeWords(a.s.said(next.Checkpoint.Id)), "no route to host")
	*a.now = a.now.Add(storeRest)
	require.Equal(t, last.Id, a.task("h2").Checkpoint.Id)
	all := a.tasks("h1")
	require.True(t, all[0].Cancel)
	a.done(all[1])
}

// TestStoreGetsOnAgain: trouble that is over does not end what is on its way, neither for how long ago it was nor for a newer one.
func TestStoreGetsOnAgain(t *testing.T) {
	a := newArchived(t)
	a.complete(testStore)
	one, two := a.task("h1"), a.task("h2")
	a.done(one)
	a.complete(testStore)
	for range 3 {
		a.l.tasks.take(&apiv1.StoreStatus{Id: two.Id, Trouble: "connection reset"})
		require.Empty(t, a.tasks("h2"), "it tries again")
		*a.now = a.now.Add(storeHiccup)
		require.Empty(t, a.tasks("h2"))
		a.l.tasks.take(&apiv1.StoreStatus{Id: two.Id})
		require.Empty(t, a.tasks("h2"))
		*a.now = a.now.Add(storePatience + 1)
		require.Empty(t, a.tasks("h2"))
	}
	a.l.tasks.take(&apiv1.StoreStatus{Id: two.Id, Trouble: "connection reset"})
	require.Empty(t, a.tasks("h2"))
	*a.now = a.now.Add(storeHiccup + 1)
	require.True(t, a.tasks("h2")[0].Cancel)
}

// TestAskedForIsStored: a checkpoint that somebody waits for is not passed over for a newer one; and a store that cannot be reached does not keep another's from it.
func TestAskedForIsStored(t *testing.T) {
	a := newArchived(t)
	a.complete(testStore)
	one, two := a.task("h1"), a.task("h2")
	a.cause = steps.CauseAsked
	asked := a.complete("file:///gone")
	a.cause = steps.CausePeriod
	newest := a.complete(testStore)
	a.done(one, two)
	first := a.task("h1")
	require.Equal(t, asked.Id, first.Checkpoint.Id)
	for _, want := range []*apiv1.Checkpoint{newest, asked, newest} {
		a.l.tasks.take(&apiv1.StoreStatus{Id: a.task("h2").Id, Trouble: "not there"})
		a.s.look(a.ctx)
		*a.now = a.now.Add(storeHiccup + 1)
		a.s.look(a.ctx)
		*a.now = a.now.Add(storeRestMost)
		all := a.tasks("h1")
		require.Len(t, all, 2)
		require.Equal(t, want.Id, all[1].Checkpoint.Id)
		require.True(t, a.sessions["h2"].takeTask().Cancel)
	}
}

// TestStoringHostIsGone: its part is brought by the other host that holds it, and if that is gone too nobody does.
func TestStoringHostIsGone(t *testing.T) {
	a := newArchived(t)
	c := a.complete(testStore)
	require.True(t, a.task("h1").Describe)
	a.connect("h2") // its session is another one
	require.Empty(t, a.tasks("h2"))
	*a.now = a.now.Add(storeRest)
	require.Equal(t, []string{"h2"}, a.task("h2").Parts)
	a.sessions["h1"].takeTask()
	a.sessions["h1"].takeTask()

	a.l.sessions.remove(a.sessions["h1"])
	a.s.look(a.ctx)
	*a.now = a.now.Add(storeRest)
	all := a.tasks("h2")
	require.True(t, all[0].Cancel)
	require.Equal(t, []string{"h1", "h2"}, all[1].Parts)
	require.True(t, all[1].Describe)
	a.l.sessions.remove(a.sessions["h2"])
	a.s.look(a.ctx)
	*a.now = a.now.Add(storeRest)
	a.s.look(a.ctx)
	require.Contains(t, storeWords(a.s.said(c.Id)), "no host that holds the part of host h1")
}

// TestForgottenWhileItIsStored: what there is of it is swept when those who bring it have ended, and not while they may still put something there.
func TestForgottenWhileItIsStored(t *testing.T) {
	a := newArchived(t)
	a.propose(&apiv1.Command{Op: &apiv1.Command_SetClusterConfig{SetClusterConfig: &apiv1.SetClusterConfig{Config: &apiv1.ClusterConfig{LeaseMs: 10_000}}}})
	c := a.complete(testStore)
	a.task("h1")
	a.task("h2")
	a.propose(&apiv1.Command{Op: &apiv1.Command_RemoveCheckpoint{RemoveCheckpoint: &apiv1.RemoveCheckpoint{Ids: []string{c.Id}}}})
	for _, h := range []string{"h1", "h2"} {
		require.True(t, a.task(h).Cancel)
	}
	*a.now = a.now.Add(leaseOf(a.l.c.state.View()) - 1)
	require.Empty(t, a.tasks("h1"))
	*a.now = a.now.Add(1)
	require.Nil(t, a.task("h1").Checkpoint)
}

// TestStoreCannotBeSwept: it is tried a few times, on several hosts, and no more.
func TestStoreCannotBeSwept(t *testing.T) {
	a := newArchived(t)
	a.complete(testStore)
	a.done(a.task("h1"), a.task("h2"))
	tries := 0
	for range 10 * sweepTries {
		a.s.look(a.ctx)
		for h := range a.sessions {
			for _, task := range a.tasks(h) {
				if !task.Cancel {
					tries++
					a.l.tasks.take(&apiv1.StoreStatus{Id: task.Id, Trouble: "no route to host"})
				}
			}
		}
		*a.now = a.now.Add(sweepRestMost)
	}
	require.Equal(t, sweepTries+1, tries)
	require.Empty(t, a.s.apps)
}

// TestImportIsChecked: what comes from outside is refused unless it is a whole checkpoint.
func TestImportIsChecked(t *testing.T) {
	a := newArchived(t)
	c := a.complete(testStore)
	a.propose(&apiv1.Command{Op: &apiv1.Command_RemoveCheckpoint{RemoveCheckpoint: &apiv1.RemoveCheckpoint{Ids: []string{c.Id}}}})
	for what, spoil := range map[string]func(*apiv1.Checkpoint){
		"phase": func(c *apiv1.Checkpoint) { c.Phase = apiv1.CheckpointTaken }, "id": func(c *apiv1.Checkpoint) { c.Id = "../x" }, "app": func(c *apiv1.Checkpoint) { c.App = "" },
		"to": func(c *apiv1.Checkpoint) { c.To = "" }, "url": func(c *apiv1.Checkpoint) { c.To = "s3://" }, "spec": func(c *apiv1.Checkpoint) { c.Spec = nil },
		"size": func(c *apiv1.Checkpoint) { c.Spec.Size = 3 }, "digest": func(c *apiv1.Checkpoint) { c.Parts[0].Digest = []byte("x") }, "parts": func(c *apiv1.Checkpoint) { c.Parts = nil },
		"order": func(c *apiv1.Checkpoint) { c.Parts[0], c.Parts[1] = c.Parts[1], c.Parts[0] }, "runs": func(c *apiv1.Checkpoint) { c.Runs[0].Ranks = -1 },
		"ended": func(c *apiv1.Checkpoint) { c.Ended = make([]byte, 2) }, "ends": func(c *apiv1.Checkpoint) { c.Ends = []*apiv1.RankEnds{{First: 1, Count: 2}} },
	} {
		bad := a.clone(c)
		spoil(bad)
		_, err := a.l.c.ImportCheckpoint(a.ctx, &apiv1.ImportCheckpointRequest{Checkpoint: bad})
		require.Error(t, err, what)
	}
	for range 2 { // the second is the same
		res, err := a.l.c.ImportCheckpoint(a.ctx, &apiv1.ImportCheckpointRequest{Checkpoint: a.clone(c)})
		require.NoError(t, err)
		require.True(t, res.Checkpoint.Imported)
		require.NotNil(t, res.Checkpoint.StoredAt)
	}
	other := a.clone(c)
	other.Parts[0].Digest[0]++
	_, err := a.l.c.ImportCheckpoint(a.ctx, &apiv1.ImportCheckpointRequest{Checkpoint: other})
	require.ErrorContains(t, err, "another checkpoint")
	a.propose(&apiv1.Command{Op: &apiv1.Command_RemoveCheckpoint{RemoveCheckpoint: &apiv1.RemoveCheckpoint{Ids: []string{c.Id}}}})
	require.Empty(t, a.tasks("h1"), "who has imported it does not remove it")
}

func (a *archived) clone(c *apiv1.Checkpoint) *apiv1.Checkpoint { return proto.CloneOf(c) }

func (a *archived) begin(cmd *apiv1.Command, v *fsm.View, app *apiv1.App, to string) *apiv1.Command {
	cmd.Op = steps.BeginCheckpoint(v, app, newCheckpointID(), a.cause, apiv1.AfterCheckpoint_AFTER_CHECKPOINT_UNSPECIFIED).Command.Op
	cmd.GetBeginCheckpoint().To = to
	return cmd
}

// TestLostTakesNoOthersPlace: a checkpoint of which nobody has all does not keep the one that its app goes on from from the store; it is tried when there is nothing else.
func TestLostTakesNoOthersPlace(t *testing.T) {
	a := newArchived(t)
	to := "file:///tmp/x"
	c1, c2 := a.complete(to), a.complete(to)
	next := func() (ids []string) {
		for _, c := range toStore(a.l.c.state.View(), "a") {
			ids = append(ids, c.Id)
		}
		return ids
	}
	require.Equal(t, []string{c2.Id}, next())
	a.propose(&apiv1.Command{Op: &apiv1.Command_SetHostState{SetHostState: &apiv1.SetHostState{Host: "h1", Incarnation: "i-h1", State: "lost"}}})
	app := a.app("a")
	for r, host := range app.Placement {
		if !app.HasEnded(int32(r)) {
			a.propose(&apiv1.Command{Op: &apiv1.Command_RanksEnded{RanksEnded: &apiv1.RanksEnded{App: "a", Host: host, Ranks: []*apiv1.EndedRank{{Rank: int32(r), Epoch: app.Epoch}}}}})
		}
	}
	require.Equal(t, c2.Id, a.app("a").Restore)
	a.host("h4", 8)
	a.propose(&apiv1.Command{Op: &apiv1.Command_PlaceApp{PlaceApp: &apiv1.PlaceApp{App: "a", Runs: []*apiv1.PlaceRule{{Host: "h4", Ranks: app.Size}}}}})
	a.propose(&apiv1.Command{Op: &apiv1.Command_RestartApp{RestartApp: &apiv1.RestartApp{App: "a", Attempt: a.app("a").Attempt, FromCheckpoint: true, Lost: c2.Id, Reason: "nobody has it"}}})
	require.Equal(t, c1.Id, a.app("a").Restore)
	require.Equal(t, []string{c1.Id, c2.Id}, next())
}
