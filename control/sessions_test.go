package control

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/fsm"
)

// TestNewestIsSent: whatever order they are queued in, the newest record and the newest answer are sent.
func TestNewestIsSent(t *testing.T) {
	s := newSession("h1", "i1", func() {})
	for _, index := range []uint64{5, 7, 6} {
		s.put(&apiv1.AppRecord{Index: index, App: &apiv1.App{Id: "a"}})
		s.echo(index)
	}
	seq, rec, some := s.take()
	require.True(t, some)
	require.EqualValues(t, 7, seq)
	require.EqualValues(t, 7, rec.Index)
	_, _, some = s.take()
	require.False(t, some)
}

// TestReportedAppsAreBounded: a host may report of so many apps and no more, and goes on reporting of those it has.
func TestReportedAppsAreBounded(t *testing.T) {
	b := newBench(t, nil)
	b.host("h1", 1)
	for i := range maxReported + 1 {
		b.report("h1", &apiv1.AppStatus{App: fmt.Sprint("a", i)})
	}
	require.Len(t, b.l.inbox.byHost["h1"], maxReported)
	require.Nil(t, b.l.inbox.report("h1", fsm.AppID(fmt.Sprint("a", maxReported))))
	b.report("h1", &apiv1.AppStatus{App: "a0", Epoch: 2})
	require.EqualValues(t, 2, b.l.inbox.report("h1", "a0").Epoch)
}

// TestHostsSayWhenTheyWereHeard: a host that hangs is ready until its lease is over; the list says for how long it was not heard.
func TestHostsSayWhenTheyWereHeard(t *testing.T) {
	b := newBench(t, nil)
	b.host("h1", 1)
	b.host("h2", 1)
	now := time.Now()
	b.l.sessions.heard.set("h1", now.Add(-7*time.Second))
	b.l.sessions.forget("h2")
	v := b.l.c.state.View()
	heard := b.l.lastContact(slices.Collect(v.Hosts()), now)
	require.Len(t, heard, 1, "of h2 nothing is known")
	require.Equal(t, 7*time.Second, heard["h1"].AsDuration())
}
