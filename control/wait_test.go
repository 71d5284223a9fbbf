package control

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/types/known/timestamppb"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/api/v1/apiv1connect"
	"github.com/godwit-run/godwit/fsm"
	"github.com/godwit-run/godwit/internal/transport"
)

// endMany has n other apps end, two hours later by the clock of who proposes it, so that all earlier ends are forgotten.
func (tr *trio) endMany(n int) {
	tr.t.Helper()
	tr.mu.Lock()
	defer tr.mu.Unlock()
	at := timestamppb.New(time.Now().Add(2 * time.Hour))
	var commands []*apiv1.Command
	for i := range n {
		id := fmt.Sprintf("other-%d", i)
		commands = append(commands,
			&apiv1.Command{At: at, Op: &apiv1.Command_SubmitApp{SubmitApp: &apiv1.SubmitApp{Id: id, Spec: &apiv1.AppSpec{Name: "x", ModuleDigest: testDigest, Size: 1}}}},
			&apiv1.Command{At: at, Op: &apiv1.Command_StopApp{StopApp: &apiv1.StopApp{App: id, Phase: "cancelled"}}})
		if len(commands) >= 512 || i == n-1 {
			results, err := tr.apply(commands...)
			require.NoError(tr.t, err)
			for _, r := range results {
				require.Empty(tr.t, r.Code, r.Reason)
			}
			commands = nil
		}
	}
}

// TestForgottenEndReachesItsWaiters: at the leader and through a follower, though 10,000 other apps end, and this one is
// forgotten, before the server has looked; and so it does for who has looked already.
func TestForgottenEndReachesItsWaiters(t *testing.T) {
	tr := newTrio(t, nil)
	s1, s2, s3 := tr.servers[0], tr.servers[1], tr.servers[2]
	var asked atomic.Int32
	held := make(chan struct{})
	s1.barrier = func() {
		if asked.Add(1) > 2 { // the first two go on, to wait for the end
			<-held
		}
	}
	tr.lead(s1, s2, s3)
	require.Eventually(t, func() bool { return s1.machine.View().LeaseMs() > 0 }, time.Minute, time.Millisecond)
	propose := func(c *apiv1.Command) {
		t.Helper()
		res, err := s1.Propose(t.Context(), c)
		require.NoError(t, err)
		require.Empty(t, res.Code, res.Reason)
	}
	propose(&apiv1.Command{Op: &apiv1.Command_AddModule{AddModule: &apiv1.AddModule{Module: &apiv1.Module{Digest: testDigest}}}})
	propose(&apiv1.Command{Op: &apiv1.Command_SubmitApp{SubmitApp: &apiv1.SubmitApp{Id: "a", Spec: &apiv1.AppSpec{Name: "x", ModuleDigest: testDigest, Size: 1}}}})
	type answer struct {
		res *apiv1.WaitAppResponse
		err error
	}
	answers := make(chan answer, 4)
	ask := func(m *member) {
		client := apiv1connect.NewControlClient(transport.NewClient(transport.NewHTTPClient(), tr.addr(m)))
		go func() {
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			res, err := client.WaitApp(ctx, &apiv1.WaitAppRequest{App: "a", Timeout: 60})
			answers <- answer{res, err}
		}()
	}
	for range 2 {
		ask(s1)
		ask(s2)
	}
	require.Eventually(t, func() bool { return asked.Load() == 4 }, time.Minute, time.Millisecond)
	propose(&apiv1.Command{Op: &apiv1.Command_StopApp{StopApp: &apiv1.StopApp{App: "a", Phase: "cancelled"}}})
	tr.endMany(10_000)
	_, known := s1.machine.View().App("a")
	require.False(t, known, "it is forgotten")
	close(held)
	for range 4 {
		a := <-answers
		require.NoError(t, a.err)
		require.Equal(t, fsm.Cancelled, fsm.PhaseOf(a.res.App))
	}
}
