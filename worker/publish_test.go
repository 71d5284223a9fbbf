package worker

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/internal/notify"
)

// statusStream keeps the statuses that a session sends.
type statusStream struct {
	sessionStream
	sent []*apiv1.AppStatus
}

func (s *statusStream) Send(m *apiv1.SessionRequest) error {
	if st := m.GetStatus(); st != nil {
		s.sent = append(s.sent, st)
	}
	return nil
}

// TestAShortProgramIsToldOfOnce: news of a start waits for what comes in the next moment, and no longer; other news waits for nothing.
func TestAShortProgramIsToldOfOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &Worker{
			statuses: map[string]*apiv1.AppStatus{}, dirty: map[string]bool{}, dirtyCh: notify.NewSignal(), soon: map[string]bool{}, soonCh: notify.NewSignal(),
			checkpoints: newStore(t, t.TempDir()),
		}
		w.storing = newStoring(w)
		stream := &statusStream{}
		s := &session{w: w, stream: stream, lease: newLease(sinceBoot, func(time.Duration) {}), every: time.Hour, sent: map[uint64]moment{}}
		ctx, end := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- s.send(t.Context(), ctx) }()
		rank := func(state string) []*apiv1.RankStatus {
			return []*apiv1.RankStatus{{Epoch: 1, State: state}}
		}
		starting := &apiv1.AppStatus{App: "a", Epoch: 1, Executor: apiv1.ExecutorStarting}
		running := &apiv1.AppStatus{App: "a", Epoch: 1, Executor: apiv1.ExecutorRunning, Ranks: rank(apiv1.RankRunning)}
		over := &apiv1.AppStatus{App: "a", Epoch: 1, Executor: apiv1.ExecutorRunning, Ranks: rank(apiv1.RankEnded)}
		synctest.Wait()
		w.publish(starting)
		w.publish(running)
		synctest.Wait()
		require.Empty(t, stream.sent)
		w.publish(over)
		synctest.Wait()
		require.Len(t, stream.sent, 1)
		require.True(t, proto.Equal(over, stream.sent[0]))
		time.Sleep(time.Second)
		synctest.Wait()
		require.Len(t, stream.sent, 1)

		long := proto.CloneOf(running)
		long.App = "long"
		w.publish(long)
		time.Sleep(startsSoon)
		synctest.Wait()
		require.Len(t, stream.sent, 2)
		require.True(t, proto.Equal(long, stream.sent[1]))

		acks := proto.CloneOf(long)
		acks.AckedMigration = "m"
		w.publish(acks)
		synctest.Wait()
		require.Len(t, stream.sent, 3)
		end()
		require.Error(t, <-ended)
	})
}

// TestOnlyStarts: whatever else a status tells has it sent at once, of fields that are not there yet, too.
func TestOnlyStarts(t *testing.T) {
	plain := func() *apiv1.AppStatus {
		return &apiv1.AppStatus{App: "a", Index: 3, Epoch: 1, Executor: apiv1.ExecutorRunning, Ranks: []*apiv1.RankStatus{{Rank: 0, Epoch: 1, State: apiv1.RankRunning}}}
	}
	require.True(t, onlyStarts(plain()))
	for what, change := range map[string]func(*apiv1.AppStatus){
		"it has ended":   func(s *apiv1.AppStatus) { s.Executor = apiv1.ExecutorEnded },
		"none":           func(s *apiv1.AppStatus) { s.Executor = "" },
		"why":            func(s *apiv1.AppStatus) { s.Reason = "x" },
		"silence":        func(s *apiv1.AppStatus) { s.SilentMs = 1 },
		"trouble":        func(s *apiv1.AppStatus) { s.StartTrouble = "x" },
		"a refusal":      func(s *apiv1.AppStatus) { s.StartRefused = "x" },
		"files":          func(s *apiv1.AppStatus) { s.Files = &apiv1.FilesStatus{} },
		"a checkpoint":   func(s *apiv1.AppStatus) { s.Checkpoint = &apiv1.CheckpointStatus{} },
		"a rank's end":   func(s *apiv1.AppStatus) { s.Ranks[0].State = apiv1.RankEnded },
		"a rank's pause": func(s *apiv1.AppStatus) { s.Ranks[0].PauseMs = 1 },
		"a migration":    func(s *apiv1.AppStatus) { s.FailedMigration = "m" },
	} {
		s := plain()
		change(s)
		require.False(t, onlyStarts(s), what)
	}
}
