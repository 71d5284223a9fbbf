package control

import (
	"context"
	"fmt"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/fsm"
)

// lateLog answers proposals that a part is held with an error, and keeps them: they may be committed later.
type lateLog struct {
	Log
	err  error
	late []*apiv1.Command
}

func (l *lateLog) Propose(ctx context.Context, c *apiv1.Command) (*apiv1.Result, error) {
	if c.GetHoldPart() == nil || l.err == nil {
		return l.Log.Propose(ctx, c)
	}
	l.late = append(l.late, c)
	return nil, l.err
}

// commit has the log take what was proposed first, if it is to be, and answer again.
func (c *copying) commit(late *lateLog, committed bool) {
	c.t.Helper()
	late.err = nil
	if committed {
		res, err := late.Log.Propose(c.ctx, late.late[0])
		require.NoError(c.t, err)
		require.Empty(c.t, res.Code, res.Reason)
	}
}

// unanswered has a copy made of which the log does not say whether it has noted it.
func (c *copying) unanswered(err error) (*lateLog, *apiv1.StoreTask) {
	c.t.Helper()
	late := &lateLog{Log: c.l.c.log, err: err}
	c.l.c.log = late
	c.wish("h2", string(fsm.Draining))
	tasks := c.given("h1")
	require.Len(c.t, tasks, 2)
	c.sessions[tasks[0].GiveTo].takeHolds()
	c.l.tasks.take(&apiv1.StoreStatus{Id: tasks[0].Id, Done: true})
	c.c.look(c.ctx)
	require.Len(c.t, late.late, 1)
	return late, tasks[0]
}

// TestCopyOfWhichTheLogIsSilent: until the log has said whether it has noted a copy nobody drops it, and nobody is blamed; and what it says in the end counts, whether or not it has taken the first proposal.
func TestCopyOfWhichTheLogIsSilent(t *testing.T) {
	for _, err := range []error{ErrUnknownOutcome, ErrOverloaded} {
		for _, committed := range []bool{true, false} {
			t.Run(fmt.Sprint(err, " ", committed), func(t *testing.T) {
				c := newCopying(t)
				late, task := c.unanswered(err)
				s, part := c.sessions[task.GiveTo], task.Parts[0]
				require.Nil(t, s.takeHolds(), "it keeps what it has")
				require.Empty(t, c.given("h1"))
				c.commit(late, committed)
				c.c.look(c.ctx)
				require.Contains(t, c.holders(part), task.GiveTo)
				require.Empty(t, s.takeHolds().GetDrop())
				require.Empty(t, c.l.sessions.asked)
				require.Empty(t, s.given[task.Checkpoint.Id][part])
			})
		}
	}
}

// TestUnwantedCopyOfWhichTheLogIsSilent: also a copy that nobody wants any more stays until the log has answered, and so it does when its host's session begins anew meanwhile.
func TestUnwantedCopyOfWhichTheLogIsSilent(t *testing.T) {
	for _, committed := range []bool{true, false} {
		for _, again := range []bool{true, false} {
			t.Run(fmt.Sprint(committed, " ", again), func(t *testing.T) {
				c := newCopying(t)
				late, task := c.unanswered(ErrUnknownOutcome)
				s, part := c.sessions[task.GiveTo], task.Parts[0]
				if again {
					s = newSession(s.host, s.incarnation, func() {})
					require.NoError(t, c.l.openSession(s, &apiv1.Hello{}))
					c.sessions[task.GiveTo] = s
					require.True(t, c.expects(task.GiveTo, part))
					require.NotNil(t, s.takeHolds())
				}
				c.wish("h2", string(fsm.Schedulable))
				c.c.look(c.ctx)
				require.Empty(t, c.c.jobs)
				require.Len(t, c.c.unsure, 1)
				require.Nil(t, s.takeHolds(), "it keeps what it has")
				c.commit(late, committed)
				c.c.look(c.ctx)
				require.Empty(t, c.c.unsure)
				require.Empty(t, c.l.sessions.asked)
				require.Empty(t, s.given)
				held := slices.Contains(c.holders(part), task.GiveTo)
				require.Equal(t, held, c.expects(task.GiveTo, part))
				if committed {
					require.True(t, held)
				}
			})
		}
	}
}

// TestOneRefusalIsOfOneCopy: that the log refuses one copy says nothing of another.
func TestOneRefusalIsOfOneCopy(t *testing.T) {
	c := newCopying(t)
	c.wish("h2", string(fsm.Draining))
	tasks := c.given("h1")
	require.Len(t, tasks, 2)
	bad := tasks[0].GiveTo
	require.NotEqual(t, bad, tasks[1].GiveTo)
	c.propose(&apiv1.Command{Op: &apiv1.Command_SetHostState{SetHostState: &apiv1.SetHostState{Host: bad, Incarnation: "i-" + bad, State: string(fsm.Lost)}}})
	c.l.tasks.take(&apiv1.StoreStatus{Id: tasks[0].Id, Done: true})
	c.c.look(c.ctx)
	require.NotContains(t, c.holders(tasks[0].Parts[0]), bad)
	c.l.tasks.take(&apiv1.StoreStatus{Id: tasks[1].Id, Done: true})
	c.c.look(c.ctx)
	require.Contains(t, c.holders(tasks[1].Parts[0]), tasks[1].GiveTo)
}

// TestNothingIsKeptOfTwoApps: of two apps that go on from one checkpoint nothing is remembered when no part of it is thin any more, whichever of them ends first.
func TestNothingIsKeptOfTwoApps(t *testing.T) {
	for _, ends := range []string{"a", "b"} {
		c := newCopying(t)
		a, _ := c.l.c.state.View().App("a")
		c.propose(&apiv1.Command{Op: &apiv1.Command_SubmitApp{SubmitApp: &apiv1.SubmitApp{Id: "b", Spec: &apiv1.AppSpec{Name: "b", ModuleDigest: testDigest, Size: a.Size, Restore: c.made().Id}}}})
		c.wish("h3", string(fsm.Cordoned))
		c.wish("h4", string(fsm.Cordoned))
		c.wish("h2", string(fsm.Draining))
		c.c.look(c.ctx)
		require.Len(t, c.c.thin, 2)
		c.propose(&apiv1.Command{Op: &apiv1.Command_StopApp{StopApp: &apiv1.StopApp{App: ends, Phase: string(fsm.Cancelled)}}})
		c.c.look(c.ctx)
		c.wish("h2", string(fsm.Schedulable))
		c.c.look(c.ctx)
		require.Empty(t, c.c.thin)
		require.Empty(t, c.c.apps)
		require.Empty(t, c.c.parts)
	}
}
