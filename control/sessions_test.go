package control

import (
	"fmt"
	"testing"

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
